"""Destinations that refuse, go away and come back, and stores that change meanwhile: nothing is lost, nothing waits."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import msgspec
import pytest
from tests.forward.kit import Line, Told
from tests.store.conftest import Opener
from tests.store.events import RECEIVED_MS, arrival, record
from tests.terminals import ensured

from gatepost.errors import StoreUnavailable
from gatepost.forward.check import check
from gatepost.forward.forwarder.forwarder import CLAIMED_BYTES
from gatepost.forward.forwarder.surroundings import Lost
from gatepost.forward.sinks import Outgoing, Result
from gatepost.store.privacy.erasure import Whom, erase
from gatepost.store.privacy.retention import Limits, Retention
from gatepost.wire import Delivered, Refused, Unreachable

DAY_MS = 86_400_000
TAKEN = Result(outcome=Delivered())
AWAY = Result(outcome=Unreachable("away"))
REFUSED = Result(outcome=Refused("HTTP 422: no"))


@pytest.fixture
def quick(open_sqlite: Opener) -> Line:
    """A line for what does not depend on the database."""
    store = open_sqlite()
    ensured(store, "SN-1", now_ms=RECEIVED_MS)
    return Line(store)


@pytest.fixture(autouse=True)
def recounted(request: pytest.FixtureRequest) -> Iterator[None]:
    """The ledger fits the events after each test."""
    lines = [request.getfixturevalue(name) for name in ("line", "quick") if name in request.fixturenames]
    yield
    for line in lines:
        if line.destinations.one(line.id) is not None:
            assert check(line.destinations, line.id).problems == []


async def let_pass(line: Line, turns: int, seconds: float = 61) -> None:
    for _ in range(turns):
        await line.turn()
        line.clock.at += seconds


def refusing(bad: set[int], result: Result = REFUSED) -> Callable[[Outgoing], Result]:
    return lambda one: result if one.event_id in bad else TAKEN


async def test_bad_events_at_both_ends_of_a_stretch(quick: Line) -> None:
    numbers = quick.passages(*range(300))
    quick.begin(Told(refusing({numbers[0], numbers[-1]})))
    await let_pass(quick, 4)
    quick.passages(*range(300, 303))  # what was accepted since the last one was refused
    await let_pass(quick, 14)
    ledger = quick.ledger
    assert (ledger.delivered, ledger.dead, ledger.waiting) == (301, 2, 0)


@pytest.mark.parametrize("retry_after", [None, 300.0])
async def test_a_bad_event_at_the_head_while_the_destination_is_away(
    quick: Line, retry_after: float | None
) -> None:
    """Each attempt is another event: that the first one fails for ever says nothing about the others."""
    numbers = quick.passages(*range(20))
    bad = set(numbers[:2])
    is_away = True
    failed = Result(outcome=Unreachable("no", retry_after))
    quick.begin(Told(lambda one: failed if is_away or one.event_id in bad else TAKEN))
    await let_pass(quick, 6, 301)
    assert quick.ledger.delivered == 0
    loaded = quick.destinations.load(quick.id)
    assert loaded is not None
    assert loaded.exceptions == ()

    is_away = False
    await let_pass(quick, 8, 301)

    assert quick.ledger.delivered == 18
    waiting = quick.destinations.exceptions_page(quick.id, dead=False).items
    assert {row.event_id for row in waiting} == bad


async def test_sixty_four_refusals_in_a_row(quick: Line) -> None:
    numbers = quick.passages(*range(200))
    quick.begin(Told(refusing(set(numbers[:64]))))
    await let_pass(quick, 16)
    ledger = quick.ledger
    assert (ledger.delivered, ledger.dead, ledger.waiting) == (136, 64, 0)


async def test_a_destination_that_accepts_nothing_makes_nothing_dead(quick: Line) -> None:
    quick.passages(*range(64))
    says = [REFUSED]
    quick.begin(Told(lambda _: says[0]))
    await let_pass(quick, 12)
    assert (quick.ledger.dead, quick.ledger.waiting) == (0, 64)
    says[0] = TAKEN
    await let_pass(quick, 3)
    assert quick.ledger.delivered == 64


async def test_what_retention_takes_while_it_waits_is_dropped(line: Line) -> None:
    line.passages(*range(30))
    says = [AWAY]
    line.begin(Told(lambda _: says[0]))
    await let_pass(line, 2)
    young = [
        one.id
        for one in line.store.write(
            [arrival(record(number), received_at_ms=RECEIVED_MS + 10 * DAY_MS) for number in range(30, 35)]
        )
    ]
    retention = Retention(line.store, Limits(records_days=5))
    while retention.once(RECEIVED_MS + 11 * DAY_MS).more:
        pass
    says[0] = TAKEN
    sink = line.sink
    assert isinstance(sink, Told)
    sink.events.clear()

    await let_pass(line, 40, 1)

    assert sink.ids == young
    assert (line.ledger.delivered, line.ledger.dropped, line.ledger.waiting) == (5, 30, 0)
    assert line.row.dropped_why == {"deleted by retention": 30}


async def test_what_was_erased_while_it_waited_goes_out_without_the_person(line: Line) -> None:
    numbers = line.passages(*range(10))
    is_away = True
    line.begin(Told(lambda _: AWAY if is_away else TAKEN))
    await let_pass(line, 2)
    erase(line.store, Whom(user_id="3"), now_ms=RECEIVED_MS)
    sink = line.sink
    assert isinstance(sink, Told)
    sink.events.clear()
    is_away = False

    await let_pass(line, 4)

    assert sorted(sink.ids) == numbers
    assert not any("王3".encode() in one.body for one in sink.events)
    assert any("王2".encode() in one.body for one in sink.events)


@pytest.mark.parametrize("seconds", [-86_400.0, 86_400.0])
async def test_a_clock_that_jumps_holds_nothing_up(quick: Line, seconds: float) -> None:
    """The monotonic clock goes on; the other one is set, while an event waits for its next attempt."""
    numbers = quick.passages(*range(5))
    says = itertools.chain([REFUSED] * 3, itertools.repeat(TAKEN))
    quick.begin(Told(lambda _: next(says)))
    await quick.turn()
    quick.clock.at += seconds
    await let_pass(quick, 3, 1)
    sink = quick.sink
    assert isinstance(sink, Told)
    assert set(sink.ids) == set(numbers)
    assert quick.ledger.delivered == 5


async def test_a_filter_that_changes_is_asked_of_what_was_not_read_yet(line: Line) -> None:
    first = line.passages(*range(5))
    line.begin(Told(refusing({first[0]})))
    await line.turn(2)
    line.passages(*range(5, 10), passed=False)
    passed = line.passages(*range(10, 15), passed=True)
    told = {**line.told, "filter": {"records": {"passed": True}, "alarms": None}}
    line.destinations.change(line.id, now_ms=line.now_ms, config=msgspec.json.encode(told))
    sink = Told()

    line.begin(sink)
    await let_pass(line, 4)

    assert sorted(sink.ids) == [first[0], *passed]
    assert (line.ledger.filtered, line.ledger.delivered) == (5, 10)


async def test_a_destination_that_is_deleted_in_flight_ends_its_forwarder(line: Line) -> None:
    line.passages(*range(5))
    forwarder = line.begin(Told(lambda _: [line.destinations.delete(line.id), TAKEN][1]))  # type: ignore[return-value]
    with pytest.raises(Lost, match="deleted"):
        await forwarder.push_once()
    assert line.destinations.all() == []


async def test_exactly_one_event_and_then_silence(quick: Line) -> None:
    """Nothing else comes that could wake it: it tries again by itself, and commits what came of it."""
    quick.clock = asyncio.get_running_loop().time  # type: ignore[assignment]  # it goes on
    (number,) = quick.passages(1)
    says = itertools.chain([AWAY], itertools.repeat(TAKEN))
    sink = Told(lambda _: next(says))
    fence = quick.destinations.lease(quick.id, "me", now_ms=0, for_ms=0)
    assert fence is not None
    forwarder = quick.forwarder(sink, fence)
    task = asyncio.create_task(forwarder.run())
    async with asyncio.timeout(20):
        while not quick.ledger.delivered:  # noqa: ASYNC110 - what is waited for is seen in the store only
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert sink.ids == [number] * 2
    assert not sink.is_open


async def test_nothing_too_old_is_sent_after_an_outage(open_store: Opener) -> None:
    store = open_store()
    ensured(store, "SN-1", now_ms=RECEIVED_MS)
    line = Line(store, max_age_s=600)
    line.passages(*range(700))
    is_away = True
    sink = Told(lambda _: AWAY if is_away else TAKEN)
    line.begin(sink)
    await let_pass(line, 2)
    line.clock.at += 3600
    at = datetime.fromtimestamp(line.clock.at, UTC)
    arrived = [
        arrival(record(number, recorded_at=at), received_at_ms=line.now_ms) for number in range(700, 705)
    ]
    now = [one.id for one in store.write(arrived)]
    is_away = False
    sink.events.clear()

    await let_pass(line, 10, 1)

    assert sink.ids == now
    assert (line.ledger.delivered, line.row.dropped_why) == (5, {"older than max_age_s": 700})


async def test_a_store_that_is_away_while_events_are_rendered_strands_none(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = line.passages(*range(5))
    sink = Told()
    forwarder = line.begin(sink)

    def away(*_: object) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(forwarder._packer._renderer, "person_ids", away)
        with pytest.raises(StoreUnavailable):
            await forwarder.push_once()
    await line.turn(2)

    assert sorted(sink.ids) == numbers


async def test_a_replay_ends_where_its_span_ends(line: Line) -> None:
    inside = line.passages(*range(10))
    line.store.write([arrival(record(n), received_at_ms=RECEIVED_MS + 1000) for n in range(10, 20)])
    made = line.destinations.create(
        "replay", "webhook", line.row.config, b"{}", now_ms=0,
        span=(RECEIVED_MS, RECEIVED_MS + 1000), replay_of=line.id,
    )  # fmt: skip
    line.id = made.id
    sink = Told()
    line.begin(sink)

    await line.turn(3)

    assert sorted(sink.ids) == inside
    assert all(one.is_replay for one in sink.events)
    assert line.row.finished_at is not None
    assert line.ledger.delivered == 10


async def test_large_events_are_held_a_few_at_a_time(quick: Line) -> None:
    image = b"\xff\xd8\xff\xe0" + bytes(1_000_000) + b"\xff\xd9"
    for number in range(12):
        quick.store.write([arrival(record(number), image=image)])
    told = {**quick.told, "images": "inline"}
    quick.destinations.change(quick.id, now_ms=quick.now_ms, config=msgspec.json.encode(told))
    forwarder = quick.begin(Told())

    await forwarder.once()
    held = sum(parcel.size for parcel in forwarder._ready)

    assert 0 < held < CLAIMED_BYTES + 4_000_000
    assert await forwarder.once() is None  # it waits for what is under way
    assert sum(parcel.size for parcel in forwarder._ready) == held
    await quick.turn(6)
    assert quick.ledger.delivered == 12
