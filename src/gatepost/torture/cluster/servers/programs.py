"""Find the programs of a cell: PostgreSQL, Patroni, etcd and SeaweedFS."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from gatepost.cli_text import t
from gatepost.errors import GatepostError

__all__ = ["MissingPrograms", "Programs", "find"]

DEBIAN = Path("/usr/lib/postgresql")
"""The folder of PostgreSQL's server programs in Debian, which is not in PATH."""
SERVER = ("postgres", "initdb", "pg_ctl", "pg_basebackup", "pg_controldata", "pg_isready")


class MissingPrograms(GatepostError):
    """A program of the cell is not installed."""


class Programs(Struct, frozen=True):
    """Paths of the programs."""

    postgres: Path
    """The folder of the server's programs."""
    patroni: Path
    etcd: Path
    weed: Path


def find(path: str) -> Programs:
    """Find the programs in the folders of ``path``, which is as the variable ``PATH``. Raises MissingPrograms."""
    postgres = next((folder for folder in _folders(path) if _is_whole(folder)), None)
    found = {name: shutil.which(name, path=path) for name in ("patroni", "etcd", "weed")}
    missing = [name for name, where in found.items() if where is None]
    if postgres is None:
        missing.insert(0, "postgres")
    if missing or postgres is None:
        names = ", ".join(missing)
        raise MissingPrograms(
            t(
                f"--cluster needs {names} on PATH: PostgreSQL 14 or later with its tools, patroni[etcd3], etcd, "
                "and weed (SeaweedFS)",
                f"--cluster 需要在 PATH 中找到 {names}：PostgreSQL 14 或更高版本及其工具、patroni[etcd3]、"
                "etcd，以及 weed（SeaweedFS）",
            )
        )
    return Programs(postgres, *(Path(str(found[name])) for name in ("patroni", "etcd", "weed")))


def _folders(path: str) -> Iterator[Path]:
    if (postgres := shutil.which("postgres", path=path)) is not None:
        yield Path(postgres).parent
        yield Path(postgres).resolve().parent
    yield from sorted(DEBIAN.glob("*/bin"), key=lambda folder: int(folder.parent.name), reverse=True)


def _is_whole(folder: Path) -> bool:
    return all((folder / name).exists() for name in SERVER)
