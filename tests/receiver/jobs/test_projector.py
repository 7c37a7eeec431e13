"""What was acknowledged is listed exactly once, whatever is interrupted where, and never stops for one event."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import text as sql
from structlog.testing import capture_logs
from tests.journal.kit import FailingFiles, end_abruptly, write_later_version
from tests.packing import append
from tests.receiver.kit import Clock, serving, until
from tests.store.conftest import (  # noqa: F401 - fixtures
    empty_folder,
    open_postgres,
    open_sqlite,
)
from tests.store.events import JPEG, RECEIVED_MS, alarm, arrival, record
from tests.terminals import ensured

from gatepost.errors import JournalError, JournalUnavailable, StoreError, StoreInUse, StoreUnavailable
from gatepost.journal.folder import Folder
from gatepost.journal.packs.packs import Packs
from gatepost.journal.places import Place
from gatepost.journal.streams import ALARMS, RECORDS, Position
from gatepost.journal.writer import Writer
from gatepost.receiver.ingest.commit.frames import Frames
from gatepost.receiver.jobs.projector.projector import Projector
from gatepost.settings import ReceiverSettings
from gatepost.store.base import BaseStore
from gatepost.store.images.encryption import ImageKeys
from gatepost.store.interface import (
    AlarmQuery,
    Arrival,
    NewTerminal,
    Progress,
    RecordQuery,
    Stored,
    TerminalRow,
)
from gatepost.store.postgres.store import PostgresStore
from gatepost.store.privacy.erasure import Whom, erase
from gatepost.store.privacy.person_matcher import PersonMatcher
from gatepost.store.sqlite.store import SqliteStore
from gatepost.wire import Event, Record

GARBAGE = b"\x00 no frame"


class Killed(BaseException):
    """Ends a process in the eyes of a test."""


class Interruption:
    """Raises at one of many calls, before or after it was done."""

    def __init__(self, *, at: int, is_done: bool, kills: bool = False) -> None:
        """``kills``: as the end of the process has it, else an error of the place itself."""
        self._left = at
        self._is_done = is_done
        self._kills = kills

    @property
    def has_struck(self) -> bool:
        return self._left <= 0

    def call(self, error: Exception, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
        self._left -= 1
        raised = None if self._left else Killed() if self._kills else error
        if raised is not None and not self._is_done:
            raise raised
        result = function(*given, **named)
        if raised is not None:
            raise raised
        return result


class Rows:
    """A store that can be away, interrupted, and refuses events with certain ids."""

    def __init__(self, store: BaseStore) -> None:
        self.store = store
        self.secret = store.secret
        self.is_away = False
        self.poison: set[str] = set()
        """Ids of records that it refuses."""
        self.worst: set[bytes] = set()
        """Texts that it refuses in the quarantine, too."""
        self.interruption: Interruption | None = None
        self.batches: list[int] = []
        self.ensured = 0
        """How often terminals were made."""

    def _call(self, function: Callable[..., Any], *given: Any) -> Any:
        if self.is_away:
            raise StoreUnavailable("the store is away")
        if self.interruption is None:
            return function(*given)
        return self.interruption.call(StoreUnavailable("the connection was lost"), function, *given)

    def write(self, batch: Sequence[Arrival], progress: Progress | None = None) -> Sequence[Stored]:
        rows: Sequence[Stored] = self._call(self._write, batch, progress)
        return rows

    def _write(self, batch: Sequence[Arrival], progress: Progress | None) -> Sequence[Stored]:
        self.batches.append(len(batch))
        for one in batch:
            if isinstance(one.event, Record) and one.event.uuid in self.poison:
                raise ValueError("a defect: Zhang Xiaoming")
            if any(bad in one.original for bad in self.worst):
                raise ValueError("another defect")
        return self.store.write(batch, progress)

    def ensure_terminals(self, new: Sequence[NewTerminal]) -> Sequence[TerminalRow]:
        self.ensured += 1
        rows: Sequence[TerminalRow] = self._call(self.store.ensure_terminals, new)
        return rows

    def holders(self, event: Event, key: bytes, peer: str) -> Sequence[int]:
        return self.store.holders(event, key, peer)

    def positions(self, journal: bytes) -> Mapping[str, Position]:
        places: Mapping[str, Position] = self._call(self.store.positions, journal)
        return places

    def unused(self, places: Sequence[Place]) -> Sequence[Place]:
        found: Sequence[Place] = self._call(self.store.unused, places)
        return found

    def forget_streams(self, journal: bytes, streams: Sequence[str]) -> None:
        self._call(self.store.forget_streams, journal, streams)


class Listing:
    """A journal, what writes it, and the store that lists it, for a terminal of its own."""

    def __init__(self, path: Path, store: BaseStore, serial: str = "SN-1") -> None:
        self.files = FailingFiles()
        self.folder = Folder.open(path, files=self.files)
        self.store = store
        store.packs = Packs(self.folder)
        self.rows = Rows(store)
        self.frames = Frames(store.secret, ImageKeys())
        self.terminal_id = ensured(store, serial, now_ms=0).id
        self.new = NewTerminal(f"{serial}-new", RECEIVED_MS, "", "held")
        """A terminal that the store does not have."""
        self.clock = Clock(0.0)
        self.writers = {lane: self.writer(lane) for lane in (ALARMS, RECORDS)}
        self.made: list[Projector] = []

    def writer(self, lane: str = RECORDS) -> Writer:
        return Writer(self.folder, lane, segment_bytes=3000)

    def projector(self, **options: Any) -> Projector:
        made = Projector(
            self.folder,
            self.rows,
            self.frames,
            now=lambda: RECEIVED_MS / 1000 + 7,
            monotonic=self.clock,
            **options,
        )
        self.made.append(made)
        return made

    def arrival(self, event: Event, **fields: Any) -> Arrival:
        fields = {"terminal_id": self.terminal_id, "bind_peer": True, **fields}
        return arrival(event, **fields)

    def of_new(self, event: Event) -> Arrival:
        """An event of the terminal that the store does not have."""
        return self.arrival(event, terminal_id=-1, new_terminal=self.new)

    def append(self, *arrivals: Arrival | bytes, lane: str = RECORDS) -> None:
        """Append arrivals, or bodies of frames."""
        writer = self.writers[lane]
        if all(isinstance(one, bytes) for one in arrivals):
            writer.append([one for one in arrivals if isinstance(one, bytes)])
        elif not any(isinstance(one, bytes) for one in arrivals):
            append(writer, self.frames, [one for one in arrivals if isinstance(one, Arrival)])
        else:
            writer.append([one if isinstance(one, bytes) else self.body(one) for one in arrivals])

    def body(self, arrival: Arrival) -> bytes:
        """Return the body of the frame of an event without image."""
        return self.frames.join(self.frames.encode(arrival), ())

    def append_records(self, *numbers: int) -> None:
        self.append(*[self.arrival(record(number)) for number in numbers])

    def uuids(self) -> list[str | None]:
        query = RecordQuery(terminal=self.terminal_id, limit=1000)
        return sorted(row.uuid or "" for row in self.store.records(query).items)

    def counts(self) -> tuple[int, int, int, int]:
        """Return what the terminal's counts are: records, alarms, quarantined, duplicates."""
        row = self.store.terminal(self.terminal_id)
        assert row is not None
        return row.records, row.alarms, row.quarantined, row.duplicates

    def unlisted(self) -> list[Path]:
        """Return the files of events that were set aside."""
        return list(self.folder.path.glob("unlisted-*"))

    def damaged(self) -> list[Path]:
        """Return the files of damaged places."""
        return sorted(self.folder.path.glob("damaged-*"))

    def segments(self) -> list[Path]:
        return list(self.folder.path.glob("*.events"))

    def close(self) -> None:
        """Close everything that was made."""
        for writer in self.writers.values():
            writer.close()
        self.rows.is_away = False
        for projector in self.made:
            projector.close(timeout_s=20)


