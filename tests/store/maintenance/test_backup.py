"""Backup and restore."""

import errno
import io
import json
import os
import shutil
import sqlite3
import tarfile
import threading
from collections.abc import Callable
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select
from tests.postgres import Postgres
from tests.store.events import JPEG, RECEIVED_MS, alarm, arrival, record, unknown
from tests.store.packed import journal_of, open_at, pack_of, places, together
from tests.terminals import ensured

from gatepost import wire
from gatepost.errors import StoreCorrupt, StoreError, StoreInUse, StoreTooNew
from gatepost.journal.files import Files
from gatepost.journal.packs import files
from gatepost.journal.packs.packs import Packs
from gatepost.journal.places import Place
from gatepost.journal.streams import Position
from gatepost.store.accounts.accounts import Accounts
from gatepost.store.accounts.saved_views import Reader, SavedViews
from gatepost.store.base import BaseStore
from gatepost.store.conversion.values import DAY_MS
from gatepost.store.interface import (
    AlarmQuery,
    Progress,
    RecordQuery,
    RefusalSample,
    RefusedPush,
    RefusedTimes,
)
from gatepost.store.maintenance.backup import FORMAT, backup
from gatepost.store.maintenance.check import check
from gatepost.store.maintenance.restore import restore
from gatepost.store.people.joined import Joins
from gatepost.store.people.marked import MarkedPeople
from gatepost.store.people.people import People
from gatepost.store.people.person import PeopleQuery, Rules
from gatepost.store.postgres.store import PostgresStore
from gatepost.store.privacy.erasure import Whom, erase
from gatepost.store.privacy.retention import Limits, Retention
from gatepost.store.schema import migrate
from gatepost.store.schema import tables as t
from gatepost.store.sqlite.store import SqliteStore

DAY = RECEIVED_MS // DAY_MS
JOURNAL = bytes(range(16))


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path, empty_folder: Path) -> dict[str, Any]:
    """Where a store is in which nothing happened yet."""
    if request.param == "sqlite":
        shutil.copytree(empty_folder, tmp_path / "data")
        return {"folder": tmp_path / "data"}
    return {"folder": tmp_path / "data", "database": request.getfixturevalue("postgres_store_url")}


@pytest.fixture(params=["sqlite", "postgresql"])
def other_place(request: pytest.FixtureRequest, tmp_path: Path, postgres_server: Postgres) -> dict[str, Any]:
    if request.param == "sqlite":
        return {"folder": tmp_path / "other"}
    return {"folder": tmp_path / "other", "database": postgres_server.create()}


def fill(store: BaseStore, count: int = 150) -> None:
    site = store.create_site("b", "UTC", now_ms=0)
    for serial in ("SN-1", "SN-2"):
        store.create_terminal(now_ms=0, serial=serial, site_id=site.id, networks=["10.0.0.0/8"])
    batch = [arrival(record(n, image=JPEG if n % 3 == 0 else None), 1 + n % 2) for n in range(count)]
    batch += [arrival(alarm(status=s, image=JPEG)) for s in (1, 3)]
    batch += [arrival(unknown()), arrival(wire.Unknown({"type": 8, "photo": "/9j/" * 900}))]
    assert store.packs is not None
    store.write(
        together(store.packs.folder, batch),
        Progress(JOURNAL, {"records": Position(2, 512, 150)}),
    )
    day = 86_400_000
    store.write([arrival(record(9000, image=JPEG), received_at_ms=RECEIVED_MS + day), arrival(record(0))])
    store.count_refused({(1, "too large"): 2}, now_ms=1)
    times = RefusedTimes(count=2, first_at_ms=1, last_at_ms=1, detail="")
    sample = RefusalSample(status=400, at_ms=1, content=b"{")
    refused = RefusedPush(peer="p", reason="no JSON", status=400)
    store.note_refused({refused: times}, {("p", "no JSON"): sample})
    account = Accounts(store).create("anna", "viewer", "hash", now_ms=0)
    views = SavedViews(store, Reader(account_id=account.id, role="viewer", every_site=True))
    for shared in (False, True):
        view = views.save("records", f"{shared}", {"passed": "false"}, shared=shared, by="anna", now_ms=0)
    views.begin_with(view.id, start=True)
    first, second, third = People(store, Rules()).page(PeopleQuery(limit=3)).items
    MarkedPeople(store, Rules()).mark(first, reason="ask at the desk", until=None, by="anna", now_ms=1)
    Joins(store, Rules()).join(second, third, by="anna", now_ms=1)


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
        {step.id: store.image(step.id) for row in store.alarms(AlarmQuery()).items for step in row.history},
        [store.pushed(row) for row in store.quarantined().items],
        SavedViews(store, Reader(account_id=1, role="viewer", every_site=True)).all(),
        MarkedPeople(store, Rules()).listed(RECEIVED_MS),
        [Joins(store, Rules()).numbers(one) for one in People(store, Rules()).page(PeopleQuery()).items],
        places(store),
    )


