"""Backup and restore."""

import io
import json
import shutil
import sqlite3
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select
from tests.postgres import Postgres
from tests.store.events import JPEG, RECEIVED_MS, alarm, arrival, record, unknown
from tests.terminals import ensured

from gatepost import wire
from gatepost.errors import StoreCorrupt, StoreError, StoreInUse, StoreTooNew
from gatepost.journal.folder import Position
from gatepost.store import schema as t
from gatepost.store.accounts import Accounts
from gatepost.store.arrivals import DAY_MS
from gatepost.store.backup import backup
from gatepost.store.base import BaseStore
from gatepost.store.check import check
from gatepost.store.erase import Whom, erase
from gatepost.store.images import DayFiles
from gatepost.store.postgres import PostgresStore
from gatepost.store.restore import restore
from gatepost.store.retention import Limits, Retention
from gatepost.store.sqlite import SqliteStore
from gatepost.store.store import AlarmQuery, Progress, RecordQuery, RefusalSample, RefusedPush, RefusedTimes

DAY = RECEIVED_MS // DAY_MS
JOURNAL = bytes(range(16))


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
    store.write([*batch, arrival(unknown())], Progress(JOURNAL, {"records": Position(2, 512, 150)}))
    day = 86_400_000
    store.write([arrival(record(9000), image=JPEG, received_at_ms=RECEIVED_MS + day), arrival(record(0))])
    store.count_refused({(1, "too large"): 2}, now_ms=1)
    times = RefusedTimes(count=2, first_at_ms=1, last_at_ms=1, detail="")
    sample = RefusalSample(status=400, at_ms=1, content=b"{")
    refused = RefusedPush(peer="p", reason="no JSON", status=400)
    store.note_refused({refused: times}, {("p", "no JSON"): sample})


def content(store: BaseStore) -> Any:
    records = store.records(RecordQuery(limit=10_000, order="received")).items
    return (
        records,
        store.alarms(AlarmQuery()).items,
        store.quarantined().items,
        store.terminals(),
        store.sites(),
        store.refused(),
        [store.refusal_sample(row.sample_id or 0) for row in store.refused()],
        store.stats(),
        store.positions(JOURNAL),
        {row.id: store.image(row.id) for row in records},
    )


def test_what_is_restored_is_what_was_there_on_either_database(
    place: dict[str, Any], other_place: dict[str, Any], tmp_path: Path
) -> None:
    store = open_at(place)
    fill(store)
    before = content(store)
    counts = backup(tmp_path / "b.tar", **place, now=0.0).rows
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


def test_people_and_events_stay_the_same_ones_after_a_restore(
    place: dict[str, Any], other_place: dict[str, Any], tmp_path: Path
) -> None:
    store = open_at(place)
    ensured(store, "SN-1", now_ms=0)
    store.write([arrival(record(1))])
    secret = store.secret
    store.close()
    backup(tmp_path / "b.tar", **place, now=0)
    if "database" in other_place:  # was opened once, and has made a secret for itself
        open_at(other_place).close()
    restore(tmp_path / "b.tar", **other_place)
    restored = open_at(other_place)
    assert restored.secret == secret
    assert not restored.write([arrival(record(1))])[0].new
    restored.write([arrival(record(6))])
    with restored.reading() as db:
        assert db.execute(select(func.count()).select_from(t.identities)).scalar_one() == 1
    restored.close()


@pytest.mark.parametrize("holds", [False, True], ids=["now", "of an earlier version"])
def test_a_restore_opens_no_session_again(
    place: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holds: bool
) -> None:
    store = open_at(place)
    accounts = Accounts(store)
    account = accounts.create("Ann", "admin", "a hash", now_ms=0)
    accounts.open_session(account.id, b"digest", now_ms=0, expires_at_ms=DAY_MS, address="")
    if holds:
        monkeypatch.setattr("gatepost.store.backup.schema.sessions", None)
    backup(tmp_path / "b.tar", **place, now=0.0)
    monkeypatch.undo()
    store.close()
    restore(tmp_path / "b.tar", folder=tmp_path / "restored")
    restored = SqliteStore.open(tmp_path / "restored")
    assert [row.name for row in Accounts(restored).accounts()] == ["Ann"]
    assert Accounts(restored).session(b"digest", now_ms=1, idle_ms=DAY_MS) is None
    with restored.reading() as db:
        assert db.execute(select(func.count()).select_from(t.sessions)).scalar_one() == 0
    restored.close()


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
    assert all(f"uuid-{n:06d}" in stored for n in range(10_000, later + 1))
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


