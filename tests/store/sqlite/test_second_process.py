"""The accounts of a data folder, from beside the process that has it open."""

import itertools
import threading
from pathlib import Path

import pytest
from tests.store.conftest import Opener
from tests.store.events import arrival, record
from tests.terminals import ensured

from gatepost.errors import StoreUnavailable
from gatepost.store.sqlite import second_process
from gatepost.store.sqlite.connection import connect
from gatepost.store.sqlite.store import SqliteStore


def make(folder: Path, name: str) -> None:
    with second_process.accounts_of(folder) as accounts:
        accounts.create(name, "viewer", "a hash", now_ms=1)


def test_an_account_is_made_while_the_receiver_writes_without_a_pause(
    open_sqlite: Opener, tmp_path: Path
) -> None:
    store = open_sqlite()
    assert isinstance(store, SqliteStore)
    ensured(store, "SN-1", now_ms=0)
    stop = threading.Event()
    written = 0

    def load() -> None:
        nonlocal written
        while not stop.is_set():
            store.write([arrival(record(number)) for number in range(written, written + 64)])
            written += 64

    writing = threading.Thread(target=load)
    writing.start()
    try:
        for number in itertools.count():
            make(tmp_path / "data", f"name-{number}")
            if number >= 4 and written > 64:
                break
    finally:
        stop.set()
        writing.join()
    assert written > 64
    assert store.stats().records == written


def test_a_receiver_that_never_lets_go_is_named_in_words(
    open_sqlite: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_sqlite()
    monkeypatch.setattr(second_process, "_PATIENCE_S", 0.05)
    other = connect(tmp_path / "data" / "gatepost.db")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="database is locked"):
        make(tmp_path / "data", "somebody")
    other.execute("ROLLBACK")
    make(tmp_path / "data", "somebody")
    other.close()
