"""What is acknowledged and not listed yet is in a backup, and is listed once after a restore."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.journal.kit import read_all, remove
from tests.postgres import Postgres
from tests.store.events import JPEG, arrival, record
from tests.terminals import ensured

from gatepost.errors import StoreCorrupt, StoreError
from gatepost.journal.folder import ALARMS, Folder, Position
from gatepost.journal.reader import Reader
from gatepost.journal.writer import Writer
from gatepost.store import positions as positions_module
from gatepost.store.backup import backup
from gatepost.store.base import BaseStore
from gatepost.store.folder import IMAGES, JOURNAL, inspect
from gatepost.store.postgres import PostgresStore
from gatepost.store.restore import restore
from gatepost.store.sqlite import SqliteStore
from gatepost.store.store import Progress, RecordQuery

Place = dict[str, Any]


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path, postgres_server: Postgres) -> Place:
    """Where a store is to be, and the journal in its data folder."""
    return {"folder": tmp_path / "data"} | (
        {"database": postgres_server.create()} if request.param == "postgresql" else {}
    )


@pytest.fixture(params=["sqlite", "postgresql"])
def other_place(request: pytest.FixtureRequest, tmp_path: Path, postgres_server: Postgres) -> Place:
    return {"folder": tmp_path / "other"} | (
        {"database": postgres_server.create()} if request.param == "postgresql" else {}
    )


def open_at(place: Place) -> BaseStore:
    return PostgresStore.open(place["database"]) if "database" in place else SqliteStore.open(place["folder"])


def project(store: BaseStore, journal: Folder, *, max_bodies: int = 1000) -> list[int]:
    """Store what comes next in a journal whose bodies are numbers of records; return these."""
    reader = Reader(journal, store.positions(journal.id))
    batch = reader.read(max_bodies=max_bodies, max_bytes=1 << 20)
    reader.close()
    numbers = [int(body) for body in batch.bodies]
    store.write(
        [arrival(record(number), image=JPEG) for number in numbers], Progress(journal.id, batch.positions)
    )
    return numbers


def listed(store: BaseStore) -> list[int]:
    records = store.records(RecordQuery(limit=100_000)).items
    return sorted(int((row.uuid or "").removeprefix("uuid-")) for row in records)


def bodies(*numbers: int) -> list[bytes]:
    return [b"%d" % number for number in numbers]


@pytest.fixture
def waiting(place: Place) -> Place:
    """A store with three records, and a journal with four more and two alarms, of writers that live and that ended."""
    store = open_at(place)
    ensured(store, "SN-1", now_ms=0)
    journal = Folder.open(place["folder"] / JOURNAL)
    old = Writer(journal)
    old.append(bodies(1, 2, 3, 4))
    assert project(store, journal, max_bodies=3) == [1, 2, 3]
    old.append(bodies(5))
    old.close()
    alarms = Writer(journal, ALARMS)
    alarms.append([b"alarm 1"])
    alarms.close()
    place["writers"] = new = [Writer(journal), Writer(journal, ALARMS)]
    new[0].append(bodies(6))
    new[0].finish()
    new[0].append(bodies(7))
    new[1].append([b"alarm 2"])
    store.close()
    return place


def write_backup(place: Place, file: Path) -> Any:
    return backup(file, now=0.0, **{name: place[name] for name in place if name != "writers"})


def test_what_waits_is_read_once_after_a_restore_and_what_is_listed_is_not(
    waiting: Place, other_place: Place, tmp_path: Path
) -> None:
    made = write_backup(waiting, tmp_path / "b.tar")
    assert (made.rows["journal_events"], made.rows["records"], made.damages, made.lacks) == (6, 3, 0, ())
    waiting["writers"][0].append(bodies(8))
    counts = restore(tmp_path / "b.tar", **other_place)
    assert (counts["journal_events"], counts["records"]) == (6, 3)
    store = open_at(other_place)
    journal = Folder.open(other_place["folder"] / JOURNAL)
    assert journal.id != Folder.open(waiting["folder"] / JOURNAL).id
    assert store.positions(journal.id) == {}
    assert read_all(journal) == ([b"alarm 1", b"alarm 2", *bodies(4, 5, 6, 7)], [])
    reader = Reader(journal, {})
    batch = reader.read(max_bodies=100, max_bytes=1 << 20)
    reader.close()
    store.write(
        [arrival(record(int(body))) for body in batch.bodies[2:]], Progress(journal.id, batch.positions)
    )
    assert listed(store) == [1, 2, 3, 4, 5, 6, 7]
    assert read_all(journal, store.positions(journal.id)) == ([], [])
    store.close()


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_journal_that_is_read_to_its_end_leaves_nothing_to_restore(
    place: Place, other_place: Place, tmp_path: Path
) -> None:
    store = open_at(place)
    ensured(store, "SN-1", now_ms=0)
    journal = Folder.open(place["folder"] / JOURNAL)
    writer = Writer(journal)
    writer.append(bodies(1, 2))
    project(store, journal)
    assert write_backup(place, tmp_path / "b.tar").rows["journal_events"] == 0
    assert "journal_events" not in restore(tmp_path / "b.tar", **other_place)
    assert not (other_place["folder"] / JOURNAL).exists()
    store.close()
    writer.close()


def test_a_backup_makes_no_journal(tmp_path: Path) -> None:
    SqliteStore.open(tmp_path / "data").close()
    backup(tmp_path / "b.tar", folder=tmp_path / "data", now=0.0)
    assert not (tmp_path / "data" / JOURNAL).exists()


def test_what_is_read_and_deleted_behind_the_moment_of_the_rows_is_still_in_the_backup(
    waiting: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = positions_module.read
    store = open_at({**waiting, "folder": tmp_path / "unused"}) if "database" in waiting else None
    store = store or SqliteStore.open(waiting["folder"])
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


def test_a_backup_while_events_arrive_and_are_listed_holds_each_once(
    place: Place, other_place: Place, tmp_path: Path
) -> None:
    store = open_at(place)
    ensured(store, "SN-1", now_ms=0)
    journal = Folder.open(place["folder"] / JOURNAL)
    stop = threading.Event()
    begun = threading.Event()
    acknowledged = [0]

    def ingest() -> None:
        writer = Writer(journal, segment_bytes=4096)
        while not stop.is_set():
            writer.append(bodies(*range(acknowledged[0], acknowledged[0] + 5)))
            acknowledged[0] += 5
        writer.close()

    def list_events() -> None:
        while not stop.is_set():
            if project(store, journal, max_bodies=20):
                begun.set()
            journal.remove(store.positions(journal.id))

    threads = [threading.Thread(target=ingest), threading.Thread(target=list_events)]
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
    assert made.damages == 0
    restore(tmp_path / "b.tar", **other_place)
    restored = open_at(other_place)
    found = listed(restored)
    if made.rows["journal_events"]:
        waited, damages = read_all(Folder.open(other_place["folder"] / JOURNAL))
        assert damages == []
        found += [int(body) for body in waited]
    restored.close()
    assert found == list(range(len(found)))
    assert len(found) >= before


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_damaged_event_is_told_and_the_others_are_in_the_backup(waiting: Place, tmp_path: Path) -> None:
    damaged = next((waiting["folder"] / JOURNAL).glob(f"{waiting['writers'][0].stream}-000001.events"))
    data = bytearray(damaged.read_bytes())
    data[1024 + 5] ^= 1
    damaged.write_bytes(bytes(data))
    made = write_backup(waiting, tmp_path / "b.tar")
    assert (made.rows["journal_events"], made.damages) == (5, 1)


def test_the_journals_of_other_receivers_are_named_and_their_positions_kept(
    waiting: Place, other_place: Place, tmp_path: Path
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
    waiting: Place, tmp_path: Path, postgres_server: Postgres
) -> None:
    write_backup(waiting, tmp_path / "b.tar")
    url = postgres_server.create()
    with pytest.raises(StoreError, match="give an empty folder with --data"):
        restore(tmp_path / "b.tar", folder=None, database=url)
    assert restore(tmp_path / "b.tar", folder=tmp_path / "other", database=url)["journal_events"] == 6


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_folder_that_has_a_journal_is_left_as_it_is(
    waiting: Place, other_place: Place, tmp_path: Path
) -> None:
    write_backup(waiting, tmp_path / "b.tar")
    journal = Folder.open(other_place["folder"] / JOURNAL)
    with pytest.raises(StoreError, match="holds a store already; give an empty folder"):
        restore(tmp_path / "b.tar", **other_place)
    assert Folder.open(journal.path).id == journal.id
    assert [path.name for path in other_place["folder"].iterdir()] == [JOURNAL]


def flipped(file: Path, offset: int) -> None:
    with file.open("r+b") as raw:
        raw.seek(offset)
        byte = raw.read(1)
        raw.seek(offset)
        raw.write(bytes([byte[0] ^ 1]))


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_damage_anywhere_is_told_and_leaves_nothing_behind(
    waiting: Place, other_place: Place, tmp_path: Path
) -> None:
    file = tmp_path / "b.tar"
    write_backup(waiting, file)
    with tarfile.open(file) as tar:
        members = {member.name: (member.offset_data, member.size) for member in tar}
    assert [name for name in members if name.startswith("journal/")] == [
        "journal/alarms/000001.msgpack",
        "journal/records/000001.msgpack",
    ]
    chosen = [name for name in members if name.startswith(("journal/", "tables/records/", "images/"))]
    for name in chosen:
        start, size = members[name]
        for offset in (start, start + size // 2, start + size - 2):
            flipped(file, offset)
            with pytest.raises(StoreCorrupt):
                restore(file, **other_place)
            flipped(file, offset)
            assert not {JOURNAL, IMAGES, "restoring"} & {
                path.name for path in other_place["folder"].iterdir()
            }
    restore(file, **other_place)


def test_what_was_set_aside_is_tried_again_after_a_restore(
    waiting: Place, other_place: Place, tmp_path: Path
) -> None:
    (waiting["folder"] / JOURNAL / "unlisted-0123").write_bytes(b"8")
    made = write_backup(waiting, tmp_path / "b.tar")
    assert made.rows["journal_events"] == 7
    restore(tmp_path / "b.tar", **other_place)
    found, damages = read_all(Folder.open(other_place["folder"] / JOURNAL))
    assert (sorted(found), damages) == (sorted([b"alarm 1", b"alarm 2", *bodies(4, 5, 6, 7, 8)]), [])


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_what_is_made_is_for_its_user_alone(waiting: Place, tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_backup(waiting, tmp_path / "b.tar")
        restore(tmp_path / "b.tar", folder=tmp_path / "above" / "other")
    finally:
        os.umask(before)
    made = [tmp_path / "b.tar", tmp_path / "above", *(tmp_path / "above").rglob("*")]
    assert len(made) > 8
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