@pytest.mark.parametrize("holds", ["a later version", "a damaged store"])
def test_a_folder_that_is_not_empty_is_left_as_it_is_whatever_is_in_it(tmp_path: Path, holds: str) -> None:
    SqliteStore.open(tmp_path / "data").close()
    backup(tmp_path / "b.tar", folder=tmp_path / "data", now=0.0)
    folder = tmp_path / "other"
    folder.mkdir()
    if holds == "a damaged store":
        (folder / "gatepost.db").write_bytes(b"hello, world, I am no database")
    else:
        shutil.copy(tmp_path / "data" / "gatepost.db", folder)
        with closing(sqlite3.connect(folder / "gatepost.db")) as db:
            db.execute("UPDATE alembic_version SET version_num = '9999_later'")
            db.commit()
    before = (folder / "gatepost.db").read_bytes()
    with pytest.raises(StoreError, match="holds a store already"):
        restore(tmp_path / "b.tar", folder=folder)
    assert [path.name for path in folder.iterdir() if "-" not in path.name] == ["gatepost.db"]
    assert (folder / "gatepost.db").read_bytes() == before


def test_a_backup_of_a_later_version_is_refused_with_its_name(tmp_path: Path) -> None:
    for header in (
        {"format": 99, "gatepost": "9.9", "schema": "0001"},
        {"format": 1, "schema": "9999_later"},
    ):
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
    DayFiles(tmp_path / "data" / "images", read_only=True).drop(DAY)
    backup(tmp_path / "b.tar", folder=tmp_path / "data", now=0.0)
    store.close()
    restore(tmp_path / "b.tar", folder=tmp_path / "restored")
    assert check(tmp_path / "restored").ok
    again = SqliteStore.open(tmp_path / "restored")
    assert len(again.records(RecordQuery(has_image=True)).items) == 1
    again.close()


def fill_days(store: BaseStore, count: int = 100) -> list[list[int]]:
    """Three days of images, more of each than one read brings; the ids of the events. Some are of strangers, and the
    last of each day is an alarm."""
    ensured(store, "SN-1", now_ms=0)
    ids = []
    for day in range(3):
        at = RECEIVED_MS + day * DAY_MS
        batch = [
            arrival(record(1000 * day + n, user=None if n % 2 else LI), image=JPEG, received_at_ms=at)
            for n in range(count)
        ]
        batch.append(arrival(alarm(f"trace-{day}"), image=JPEG, received_at_ms=at))
        ids.append([stored.id for stored in store.write(batch)])
    return ids


LI = wire.User(user_id="6", name="李四")


def leave_meanwhile(monkeypatch: pytest.MonkeyPatch, leave: Callable[[], object]) -> None:
    """Something leaves when the backup has read the first images of the first day."""
    scan = DayFiles.scan

    def and_leave(files: DayFiles, day: int, after: int = 0) -> Iterator[tuple[int, bytes]]:
        for number, image in enumerate(scan(files, day, after)):
            if number == 0 and day == DAY:
                leave()
            yield image

    monkeypatch.setattr(DayFiles, "scan", and_leave)


def run(retention: Retention, day: int) -> None:
    while retention.once(RECEIVED_MS + day * DAY_MS).more:
        pass


def with_images(place: dict[str, Any]) -> set[int]:
    """The ids of the events that refer to an image, which must be there."""
    store = open_at(place)
    found = {row.id for row in store.records(RecordQuery(limit=10_000)).items if row.has_image}
    assert {row.id for row in store.records(RecordQuery(limit=10_000, has_image=True)).items} == found
    found |= {step.id for row in store.alarms(AlarmQuery()).items for step in row.history if step.has_image}
    assert all(store.image(event_id) == JPEG for event_id in found)
    store.close()
    return found


def days_without_images(file: Path) -> list[int]:
    with tarfile.open(file) as tar:
        end = tar.extractfile("end.json")
        assert end is not None
        days: list[int] = json.load(end)["days_without_images"]
        return days


