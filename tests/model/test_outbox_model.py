"""The outbox against a dictionary: whatever happens in whatever order, both tell the same story.

The model keeps every event that was accepted with what became of it. Hypothesis records, alarms, delivers, refuses,
loses the receiver, changes the subscription, sets the clock, overflows, stops, kills and pulls the plug.
"""

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.terminal.outbox_kit import Clock, alarm, name, record

from gatepost.errors import NotSubscribed, OutboxFull
from gatepost.retry import ACCEPTED_SINCE, Backoff, DeadLetter, Done, RetryAt, Step, next_step
from gatepost.settings import TerminalSettings
from gatepost.terminal.outbox.outbox import HistoryQuery, Outbox
from gatepost.terminal.outbox.types import ALARMS, RECORDS, NewEvent
from gatepost.wire import Alarm, Record, Refused, Subscription

T = TypeVar("T")

DAY = 86_400

MAX_REFUSALS = 2

ADDRESSES = ["http://a/1", "http://A:80/1", "http://a/2", "http://b/1"]
"""Of three receivers: the first two are one."""

PENDING, DELIVERED, FORGOTTEN, DEAD, DROPPED = "pending", "delivered", "forgotten", "dead", "dropped"


class Kept:
    """What the model knows of one event."""

    def __init__(self, number: int, event: Record | Alarm) -> None:
        self.id = number
        self.lane = ALARMS if isinstance(event, Alarm) else RECORDS
        self.trace = event.trace_id if isinstance(event, Alarm) else None
        self.name = f"{event.trace_id}:{event.status}" if isinstance(event, Alarm) else event.uuid
        self.size = NewEvent.of(event).size
        self.with_image = bool(event.image)
        self.delivered_before: int | None = None
        self.state = PENDING
        self.parked = False
        self.due = 0.0
        self.attempts = 0
        self.attempted_at = float("-inf")
        self.refusals = 0
        self.left = 0
        """How many left before it."""


