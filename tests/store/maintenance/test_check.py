"""Looking a store through."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.journal.kit import end_abruptly, write_later_version
from tests.postgres import Postgres
from tests.store.events import JPEG, RECEIVED_MS, alarm, arrival, record
from tests.store.packed import Where, flip, journal_of, open_at, pack_of, places, together
from tests.terminals import ensured

from gatepost.errors import StoreError, StoreInUse
from gatepost.journal.folder import Folder
from gatepost.journal.packs.packs import Packs
from gatepost.journal.places import Image, Place, join_places, split_places
from gatepost.journal.reader import Reader
from gatepost.journal.writer import Writer
from gatepost.store.images.encryption import ImageKeys, read_keys
from gatepost.store.images.images import PEOPLE
from gatepost.store.interface import AlarmQuery, Progress, RecordQuery
from gatepost.store.maintenance.check import _Search, check
from gatepost.store.maintenance.findings import EXAMPLES
from gatepost.store.privacy.erasure import Whom, erase
from gatepost.store.privacy.retention import Limits, Retention
from gatepost.store.schema import tables as t
from gatepost.store.sqlite.data_folder import JOURNAL
from gatepost.store.sqlite.store import SqliteStore

LOST, ELSEWHERE, ORPHAN = "event whose image is lost", "pack that is not here", "image without event"


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path, empty_folder: Path) -> Where:
    if request.param == "sqlite":
        shutil.copytree(empty_folder, tmp_path / "data")
        return {"folder": tmp_path / "data"}
    server: Postgres = request.getfixturevalue("postgres_server")
    return {"folder": tmp_path / "data", "database": server.create_with_store()}


def found(place: Where) -> dict[str, int]:
    return {finding.kind: finding.count for finding in check(**place).findings}


def fill(place: Where, *, keys: ImageKeys | None = None) -> list[int]:
    """Store nine records, whose images are side by side in one pack, and an alarm, and return their ids."""
    store = open_at(place, keys=keys)
    ensured(store, "SN-1", now_ms=0)
    batch = [arrival(record(n), image=JPEG) for n in range(9)] + [arrival(alarm(), image=JPEG)]
    stored = store.write(together(journal_of(place), batch))
    store.close()
    return [one.id for one in stored]


def places_in(place: Where) -> dict[int, Place]:
    """Return where the images are, by event."""
    store = open_at(place)
    rows = {row[0]: Place(*row[2:]) for row in places(store)}
    store.close()
    return rows


def with_images(place: Where, *, keys: ImageKeys | None = None) -> set[int]:
    """Return the events that are listed with an image, which must be right."""
    store = open_at(place, keys=keys)
    ids = {row.id for row in store.records(RecordQuery()).items if row.has_image}
    assert ids == {row.id for row in store.records(RecordQuery(has_image=True)).items}
    ids |= {step.id for row in store.alarms(AlarmQuery()).items for step in row.history if step.has_image}
    assert all(store.image(event_id) == JPEG for event_id in ids)
    store.close()
    return ids


def test_a_sound_store_is_found_sound_also_while_it_is_open(place: Where) -> None:
    fill(place)
    store = open_at(place)
    report = check(**place)
    store.close()
    assert report.ok
    assert (report.events, report.images) == (10, 10)


def test_a_pack_that_is_gone_is_lost_with_its_images_or_elsewhere(place: Where) -> None:
    """On SQLite no other receiver can have it."""
    ids = fill(place)
    pack_of(place, places_in(place)[ids[0]]).unlink()
    report = check(**place)
    (finding,) = report.findings
    assert (report.events, report.images) == (10, 1)
    if "database" in place:
        assert (finding.kind, finding.count) == (ELSEWHERE, 1)
        assert "another receiver" in finding.advice
        assert check(**place, repair=True).repaired == 0
        assert found(place) == {ELSEWHERE: 1}
        assert set(places_in(place)) == set(ids)
        return
    assert (finding.kind, finding.count) == (LOST, 9)
    assert finding.examples == [f"event {number}" for number in ids[:EXAMPLES]]
    assert "--repair" in finding.advice
    assert check(**place, repair=True).repaired == 9
    assert check(**place).ok
    assert with_images(place) == {ids[9]}
    assert set(places_in(place)) == {ids[9]}


@pytest.mark.parametrize("damage", ["a byte", "its key", "its end", "a hole"])
def test_an_image_that_is_damaged_is_lost_and_its_event_is_listed_without_after_a_repair(
    place: Where, damage: str
) -> None:
    ids = fill(place)
    at = places_in(place)
    number = ids[8] if damage == "its end" else ids[4]
    pack = pack_of(place, at[number])
    if damage == "a byte":
        flip(pack, at[number].offset + 100)
    elif damage == "its end":
        with pack.open("r+b") as file:
            file.truncate(at[number].offset + at[number].length - 1)
    elif damage == "a hole":
        with closing(Packs(journal_of(place))) as packs:
            assert packs.punch([at[number]])
    else:
        store = open_at(place)
        with store.changing() as db:
            db.execute(t.images.update().where(t.images.c.event_id == number).values(key=bytes(32)))
        store.close()
    report = check(**place)
    assert [(one.kind, one.count, one.examples) for one in report.findings] == [
        (LOST, 1, [f"event {number}"])
    ]
    assert (report.events, report.images) == (10, 9)
    assert check(**place, repair=True).repaired == 1
    assert check(**place).ok
    assert with_images(place) == set(ids) - {number}
    assert not any(pack.read_bytes()[at[number].offset : at[number].offset + at[number].length])


def test_of_two_parts_of_an_event_only_the_one_that_is_lost_goes(place: Where) -> None:
    long = b'{"type": 0, "data": {"photo": "' + b"x" * 5000 + b'"}}'
    store = open_at(place)
    ensured(store, "SN-1", now_ms=0)
    first, second = store.write([arrival(record(n), image=JPEG, original=long) for n in range(2)])
    parts = {(row[0], row[1]): Place(*row[2:]) for row in places(store)}
    store.close()
    for one in (parts[first.id, 0], parts[second.id, 1]):
        flip(pack_of(place, one), one.offset)
    assert found(place) == {LOST: 2}
    check(**place, repair=True)
    assert check(**place).ok
    assert with_images(place) == {second.id}
    store = open_at(place)
    assert {(row[0], row[1]) for row in places(store)} == {(first.id, 1), (second.id, 0)}
    assert store.original(first.id, b'{"type": 0, "data": {"photo": ""}}') == long
    store.close()


def test_with_image_keys_it_is_told_whether_something_is_there(place: Where, tmp_path: Path) -> None:
    keys = read_keys(["00" * 32], file=None)
    ids = fill(place, keys=keys)
    assert check(**place).ok
    at = places_in(place)
    flip(pack_of(place, at[ids[1]]), at[ids[1]].offset)  # nothing can tell that without the image key
    assert check(**place).ok
    with closing(Packs(journal_of(place))) as packs:
        assert packs.punch([at[ids[1]], at[ids[2]]])
    assert found(place) == {LOST: 2}
    check(**place, repair=True)
    assert check(**place).ok
    assert with_images(place, keys=keys) == set(ids) - {ids[1], ids[2]}


def forget_rows(place: Where, *ids: int) -> None:
    """Delete rows of images as a process would that was killed before it made holes."""
    store = open_at(place)
    with store.changing() as db:
        db.execute(t.images.delete().where(t.images.c.event_id.in_(ids)))
        for table in (t.records, t.alarm_events):
            db.execute(table.update().where(table.c.id.in_(ids)).values(has_image=0))
    store.close()


def test_what_no_event_has_in_a_pack_is_named_and_its_room_given_back(place: Where) -> None:
    """At its beginning, between others, at its end, and a whole pack."""
    ids = fill(place)
    at = places_in(place)
    dead = [ids[0], ids[3], ids[4], ids[8], ids[9]]
    forget_rows(place, *dead)
    report = check(**place)
    (finding,) = report.findings
    assert (finding.kind, finding.count) == (ORPHAN, 4)
    assert set(finding.examples) == {
        f"{at[number].pack}, byte {at[number].offset}" for number in (ids[0], ids[3], ids[8], ids[9])
    }
    assert "harmless" in finding.advice
    assert (report.events, report.images) == (5, 5)
    assert check(**place, repair=True).repaired == 4
    assert check(**place).ok
    for number in dead:
        with pack_of(place, at[number]).open("rb") as file:
            file.seek(at[number].offset)
            assert not any(file.read(at[number].length))
    store = open_at(place)
    assert all(store.image(number) == JPEG for number in set(ids) - set(dead))
    store.close()


def test_an_image_is_not_without_event_while_it_may_wait(place: Where) -> None:
    """Neither in a pack that is being written, nor while the journal has something that is not listed."""
    ids = fill(place)
    journal = journal_of(place)
    writer = Writer(journal)
    writer.append_with_images([Image(PEOPLE, JPEG)], lambda places: [])
    assert check(**place).ok, "it is being written"
    forget_rows(place, ids[2])
    assert check(**place).ok, "a receiver is at work, and may be about to make a hole there"
    end_abruptly(writer)
    assert found(place) == {ORPHAN: 2}
    check(**place, repair=True)
    assert check(**place).ok
    writer = Writer(journal)
    writer.append_with_images([Image(PEOPLE, JPEG)], lambda places: [])
    end_abruptly(writer)
    assert found(place) == {ORPHAN: 1}
    other = Writer(journal)
    other.append([b"an event that is not listed yet"])
    other.close()
    assert check(**place).ok, "something waits"
    assert check(**place, repair=True).repaired == 0
    store = open_at(place)
    with closing(Reader(journal, {})) as reader:
        store.write([], Progress(journal.id, reader.read(max_bodies=9, max_bytes=999).positions))
    store.close()
    (journal.path / "unlisted-0123").write_bytes(b"it may have an image")
    assert ORPHAN not in found(place)
    (journal.path / "unlisted-0123").unlink()
    assert found(place) == {ORPHAN: 1}


@pytest.mark.parametrize("size", [1, 15, 16, 5000])
def test_the_tail_of_a_pack_whose_writer_was_killed_is_without_event(place: Where, size: int) -> None:
    ids = fill(place)
    at = places_in(place)[ids[8]]
    with pack_of(place, at).open("ab") as file:
        file.write(b"x" * size)
    assert found(place) == ({} if size < 16 else {ORPHAN: 1}), "nothing that short is an image"
    check(**place, repair=True)
    assert check(**place).ok
    assert with_images(place) == set(ids)


def test_a_pinned_journal_is_not_repaired(place: Where) -> None:
    """A backup reads it."""
    ids = fill(place)
    forget_rows(place, ids[0])
    with journal_of(place).pinned():
        assert check(**place, repair=True).repaired == 0
    assert found(place) == {ORPHAN: 1}
    assert check(**place, repair=True).repaired == 1
    assert check(**place).ok


def test_what_is_deleted_listed_or_gone_meanwhile_is_no_finding(place: Where) -> None:
    """Between the look at the events and the second one, everything happens that a receiver does."""
    ids = fill(place)
    store = open_at(place)
    journal = journal_of(place)
    today_ms = RECEIVED_MS + 3 * 86_400_000
    late = arrival(record(100), image=JPEG, received_at_ms=today_ms)
    listed = together(journal, [late])  # in a pack that is closed
    look, settle, has_looked = _Search._look, _Search.settle, []

    def and_go_on(search: Any, packs: Packs, name: str, rows: Any) -> None:
        if not has_looked:
            has_looked.append(True)
            erase(store, Whom(user_id="1"), now_ms=RECEIVED_MS)  # ids[1] and ids[6]
            while Retention(store, Limits(images_days=1)).once(today_ms).more:
                pass
        look(search, packs, name, rows)

    def but_first(search: Any, source: Any) -> None:
        assert search.orphans
        settle(search, source)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_Search, "_look", and_go_on)
        patched.setattr(_Search, "settle", but_first)
        patched.setattr(_Search, "run_journal", lambda search, source, journal: store.write(listed))
        report = check(**place)
    assert report.findings == ()
    assert has_looked
    assert (report.events, report.images) == (0, 0)
    assert ids
    store.close()


def test_a_running_receiver_gives_no_finding(place: Where) -> None:
    """A writer, a projector with duplicates, an erasure and a retention are at work while it is looked through."""
    store = open_at(place)
    ensured(store, "SN-1", now_ms=0)
    journal = journal_of(place)
    stop, begun = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    def ingest() -> None:
        number = 0
        with closing(
            Writer(journal, segment_bytes=4096, pack_bytes=150_000, now=lambda: RECEIVED_MS / 1000)
        ) as w:
            while not stop.is_set():
                if journal.backlog(store.positions(journal.id)).events > 500:
                    stop.wait(0.01)  # a disk in memory takes more than any database lists
                    continue
                numbers = range(number, number + 5)
                bodies = [b"%d" % (one + 256) for one in numbers]
                w.append_with_images(
                    [Image(PEOPLE, JPEG) for _ in numbers],
                    lambda found, bodies=bodies: [
                        join_places(b"\xcd" + int(body).to_bytes(2, "big"), [at])
                        for body, at in zip(bodies, found, strict=True)
                    ],
                )
                number = (number + 4) % 10_000  # the last one comes again

    def list_events() -> None:
        packs = Packs(journal)
        while not stop.is_set():
            with closing(Reader(journal, store.positions(journal.id))) as reader:
                batch = reader.read(max_bodies=20, max_bytes=1 << 20)
            pairs = [split_places(body) for body in batch.bodies]
            arrivals = [
                replace(arrival(record(int.from_bytes(body[1:], "big"))), image=at[0]) for body, at in pairs
            ]
            stored = store.write(arrivals, Progress(journal.id, batch.positions))
            packs.punch(
                store.unused([at[0] for one, (_, at) in zip(stored, pairs, strict=True) if not one.new])
            )
            journal.remove(store.positions(journal.id))
            if sum(one.new for one in stored) and store.stats().records > 60:
                begun.set()

    def delete() -> None:
        number = 100_000
        while not stop.is_set():
            erase(store, Whom(user_id="3"), now_ms=RECEIVED_MS)
            old = arrival(record(number), image=JPEG, received_at_ms=RECEIVED_MS - 5 * 86_400_000)
            store.write(together(journal, [old]))
            retention = Retention(store, Limits(images_days=1))
            while retention.once(RECEIVED_MS).more:
                pass
            number += 1

    threads = [
        threading.Thread(target=watched(work, failures, stop)) for work in (ingest, list_events, delete)
    ]
    for thread in threads:
        thread.start()
    reports = []
    try:
        assert begun.wait(200)
        for _ in range(5):
            reports.append(check(**place))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        store.close()
    assert failures == []
    assert [report.findings for report in reports] == [()] * 5
    assert all(report.images > 20 for report in reports)


def watched(
    work: Callable[[], None], failures: list[BaseException], stop: threading.Event
) -> Callable[[], None]:
    """Return work for a thread whose failure ends the others and is told."""

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)
            stop.set()

    return run


def test_images_that_are_no_jpeg_are_named_and_kept(place: Where) -> None:
    store = open_at(place)
    ensured(store, "SN-1", now_ms=0)
    (stored,) = store.write([arrival(record(1), image=b"GIF89a")])
    store.close()
    check(**place, repair=True)
    (finding,) = check(**place).findings
    assert (finding.kind, finding.count) == ("image that is no JPEG, PNG, WebP or BMP", 1)
    store = open_at(place)
    assert store.image(stored.id) == b"GIF89a"
    store.close()


def test_a_repair_of_a_folder_that_is_in_use_is_refused(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "data")
    with pytest.raises(StoreInUse):
        check(tmp_path / "data", repair=True)
    store.close()


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    place: Where = {"folder": tmp_path / "data"}
    fill(place)
    database = tmp_path / "data" / "gatepost.db"
    whole = database.read_bytes()
    database.write_bytes(whole[:-8192] + b"\xff" * 8192)
    (finding,) = check(**place).findings
    assert finding.kind == "damaged file"
    assert "restore" in finding.advice
    check(**place, repair=True)
    with closing(Packs(journal_of(place))) as packs:
        assert len(packs.all()) == 2, "nothing is deleted then"


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_where_there_is_no_store_that_is_said(
    request: pytest.FixtureRequest, tmp_path: Path, database: str
) -> None:
    url = request.getfixturevalue("postgres_url") if database == "postgresql" else None
    with pytest.raises(StoreError, match="there is no store"):
        check(tmp_path / "data", url)


def test_a_move_that_is_not_completed_is_named_and_completed_by_a_repair(place: Where) -> None:
    fill(place)
    store = open_at(place)
    site = store.create_site("Berlin", "Europe/Berlin", now_ms=0)
    store.update_terminal(1, site_id=site.id)
    store.close()
    (finding,) = check(**place).findings
    assert (finding.kind, finding.count) == ("record of a person at another site than its terminal", 9)
    assert check(**place, repair=True).repaired == 5  # people, who take their records along
    assert check(**place).ok


def test_what_is_wrong_with_the_journal_is_named(place: Where) -> None:
    fill(place)
    assert check(**place).ok
    journal = Folder.open(place["folder"] / JOURNAL)
    writers = [Writer(journal) for _ in range(3)]
    for writer in writers:
        writer.append([b"first"])
        writer.append([b"second"])
        writer.close()
    assert check(**place).ok
    damaged = journal.segment(writers[0].stream, 1)
    damaged.write_bytes(damaged.read_bytes().replace(b"first", b"fIrst"))
    write_later_version(journal.segment(writers[1].stream, 1))
    journal.segment(writers[2].stream, 1).unlink()
    names = ["damaged-1-records-000001-0", "unlisted-0123", "damaged-2-records-000001-0"]
    for name, data in zip(names, (b"a face", b"", b""), strict=True):
        (journal.path / name).write_bytes(data)
    before = {path.name: path.read_bytes() for path in journal.path.iterdir() if path.is_file()}
    report = check(**place)
    assert [(one.kind, one.count) for one in report.findings] == [
        ("event that is not listed", 1),
        ("damaged place in the journal", 2),
        ("part of the journal that is gone", 2),
        ("part of the journal that cannot be read now", 1),
    ]
    examples = [example for one in report.findings for example in one.examples]
    assert examples[:2] == [names[1], names[0]]
    assert examples[2].startswith(f"{writers[0].stream}, segment 1, byte ")
    assert examples[3] == names[2]
    assert examples[4].startswith(f"{writers[2].stream}, segment 1, byte 0: it is gone")
    assert "version 2" in examples[5]
    assert {path.name: path.read_bytes() for path in journal.path.iterdir() if path.is_file()} == before


def test_without_a_data_folder_the_journal_of_the_folder_it_is_run_in_is_none_of_its_business(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill({"folder": tmp_path, "database": postgres_url})
    (tmp_path / JOURNAL / "unlisted-0123").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    report = check(None, postgres_url, repair=True)
    assert [(one.kind, one.count) for one in report.findings] == [(ELSEWHERE, 2)]
    assert (report.events, report.images, report.repaired) == (10, 0, 0)