def uuids(*numbers: int) -> list[str]:
    return [f"uuid-{number:06d}" for number in numbers]


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> BaseStore:
    opener: Callable[[], BaseStore] = request.getfixturevalue(f"open_{request.param}")
    return opener()


@pytest.fixture
def sqlite(open_sqlite: Callable[[], BaseStore]) -> BaseStore:  # noqa: F811
    return open_sqlite()


@pytest.fixture
def postgres(open_postgres: Callable[[], BaseStore]) -> BaseStore:  # noqa: F811
    return open_postgres()


@pytest.fixture
def either(store: BaseStore, tmp_path: Path) -> Iterator[Listing]:
    """A listing on either database."""
    listing = Listing(tmp_path / "journal", store)
    yield listing
    listing.close()


@pytest.fixture
def listing(sqlite: BaseStore, tmp_path: Path) -> Iterator[Listing]:
    listing = Listing(tmp_path / "journal", sqlite)
    yield listing
    listing.close()


def all_of(projector: Projector) -> None:
    while projector.step():
        pass


# Exactly once.


def test_what_is_appended_is_listed_and_its_segments_are_deleted(either: Listing) -> None:
    projector = either.projector()
    assert not projector.step()
    either.append_records(1, 2)
    either.append(either.arrival(alarm()), lane=ALARMS)
    assert projector.lag().events == 3
    all_of(projector)
    assert (either.uuids(), either.counts()) == (uuids(1, 2), (2, 1, 0, 0))
    assert projector.lag() == projector.lag().__class__()
    for writer in either.writers.values():
        writer.finish()
    all_of(projector)
    assert either.segments() == []
    assert either.store.positions(either.folder.id) == projector.positions
    for writer in either.writers.values():
        writer.close()
    projector.close(timeout_s=0)
    later = either.projector()
    all_of(later)
    assert either.store.positions(either.folder.id) == later.positions == {}
    assert list(either.folder.path.glob("*.writer")) == []
    assert later.damages == (0, "")


def scenario(listing: Listing) -> None:
    """Append what the interruptions are tried on: 12 records, one of them twice, two steps of an alarm, one event that
    is refused, one that even the quarantine refuses, what is no frame, and two events of a terminal that is new."""
    listing.rows.poison = {"uuid-000006", "uuid-000009"}
    listing.rows.worst = {b"uuid-000009"}
    listing.append_records(1, 2, 3)
    listing.append(listing.arrival(alarm()), lane=ALARMS)
    listing.append_records(4, 5)
    listing.append(*map(listing.arrival, (record(6), record(2))), GARBAGE)
    listing.append(listing.arrival(alarm(status=2)), lane=ALARMS)
    listing.append_records(7, 8, 9, 10)
    listing.append(listing.of_new(record(13)), listing.arrival(record(11)), listing.of_new(record(14)))
    listing.append_records(12)


def check_scenario(listing: Listing) -> None:
    assert listing.uuids() == uuids(1, 2, 3, 4, 5, 7, 8, 10, 11, 12)
    assert listing.counts() == (10, 2, 1, 1), "something was lost, or stored or counted twice"
    (row,) = listing.store.alarms(AlarmQuery(terminal=listing.terminal_id)).items
    assert len(row.history) == 2
    bodies = sorted(path.read_bytes() for path in listing.unlisted())
    assert (len(bodies), bodies[0]) == (2, GARBAGE)
    decoded = listing.frames.decode(bodies[1]).event
    assert isinstance(decoded, Record)
    assert decoded.uuid == "uuid-000009"
    assert listing.segments() == []
    assert listing.store.positions(listing.folder.id) == {}
    (new,) = [row for row in listing.store.terminals() if row.serial == listing.new.serial]
    assert (new.state, new.records, new.duplicates, new.created_at) == ("held", 2, 0, new.first_seen)