class Model(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.root = Path(tempfile.mkdtemp())
        self.lives = 0
        self.folder = self.root / "0"
        self.now = Clock()
        self.events: dict[int, Kept] = {}
        self.in_flight: set[int] = set()
        self.latest = float("inf")
        self.subscription: Subscription | None = None
        self.receiver = ""
        self.delivered: list[Kept] = []
        self.claimed: dict[int, tuple[int, int]] = {}
        self.recorded = 0
        self.refused = 0
        self.left = 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        if hasattr(self, "outbox"):
            self.run(self.outbox.close())
        self.loop.close()
        shutil.rmtree(self.root)

    @initialize(
        capacity=st.integers(1, 6),
        capacity_bytes=st.sampled_from([None, None, 2_000, 4_000]),
        overflow=st.sampled_from(["drop-oldest", "drop-oldest", "refuse-newest"]),
        history=st.integers(0, 3),
        subscribed=st.booleans(),
    )
    def begin(
        self, capacity: int, capacity_bytes: int | None, overflow: Any, history: int, subscribed: bool
    ) -> None:
        self.settings = TerminalSettings(
            capacity=capacity,
            capacity_bytes=capacity_bytes,
            overflow=overflow,
            history_events=history,
            history_days=10_000,
            max_refusals=MAX_REFUSALS,
        )
        self.open()
        if subscribed:
            self.subscribe(ADDRESSES[0], True)

    def open(self) -> None:
        self.outbox = self.run(Outbox.open(self.folder, settings=self.settings, now=self.now))
        self.in_flight.clear()
        self.latest = float("inf")
        for one in self.of(PENDING):
            one.parked = any(other.id < one.id and other.trace == one.trace for other in self.of(PENDING))
            one.parked &= one.trace is not None

    # --- what happens ---------------------------------------------------------------------------------------

    @rule(dest=st.sampled_from(["", *ADDRESSES]), enabled=st.booleans())
    def subscribe(self, dest: str, enabled: bool) -> None:
        self.subscription = Subscription(dest, enabled and bool(dest))
        self.run(self.outbox.subscribe(self.subscription))
        receiver = dest.replace("A:80", "a") or self.receiver
        if self.receiver not in ("", receiver):
            for one in self.of(PENDING):
                one.refusals, one.delivered_before = 0, None
            self.take_up(self.dead(None))
        self.receiver = receiver
        for one in self.of(PENDING):
            one.due = min(one.due, 0.001)

    @rule(size=st.sampled_from([0, 0, 500, 1_500, 5_000]))
    def record(self, size: int) -> None:
        self.put(record(self.recorded, image=bytes(size)))

    @rule(trace=st.sampled_from(["A", "B"]))
    def alarm(self, trace: str) -> None:
        self.put(alarm(trace, self.recorded))

    def put(self, event: Record | Alarm) -> None:
        self.recorded += 1
        expected = self.expect(event)
        if expected is not None:
            with pytest.raises(expected):
                self.run(self.outbox.put(event))
            self.refused += expected is OutboxFull
            return
        number = self.run(self.outbox.put(event))
        kept = Kept(number, event)
        kept.parked = self.has_pending(kept.trace)
        self.events[number] = kept

    def expect(self, event: Record | Alarm) -> type[Exception] | None:
        """Make the room that the outbox has to make; answer the error if it must refuse."""
        if self.subscription is None:
            return NotSubscribed
        new = Kept(0, event)
        pending, records = self.of(PENDING), [one for one in self.of(PENDING) if one.lane == RECORDS]
        full = len(pending) >= self.settings.capacity
        refuse = self.settings.overflow == "refuse-newest"
        if full and (refuse or (new.lane == RECORDS and not records)):
            return OutboxFull
        order = sorted(self.of(DELIVERED), key=lambda one: one.left)
        for lane in () if refuse else (RECORDS, ALARMS) if new.lane == ALARMS else (RECORDS,):
            for state in (DEAD, PENDING):
                rest = [one for one in self.of(state) if one.lane == lane]
                order += sorted(rest, key=lambda one: (one.id in self.in_flight, one.id))
        need = self.over_budget(new.size)
        if need > sum(one.size for one in order) or new.size > (self.settings.capacity_bytes or new.size):
            return OutboxFull
        for one in order:
            if need <= 0:
                break
            need -= one.size
            self.leave(one, FORGOTTEN if one.state == DELIVERED else DROPPED)
        if full and len(self.of(PENDING)) >= self.settings.capacity:
            rest = [one for one in order if one.state == PENDING]
            self.leave(rest[0], DROPPED)
        return None

    def over_budget(self, size: int) -> int:
        if self.settings.capacity_bytes is None:
            return 0
        held = sum(one.size for one in self.of(PENDING, DEAD, DELIVERED))
        return min(held + size - self.settings.capacity_bytes, size)

    @rule(limit=st.integers(1, 4))
    def claim(self, limit: int) -> None:
        if self.now.at < self.latest:
            for one in self.of(PENDING):
                if one.due > 0 and one.attempted_at > self.now.at:
                    one.due = 0.001
        self.latest = self.now.at
        ready = [one for lane in (ALARMS, RECORDS) for one in self.ready(lane)]
        claimed = self.run(self.outbox.claim(limit, now=self.now.at))
        assert [(event.id, name(event)) for event in claimed] == [(one.id, one.name) for one in ready[:limit]]
        for event, one in zip(claimed, ready, strict=False):
            one.attempts += 1
            one.attempted_at = self.now.at
            assert (event.attempts, event.refusals) == (one.attempts, one.refusals)
            assert event.delivered_since == self.delivered_since(one)
            self.claimed[one.id] = event.refusals, event.delivered_since
            self.in_flight.add(one.id)
        traces = [
            one.trace for one in self.events.values() if one.id in self.in_flight and one.state == PENDING
        ]
        traces = [trace for trace in traces if trace is not None]
        assert len(traces) == len(set(traces))

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), what=st.sampled_from(["delivered", "delivered", "unreachable", "refused", "dead"]))
    def settle(self, data: st.DataObject, what: str) -> None:
        chosen = data.draw(
            st.lists(st.sampled_from(sorted(self.in_flight)), min_size=1, max_size=3, unique=True)
        )
        at = self.now.at + data.draw(st.sampled_from([0, 5, 60]))
        steps: dict[int, Step] = {
            number: {
                "delivered": Done(),
                "unreachable": RetryAt(at, reason="connection refused"),
                "refused": self.refusal(number, at),
                "dead": DeadLetter("code 500"),
            }[what]
            for number in chosen
        }
        self.run(self.outbox.settle(list(steps.items())))
        for number, step in steps.items():
            self.in_flight.discard(number)
            one = self.events[number]
            if one.state != PENDING:
                continue
            if isinstance(step, RetryAt):
                one.due = step.at
                one.refusals += step.refused
                if step.refused and one.delivered_before is None:
                    one.delivered_before = self.delivered_of_kind(one)
                continue
            keep = one.lane == RECORDS and self.settings.history_events
            one.refusals += isinstance(step, DeadLetter)
            if isinstance(step, Done):
                self.delivered.append(one)
            self.leave(one, DEAD if isinstance(step, DeadLetter) else DELIVERED if keep else FORGOTTEN)
        self.trim()

    def refusal(self, number: int, at: float) -> Step:
        """What the pusher makes of a refusal: a dead letter only by the rule, told from what was accepted since."""
        refusals, since = self.claimed[number]
        step = next_step(
            Refused("code 500"),
            refusals=refusals,
            delivered_since=since,
            failures=0,
            now=at,
            rand=lambda: 0.0,
            policy=Backoff(max_refusals=MAX_REFUSALS),
        )
        assert isinstance(step, DeadLetter) == (refusals + 1 >= MAX_REFUSALS and since >= ACCEPTED_SINCE)
        return step

    @rule(numbers=st.none() | st.lists(st.integers(1, 30), max_size=3))
    def retry_dead(self, numbers: list[int] | None) -> None:
        chosen = self.take_up(self.dead(numbers))
        assert self.run(self.outbox.retry_dead(numbers)) == [one.id for one in chosen]

    @rule(numbers=st.none() | st.lists(st.integers(1, 30), max_size=3))
    def discard_dead(self, numbers: list[int] | None) -> None:
        chosen = self.dead(numbers)
        assert self.run(self.outbox.discard_dead(numbers)) == [one.id for one in chosen]
        for one in chosen:
            self.leave(one, DROPPED)

    @rule(seconds=st.sampled_from([1, 5, 60, DAY, -DAY, -30]))
    def the_clock_moves(self, seconds: int) -> None:
        self.now.at += seconds

    @rule()
    def stop_and_start(self) -> None:
        self.run(self.outbox.close())
        self.open()

    @rule()
    def kill_and_start(self) -> None:
        """Go on from what is in the files: nothing was closed, whatever was in flight."""
        self.go_on_from_a_copy(self.files_now())

    @rule(size=st.sampled_from([0, 1_500]))
    def lose_power_while_recording(self, size: int) -> None:
        """The files as they are before an event is stored: nobody was told that it was accepted."""
        if self.subscription is None:
            return
        before = {number: (one.state, one.left) for number, one in self.events.items()}
        event = record(self.recorded, image=bytes(size))

        async def both() -> Path:
            held, go = threading.Event(), threading.Event()
            self.outbox._writer.submit(lambda _: (held.set(), go.wait(30)))
            assert held.wait(30)
            putting = asyncio.ensure_future(self.outbox.put(event))
            await asyncio.sleep(0)  # it is handed over
            copying = asyncio.ensure_future(self.copy_before_commit())
            await asyncio.sleep(0)
            go.set()
            await asyncio.wait([putting])
            putting.exception()
            return await copying

        target = self.run(both())
        assert {number: (one.state, one.left) for number, one in self.events.items()} == before
        self.go_on_from_a_copy(target)

    def files_now(self) -> Path:
        return self.run(self.copy_before_commit())

    async def copy_before_commit(self) -> Path:
        """Copy the files in the writer's thread, before what was handed over with it is stored."""
        target = self.root / str(self.lives + 1)
        await self.outbox._writer.submit(lambda _: shutil.copytree(self.folder, target))
        return target

    def go_on_from_a_copy(self, target: Path) -> None:
        self.run(self.outbox.close())
        shutil.rmtree(self.folder)
        self.lives += 1
        self.folder = target
        # An event that was refused is counted in the file, but one that was lost with the power is not.
        self.open()
        self.refused = self.run(self.outbox.status()).refused_full

    # --- what the model knows -------------------------------------------------------------------------------

    def of(self, *states: str) -> list[Kept]:
        return [one for one in self.events.values() if one.state in states]

    def dead(self, numbers: list[int] | None) -> list[Kept]:
        if numbers is None:
            return sorted(self.of(DEAD), key=lambda one: one.id)
        return [
            self.events[n]
            for n in dict.fromkeys(numbers)
            if n in self.events and self.events[n].state == DEAD
        ]

    def take_up(self, letters: list[Kept]) -> list[Kept]:
        """Make dead letters pending as if never refused, as far as there is room."""
        chosen = letters[: max(0, self.settings.capacity - len(self.of(PENDING)))]
        for one in chosen:
            one.parked = self.has_pending(one.trace)
            one.state, one.due, one.refusals, one.delivered_before = PENDING, 0.0, 0, None
        return chosen

    def ready(self, lane: int) -> list[Kept]:
        """The oldest of those that are due; last what waits for a verdict."""
        due = [
            one
            for one in self.of(PENDING)
            if one.lane == lane and not one.parked and one.due <= self.now.at and one.id not in self.in_flight
        ]
        return sorted(due, key=lambda one: (one.refusals >= MAX_REFUSALS, one.id))

    def delivered_of_kind(self, event: Kept) -> int:
        return sum(
            one.lane == event.lane and (one.with_image or not event.with_image) for one in self.delivered
        )

    def delivered_since(self, event: Kept) -> int:
        if event.delivered_before is None:
            return 0
        return self.delivered_of_kind(event) - event.delivered_before

    def has_pending(self, trace: str | None) -> bool:
        return trace is not None and any(one.trace == trace for one in self.of(PENDING))

    def leave(self, one: Kept, state: str) -> None:
        self.left += 1
        was, one.state, one.left = one.state, state, self.left
        was_parked, one.parked = one.parked, False
        waiting = [other for other in self.of(PENDING) if one.trace is not None and other.trace == one.trace]
        if was == PENDING and not was_parked and waiting:
            min(waiting, key=lambda other: other.id).parked = False

    def trim(self) -> None:
        history = sorted(self.of(DELIVERED), key=lambda one: one.left)
        for one in history[: max(0, len(history) - self.settings.history_events)]:
            one.state = FORGOTTEN

    # --- what always holds ----------------------------------------------------------------------------------

    @invariant()
    def the_ledger_adds_up(self) -> None:
        if not hasattr(self, "outbox"):
            return
        status = self.run(self.outbox.status())
        assert status.accepted == status.delivered + status.pending + status.dead + status.dropped
        assert status.accepted == len(self.events)
        assert status.delivered == len(self.of(DELIVERED, FORGOTTEN))
        assert status.pending == len(self.of(PENDING))
        assert status.dead == len(self.of(DEAD))
        assert status.dropped == len(self.of(DROPPED)) == sum(drop.count for drop in status.drops)
        assert status.history == len(self.of(DELIVERED))
        assert status.bytes == sum(one.size for one in self.of(PENDING, DEAD))
        assert status.history_bytes == sum(one.size for one in self.of(DELIVERED))
        assert status.refused_full == self.refused
        assert status.subscription == self.subscription
        rows = self.run(self.outbox.count_rows())
        assert rows == {"pending": status.pending, "delivered": status.history, "dead": status.dead}

    @invariant()
    def what_is_kept_can_be_read(self) -> None:
        if not hasattr(self, "outbox"):
            return
        page = self.run(self.outbox.history(HistoryQuery(limit=200)))
        records = sorted(one.id for one in self.of(PENDING, DELIVERED, DEAD) if one.lane == RECORDS)
        assert sorted(stored.id for stored in page.items) == records
        letters = self.run(self.outbox.dead_letters())
        assert [letter.id for letter in letters] == sorted(one.id for one in self.of(DEAD))


CHECKS = [HealthCheck.too_slow, HealthCheck.filter_too_much]


def test_the_outbox_and_the_model_tell_the_same_story() -> None:
    run_state_machine_as_test(
        Model,
        settings=settings(
            max_examples=30, stateful_step_count=40, deadline=None, suppress_health_check=CHECKS, database=None,
            derandomize=True,
        ),
    )  # fmt: skip


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_the_outbox_and_the_model_tell_the_same_story_for_long() -> None:
    run_state_machine_as_test(
        Model,
        settings=settings(
            max_examples=1_000,
            stateful_step_count=80,
            deadline=None,
            suppress_health_check=CHECKS,
            database=None,
        ),
    )
