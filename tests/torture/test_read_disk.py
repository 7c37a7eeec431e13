"""What is left on disk is read as it was written by the real code, and what is wrong with it is seen."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.packing import packing
from tests.terminals import ensured

from gatepost import wire
from gatepost.store.forwarding.destinations import Destinations, ExceptionRow, Step
from gatepost.store.interface import Arrival, RecordQuery
from gatepost.store.query.notices import NewNotice, Notices
from gatepost.store.sqlite.store import SqliteStore
from gatepost.terminal.outbox.outbox import Outbox
from gatepost.torture import read_disk
from gatepost.torture.oracle import digest

AT = 1_700_000_000.0
PICTURE = b"\xff\xd8portrait\xff\xd9"
RECORD = {"type": 0, "data": {"uuid": "u-1", "recognitionType": 1, "timestamp": int(AT)}}
ALARM = {"type": 1, "data": {"trace_id": "t", "status": 1, "code": 10002, "event_time": int(AT) * 1000}}
NEITHER = {"type": 7, "data": {"uuid": "u-7"}}

Store = Callable[..., Path]


def arrival(value: dict[str, Any], image: bytes | None) -> Arrival:
    decoded = wire.decode(json.dumps(value).encode(), lenient=True)
    put_aside = isinstance(decoded.event, wire.Unknown)
    return Arrival(
        terminal_id=1,
        key=b"7" * 16
        if isinstance(decoded.event, wire.Unknown)
        else wire.key_digest(wire.key(decoded.event)),
        event=decoded.event if put_aside else replace(decoded.event, image=image),
        received_at_ms=int(AT * 1000),
        original=decoded.original,
        problems=(wire.Problem("type", "is none of ours"),) if put_aside else (),
        dialect=decoded.dialect,
        peer="192.0.2.9",
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Writes events into a receiver's store, one batch each, and answers its folder."""

    def stored(*values: dict[str, Any], image: bytes | None = None) -> Path:
        folder = tmp_path / "receiver"
        with closing(SqliteStore.open(folder)) as store:
            ensured(store, "S", peer="192.0.2.9", now_ms=1, state="new")
            for value in values:
                packing(store).write([arrival(value, image)])
        return folder

    return stored


def test_records_and_alarms_are_read_with_what_they_say_and_a_digest_of_their_image(store: Store) -> None:
    found = read_disk.stored(store(RECORD, ALARM, image=PICTURE))
    assert [(each.name, each.image) for each in found] == [("u-1", digest(PICTURE)), ("t/1", digest(PICTURE))]
    assert found[0].data["recognitionType"] == 1


def test_an_event_without_an_image_has_none(store: Store) -> None:
    assert [each.image for each in read_disk.stored(store(RECORD))] == [None]


def test_an_image_that_is_gone_or_cannot_be_read_is_not_taken_for_none(store: Store) -> None:
    folder = store(RECORD, image=PICTURE)
    (path,) = (folder / "journal" / "packs").iterdir()
    path.unlink()
    assert [str(each.image).startswith("unreadable: ") for each in read_disk.stored(folder)] == [True]
    with closing(sqlite3.connect(folder / "gatepost.db")) as db, db:
        db.execute("DELETE FROM images")
    assert [each.image for each in read_disk.stored(folder)] == ["missing"]


def test_what_was_put_aside_is_told_with_its_reason_and_known_pushes_are_counted(store: Store) -> None:
    folder = store(RECORD, NEITHER)
    assert ["is none of ours" in why for why in read_disk.quarantined(folder)] == [True]
    assert read_disk.duplicates_seen(folder) == 0
    assert read_disk.quarantined(store(RECORD, ALARM)) == read_disk.quarantined(folder)
    assert read_disk.duplicates_seen(folder) == 1


def test_reading_writes_nothing(store: Store) -> None:
    folder = store(RECORD, image=PICTURE)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.db")}
    read_disk.stored(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.db")} == before


async def test_of_a_stopped_terminal_the_ledger_and_what_it_holds_are_read(tmp_path: Path) -> None:
    outbox = await Outbox.open(tmp_path / "outbox", now=lambda: AT)
    await outbox.subscribe(wire.Subscription("http://192.0.2.1/Record", True))
    for value in (RECORD, ALARM):
        event = wire.decode(json.dumps(value).encode()).event
        assert not isinstance(event, wire.Unknown)
        await outbox.put(event)
    await outbox.close()
    ledger = read_disk.ledger(tmp_path)
    assert (ledger["accepted"], ledger["pending"], ledger["delivered"]) == (2, 2, 0)
    assert read_disk.held(tmp_path, "pending") == {"u-1", "t/1"}
    assert read_disk.held(tmp_path, "dead") == frozenset()


def test_the_ledger_of_the_destination_is_read_as_it_was_stored(store: Store) -> None:
    folder = store(RECORD, ALARM)
    with closing(SqliteStore.open(folder)) as opened:
        destinations = Destinations(opened)
        config = b'{"kind": "webhook", "url": "https://example.com/"}'
        made = destinations.create("one", "webhook", config, b"{}", now_ms=1, span=(0, 1 << 60))
        fence = destinations.lease(made.id, "me", now_ms=1, for_ms=1000)
        assert fence is not None
        assert read_disk.forwarded(folder) == read_disk.Forwarded(0, 0, 0, 0, 0, 0, unread=2)
        number = opened.records(RecordQuery()).items[0].id
        dead = ExceptionRow(
            event_id=number,
            kind="record",
            terminal_id=1,
            received_at_ms=1,
            is_dead=True,
            attempts=3,
            refusals=3,
            mark=0,
            attempted_at_ms=1,
            due_ms=0,
            reason="HTTP 422",
            dead_at_ms=1,
        )
        waits = Step(put={number: replace(dead, is_dead=False)})
        assert destinations.commit(made.id, fence, waits, changes=0, steps=0) == "done"
        assert (read_disk.waiting(folder), read_disk.dead_letters(folder)) == ({"u-1"}, frozenset())
        step = Step(places={"record": (number, number, 0)}, seen=1, put={number: dead})
        assert destinations.commit(made.id, fence, step, changes=0, steps=1) == "done"

    assert read_disk.forwarded(folder) == read_disk.Forwarded(1, 0, 0, 0, 1, 0, unread=1)
    assert read_disk.forwarded(folder).adds_up
    assert read_disk.notices(folder) == 0
    assert (read_disk.waiting(folder), read_disk.dead_letters(folder)) == (frozenset(), {"u-1"})


def test_a_ledger_that_lost_an_event_does_not_add_up() -> None:
    assert not read_disk.Forwarded(3, 0, 1, 0, 1, 0, unread=0).adds_up


def test_notices_are_told_apart_from_what_terminals_sent(store: Store) -> None:
    folder = store(RECORD)
    with closing(SqliteStore.open(folder)) as opened:
        destinations = Destinations(opened)
        config = b'{"kind": "webhook", "url": "https://example.com/"}'
        made = destinations.create("one", "webhook", config, b"{}", now_ms=1)
        Notices(opened).tell([NewNotice(kind="disk.low", subject="one")], now_ms=1)
        assert read_disk.forwarded(folder).unread == 1
        fence = destinations.lease(made.id, "me", now_ms=1, for_ms=1000)
        assert fence is not None
        step = Step(places={"notice": (1 << 40, 0, 0)}, seen=1, filtered=1)
        assert destinations.commit(made.id, fence, step, changes=0, steps=0) == "done"

    assert read_disk.notices(folder) == 1
    assert read_disk.forwarded(folder) == read_disk.Forwarded(1, 1, 0, 0, 0, 0, unread=0)
