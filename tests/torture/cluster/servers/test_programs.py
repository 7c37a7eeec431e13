import os
from pathlib import Path

import pytest
from tests.torture.cluster.kit import PATH

from gatepost.torture.cluster.servers import programs
from gatepost.torture.cluster.servers.programs import SERVER, MissingPrograms, find


def install(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch(mode=0o700)
    return folder


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose Debian has no PostgreSQL."""
    monkeypatch.setattr(programs, "DEBIAN", tmp_path / "debian")
    return tmp_path


def test_everything_that_a_cell_needs_is_there_where_tests_run() -> None:
    found = find(PATH)
    assert all(path.exists() for path in (found.postgres / "postgres", found.patroni, found.etcd, found.weed))


def test_a_missing_program_is_named(nowhere: Path) -> None:
    folder = install(nowhere / "bin", "patroni", "weed", "postgres")
    with pytest.raises(MissingPrograms, match="--cluster needs postgres, etcd on PATH"):
        find(str(folder))


def test_a_server_without_its_tools_is_passed_over(nowhere: Path) -> None:
    folder = install(nowhere / "bin", "patroni", "weed", "etcd", "postgres")
    install(nowhere / "debian/9/bin", *SERVER)
    whole = install(nowhere / "debian/15/bin", *SERVER)
    assert find(str(folder)).postgres == whole


def test_a_link_on_the_path_leads_to_the_tools(nowhere: Path) -> None:
    folder = install(nowhere / "bin", "patroni", "weed", "etcd")
    whole = install(nowhere / "server", *SERVER)
    (folder / "postgres").symlink_to(whole / "postgres")
    assert find(os.pathsep.join([str(folder)])).postgres == whole
