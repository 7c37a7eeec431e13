"""Backup and restore."""

import io
import json
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.postgres import Postgres
from tests.store.events import JPEG, RECEIVED_MS, alarm, arrival, record, unknown

from gatepost.errors import StoreCorrupt, StoreError, StoreInUse, StoreTooNew
from gatepost.store.backup import backup, restore
from gatepost.store.base import BaseStore
from gatepost.store.check import check
from gatepost.store.images import DayFiles
from gatepost.store.postgres import PostgresStore
from gatepost.store.sqlite import SqliteStore
from gatepost.store.store import AlarmQuery, RecordQuery


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Where a store is to be: empty."""
    if request.param == "sqlite":
        return {"folder": tmp_path / "data"}
    return {"folder": tmp_path, "database": request.getfixturevalue("postgres_url")}


@pytest.fixture(params=["sqlite", "postgresql"])
def other_place(request: pytest.FixtureRequest, tmp_path: Path, postgres_server: Postgres) -> dict[str, Any]:
    if request.param == "sqlite":
        return {"folder": tmp_path / "other"}
    return {"folder": tmp_path, "database": postgres_server.create()}


def open_at(place: dict[str, Any]) -> BaseStore:
    return PostgresStore.open(place["database"]) if "database" in place else SqliteStore.open(place["folder"])


def fill(store: BaseStore, count: int = 150) -> None:
    site = store.create_site("b", "UTC", now_ms=0)
    for serial in ("SN-1", "SN-2"):
        store.create_terminal(now_ms=0, serial=serial, site_id=site.id, networks=["10.0.0.0/8"])
    batch = [arrival(record(n), 1 + n % 2, image=JPEG if n % 3 == 0 else None) for n in range(count)]
    batch += [arrival(alarm(status=s), image=JPEG) for s in (1, 3)]
    store.write([*batch, arrival(unknown())])
    day = 86_400_000
    store.write([arrival(record(9000), image=JPEG, received_at_ms=RECEIVED_MS + day), arrival(record(0))])
    store.count_refused({(1, "too large"): 2}, now_ms=1)
    store.note_misdirected({("p", "/", ""): 2}, now_ms=1)


def content(store: BaseStore) -> Any:
    records = store.records(RecordQuery(limit=10_000, order="received")).items
    return (
        records,
        store.alarms(AlarmQuery()).items,
        store.quarantined().items,
        store.terminals(),
        store.sites(),
        store.misdirected(),
        store.stats(),
        {row.id: store.image(row.id) for row in records},
    )


def test_what_is_restored_is_what_was_there_on_either_database(
    place: dict[str, Any], other_place: dict[str, Any], tmp_path: Path
) -> None:
    store = open_at(place)
    fill(store)
    before = content(store)
    counts = backup(tmp_path / "b.tar", **place, now=0.0)
    assert counts["records"] == 151
    assert counts["images"] == 53
    store.close()
    assert restore(tmp_path / "b.tar", **other_place) == {
        k: v for k, v in counts.items() if v and k != "meta"
    } | {"meta": counts["meta"]}
    again = open_at(other_place)
    assert content(again) == before
    old, new = again.write([arrival(record(1), 2), arrival(record(555), image=JPEG)])
    assert not old.new
    assert new.new
    assert new.id > max(row.id for row in before[0])
    assert again.image(new.id) == JPEG
    assert again.create_terminal(now_ms=0, serial="SN-3").id == 3
    again.close()
    assert check(**other_place).ok


def test_a_backup_while_events_arrive_is_of_one_moment(place: dict[str, Any], tmp_path: Path) -> None:
    store = open_at(place)
    fill(store, 300)
    stop = threading.Event()
    written = []

    def ingest() -> None:
        n = 10_000
        while not stop.is_set():
            written.append(store.write([arrival(record(n + i), image=JPEG) for i in range(8)]))
            n += 8

    thread = threading.Thread(target=ingest)
    thread.start()
    try:
        backup(tmp_path / "b.tar", **place, now=0.0)
    finally:
        stop.set()
        thread.join()
    store.close()
    assert written
    folder = tmp_path / "restored"
    restore(tmp_path / "b.tar", folder=folder)
    report = check(folder)
    assert [f for f in report.findings if f.kind != "image without record"] == []
    restored = SqliteStore.open(folder)
    records = restored.records(RecordQuery(limit=100_000)).items
    assert len(records) == restored.stats().records
    later = sorted(int(row.uuid.removeprefix("uuid-")) for row in records if row.has_image and row.uuid)[-1]
    stored = {row.uuid for row in records}
    assert all(f"uuid-{n}" in stored for n in range(10_000, later + 1))
    restored.close()


@pytest.mark.parametrize("damage", ["truncated", "flipped", "no backup", "empty"])
def test_a_damaged_backup_is_refused_and_leaves_nothing_behind(
    other_place: dict[str, Any], tmp_path: Path, damage: str
) -> None:
    source = tmp_path / "source"
    store = SqliteStore.open(source)
    fill(store)
    store.close()
    file = tmp_path / "b.tar"
    backup(file, folder=source, now=0.0)
    whole = file.read_bytes()
    middle = len(whole) // 2
    file.write_bytes(
        {
            "truncated": whole[:middle],
            "flipped": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
            "no backup": b"hello" * 1000,
            "empty": b"",
        }[damage]
    )
    with pytest.raises(StoreCorrupt, match=r"b\.tar"):
        restore(file, **other_place)
    file.write_bytes(whole)
    restore(file, **other_place)


def test_only_an_empty_place_is_restored_into(place: dict[str, Any], tmp_path: Path) -> None:
    store = open_at(place)
    fill(store)
    backup(tmp_path / "b.tar", **place, now=0.0)
    with pytest.raises((StoreError, StoreInUse), match=r"holds a store already|in use"):
        restore(tmp_path / "b.tar", **place)
    store.close()
    with pytest.raises(StoreError, match="holds a store already"):
        restore(tmp_path / "b.tar", **place)


def test_a_backup_of_a_later_version_is_refused_with_its_name(tmp_path: Path) -> None:
    for header in ({"format": 99, "gatepost": "9.9", "schema": "0001"}, {"format": 1, "schema": "9999"}):
        file = tmp_path / "later.tar"
        with tarfile.open(file, "w") as tar:
            content_ = json.dumps(header).encode()
            member = tarfile.TarInfo("header.json")
            member.size = len(content_)
            tar.addfile(member, io.BytesIO(content_))
        with pytest.raises(StoreTooNew):
            restore(file, folder=tmp_path / "data")
        assert not (tmp_path / "data").exists()


def test_a_backup_never_replaces_a_file(tmp_path: Path) -> None:
    SqliteStore.open(tmp_path / "data").close()
    (tmp_path / "b.tar").write_text("precious")
    with pytest.raises(StoreError, match="is there already"):
        backup(tmp_path / "b.tar", folder=tmp_path / "data", now=0.0)
    assert (tmp_path / "b.tar").read_text() == "precious"


def test_where_there_is_no_store_there_is_no_backup(place: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no store"):
        backup(tmp_path / "b.tar", **place, now=0.0)
    assert not list(tmp_path.glob("*b.tar*"))


def test_a_day_of_images_that_is_gone_is_restored_as_records_without(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "data")
    fill(store)
    DayFiles(tmp_path / "data" / "images", read_only=True).drop(RECEIVED_MS // 86_400_000)
    backup(tmp_path / "b.tar", folder=tmp_path / "data", now=0.0)
    store.close()
    restore(tmp_path / "b.tar", folder=tmp_path / "restored")
    assert check(tmp_path / "restored").ok
    again = SqliteStore.open(tmp_path / "restored")
    assert len(again.records(RecordQuery(has_image=True)).items) == 1
    again.close()


def test_progress_is_told_in_bytes(tmp_path: Path) -> None:
    SqliteStore.open(tmp_path / "data").close()
    told: list[int] = []
    tell: Callable[[int], None] = told.append
    backup(tmp_path / "b.tar", folder=tmp_path / "data", now=0.0, progress=tell)
    assert sum(told) > 0
    assert all(size > 0 for size in told)
