"""Events in which something is broken: each that was sent differently is kept, and its sender always hears of it."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.receiver.kit import JPEG, SUCCESS, TRACE, Running, alarm, base64, body, record

from gatepost.journal.packs.packs import Packs
from gatepost.journal.places import split_places
from gatepost.receiver.ingest.event_keys import kept_raw, key_of
from gatepost.receiver.jobs.reprocessing import ProcessedAgain
from gatepost.store.interface import EVERYTHING, Arrival, Progress, QuarantineRow
from gatepost.store.query.reprocess import decode_again
from gatepost.wire import Alarm, Problem, Record, Unknown, decode
from gatepost.wire.decoding.decoder import with_image


def bare(**data: Any) -> dict[str, Any]:
    """A record of firmware that sends no ``uuid``."""
    push = record(**data)
    del push["data"]["uuid"]
    return push


BROKEN: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (bare(timestamp="2024-05-06 08:00:00"), bare(timestamp="2024-05-06 17:00:00")),
    (bare(timestamp=1_685_343_715_000), bare(timestamp=1_685_343_715_400)),
    (bare(timestamp=1_685_343_715_000_001), bare(timestamp=1_685_343_715_400_001)),
    (bare(rgb_image="%%%A"), bare(rgb_image="%%%B")),
    (bare(user="Ann"), bare(user="Bob")),
    (bare(user="Ann", rgb_image=base64(JPEG)), bare(user="Ann", rgb_image=base64(JPEG + b"\0"))),
]
STEPS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (alarm(status="occurred"), alarm(status="cleared")),
    (alarm(status=None), alarm(status=None, event_time=None)),
]
IDS = ["time", "milliseconds", "microseconds", "image", "user", "user beside an image", "status", "no status"]


def choke(receiver: Running, patch: pytest.MonkeyPatch, *, on: type | tuple[type, ...]) -> None:
    """Let the store raise for events of these kinds, as for a value that no column holds."""
    write = receiver.store.write

    def chokes(batch: Sequence[Arrival]) -> bool:
        return any(isinstance(arrival.event, on) for arrival in batch)

    def choking(batch: Sequence[Arrival], progress: Progress | None) -> object:
        if chokes(batch):
            raise ValueError("a defect")
        return write(batch, progress)

    patch.setattr(receiver.store, "write", choking)


async def processed(receiver: Running, ids: Sequence[int]) -> ProcessedAgain:
    seen = receiver.store.seen_by(EVERYTHING)
    return await asyncio.to_thread(receiver.desk.reprocessing.process, seen, ids)


def kept(receiver: Running) -> list[QuarantineRow]:
    return list(receiver.store.quarantined().items)


@pytest.mark.parametrize("pushes", BROKEN, ids=IDS[: len(BROKEN)])
async def test_records_that_differ_in_a_broken_field_or_in_milliseconds_are_both_stored_and_each_once(
    receiver: Running, pushes: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    for _ in range(2):
        for push in pushes:
            assert (await receiver.push(push)).json == SUCCESS
    assert len(receiver.records()) == 2
    assert receiver.store.stats().duplicates == 2


@pytest.mark.parametrize("pushes", STEPS, ids=IDS[len(BROKEN) :])
async def test_steps_of_an_alarm_whose_status_nobody_understood_are_both_stored_and_each_once(
    receiver: Running, pushes: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    for _ in range(2):
        for push in pushes:
            assert (await receiver.push(push, headers={"sn": "SN-9"})).json == SUCCESS
    (row,) = receiver.alarms()
    assert len(row.history) == 2
    assert receiver.store.stats().duplicates == 2


async def test_what_is_wrong_with_whose_it_is_makes_it_no_other_event(receiver: Running) -> None:
    push = bare(timestamp="today", deviceSN="SN-2")
    for headers in ({"sn": "SN-1"}, {"sn": "SN-1", "timestamp": "1685343799"}):
        assert (await receiver.push(push, headers=headers)).json == SUCCESS
    assert receiver.store.stats().duplicates == 1
    assert len(receiver.records()) == 1


@pytest.mark.parametrize("push", [push for pair in BROKEN + STEPS for push in pair])
def test_the_key_of_what_went_through_the_quarantine_is_the_one_that_the_push_has(
    push: dict[str, Any],
) -> None:
    pushed = body(push).replace(b"/", b"\\/")
    decoded = decode(pushed, lenient=True)
    event = decoded.event
    assert not isinstance(event, Unknown)
    arrival = Arrival(
        terminal_id=1,
        key=key_of(decoded, b"secret"),
        event=event,
        received_at_ms=1,
        original=decoded.original,
        problems=(*decoded.problems, Problem("data.deviceSN", "is another one")),
    )
    raw = kept_raw(arrival, "the store could not take it", b"secret")
    assert raw.original == decoded.original
    for whole in (pushed, raw.original if event.image is None else with_image(raw.original, event)):
        again = decode_again(
            QuarantineRow(
                id=1,
                terminal_id=1,
                serial=None,
                received_at=datetime(2024, 5, 6, tzinfo=UTC),
                peer="10.0.0.9",
                problems=raw.problems,
                tries=1,
                original=raw.original,
                size=len(whole),
            ),
            whole,
            b"secret",
        )
        assert again is not None
        assert (again.key, again.original) == (arrival.key, decoded.original)
        if decoded.local_time is None:
            assert (again.event, again.problems) == (event, decoded.problems)
        else:  # the store knows the zone
            assert isinstance(again.event, Record)
            assert again.event.recorded_at == decoded.local_time.replace(tzinfo=UTC)


async def test_what_was_not_understood_at_first_is_a_duplicate_when_it_comes_again(
    receiver: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushes = [
        bare(user="Ann", rgb_image=base64(JPEG)),
        bare(timestamp=1_685_343_715_400),
        alarm(status="x"),
    ]

    def broken(*_: object, **__: object) -> None:
        raise KeyError("a defect")

    with monkeypatch.context() as patch:
        patch.setattr("gatepost.receiver.ingest.push.decoding.decode_many", broken)
        for push in pushes:
            assert (await receiver.push(push, headers={"sn": "SN-1"})).json == SUCCESS
    assert (await processed(receiver, [row.id for row in kept(receiver)])).stored == 3
    for push in pushes:
        assert (await receiver.push(push, headers={"sn": "SN-1"})).json == SUCCESS
    assert (len(receiver.records()), len(receiver.alarms())) == (2, 1)
    assert receiver.store.stats().duplicates == 3


@pytest.mark.parametrize(
    "lacking", [{"status": None}, {"status": "occurred"}, {"event_time": None}, {"event_time": "today"}]
)
async def test_an_alarm_that_lacks_something_and_that_the_store_chokes_on_is_kept_raw_with_its_photo(
    receiver: Running, monkeypatch: pytest.MonkeyPatch, lacking: dict[str, Any]
) -> None:
    push = body(alarm(alarm_photo=base64(JPEG), **lacking))
    with monkeypatch.context() as patch:
        choke(receiver, patch, on=(Record, Alarm))
        async with asyncio.timeout(10):
            assert (await receiver.push(push, headers={"sn": "SN-1"})).json == SUCCESS
            receiver.settle()
    (row,) = kept(receiver)
    assert receiver.store.pushed(row) == push
    assert (await processed(receiver, [row.id])).stored == 1
    assert (await receiver.push(push, headers={"sn": "SN-1"})).json == SUCCESS
    (stored,) = receiver.alarms()
    assert (stored.trace_id, receiver.store.stats().duplicates) == (TRACE, 1)


async def test_a_broken_record_that_the_store_chokes_on_is_kept_as_it_came(
    receiver: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    push = body(bare(user="Ann", timestamp="today", rgb_image=base64(JPEG))).replace(b'"mask"', b'\n "mask" ')
    with monkeypatch.context() as patch:
        choke(receiver, patch, on=(Record, Alarm))
        assert (await receiver.push(push)).json == SUCCESS
        receiver.settle()
    (row,) = kept(receiver)
    assert receiver.store.pushed(row) == push


async def test_what_cannot_even_be_kept_raw_is_set_aside_and_holds_nothing_up(
    receiver: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    push = alarm(status=None, alarm_photo=base64(JPEG))
    with monkeypatch.context() as patch:
        choke(receiver, patch, on=(Alarm, Unknown))
        assert (await receiver.push(push, headers={"sn": "SN-1"})).json == SUCCESS
        assert (await receiver.push(record())).json == SUCCESS
        assert len(receiver.records()) == 1
    assert (receiver.alarms(), kept(receiver)) == ([], [])
    assert receiver.desk.projector.set_aside == 1
    folder = receiver.desk.projector._folder.path
    (file,) = folder.glob("unlisted-*")
    _, (place,) = split_places(file.read_bytes())
    assert Packs(receiver.desk.projector._folder).read(place) == JPEG


async def test_a_defect_in_keeping_it_raw_loses_nothing_either(
    receiver: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Arrival:
        raise KeyError("a defect")

    with monkeypatch.context() as patch:
        choke(receiver, patch, on=(Record, Alarm))
        patch.setattr("gatepost.receiver.jobs.projector.listing.kept_raw", broken)
        for number in range(3):
            assert (await receiver.push(record(uuid=f"u-{number}"))).json == SUCCESS
        receiver.settle()
    assert (receiver.records(), kept(receiver)) == ([], [])
    assert receiver.desk.projector.set_aside == 3