def test_days_that_leave_while_a_backup_is_made_are_restored_as_records_without(
    other_place: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteStore.open(tmp_path / "data")
    ids = fill_days(store)
    with monkeypatch.context() as patched:
        leave_meanwhile(patched, lambda: run(Retention(store, Limits(images_days=1)), 3))
        counts = backup(tmp_path / "b.tar", folder=tmp_path / "data", now=0.0).rows
    store.close()
    assert counts["images"] == 202
    assert days_without_images(tmp_path / "b.tar") == [DAY + 1]
    restore(tmp_path / "b.tar", **other_place)
    assert check(**other_place).ok
    assert with_images(other_place) == {*ids[0], *ids[2]}


def test_images_that_leave_one_by_one_while_a_backup_is_made_are_restored_as_records_without(
    other_place: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteStore.open(tmp_path / "data")
    ids = fill_days(store)

    def leave() -> None:
        run(Retention(store, Limits(stranger_images_days=1)), 3)
        erase(store, Whom(user_id="6"), now_ms=RECEIVED_MS)

    with monkeypatch.context() as patched:
        leave_meanwhile(patched, leave)
        counts = backup(tmp_path / "b.tar", folder=tmp_path / "data", now=0.0).rows
    store.close()
    assert counts["images"] == 64 + 1 + 1 + 51  # what had been read, two alarms, and the last day's strangers
    assert days_without_images(tmp_path / "b.tar") == []
    restore(tmp_path / "b.tar", **other_place)
    assert check(**other_place).ok
    assert with_images(other_place) == {*ids[0][:64], ids[0][-1], ids[1][-1], *ids[2][1::2], ids[2][-1]}


def test_the_place_of_an_image_that_a_backup_does_not_hold_is_not_given_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteStore.open(tmp_path / "data")
    fill_days(store)
    with monkeypatch.context() as patched:
        leave_meanwhile(patched, lambda: store.remove_images([(DAY, n) for n in range(70, 102)]))
        backup(tmp_path / "b.tar", folder=tmp_path / "data", now=0.0)
    store.close()
    restore(tmp_path / "b.tar", folder=tmp_path / "restored")
    files = DayFiles(tmp_path / "restored" / "images")
    assert files.reserve(DAY, 1) == 102
    files.close()


Member = tuple[str, bytes]


def rewrite(file: Path, change: Callable[[str, bytes], Member | None]) -> None:
    """Make another backup out of one; ``None`` leaves a member out."""
    with tarfile.open(file) as tar:
        members = [(member.name, tar.extractfile(member)) for member in tar]
        contents = [(name, stream.read()) for name, stream in members if stream is not None]
    digest = blake2b(digest_size=32)
    with tarfile.open(file, "w") as tar:
        for made in (change(name, content) for name, content in contents):
            if made is None:
                continue
            name, content = made
            if name == "end.json":
                content = json.dumps(json.loads(content) | {"digest": digest.hexdigest()}).encode()
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def test_a_backup_that_lacks_images_without_saying_so_is_restored_too(
    other_place: dict[str, Any], tmp_path: Path
) -> None:
    store = SqliteStore.open(tmp_path / "data")
    ids = fill_days(store)
    store.close()
    backup(tmp_path / "b.tar", folder=tmp_path / "data", now=0.0)

    def without(name: str, content: bytes) -> Member | None:
        if name.startswith("images/2024-05-07/"):
            return None
        if name.startswith("images/2024-05-08/"):
            piece = msgspec.msgpack.decode(content)
            return name, msgspec.msgpack.encode(piece | {"rows": piece["rows"][1:-1]})
        return name, content

    rewrite(tmp_path / "b.tar", without)
    assert days_without_images(tmp_path / "b.tar") == []
    restore(tmp_path / "b.tar", **other_place)
    assert check(**other_place).ok
    assert with_images(other_place) == {*ids[0], *ids[2][1:-1]}


def test_a_backup_of_an_earlier_layout_is_refused(other_place: dict[str, Any], tmp_path: Path) -> None:
    SqliteStore.open(tmp_path / "data").close()
    backup(tmp_path / "b.tar", folder=tmp_path / "data", now=0.0)

    def earlier(name: str, content: bytes) -> Member:
        if name == "header.json":
            return name, json.dumps(json.loads(content) | {"schema": "0012"}).encode()
        return name, content

    rewrite(tmp_path / "b.tar", earlier)
    with pytest.raises(StoreError, match="written by an earlier version"):
        restore(tmp_path / "b.tar", **other_place)


def test_thousands_of_missing_images_are_restored_as_records_without(
    other_place: dict[str, Any], tmp_path: Path
) -> None:
    store = SqliteStore.open(tmp_path / "data")
    fill_days(store, 700)
    DayFiles(tmp_path / "data" / "images").drop(DAY)
    DayFiles(tmp_path / "data" / "images").drop(DAY + 2)
    backup(tmp_path / "b.tar", folder=tmp_path / "data", now=0.0)
    store.close()
    assert days_without_images(tmp_path / "b.tar") == [DAY, DAY + 2]
    restore(tmp_path / "b.tar", **other_place)
    assert check(**other_place).ok
    assert len(with_images(other_place)) == 701


def test_progress_is_told_in_bytes(tmp_path: Path) -> None:
    SqliteStore.open(tmp_path / "data").close()
    told: list[int] = []
    tell: Callable[[int], None] = told.append
    backup(tmp_path / "b.tar", folder=tmp_path / "data", now=0.0, progress=tell)
    assert sum(told) > 0
    assert all(size > 0 for size in told)
