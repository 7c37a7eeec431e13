"""A store read from outside."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.store.events import JPEG, RECEIVED_MS, arrival, record
from tests.terminals import ensured

from gatepost.errors import SettingsError, StoreCorrupt, StoreError, StoreTooNew, StoreUnavailable
from gatepost.store import migrate
from gatepost.store.folder import DATABASE
from gatepost.store.source import open_source
from gatepost.store.sqlite import SqliteStore

DAY = RECEIVED_MS // 86_400_000


def test_it_sees_one_moment_of_the_events_while_the_store_goes_on(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path)
    ensured(store, "SN-1", now_ms=0)
    store.write([arrival(record(1), image=JPEG)])
    with open_source(tmp_path) as source:
        store.write([arrival(record(2), image=JPEG)])
        assert len(source.db.exec_driver_sql("SELECT id FROM records").all()) == 1
        assert source.images.days() == [DAY]
        assert [number for number, _ in source.images.scan(DAY)] == [1, 2]
        assert source.dialect == "sqlite"
    store.close()


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