def test_what_is_restored_is_what_was_there_on_either_database(
    place: dict[str, Any], other_place: dict[str, Any], tmp_path: Path
) -> None:
    store = open_at(place)
    fill(store)
    before = content(store)
    made = backup(tmp_path / "b.tar", **place, now=0.0)
    assert (tmp_path / "b.tar").stat().st_mode & 0o777 == 0o600
    counts = made.rows
    assert counts["records"] == 151
    assert counts["images"] == 54
    assert made.images_missing == 0
    assert b"/9j/" * 900 in before[-5][0] + before[-5][1]
    store.close()
    assert restore(tmp_path / "b.tar", **other_place) == {
        k: v for k, v in counts.items() if v and k != "meta"
    } | {"meta": counts["meta"]}
    again = open_at(other_place)
    assert content(again) == before
    old, new = again.write([arrival(record(1), 2), arrival(record(555, image=JPEG))])
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
        PostgresStore.open(other_place["database"]).close()
    restore(tmp_path / "b.tar", **other_place)
    restored = open_at(other_place)
    assert restored.secret == secret
    assert not restored.write([arrival(record(1))])[0].new
    restored.write([arrival(record(6))])
    with restored.reading() as db:
        assert db.execute(select(func.count()).select_from(t.identities)).scalar_one() == 1
    restored.close()


def test_what_was_deleted_before_a_backup_is_counted_after_a_restore_and_its_ids_are_not_given_again(
    place: dict[str, Any], other_place: dict[str, Any], tmp_path: Path
) -> None:
    store = open_at(place)
    ensured(store, "SN-1", now_ms=0)
    start = store.end_of_feed()
    deleted = store.write([arrival(record(1)), arrival(alarm())])
    retention = Retention(store, Limits(records_days=1))
    while retention.once(RECEIVED_MS + 9 * DAY_MS).more:
        pass
    store.close()
    backup(tmp_path / "b.tar", **place, now=0)
    restore(tmp_path / "b.tar", **other_place)
    restored = open_at(other_place)
    (new,) = restored.write([arrival(record(2))])
    assert new.id > deleted[-1].id
    page = restored.read_feed(start)
    assert ([item.id for item in page.items], page.deleted) == ([new.id], {"record": 1, "alarm": 1})
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
        monkeypatch.setattr("gatepost.store.maintenance.backup.schema.sessions", None)
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


def test_the_chain_of_the_audit_log_goes_on_after_a_restore(place: dict[str, Any], tmp_path: Path) -> None:
    store = open_at(place)
    for day in range(4):
        Accounts(store).note(now_ms=day * DAY_MS, actor="anna", address="", action="tried")
    retention = Retention(store, Limits(audit_days=2))
    while retention.once(4 * DAY_MS).more:
        pass
    known = Accounts(store).verify_audit().head
    backup(tmp_path / "b.tar", **place, now=0.0)
    store.close()
    restore(tmp_path / "b.tar", folder=tmp_path / "restored")
    restored = SqliteStore.open(tmp_path / "restored")
    accounts = Accounts(restored)
    accounts.note(now_ms=5 * DAY_MS, actor="berta", address="", action="tried")
    found = accounts.verify_audit(known)
    restored.close()
    assert (found.lines, found.head.id, found.broken, found.is_left_noted) == (4, 6, None, True)


def test_a_backup_while_events_arrive_is_of_one_moment(place: dict[str, Any], tmp_path: Path) -> None:
    store = open_at(place)
    fill(store, 300)
    stop = threading.Event()
    written = []

    def ingest() -> None:
        n = 10_000
        while not stop.is_set():
            batch = [arrival(record(n + i, image=JPEG)) for i in range(8)]
            written.append(store.write(together(journal_of(place), batch)))
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
    assert check(folder).ok
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
        {"format": FORMAT, "schema": "9999_later"},
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


