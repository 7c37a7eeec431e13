"""A store read from outside."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.postgres import Postgres
from tests.store.events import JPEG, arrival, record
from tests.store.packed import Where, open_at, places
from tests.terminals import ensured

from gatepost.errors import SettingsError, StoreCorrupt, StoreError, StoreTooNew, StoreUnavailable
from gatepost.journal.places import Place
from gatepost.store.images import images
from gatepost.store.maintenance.snapshot import open_source
from gatepost.store.postgres.store import PostgresStore
from gatepost.store.schema import migrate
from gatepost.store.sqlite.data_folder import DATABASE
from gatepost.store.sqlite.store import SqliteStore


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path, empty_folder: Path) -> Where:
    if request.param == "sqlite":
        shutil.copytree(empty_folder, tmp_path / "data")
        return {"folder": tmp_path / "data"}
    server: Postgres = request.getfixturevalue("postgres_server")
    return {"folder": tmp_path / "data", "database": server.create_with_store()}


def test_it_sees_one_moment_of_the_events_while_the_store_goes_on(place: Where) -> None:
    store = open_at(place)
    ensured(store, "SN-1", now_ms=0)
    store.write([arrival(record(1), image=JPEG)])
    (row,) = places(store)
    with open_source(**place) as source:
        store.write([arrival(record(2), image=JPEG)])
        assert len(source.db.exec_driver_sql("SELECT id FROM records").all()) == 1
        assert [tuple(found) for found in source.db.execute(images.by_pack())] == [row]
        assert source.packs is not None
        assert source.packs.read(Place(*row[2:])) == JPEG
        assert len(source.packs.all()) == 2, "packs may be ahead"
        assert source.dialect == ("postgresql" if "database" in place else "sqlite")
    store.close()


def test_without_a_data_folder_or_a_journal_there_are_no_packs(
    tmp_path: Path, postgres_server: Postgres
) -> None:
    url = postgres_server.create()
    PostgresStore.open(url).close()
    for folder in (None, tmp_path, tmp_path / "none"):
        with open_source(folder, url) as source:
            assert source.packs is None
    assert list(tmp_path.iterdir()) == []


def test_it_leaves_a_folder_without_a_store_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no store"), open_source(tmp_path / "none"):
        pass
    assert not (tmp_path / "none").exists()


def test_what_is_no_store_or_of_another_version_is_said_to_be_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SqliteStore.open(tmp_path).close()
    with monkeypatch.context() as patched:
        patched.setattr(migrate, "head", lambda: "0002_next")
        with pytest.raises(StoreError, match="start `gatepost serve` once"), open_source(tmp_path):
            pass
    for revision, error in (("9999_later", StoreTooNew), ("0012", StoreError)):
        with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
            db.execute("UPDATE alembic_version SET version_num = ?", (revision,))
            db.commit()
        with pytest.raises(error, match="version"), open_source(tmp_path):
            pass
    (tmp_path / DATABASE).write_text("x" * 100)
    with pytest.raises(StoreCorrupt), open_source(tmp_path):
        pass


def test_a_server_that_is_away_or_no_url_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable), open_source(tmp_path, "postgresql://127.0.0.1:1/x"):
        pass
    with pytest.raises(SettingsError, match="database"), open_source(tmp_path, "mysql://x/y"):
        pass
