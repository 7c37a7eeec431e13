"""What is acknowledged and not listed yet is in a backup, and is listed once after a restore."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from tests.journal.kit import end_abruptly, read_all, remove
from tests.postgres import Postgres
from tests.store.events import JPEG, RECEIVED_MS, arrival, record
from tests.store.packed import flip, open_at, pack_of, together
from tests.terminals import ensured

from gatepost.errors import StoreCorrupt, StoreError
from gatepost.journal.folder import Folder
from gatepost.journal.packs.packs import Packs
from gatepost.journal.places import Image, Place, join_places, split_places
from gatepost.journal.reader import Reader
from gatepost.journal.streams import ALARMS, Position
from gatepost.journal.writer import Writer
from gatepost.store.base import BaseStore
from gatepost.store.interface import Progress, RecordQuery, RecordRow
from gatepost.store.maintenance.backup import backup
from gatepost.store.maintenance.check import check
from gatepost.store.maintenance.restore import restore
from gatepost.store.postgres.store import PostgresStore
from gatepost.store.privacy.erasure import Whom, erase
from gatepost.store.privacy.retention import Limits, Retention
from gatepost.store.sqlite.data_folder import JOURNAL, inspect
from gatepost.store.sqlite.store import SqliteStore
from gatepost.store.write import positions as positions_module

Where = dict[str, Any]
OLD_MS = RECEIVED_MS - 5 * 86_400_000


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path, empty_folder: Path) -> Where:
    """Where a store is in which nothing happened yet, and the journal in its data folder."""
    if request.param == "sqlite":
        shutil.copytree(empty_folder, tmp_path / "data")
        return {"folder": tmp_path / "data"}
    server: Postgres = request.getfixturevalue("postgres_server")
    return {"folder": tmp_path / "data", "database": server.create_with_store()}


@pytest.fixture(params=["sqlite", "postgresql"])
def other_place(request: pytest.FixtureRequest, tmp_path: Path, postgres_server: Postgres) -> Where:
    return {"folder": tmp_path / "other"} | (
        {"database": postgres_server.create()} if request.param == "postgresql" else {}
    )


def push(writer: Writer, *numbers: int, kind: str = "people") -> None:
    """Append records with their images, as the ingest does; a body has the number of its record."""
    writer.append_with_images(
        [Image(kind, image(number)) for number in numbers],
        lambda found: [
            join_places(msgspec.msgpack.encode(number), [place])
            for number, place in zip(numbers, found, strict=True)
        ],
    )


def image(number: int) -> bytes:
    return JPEG + b"%d" % number


def taken(body: bytes) -> tuple[int, Place]:
    """Return number and place of a body."""
    number, found = split_places(body)
    return msgspec.msgpack.decode(number), found[0]


def project(store: BaseStore, journal: Folder, *, max_bodies: int = 1000) -> list[int]:
    """Store what comes next in a journal, as the projector does; return the numbers of the records."""
    reader = Reader(journal, store.positions(journal.id))
    batch = reader.read(max_bodies=max_bodies, max_bytes=1 << 20)
    reader.close()
    found = [taken(body) for body in batch.bodies]
    store.write(
        [replace(arrival(record(number)), image=place) for number, place in found],
        Progress(journal.id, batch.positions),
    )
    return [number for number, _ in found]


def listed(store: BaseStore) -> list[int]:
    """Return the numbers of all records, whose images must be right."""
    records: list[RecordRow] = []
    query: RecordQuery | None = RecordQuery(limit=1000)
    while query is not None:  # a page has so many bytes at most
        page = store.records(query)
        records += page.items
        query = replace(query, cursor=page.next_cursor) if page.next_cursor else None
    found = {int((row.uuid or "").removeprefix("uuid-")): row for row in records}
    for number, row in found.items():
        assert store.image(row.id) == (image(number) if row.has_image else None)
    return sorted(found)


def numbers_of(journal: Folder) -> list[int]:
    """Return the numbers of what waits in a journal, whose images must be there."""
    found, damages = read_all(journal)
    assert damages == []
    numbers = []
    with closing(Packs(journal)) as packs:
        for body in found:
            number, place = taken(body)
            assert packs.read(place) == image(number)
            numbers.append(number)
    return numbers


@pytest.fixture
def waiting(place: Where) -> Where:
    """A store with three records, and a journal with four more and two alarms, of writers that live and that ended."""
    store = open_at(place)
    ensured(store, "SN-1", now_ms=0)
    journal = Folder.open(place["folder"] / JOURNAL)
    old = Writer(journal)
    push(old, 1, 2, 3, 4)
    assert project(store, journal, max_bodies=3) == [1, 2, 3]
    push(old, 5)
    old.close()
    alarms = Writer(journal, ALARMS)
    push(alarms, 101, kind="alarms")
    alarms.close()
    place["writers"] = new = [Writer(journal), Writer(journal, ALARMS)]
    push(new[0], 6)
    new[0].finish()
    push(new[0], 7)
    push(new[1], 102, kind="alarms")
    store.close()
    return place


def write_backup(place: Where, file: Path) -> Any:
    return backup(file, now=0.0, **{name: place[name] for name in place if name != "writers"})


def test_what_waits_is_read_once_after_a_restore_and_what_is_listed_is_not(
    waiting: Where, other_place: Where, tmp_path: Path
) -> None:
    made = write_backup(waiting, tmp_path / "b.tar")
    assert (made.rows["journal_events"], made.rows["records"], made.damages, made.lacks) == (6, 3, 0, ())
    assert made.images_missing == 0
    push(waiting["writers"][0], 8)
    counts = restore(tmp_path / "b.tar", **other_place)
    assert (counts["journal_events"], counts["records"]) == (6, 3)
    store = open_at(other_place)
    journal = Folder.open(other_place["folder"] / JOURNAL)
    assert journal.id != Folder.open(waiting["folder"] / JOURNAL).id
    assert store.positions(journal.id) == {}
    found = numbers_of(journal)
    # Alarms go first; streams of the same millisecond have no order.
    assert (sorted(found[:2]), found[2:]) == ([101, 102], [4, 5, 6, 7])
    assert listed(store) == [1, 2, 3]
    assert sorted(project(store, journal, max_bodies=2)) == [101, 102]
    assert project(store, journal) == [4, 5, 6, 7]
    assert listed(store) == [1, 2, 3, 4, 5, 6, 7, 101, 102]
    assert all(row.has_image for row in store.records(RecordQuery()).items)
    assert read_all(journal, store.positions(journal.id)) == ([], [])
    store.close()


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_journal_that_is_read_to_its_end_leaves_nothing_to_restore(
    place: Where, other_place: Where, tmp_path: Path
) -> None:
    store = open_at(place)
    ensured(store, "SN-1", now_ms=0)
    journal = Folder.open(place["folder"] / JOURNAL)
    writer = Writer(journal)
    push(writer, 1, 2)
    project(store, journal)
    assert write_backup(place, tmp_path / "b.tar").rows["journal_events"] == 0
    assert "journal_events" not in restore(tmp_path / "b.tar", **other_place)
    assert read_all(Folder.open(other_place["folder"] / JOURNAL)) == ([], [])
    store.close()
    writer.close()


def test_a_backup_makes_no_journal(tmp_path: Path, postgres_server: Postgres) -> None:
    url = postgres_server.create()
    PostgresStore.open(url).close()
    backup(tmp_path / "b.tar", folder=tmp_path / "data", database=url, now=0.0)
    assert not (tmp_path / "data").exists()


def test_what_is_read_and_deleted_behind_the_moment_of_the_rows_is_still_in_the_backup(
    waiting: Where, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = positions_module.read
    store = open_at(waiting)
    journal = Folder.open(waiting["folder"] / JOURNAL)

    def and_go_on(db: Any, number: bytes) -> dict[str, Position]:
        found = read(db, number)
        with monkeypatch.context() as patched:
            patched.setattr(positions_module, "read", read)
            places = store.positions(journal.id)
            read_all(journal, places)
            store.write([], Progress(journal.id, places))
            assert remove(journal, places) == 0
        return found

    monkeypatch.setattr(positions_module, "read", and_go_on)
    assert write_backup(waiting, tmp_path / "b.tar").rows["journal_events"] == 6
    monkeypatch.undo()
    assert remove(journal, store.positions(journal.id)) > 0
    store.close()


def test_a_backup_while_events_arrive_are_listed_and_leave_holds_each_once(
    place: Where, other_place: Where, tmp_path: Path
) -> None:
    """A writer, a projector, a retention that deletes packs and an erasure that makes holes are at work."""
    store = open_at(place)
    ensured(store, "SN-1", now_ms=0)
    journal = Folder.open(place["folder"] / JOURNAL)
    stop = threading.Event()
    begun = threading.Event()
    acknowledged = [0]
    failures: list[BaseException] = []

    def ingest() -> None:
        writer = Writer(journal, segment_bytes=4096, pack_bytes=200_000, now=lambda: RECEIVED_MS / 1000)
        while not stop.is_set():
            if journal.backlog(store.positions(journal.id)).events > 500:
                stop.wait(0.01)  # a disk in memory takes more than any database lists
                continue
            push(writer, *range(acknowledged[0], acknowledged[0] + 5))
            acknowledged[0] += 5
        writer.close()

    def list_events() -> None:
        while not stop.is_set():
            project(store, journal, max_bodies=20)
            journal.remove(store.positions(journal.id))

    def delete() -> None:
        while not stop.is_set():
            erase(store, Whom(user_id="3"), now_ms=RECEIVED_MS)
            # A pack of an earlier day, which is due.
            old = together(journal, [arrival(record(10**6 + rounds[0]), image=JPEG, received_at_ms=OLD_MS)])
            store.write(old)
            retention = Retention(store, Limits(images_days=1))
            while retention.once(RECEIVED_MS).more:
                pass
            rounds[0] += 1
            if acknowledged[0] > 100:
                begun.set()

    def watched(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                failures.append(error)
                begun.set()
                stop.set()

        return run

    rounds = [0]
    threads = [threading.Thread(target=watched(work)) for work in (ingest, list_events, delete)]
    for thread in threads:
        thread.start()
    try:
        assert begun.wait(60)
        before = acknowledged[0]
        made = write_backup(place, tmp_path / "b.tar")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    store.close()
    assert failures == []
    assert made.damages == 0
    restore(tmp_path / "b.tar", **other_place)
    found = numbers_of(Folder.open(other_place["folder"] / JOURNAL))
    restored = open_at(other_place)
    kept = [number for number in listed(restored) if number < 10**6]
    while project(restored, Folder.open(other_place["folder"] / JOURNAL)):
        pass
    assert len(listed(restored)) >= len(kept) + len(found)
    restored.close()
    assert sorted(found + kept) == list(range(len(found + kept)))
    assert len(found + kept) >= before
    assert check(**other_place).ok


def test_an_event_that_was_not_acknowledged_and_lacks_its_image_is_not_in_the_backup(
    place: Where, other_place: Where, tmp_path: Path
) -> None:
    """Else it would be in the way of the same event when that comes again, with its image."""
    open_at(place).close()
    journal = Folder.open(place["folder"] / JOURNAL)
    writer = Writer(journal)
    push(writer, 1)
    push(writer, 2)
    push(writer, 3, 4)
    (_, one), (_, two), (_, three), (_, four) = (taken(body) for body in read_all(journal)[0])
    end_abruptly(writer)
    journal.writer_file(writer.stream).unlink()  # as a power cut may do: the last append has no commit
    os.truncate(pack_of(place, four), four.offset + four.length - 1)
    flip(pack_of(place, two), two.offset)  # damage is something else, and does not drop an acknowledged event
    made = write_backup(place, tmp_path / "b.tar")
    assert made.rows["journal_events"] == 3
    restore(tmp_path / "b.tar", **other_place)
    restored = Folder.open(other_place["folder"] / JOURNAL)
    assert [taken(body) for body in read_all(restored)[0]] == [(1, one), (2, two), (3, three)]


def test_images_of_events_that_wait_are_counted_where_they_are_gone(waiting: Where, tmp_path: Path) -> None:
    for pack in (waiting["folder"] / JOURNAL / "packs").glob("alarms-*"):
        pack.unlink()
    made = write_backup(waiting, tmp_path / "b.tar")
    assert (made.rows["journal_events"], made.images_missing) == (6, 2)


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_damaged_event_is_told_and_the_others_are_in_the_backup(waiting: Where, tmp_path: Path) -> None:
    damaged = next((waiting["folder"] / JOURNAL).glob(f"{waiting['writers'][0].stream}-000001.events"))
    data = bytearray(damaged.read_bytes())
    data[1024 + 25] ^= 1
    damaged.write_bytes(bytes(data))
    made = write_backup(waiting, tmp_path / "b.tar")
    assert (made.rows["journal_events"], made.damages) == (5, 1)


def test_the_journals_of_other_receivers_are_named_and_their_positions_kept(
    waiting: Where, other_place: Where, tmp_path: Path
) -> None:
    store = open_at({**waiting, "folder": waiting["folder"]})
    place = Position(3, 2000, 77)
    store.write([], Progress(b"x" * 16, {"1-a-records": place}))
    store.close()
    assert write_backup(waiting, tmp_path / "b.tar").lacks == ((b"x" * 16).hex(),)
    restore(tmp_path / "b.tar", **other_place)
    restored = open_at(other_place)
    assert restored.positions(b"x" * 16) == {"1-a-records": place}
    assert restored.positions(Folder.open(waiting["folder"] / JOURNAL).id) == {}
    restored.close()


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_without_a_data_folder_no_event_that_waits_is_dropped(
    waiting: Where, tmp_path: Path, postgres_server: Postgres
) -> None:
    write_backup(waiting, tmp_path / "b.tar")
    url = postgres_server.create()
    with pytest.raises(StoreError, match="give an empty folder with --data"):
        restore(tmp_path / "b.tar", folder=None, database=url)
    assert restore(tmp_path / "b.tar", folder=tmp_path / "other", database=url)["journal_events"] == 6


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_folder_that_has_a_journal_is_left_as_it_is(
    waiting: Where, other_place: Where, tmp_path: Path
) -> None:
    write_backup(waiting, tmp_path / "b.tar")
    journal = Folder.open(other_place["folder"] / JOURNAL)
    with pytest.raises(StoreError, match="holds a store already; give an empty folder"):
        restore(tmp_path / "b.tar", **other_place)
    assert Folder.open(journal.path).id == journal.id
    assert [path.name for path in other_place["folder"].iterdir()] == [JOURNAL]


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_damage_anywhere_is_told_and_leaves_nothing_behind(
    waiting: Where, other_place: Where, tmp_path: Path
) -> None:
    file = tmp_path / "b.tar"
    write_backup(waiting, file)
    with tarfile.open(file) as tar:
        members = {member.name: (member.offset_data, member.size) for member in tar}
    assert [name for name in members if name.startswith("journal/")] == [
        "journal/alarms/000001.msgpack",
        "journal/images/alarms-000001/000001.msgpack",
        "journal/records/000001.msgpack",
        "journal/images/records-000001/000001.msgpack",
    ]
    chosen = [name for name in members if name.startswith(("journal/", "tables/records/", "packs/"))]
    assert len(chosen) == 6
    for name in chosen:
        start, size = members[name]
        for offset in (start, start + size // 2, start + size - 2):
            flip(file, offset)
            with pytest.raises(StoreCorrupt):
                restore(file, **other_place)
            flip(file, offset)
            assert not {JOURNAL, "gatepost.db", "restoring"} & {
                path.name for path in other_place["folder"].iterdir()
            }
    restore(file, **other_place)


def test_what_was_set_aside_is_tried_again_after_a_restore(
    waiting: Where, other_place: Where, tmp_path: Path
) -> None:
    journal = Folder.open(waiting["folder"] / JOURNAL)
    other = Folder.open(tmp_path / "another")
    writer = Writer(other)
    push(writer, 8)
    writer.close()
    (body,) = read_all(other)[0]
    pack_of(waiting, taken(body)[1]).write_bytes((other.packs / taken(body)[1].pack).read_bytes())
    (journal.path / "unlisted-0123").write_bytes(body)
    (journal.path / "unlisted-4567").write_bytes(b"this is no event at all")
    made = write_backup(waiting, tmp_path / "b.tar")
    assert made.rows["journal_events"] == 8
    restore(tmp_path / "b.tar", **other_place)
    restored = Folder.open(other_place["folder"] / JOURNAL)
    bodies, damages = read_all(restored)
    assert b"this is no event at all" in bodies
    assert sorted(taken(body)[0] for body in bodies if body[:4] != b"this") == [4, 5, 6, 7, 8, 101, 102]
    with closing(Packs(restored)) as packs:
        assert packs.read(taken(body)[1]) == image(8)
    assert damages == []


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_what_is_made_is_for_its_user_alone(waiting: Where, tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_backup(waiting, tmp_path / "b.tar")
        restore(tmp_path / "b.tar", folder=tmp_path / "above" / "other")
    finally:
        os.umask(before)
    made = [tmp_path / "b.tar", tmp_path / "above", *(tmp_path / "above").rglob("*")]
    assert len(made) > 8
    assert any(path.suffix == ".pack" for path in made)
    for path in made:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_restore_is_killed_at_each_call_to_the_disk(tmp_path: Path) -> None:
    """Either nothing was made, or everything, or the folder is refused with a sentence."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.store.restore_steps", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found) == {"nothing was made", "it was cut off", "all is there"}
    assert found["it was cut off"] > 10


def test_a_restore_that_was_cut_off_is_told_to_whoever_opens_the_folder(tmp_path: Path) -> None:
    SqliteStore.open(tmp_path / "source").close()
    backup(tmp_path / "b.tar", folder=tmp_path / "source", now=0.0)
    (tmp_path / "data" / "restoring").mkdir(parents=True)
    attempts: list[Callable[[], object]] = [
        lambda: restore(tmp_path / "b.tar", folder=tmp_path / "data"),
        lambda: SqliteStore.open(tmp_path / "data"),
        lambda: backup(tmp_path / "c.tar", folder=tmp_path / "data", now=0.0),
        lambda: inspect(tmp_path / "data"),
    ]
    for attempt in attempts:
        with pytest.raises(StoreCorrupt, match="was cut off; if it was, delete everything in the folder"):
            attempt()