def test_where_there_is_no_store_there_is_no_backup(other_place: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no store"):
        backup(tmp_path / "b.tar", **other_place, now=0.0)
    assert not list(tmp_path.glob("*b.tar*"))


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_pack_that_is_gone_is_restored_as_events_without_images(
    place: dict[str, Any], other_place: dict[str, Any], tmp_path: Path
) -> None:
    store = open_at(place)
    fill(store)
    for pack in Packs(journal_of(place)).all():
        if pack.day.isoformat() == "2024-05-06":
            (journal_of(place).packs / pack.name).unlink()
    assert backup(tmp_path / "b.tar", **place, now=0.0).images_missing == 53
    store.close()
    restore(tmp_path / "b.tar", **other_place)
    assert check(**other_place).ok
    again = open_at(other_place)
    assert len(again.records(RecordQuery(has_image=True)).items) == 1
    assert len(places(again)) == 1
    again.close()


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
@pytest.mark.parametrize("has_folder", [True, False])
def test_images_of_other_receivers_on_a_database_are_there_with_their_data_folders_after_a_restore(
    place: dict[str, Any], other_place: dict[str, Any], tmp_path: Path, has_folder: bool
) -> None:
    store, elsewhere = open_at(place), open_at(place | {"folder": tmp_path / "elsewhere"})
    fill(store)
    assert elsewhere.packs is not None
    batch = [arrival(record(number, image=JPEG)) for number in (7001, 7002)]
    ids = [one.id for one in elsewhere.write(together(elsewhere.packs.folder, batch))]
    folder = place["folder"] if has_folder else None
    made = backup(tmp_path / "b.tar", folder=folder, database=place["database"], now=0.0)
    assert made.images_missing == (2 if has_folder else 56)
    store.close()
    elsewhere.close()
    restore(tmp_path / "b.tar", **other_place)
    if "database" not in other_place:
        assert check(**other_place).ok
        return
    assert {finding.kind for finding in check(**other_place).findings} == {"pack that is not here"}
    again = open_at(other_place | {"folder": tmp_path / "elsewhere"})
    assert [again.image(number) for number in ids] == [JPEG, JPEG]
    again.close()


def test_of_two_parts_of_an_event_the_one_that_a_backup_holds_is_restored(
    place: dict[str, Any], other_place: dict[str, Any], tmp_path: Path
) -> None:
    long = json.dumps({"type": 0, "data": {"uuid": "1", "photo": "/9j/" * 900}}).encode()
    store = open_at(place)
    ensured(store, "SN-1", now_ms=0)
    batch = [arrival(record(number, image=JPEG), original=long) for number in range(2)]
    first, second = store.write(together(journal_of(place), batch))
    assert store.packs is not None
    found = {(row[0], row[1]): Place(*row[2:]) for row in places(store)}
    assert store.packs.punch([found[first.id, 0], found[second.id, 1]])
    assert backup(tmp_path / "b.tar", **place, now=0.0).images_missing == 2
    store.close()
    restore(tmp_path / "b.tar", **other_place)
    assert check(**other_place).ok
    again = open_at(other_place)
    rows = {row.id: row.has_image for row in again.records(RecordQuery()).items}
    assert rows == {first.id: False, second.id: True}
    assert (again.image(first.id), again.image(second.id)) == (None, JPEG)
    assert {(row[0], row[1]) for row in places(again)} == {(first.id, 1), (second.id, 0)}
    again.close()


LI = wire.User(user_id="6", name="李四")


def fill_days(store: BaseStore, count: int = 100) -> list[list[int]]:
    """Three days of images; the ids of the events. Every second one is of a stranger, and the last of each day is an
    alarm."""
    ensured(store, "SN-1", now_ms=0)
    ids = []
    assert store.packs is not None
    for day in range(3):
        at = RECEIVED_MS + day * DAY_MS
        batch = [
            arrival(record(1000 * day + n, user=None if n % 2 else LI, image=JPEG), received_at_ms=at)
            for n in range(count)
        ]
        batch.append(arrival(alarm(f"trace-{day}", image=JPEG), received_at_ms=at))
        ids.append([stored.id for stored in store.write(together(store.packs.folder, batch))])
    return ids


def leave_meanwhile(monkeypatch: pytest.MonkeyPatch, leave: Callable[[], object]) -> None:
    """Something leaves when the backup has read the first image."""
    copy, has_left = Packs.copy, []

    def and_leave(packs: Packs, place: Place) -> bytes | None:
        data = copy(packs, place)
        if not has_left:
            has_left.append(True)
            leave()
        return data

    monkeypatch.setattr(Packs, "copy", and_leave)


def run(retention: Retention, day: int) -> None:
    while retention.once(RECEIVED_MS + day * DAY_MS).more:
        pass


def with_images(place: dict[str, Any]) -> set[int]:
    """The ids of the events that refer to an image, which must be there."""
    store = open_at(place)
    found = {row.id for row in store.records(RecordQuery(limit=10_000)).items if row.has_image}
    assert {row.id for row in store.records(RecordQuery(limit=10_000, has_image=True)).items} == found
    found |= {step.id for row in store.alarms(AlarmQuery()).items for step in row.history if step.has_image}
    assert {row[0] for row in places(store)} == found
    assert all(store.image(event_id) == JPEG for event_id in found)
    store.close()
    return found


def test_packs_that_leave_while_a_backup_is_made_are_restored_as_events_without(
    place: dict[str, Any], other_place: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_at(place)
    ids = fill_days(store)
    with monkeypatch.context() as patched:
        leave_meanwhile(patched, lambda: run(Retention(store, Limits(images_days=1)), 3))
        made = backup(tmp_path / "b.tar", **place, now=0.0)
    store.close()
    assert (made.rows["images"], made.images_missing) == (303, 201)
    restore(tmp_path / "b.tar", **other_place)
    assert check(**other_place).ok
    assert with_images(other_place) == {ids[0][-1], *ids[2]}  # the first pack in order is one of alarms


def test_images_that_leave_one_by_one_while_a_backup_is_made_are_restored_as_events_without(
    place: dict[str, Any], other_place: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_at(place)
    ids = fill_days(store)

    def leave() -> None:
        run(Retention(store, Limits(stranger_images_days=1)), 3)
        erase(store, Whom(user_id="6"), now_ms=RECEIVED_MS)

    with monkeypatch.context() as patched:
        leave_meanwhile(patched, leave)
        made = backup(tmp_path / "b.tar", **place, now=0.0)
    store.close()
    assert (made.rows["images"], made.images_missing) == (303, 250)
    restore(tmp_path / "b.tar", **other_place)
    assert check(**other_place).ok
    assert with_images(other_place) == {ids[0][-1], ids[1][-1], *ids[2][1::2], ids[2][-1]}


def test_a_place_that_a_backup_does_not_hold_is_a_hole_that_no_other_image_moves_into(
    place: dict[str, Any], other_place: dict[str, Any], tmp_path: Path
) -> None:
    store = open_at(place)
    fill_days(store, 10)
    dead = [row for row in places(store) if row[0] % 2]
    assert store.packs is not None
    assert store.packs.punch([Place(*row[2:]) for row in dead])
    backup(tmp_path / "b.tar", **place, now=0.0)
    before = places(store)
    store.close()
    restore(tmp_path / "b.tar", **other_place)
    again = open_at(other_place)
    assert places(again) == [row for row in before if row not in dead]
    assert check(**other_place).ok
    again.close()


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


def changed(file: Path, change: Callable[[list[Any]], object]) -> None:
    """Change the images in a backup."""

    def in_packs(name: str, content: bytes) -> Member:
        if name.startswith("packs/"):
            found = msgspec.msgpack.decode(content)
            change(found)
            content = msgspec.msgpack.encode(found)
        return name, content

    rewrite(file, in_packs)


def test_a_backup_that_lacks_images_is_restored_as_events_without(
    other_place: dict[str, Any], tmp_path: Path
) -> None:
    store = open_at({"folder": tmp_path / "data"})
    ids = fill_days(store)
    store.close()
    backup(tmp_path / "b.tar", folder=tmp_path / "data", now=0.0)

    def without(found: list[Any]) -> None:
        found[:] = [image for image in found if not image[0].startswith("people")]

    changed(tmp_path / "b.tar", without)
    restore(tmp_path / "b.tar", **other_place)
    assert check(**other_place).ok
    assert with_images(other_place) == {number for day in ids for number in [*day[1::2], day[-1]]}


A_PACK = "people-20240506-1714996800000-0123abcd-records-000001.pack"


@pytest.mark.parametrize(
    ("pack", "offset"),
    [
        ("../x", 1024),
        ("/etc/passwd", 1024),
        (f"../{A_PACK}", 1024),
        (f"{A_PACK}/x", 1024),
        (f"{A_PACK}\n", 1024),
        ("", 1024),
        ("people-20241399-1714996800000-0123abcd-records-000001.pack", 1024),
        (A_PACK, -1),
        (A_PACK, 0),
        (A_PACK, 1023),
        (A_PACK, files.LARGEST_PACK),
        (A_PACK, (1 << 63) + 5),
        (None, 1024),
        (A_PACK, None),
    ],
)
def test_a_backup_of_a_stranger_writes_nowhere_but_into_packs(
    other_place: dict[str, Any], tmp_path: Path, pack: str | None, offset: int | None
) -> None:
    store = open_at({"folder": tmp_path / "data"})
    fill_days(store, 3)
    store.close()
    backup(tmp_path / "b.tar", folder=tmp_path / "data", now=0.0)
    changed(tmp_path / "b.tar", lambda found: found.append([pack, offset, JPEG]))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StoreCorrupt, match="an image that no pack can have; take another one"):
        restore(tmp_path / "b.tar", **other_place)
    left = set(tmp_path.rglob("*")) - set(before)
    assert {path.relative_to(tmp_path).as_posix() for path in left} <= {"other", "other/gatepost.lock"}


@pytest.mark.parametrize(
    "columns", [{"length": 1 << 62}, {"length": -5}, {"byte_offset": 1 << 62}, {"byte_offset": 3}]
)
def test_a_row_with_a_place_that_no_image_has_is_restored_as_an_event_without(
    other_place: dict[str, Any], tmp_path: Path, columns: dict[str, int]
) -> None:
    store = open_at({"folder": tmp_path / "data"})
    ids = fill_days(store, 3)
    store.close()
    backup(tmp_path / "b.tar", folder=tmp_path / "data", now=0.0)

    def change(name: str, content: bytes) -> Member:
        if name.startswith("tables/images/"):
            piece = msgspec.msgpack.decode(content)
            for column, value in columns.items():
                piece["rows"][0][piece["columns"].index(column)] = value
            content = msgspec.msgpack.encode(piece)
        return name, content

    rewrite(tmp_path / "b.tar", change)
    restore(tmp_path / "b.tar", **other_place)
    assert with_images(other_place) == {number for day in ids for number in day} - {ids[0][0]}


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_member_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path, kind: bytes) -> None:
    header = tarfile.TarInfo("header.json")
    content = json.dumps({"format": FORMAT, "schema": migrate.head()}).encode()
    header.size = len(content)
    large = tarfile.TarInfo("packs/000001.msgpack")
    large.size, large.type = 1 << 40, kind
    with (tmp_path / "b.tar").open("wb") as file:
        file.write(header.tobuf() + content.ljust(512, b"\0") + large.tobuf(tarfile.GNU_FORMAT))
        file.truncate(1 << 40)  # it has so many bytes, and takes no room
    with pytest.raises(StoreCorrupt, match="incomplete or damaged"):
        restore(tmp_path / "b.tar", folder=tmp_path / "other")
    assert not (tmp_path / "other" / "restoring").exists()


@pytest.mark.parametrize(
    ("member", "content"),
    [
        ("tables/records/000001.msgpack", msgspec.msgpack.encode({"columns": ["id"], "rows": [[1, 2]]})),
        ("tables/records/000001.msgpack", msgspec.msgpack.encode({"columns": ["id"], "rows": [[None]]})),
        ("tables/records/000001.msgpack", msgspec.msgpack.encode([1])),
        ("tables/records/000001.msgpack", msgspec.msgpack.encode({})),
        ("tables/records/000001.msgpack", b"\xc1"),
        ("tables/passwords/000001.msgpack", msgspec.msgpack.encode({"columns": ["id"], "rows": [[1]]})),
        ("journal/records/000001.msgpack", msgspec.msgpack.encode([1])),
        ("journal/other/000001.msgpack", msgspec.msgpack.encode([b"x"])),
        ("packs/000001.msgpack", msgspec.msgpack.encode([[1]])),
        ("else/000001.msgpack", b""),
    ],
)
def test_what_no_backup_has_is_told_with_a_sentence(
    other_place: dict[str, Any], tmp_path: Path, member: str, content: bytes
) -> None:
    digest = blake2b(digest_size=32)
    with tarfile.open(tmp_path / "b.tar", "w") as tar:
        header = json.dumps({"format": FORMAT, "schema": migrate.head()}).encode()
        for name, data in (("header.json", header), (member, content), ("end.json", b"")):
            if name == "end.json":
                data = json.dumps({"digest": digest.hexdigest()}).encode()  # noqa: PLW2901
            digest.update(f"{name}\0{len(data)}\0".encode() + data)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    with pytest.raises(StoreCorrupt, match="take another one"):
        restore(tmp_path / "b.tar", **other_place)
    store = open_at(other_place)
    assert store.stats().records == 0
    store.close()


def test_a_backup_of_an_unreleased_form_is_refused(other_place: dict[str, Any], tmp_path: Path) -> None:
    SqliteStore.open(tmp_path / "data").close()
    backup(tmp_path / "b.tar", folder=tmp_path / "data", now=0.0)

    def older(name: str, content: bytes) -> Member:
        if name == "header.json":
            content = json.dumps(json.loads(content) | {"format": FORMAT - 1}).encode()
        return name, content

    rewrite(tmp_path / "b.tar", older)
    with pytest.raises(StoreError, match=r"was made by an unreleased gatepost, .* take another backup"):
        restore(tmp_path / "b.tar", **other_place)
    assert not other_place["folder"].exists()


def test_without_a_data_folder_images_are_not_dropped_but_asked_a_folder_for(
    tmp_path: Path, postgres_server: Postgres
) -> None:
    store = open_at({"folder": tmp_path / "data"})
    ids = fill_days(store, 3)
    store.close()
    backup(tmp_path / "b.tar", folder=tmp_path / "data", now=0.0)
    other = {"folder": tmp_path / "other", "database": postgres_server.create()}
    with pytest.raises(StoreError, match=r"holds images, .* give an empty folder with --data"):
        restore(tmp_path / "b.tar", folder=None, database=other["database"])
    restore(tmp_path / "b.tar", **other)
    assert with_images(other) == {number for day in ids for number in day}


def sentence(call: Callable[[], object]) -> str:
    """Return what the error says, or nothing."""
    try:
        call()
    except StoreError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("call", ["create", "write", "sync", "make_folder", "sync_folder"])
def test_a_disk_that_is_full_while_packs_are_restored_is_told_and_nothing_is_left_behind(
    other_place: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    store = open_at({"folder": tmp_path / "data"})
    ids = fill_days(store, 8)
    store.close()
    backup(tmp_path / "b.tar", folder=tmp_path / "data", now=0.0)
    true, count, fatal = getattr(Files, call), [0], 1

    def full(files: Files, place: Any, *args: Any, **named: Any) -> Any:
        if is_of_packs(place):
            count[0] += 1
            if count[0] == fatal:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return true(files, place, *args, **named)

    def is_of_packs(place: Any) -> bool:
        path = place if isinstance(place, Path) else Path(f"/proc/self/fd/{place}").readlink()
        return "packs" in path.parts

    failures = 0
    while failures == fatal - 1:
        count[0] = 0
        with monkeypatch.context() as patched:
            patched.setattr(Files, call, full)
            said = sentence(lambda: restore(tmp_path / "b.tar", **other_place))
        if said:
            failures += 1
            assert "other cannot be written: No space left on device; make room" in said
            assert [path.name for path in other_place["folder"].iterdir()] == ["gatepost.lock"]
        fatal += 1
    assert failures >= {"create": 9, "write": 9, "sync": 9}.get(call, 1)
    assert with_images(other_place) == {number for day in ids for number in day}


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


def test_thousands_of_missing_images_are_restored_as_events_without(
    other_place: dict[str, Any], tmp_path: Path
) -> None:
    store = open_at({"folder": tmp_path / "data"})
    fill_days(store, 700)
    for pack in Packs(journal_of({"folder": tmp_path / "data"})).all():
        if pack.day.day != 7:
            pack_of({"folder": tmp_path / "data"}, Place(pack.name, 0, 0, b"")).unlink()
    assert backup(tmp_path / "b.tar", folder=tmp_path / "data", now=0.0).images_missing == 1402
    store.close()
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