@pytest.mark.parametrize("is_done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("ends", ["fails", "is killed"])
def test_it_is_listed_exactly_once_wherever_it_is_interrupted(
    store: BaseStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: str, is_done: bool
) -> None:
    """At each call to the store or the reader, and at each that deletes or sets aside, one after the other.

    On a server, which takes longer, at every third.
    """
    step = 3 if isinstance(store, PostgresStore) else 1
    at = 1 - step
    while True:
        at += step
        listing = Listing(tmp_path / str(at), store, serial=f"SN-{at}")
        scenario(listing)
        for writer in listing.writers.values():
            writer.close()
        struck = interrupted(listing, monkeypatch, ends=ends, at=at, is_done=is_done)
        check_scenario(listing)
        listing.close()
        if not struck:
            break
    assert at > 40


def interrupted(
    listing: Listing, monkeypatch: pytest.MonkeyPatch, *, ends: str, at: int, is_done: bool
) -> bool:
    """List all, with one interruption; return whether there were so many calls."""
    interruption = Interruption(at=at, is_done=is_done, kills=ends == "is killed")
    listing.rows.interruption = interruption

    def strike(owner: Any, name: str, error: Exception) -> None:
        function = getattr(owner, name)
        call = lambda *given, **named: interruption.call(error, function, *given, **named)  # noqa: E731
        monkeypatch.setattr(owner, name, call)

    strike(listing.folder, "remove", JournalUnavailable("a segment cannot be deleted"))
    for name in ("create", "sync_folder"):
        strike(listing.files, name, OSError(errno.EIO, "EIO"))
    projector: Projector | None = None
    is_over = False
    while not is_over:
        try:
            if projector is None:
                projector = listing.projector(max_batch=5)
                strike(projector._batches._reader, "read", JournalUnavailable("the journal cannot be read"))
            is_over = not projector.step() and not projector._has_leftovers
        except (StoreError, JournalError):
            continue
        except Killed:
            if projector is not None:
                projector.close(timeout_s=0)
            projector = None
    assert projector is not None
    assert projector.lag().events == 0
    return interruption.has_struck


def test_a_commit_whose_word_was_lost_is_found_and_nothing_is_a_duplicate(either: Listing) -> None:
    projector = either.projector()
    either.append_records(1, 2)
    either.rows.interruption = Interruption(at=1, is_done=True)
    with pytest.raises(StoreUnavailable):
        projector.step()
    assert either.uuids() == uuids(1, 2)
    assert projector.lag().events == 2
    assert projector.step()
    assert projector.lag().events == 0
    # Only a commit whose word came tells that the server's standbys have what lies before it.
    assert either.rows.batches == [2, 0]
    either.append_records(3)
    all_of(projector)
    assert either.counts() == (3, 0, 0, 0)


# The store away.


def test_while_the_store_is_away_events_stay_and_then_are_listed(either: Listing) -> None:
    projector = either.projector(max_batch=2)
    either.append_records(1)
    all_of(projector)
    either.rows.is_away = True
    either.append_records(2, 3, 4)
    with capture_logs() as logs:
        for _ in range(20):
            assert not projector._list_all()
            either.clock.at += 10.0
    assert [(log["event"], log["why"]) for log in logs] == [("projector.store_away", "the store is away")] * 4
    lag = projector.lag()
    assert (lag.events, lag.is_away, lag.oldest_s) == (3, True, 7.0)
    assert lag.bytes > 0
    assert either.uuids() == uuids(1)
    either.rows.is_away = False
    assert projector._list_all()
    assert either.uuids() == uuids(1, 2, 3, 4)
    assert not projector.lag().is_away
    assert either.counts() == (4, 0, 0, 0)


def test_a_failure_with_nothing_to_list_is_over_when_it_is_over(
    listing: Listing, monkeypatch: pytest.MonkeyPatch
) -> None:
    projector = listing.projector()
    with monkeypatch.context() as patched:
        patched.setattr(Folder, "streams", failing(JournalUnavailable("the journal cannot be read")))
        assert not projector._list_all()
    assert projector.lag().is_away
    assert projector._list_all()
    assert not projector.lag().is_away


def failing(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def test_the_thread_lists_what_it_is_woken_for_and_goes_on_when_the_store_is_back(listing: Listing) -> None:
    heard: SimpleQueue[int] = SimpleQueue()
    projector = listing.projector(on_listed=lambda: heard.put(len(listing.uuids())))
    projector.start()
    listing.append_records(1)
    projector.catch_up(timeout_s=20)
    assert heard.get(timeout=20) == 1
    listing.rows.is_away = True
    listing.append_records(2, 3)
    with pytest.raises(StoreUnavailable, match=r"journal\.events"):
        projector.catch_up(timeout_s=0.05)
    listing.rows.is_away = False
    projector.catch_up(timeout_s=20)
    assert (heard.get(timeout=20), listing.uuids()) == (3, uuids(1, 2, 3))


def test_the_terminals_of_a_batch_that_are_new_are_made_at_once_and_told(either: Listing) -> None:
    told: list[list[str | None]] = []
    projector = either.projector(on_terminals=lambda rows: told.append([row.serial for row in rows]))
    new = [NewTerminal(f"N-{number}", RECEIVED_MS) for number in range(300)]
    nameless = NewTerminal(None, RECEIVED_MS, "192.0.2.7")
    either.append(
        *[
            either.arrival(record(2 * number + again), terminal_id=-number - 1, new_terminal=one)
            for number, one in enumerate([*new, nameless])
            for again in range(2)
        ]
    )
    transactions = either.rows.ensured
    all_of(projector)
    assert either.rows.ensured - transactions == len(told) == 1
    rows = {(row.serial, row.anonymous_peer): row.records for row in either.store.terminals() if row.records}
    assert rows == {(one.serial, one.peer or None): 2 for one in [*new, nameless]}
    assert len(told[0]) == 301


def test_to_catch_up_waits_for_nothing_that_comes_later(listing: Listing) -> None:
    projector = listing.projector(max_batch=1)
    listing.append_records(1)
    listing.rows.batches.clear()
    asked, listed = threading.Event(), threading.Event()
    write, wake = listing.rows._write, projector.wake

    def waking() -> None:
        asked.set()
        wake()

    def writing(batch: Sequence[Arrival], progress: Progress | None) -> Sequence[Stored]:
        if listed.is_set():
            raise StoreUnavailable("away")
        assert asked.wait(20)
        rows = write(batch, progress)
        listing.append_records(2)
        listed.set()
        return rows

    listing.rows._write = writing  # type: ignore[method-assign]
    projector.wake = waking  # type: ignore[method-assign]
    projector.start()
    projector.catch_up(timeout_s=20)
    assert listing.uuids() == uuids(1)


def test_where_nothing_waits_to_catch_up_returns_at_once(listing: Listing) -> None:
    projector = listing.projector()
    projector.catch_up(timeout_s=0)
    listing.append_records(1)
    all_of(projector)
    projector.catch_up(timeout_s=0)
    listing.writers[RECORDS].finish()
    all_of(projector)
    listing.writers[RECORDS].close()
    projector.catch_up(timeout_s=0)


# One event that cannot be stored.


@pytest.mark.parametrize("place", [1, 4, 9])
@pytest.mark.parametrize("max_batch", [1, 3, 2048])
def test_an_event_that_the_store_refuses_goes_to_the_quarantine_alone(
    listing: Listing, place: int, max_batch: int
) -> None:
    listing.rows.poison = set(uuids(place))
    listing.append_records(*range(1, 10))
    projector = listing.projector(max_batch=max_batch)
    with capture_logs() as logs:
        all_of(projector)
    assert listing.uuids() == uuids(*[number for number in range(1, 10) if number != place])
    assert listing.counts() == (8, 0, 1, 0)
    (row,) = listing.store.quarantined().items
    assert f"uuid-{place:06d}".encode() in row.original
    assert row.problems[-1].why == "the store could not take this event (ValueError)"
    assert [log["event"] for log in logs] == ["projector.event_refused"]
    assert "Zhang" not in str(logs)
    # The search for it is over, and soon a batch is as large as before.
    for start in (100, 200):
        listing.append_records(*range(start, start + 40))
        listing.rows.batches.clear()
        all_of(projector)
    assert max(listing.rows.batches) == min(max_batch, 40)


def test_an_event_that_even_the_quarantine_refuses_is_set_aside_in_a_file(either: Listing) -> None:
    either.rows.worst = {b"uuid-000002"}
    either.append_records(1, 2, 3)
    projector = either.projector()
    with capture_logs() as logs:
        all_of(projector)
    assert either.uuids() == uuids(1, 3)
    assert (projector.set_aside, either.counts()) == (1, (2, 0, 0, 0))
    (path,) = either.unlisted()
    assert either.frames.decode(path.read_bytes()) == either.arrival(record(2))
    assert path.stat().st_mode & 0o777 == 0o600
    (log,) = [log for log in logs if log["event"] == "projector.set_aside"]
    assert (log["file"], log["why"]) == (path.name, "the store could not take this event (ValueError)")


def test_an_event_of_a_terminal_that_is_not_there_is_set_aside(either: Listing) -> None:
    """As after a restore of the database from before the terminal was made."""
    lost = replace(either.arrival(record(2)), terminal_id=either.terminal_id + 1000)
    either.append(either.arrival(record(1)), lost, either.arrival(record(3)))
    projector = either.projector()
    all_of(projector)
    assert either.uuids() == uuids(1, 3)
    (path,) = either.unlisted()
    assert either.frames.decode(path.read_bytes()) == lost


def test_where_nothing_can_be_set_aside_nothing_is_lost_and_it_goes_on_when_there_is_room(
    listing: Listing,
) -> None:
    projector = listing.projector()
    listing.append(GARBAGE, listing.arrival(record(1)))
    listing.files.failing["create"] = errno.ENOSPC
    with capture_logs() as logs:
        for _ in range(3):
            assert not projector._list_all()
    assert [log["why"] for log in logs] == [
        "an event that cannot be listed could not be set aside: ENOSPC; make room on the disk"
    ]
    assert (listing.uuids(), projector.set_aside, projector.lag().events) == ([], 0, 2)
    listing.files.failing.clear()
    assert projector._list_all()
    assert (listing.uuids(), projector.set_aside) == (uuids(1), 1)
    assert [path.read_bytes() for path in listing.unlisted()] == [GARBAGE]


def test_an_event_whose_image_key_is_not_given_is_listed_and_its_image_is_there_when_it_is(
    listing: Listing,
) -> None:
    keys = ImageKeys([bytes(32)])
    listing.frames = Frames(listing.store.secret, keys)
    listing.append(listing.arrival(record(1, image=JPEG)))
    listing.frames = Frames(listing.store.secret, ImageKeys())
    all_of(listing.projector())
    assert listing.uuids() == uuids(1)
    (row,) = listing.store.records(RecordQuery(limit=10)).items
    with pytest.raises(StoreError, match="image_key_file"):
        listing.store.image(row.id)
    listing.store._keys = keys
    assert listing.store.image(row.id) == JPEG


def test_how_long_events_wait_is_known_though_they_cannot_be_read(
    listing: Listing, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing.append_records(1)
    for path in listing.segments():
        os.utime(path, (0, RECEIVED_MS / 1000 - 50))
    projector = listing.projector()
    monkeypatch.setattr(projector._batches._reader, "read", failing(JournalUnavailable("it cannot be read")))
    assert not projector._list_all()
    assert projector.lag().oldest_s == 57.0


def test_records_behind_an_alarm_that_is_listed_just_now_wait_as_long_as_before(listing: Listing) -> None:
    listing.append_records(1)
    for path in listing.segments():
        os.utime(path, (0, RECEIVED_MS / 1000 - 50))
    listing.append(listing.arrival(alarm()), lane=ALARMS)
    projector = listing.projector(max_batch=1)
    listing.rows.is_away = True
    assert not projector._list_all()
    assert projector.lag().oldest_s == 57.0


def test_what_a_frame_can_carry_and_the_database_cannot_hold_stops_nothing(either: Listing) -> None:
    store = either.store
    bad = replace(either.arrival(record(2)), peer="NUL \0")
    if isinstance(store, SqliteStore):
        store._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 100_000)
        bad = replace(either.arrival(record(2)), original=b" " * 200_000)
    either.append(either.arrival(record(1)), bad, either.arrival(record(4)))
    projector = either.projector()
    all_of(projector)
    assert (either.uuids(), projector.set_aside, projector.lag().events) == (uuids(1, 4), 1, 0)
    assert [either.frames.decode(path.read_bytes()) for path in either.unlisted()] == [bad]


def raising(state: str, when: str, condition: str = "true") -> str:
    """Return the statement that makes PostgreSQL raise an error at rows of which the condition holds."""
    return (
        "CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF {condition} THEN RAISE EXCEPTION 'stopped' USING ERRCODE = '{state}'; END IF; RETURN NEW; END $$;"
        f" CREATE TRIGGER stop {when} FOR EACH ROW EXECUTE FUNCTION stop()"
    )


FAILING_STORES = {
    "sqlite": {
        "table": ("ALTER TABLE records RENAME TO hidden", "ALTER TABLE hidden RENAME TO records"),
        "terminals": ("ALTER TABLE terminals RENAME TO hidden", "ALTER TABLE hidden RENAME TO terminals"),
        "counter": (
            "UPDATE meta SET value = 0 WHERE name = 'next_id'",
            "UPDATE meta SET value = 9000 WHERE name = 'next_id'",
        ),
        "trigger": (
            "CREATE TRIGGER stop BEFORE INSERT ON records BEGIN SELECT RAISE(ABORT, 'stopped'); END",
            "DROP TRIGGER stop",
        ),
        "new terminals": ("CREATE UNIQUE INDEX one ON terminals (site_id)", "DROP INDEX one"),
    },
    "postgres": {
        "table": ("ALTER TABLE records RENAME TO hidden", "ALTER TABLE hidden RENAME TO records"),
        "terminals": ("ALTER TABLE terminals RENAME TO hidden", "ALTER TABLE hidden RENAME TO terminals"),
        **{
            name: (raising(state, "BEFORE INSERT ON records"), "DROP FUNCTION stop CASCADE")
            for name, state in {
                "disk full": "53100",
                "read-only": "25006",
                "unique": "23505",
                "foreign key": "23503",
                "trigger": "P0001",
                "schema": "3F000",
            }.items()
        },
    },
}


@pytest.mark.parametrize(
    ("database", "fault"), [(name, fault) for name, faults in FAILING_STORES.items() for fault in faults]
)
def test_what_is_wrong_with_the_store_is_no_fault_of_an_event_and_all_of_them_wait(
    request: pytest.FixtureRequest, tmp_path: Path, database: str, fault: str
) -> None:
    store: BaseStore = request.getfixturevalue(f"open_{database}")()
    listing = Listing(tmp_path / "journal", store)
    projector = listing.projector()
    listing.append_records(1)
    all_of(projector)
    listing.append(listing.arrival(record(2)), listing.of_new(record(3)), listing.arrival(record(4)))
    breaks, mends = FAILING_STORES[database][fault]
    change(store, breaks)
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            projector.step()
    change(store, mends)
    all_of(projector)
    assert (listing.uuids(), listing.counts(), listing.unlisted()) == (uuids(1, 2, 4), (3, 0, 0, 0), [])
    assert projector.set_aside == 0
    listing.close()


def change(store: BaseStore, statement: str) -> None:
    with store.changing() as db:
        db.execute(sql(statement))


@pytest.mark.parametrize("state", ["22001", "54000", "23502", "23514"])
def test_what_an_event_does_wrong_on_a_server_is_its_own_fault_and_the_others_are_listed(
    postgres: BaseStore, tmp_path: Path, state: str
) -> None:
    listing = Listing(tmp_path / "journal", postgres)
    change(postgres, raising(state, "BEFORE INSERT ON records", "NEW.uuid = 'uuid-000002'"))
    listing.append_records(1, 2, 3)
    all_of(listing.projector())
    assert (listing.uuids(), listing.counts()) == (uuids(1, 3), (2, 0, 1, 0))
    listing.close()


@pytest.mark.parametrize("constraint", ["NOT NULL", "CHECK"])
def test_what_an_event_does_wrong_on_sqlite_is_its_own_fault_and_the_others_are_listed(
    listing: Listing, monkeypatch: pytest.MonkeyPatch, constraint: str
) -> None:
    insert = listing.store._inserter.insert  # type: ignore[attr-defined]

    def inserting(batch: Sequence[Arrival]) -> Any:
        if any(isinstance(one.event, Record) and one.event.uuid == "uuid-000002" for one in batch):
            db = listing.store._db  # type: ignore[attr-defined]
            db.execute(
                f"CREATE TEMP TABLE IF NOT EXISTS strict (value INTEGER {constraint} (value > 0))"
                if constraint == "CHECK"
                else "CREATE TEMP TABLE IF NOT EXISTS strict (value NOT NULL)"
            )
            db.execute("INSERT INTO strict VALUES (?)", (0 if constraint == "CHECK" else None,))
        return insert(batch)

    monkeypatch.setattr(listing.store._inserter, "insert", inserting)  # type: ignore[attr-defined]
    listing.append_records(1, 2, 3)
    all_of(listing.projector())
    assert (listing.uuids(), listing.counts()) == (uuids(1, 3), (2, 0, 1, 0))


def test_where_memory_is_short_no_event_is_blamed(listing: Listing, monkeypatch: pytest.MonkeyPatch) -> None:
    listing.append_records(1, 2)
    projector = listing.projector()
    with monkeypatch.context() as patched:
        patched.setattr(listing.rows, "_write", failing(MemoryError()))
        for _ in range(3):
            assert not projector._list_all()
    all_of(projector)
    assert (listing.uuids(), listing.counts()) == (uuids(1, 2), (2, 0, 0, 0))


@pytest.mark.parametrize("is_pinned", [False, True])
def test_what_was_set_aside_is_listed_after_a_start_if_its_cause_is_gone(
    either: Listing, is_pinned: bool
) -> None:
    either.rows.worst = {b"uuid-000002"}
    either.append(either.arrival(record(1)), either.arrival(record(2)), either.of_new(record(3)), GARBAGE)
    either.rows.worst.add(b"uuid-000003")
    projector = either.projector()
    all_of(projector)
    assert (len(either.unlisted()), either.uuids()) == (3, uuids(1))
    either.rows.worst.discard(b"uuid-000002")
    all_of(projector)
    assert len(either.unlisted()) == 3, "it is tried at a start only"
    projector.close(timeout_s=0)
    again = either.projector()
    if is_pinned:
        with either.folder.pinned():  # by a backup, which would not find what is listed now
            all_of(again)
            assert len(either.unlisted()) == 3
    all_of(again)
    assert (either.uuids(), either.counts()) == (uuids(1, 2), (2, 0, 0, 0))
    garbage, third = sorted(path.read_bytes() for path in either.unlisted())
    assert (garbage, either.frames.decode(third).event.uuid) == (GARBAGE, "uuid-000003")  # type: ignore[union-attr]
    assert again.set_aside == 0


def test_a_file_of_what_was_set_aside_that_cannot_be_read_holds_nothing_up(listing: Listing) -> None:
    (listing.folder.path / "unlisted-0123").mkdir()
    listing.append_records(1)
    projector = listing.projector()
    assert projector._list_all()
    assert (listing.uuids(), projector.lag().is_away) == (uuids(1), False)


def test_while_the_store_is_away_what_was_set_aside_waits(listing: Listing) -> None:
    listing.rows.worst = {b"uuid-000001"}
    listing.append_records(1)
    projector = listing.projector()
    all_of(projector)
    projector.close(timeout_s=0)
    listing.rows.worst.clear()
    again = listing.projector()
    listing.rows.is_away = True
    assert not again._list_all()
    assert len(listing.unlisted()) == 1
    listing.rows.is_away = False
    assert again._list_all()
    assert (listing.uuids(), listing.unlisted()) == (uuids(1), [])


def test_an_erasure_deletes_what_is_set_aside_of_somebody_or_cannot_be_searched(listing: Listing) -> None:
    theirs = {
        number: replace(listing.arrival(record(number)), original=b'{"user_id": "%d"}' % number)
        for number in range(4)
    }
    other = replace(theirs[1], terminal_id=listing.terminal_id + 1000, key=b"other")
    new = replace(listing.of_new(record(5)), original=theirs[1].original)
    listing.rows.worst = {one.original for one in theirs.values()}
    listing.append(*theirs.values(), other, new, GARBAGE)
    projector = listing.projector()
    all_of(projector)
    assert len(listing.unlisted()) == 7
    (listing.folder.path / "damaged-1-records-000001-0").write_bytes(b"a face")
    assert projector.forget(PersonMatcher("1", []), [listing.terminal_id]) == 4
    left = [listing.frames.decode(path.read_bytes()) for path in listing.unlisted()]
    assert sorted(one.key for one in left) == sorted(
        one.key for one in (theirs[0], theirs[2], theirs[3], other)
    )
    assert listing.damaged() == []


async def test_an_erasure_and_the_retention_of_the_receiver_reach_what_is_set_aside(
    sqlite: BaseStore, tmp_path: Path
) -> None:
    folder = tmp_path / "journal"
    async with serving(sqlite, ReceiverSettings(retention_quarantine_days=1), journal=folder) as running:
        keeper = running.desk.keeper
        erased, old, young = (folder / f"unlisted-{number}" for number in range(3))
        erased.write_bytes(GARBAGE)
        await asyncio.to_thread(keeper.erase, Whom(user_id="nobody"))
        assert not erased.exists()
        for path in (old, young):
            path.write_bytes(GARBAGE)
        os.utime(old, (0, time.time() - 3 * 86_400))
        while (await asyncio.to_thread(keeper.once)).more:
            pass
        assert old.exists()  # no round has finished yet, so it is asked about
        (ask,) = keeper.asks
        await asyncio.to_thread(keeper.confirm, ask.part, ask.last)
        while (await asyncio.to_thread(keeper.once)).more:
            pass
        assert [path.exists() for path in (old, young)] == [False, True]


# The journal.


def test_a_damaged_frame_is_counted_once_and_passed(either: Listing) -> None:
    either.append_records(1)
    either.append_records(2)
    either.append_records(3)
    (path,) = either.segments()
    data = bytearray(path.read_bytes())
    data[data.index(b"uuid-000002")] ^= 1
    path.write_bytes(bytes(data))
    either.rows.poison = set(uuids(3))  # so that it is read more than once
    projector = either.projector()
    with capture_logs() as logs:
        all_of(projector)
    assert either.uuids() == uuids(1)
    (damaged,) = either.damaged()
    assert b"tuid-000002" in damaged.read_bytes()
    assert damaged.stat().st_mode & 0o777 == 0o600
    assert projector.damaged == projector.lag().damaged == projector.progress()[1] == 1
    assert [log["event"] for log in logs].count("journal.damaged") == 1
    assert projector.lag().events == 0


def test_a_segment_that_is_gone_is_counted_once_and_its_place_is_forgotten(either: Listing) -> None:
    either.append_records(1)
    projector = either.projector()
    all_of(projector)
    either.writers[RECORDS].close()
    for path in either.folder.path.glob("*-records*"):
        path.unlink()
    either.writers[RECORDS] = either.writer()
    either.append_records(2)
    all_of(projector)
    assert (projector.damaged, either.uuids()) == (1, uuids(1, 2))
    assert [path.read_bytes() for path in either.damaged()] == [b""]
    assert either.store.positions(either.folder.id).keys() == {either.writers[RECORDS].stream}


def test_a_stream_of_a_later_version_waits_and_everything_else_goes_on(listing: Listing) -> None:
    listing.append_records(1, 2)
    later = listing.segments()[0]
    before = later.read_bytes()
    write_later_version(later)
    listing.writers[RECORDS].close()
    listing.writers[RECORDS] = listing.writer()
    listing.append_records(3)
    listing.append(listing.arrival(alarm()), lane=ALARMS)
    projector = listing.projector()
    with capture_logs() as logs:
        all_of(projector)
        listing.writers[RECORDS].finish()
        all_of(projector)
    assert [(log["event"], log["stream"]) for log in logs] == [("journal.stream_waits", later.name[:-14])]
    assert (listing.uuids(), listing.counts()) == (uuids(3), (1, 1, 0, 0))
    lag = projector.lag()
    assert (lag.is_away, lag.events, projector.damaged) == (False, 2, 0)
    assert len(lag.waiting) == 1
    assert "version 2" in lag.waiting[0]
    assert later.exists()
    projector.catch_up(timeout_s=0)  # an erasure does not wait for it
    erase(listing.store, Whom(user_id="1"), now_ms=RECEIVED_MS + 1)
    later.write_bytes(before)  # the later version is installed
    all_of(projector)
    assert (listing.uuids(), projector.lag().waiting) == (uuids(1, 2, 3), ())
    rows = listing.store.records(RecordQuery(terminal=listing.terminal_id, limit=10)).items
    assert {row.person.user_id for row in rows if row.person is not None} == {"2", "3"}
    assert listing.segments() == list(listing.folder.path.glob("*-alarms-*"))


async def test_readiness_names_a_part_of_the_journal_that_waits(sqlite: BaseStore, tmp_path: Path) -> None:
    listing = Listing(tmp_path / "journal", sqlite)
    listing.append_records(1)
    listing.writers[RECORDS].close()
    write_later_version(listing.segments()[0])
    async with serving(sqlite, journal=tmp_path / "journal") as running:
        running.desk.projector.wake()
        for _ in range(2000):
            sender = await running.connect()
            answer = await sender.request("GET", "/readyz")
            if answer.json != {"status": "ok"}:
                break
        assert answer.status == 200
        assert answer.json["status"].startswith("part of the journal waits: ")
        assert "version 2" in answer.json["status"]
        assert str(tmp_path) not in answer.json["status"]
    listing.close()


async def test_readiness_tells_of_damage_and_where_to_look(sqlite: BaseStore, tmp_path: Path) -> None:
    listing = Listing(tmp_path / "journal", sqlite)
    listing.append_records(1)
    listing.writers[RECORDS].close()
    listing.segments()[0].write_bytes(b"damage" * 300)
    async with serving(sqlite, journal=tmp_path / "journal") as running:
        await until(lambda: running.desk.projector.damaged == 1)
        answer = await (await running.connect()).request("GET", "/readyz")
        (damaged,) = listing.damaged()
        told = {
            "status": f"places in the journal that are damaged or gone: 1, the last one {damaged.name};"
            " see gatepost check-store"
        }
        assert (answer.status, answer.json) == (200, told)
    assert damaged.read_bytes() == b"damage" * 300
    async with serving(sqlite, journal=tmp_path / "journal") as running:
        assert running.desk.projector.damaged == 0
        answer = await (await running.connect()).request("GET", "/readyz")
        assert (answer.status, answer.json) == (200, told)
        await asyncio.to_thread(running.desk.projector.expire, damaged.stat().st_mtime + 1)
        await until(lambda: running.ingest.listed.damages == (0, ""))
        assert (await (await running.connect()).request("GET", "/readyz")).json == {"status": "ok"}
    listing.close()


def test_a_stream_that_is_gone_is_counted_though_nothing_of_it_is_known_to_wait(either: Listing) -> None:
    either.append_records(1)
    projector = either.projector()
    all_of(projector)
    either.writers[RECORDS].finish()
    all_of(projector)
    (place,) = either.store.positions(either.folder.id).values()
    assert (place.segment, place.offset) == (2, 0)
    either.append_records(2)
    either.writers[RECORDS].close()
    for path in either.folder.path.glob("*-records*"):
        path.unlink()
    projector.close(timeout_s=0)
    later = either.projector()
    all_of(later)
    (damaged,) = either.damaged()
    assert (later.damaged, later.damages, damaged.read_bytes()) == (1, (1, damaged.name), b"")
    assert either.store.positions(either.folder.id) == {}


def test_an_alarm_is_listed_before_a_backlog(either: Listing) -> None:
    either.append_records(*range(1, 31))
    projector = either.projector(max_batch=10)
    projector.step()
    either.append(either.arrival(alarm()), lane=ALARMS)
    projector.step()
    records, alarms, *_ = either.counts()
    assert (records, alarms) == (19, 1)
    assert projector.lag().events == 11


@pytest.mark.parametrize("why", ["pinned", "store", "disk"])
def test_what_could_not_be_deleted_is_deleted_later_though_nothing_is_pushed(
    listing: Listing, why: str
) -> None:
    projector = listing.projector()
    listing.append_records(1)
    all_of(projector)
    listing.writers[RECORDS].close()
    pinned = listing.folder.pinned() if why == "pinned" else None
    if pinned is not None:
        pinned.__enter__()
    if why == "disk":
        listing.files.failing["remove"] = errno.EIO
    forget = listing.rows.forget_streams
    if why == "store":
        listing.rows.forget_streams = failing(StoreUnavailable("away"))  # type: ignore[method-assign]
    all_of(projector)
    assert listing.store.positions(listing.folder.id)
    if pinned is not None:
        assert len(listing.segments()) == 1
        pinned.__exit__(None, None, None)
    listing.files.failing.clear()
    listing.rows.forget_streams = forget  # type: ignore[method-assign]
    assert not projector.step()
    assert (listing.segments(), listing.store.positions(listing.folder.id)) == ([], {})
    assert projector.positions == {}


# Its life.


def test_one_process_lists_a_journal(listing: Listing) -> None:
    projector = listing.projector()
    again = Folder.open(listing.folder.path)
    with pytest.raises(StoreInUse, match="data folder of its own"):
        Projector(again, listing.rows, listing.frames)
    assert projector.close(timeout_s=0)
    assert projector.close(timeout_s=0)
    Projector(again, listing.rows, listing.frames).close(timeout_s=0)


def test_a_store_that_is_away_at_the_start_leaves_the_journal_free(listing: Listing) -> None:
    listing.rows.is_away = True
    with pytest.raises(StoreUnavailable):
        listing.projector()
    listing.rows.is_away = False
    listing.projector()


def test_to_close_lists_what_is_there(listing: Listing) -> None:
    projector = listing.projector(max_batch=2)
    projector.start()
    listing.append_records(*range(1, 8))
    assert projector.close(timeout_s=20)
    assert listing.uuids() == uuids(*range(1, 8))


def test_to_close_is_bounded_while_the_store_is_away_or_hangs(listing: Listing) -> None:
    listing.append_records(1)
    projector = listing.projector()
    listing.rows.is_away = True
    projector.start()
    assert not projector.close(timeout_s=20)
    listing.rows.is_away = False
    entered, held = threading.Event(), threading.Event()

    def hanging() -> None:
        entered.set()
        assert held.wait(20)

    second = listing.projector(on_listed=hanging)
    second.start()
    assert entered.wait(20)
    assert not second.close(timeout_s=0.05)
    held.set()
    assert second.close(timeout_s=20)
    assert listing.counts() == (1, 0, 0, 0)


# Events of which it is not known that they were synced.


def cut_off(listing: Listing, *events: Event) -> None:
    """Append events, and end as a power cut does: what was published is not known any more."""
    writer = listing.writers[RECORDS]
    listing.append(*[listing.arrival(event) for event in events])
    end_abruptly(writer)
    listing.folder.writer_file(writer.stream).unlink()
    listing.writers[RECORDS] = listing.writer()


def test_an_event_whose_image_is_whole_is_listed_also_if_nothing_tells_that_it_was_synced(
    listing: Listing,
) -> None:
    cut_off(listing, record(1, image=JPEG), record(2))
    all_of(listing.projector())
    assert (listing.uuids(), listing.unlisted()) == (uuids(1, 2), [])
    images = [listing.store.image(row.id) for row in listing.store.records(RecordQuery(order="oldest")).items]
    assert images == [JPEG, None]


@pytest.mark.parametrize("harm", ["missing", "damaged"])
def test_one_whose_image_is_not_whole_is_set_aside_and_is_not_in_the_way_when_it_comes_again(
    listing: Listing, harm: str
) -> None:
    cut_off(listing, record(1, image=JPEG))
    (pack,) = (listing.folder.path / "packs").iterdir()
    if harm == "missing":
        pack.unlink()
    else:
        data = bytearray(pack.read_bytes())
        data[-1] ^= 1
        pack.write_bytes(data)
    projector = listing.projector()
    with capture_logs() as logs:
        all_of(projector)
    assert (listing.uuids(), listing.unlisted(), projector.set_aside) == ([], [], 0)
    assert ["not whole" in log["why"] for log in logs if log["event"] == "projector.doubtful"] == [True]
    assert len(projector.files.list("doubtful")) == 1
    projector.close(timeout_s=0)
    listing.append(listing.arrival(record(1, image=JPEG)))
    again = listing.projector()
    all_of(again)
    (row,) = listing.store.records(RecordQuery()).items
    assert listing.store.image(row.id) == JPEG
    assert (listing.counts(), len(again.files.list("doubtful"))) == ((1, 0, 0, 0), 1)


def test_while_the_disk_does_not_tell_whether_an_image_is_whole_its_event_alone_waits(
    listing: Listing, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(listing, record(1, image=JPEG))
    listing.append_records(2)
    projector = listing.projector()
    with monkeypatch.context() as patch:
        patch.setattr(Packs, "confirm", failing(JournalUnavailable("the disk fails")))
        all_of(projector)
        assert (listing.uuids(), listing.unlisted()) == (uuids(2), [])
        assert len(projector.files.list("doubtful")) == 1
    all_of(projector)
    assert listing.uuids() == uuids(2)  # the disk is asked once a minute
    listing.clock.at += 60.0
    all_of(projector)
    assert sorted(listing.uuids()) == uuids(1, 2)
    assert projector.files.list("doubtful") == []


def test_to_let_go_waits_for_a_step_that_begins_later(
    listing: Listing, monkeypatch: pytest.MonkeyPatch
) -> None:
    projector = listing.projector()
    begun, goes_on = threading.Event(), threading.Event()

    def punch(self: Packs, places: Any = ()) -> None:
        begun.set()
        goes_on.wait(20)

    monkeypatch.setattr(Packs, "punch", punch)
    projector.start()
    assert begun.wait(20)  # nothing was listed when this step looked
    listing.append_records(1)
    listing.writers[RECORDS].finish()
    later = threading.Timer(0.05, goes_on.set)
    later.start()
    assert projector.let_go(timeout_s=20)
    later.join()
    assert listing.segments() == []


def test_to_let_go_waits_until_what_is_listed_is_deleted(listing: Listing) -> None:
    projector = listing.projector()
    projector.start()
    listing.append_records(1, 2)
    projector.wake()
    projector.catch_up(timeout_s=20)
    assert listing.segments() != []
    with listing.folder.pinned():
        listing.writers[RECORDS].finish()
        assert not projector.let_go(timeout_s=0.05)
        assert listing.segments() != []
    assert projector.let_go(timeout_s=20)
    assert listing.segments() == []
