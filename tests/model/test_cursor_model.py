"""The cursor against a dictionary: whatever happens in whatever order, both tell the same story."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gatepost.cursor import Cursor, Spans

MAX_REFUSALS = 2

WAITING, DONE, DEAD, DROPPED, SKIPPED = "waiting", "done", "dead", "dropped", "skipped"


class Kept:
    """What the model knows of one number."""

    def __init__(self, number: int, lane: int, key: str | None) -> None:
        self.number, self.lane, self.key = number, lane, key
        self.state = WAITING
        self.is_held = False
        self.is_in_flight = False
        self.due = 0.0
        self.attempts = 0
        self.attempted_at = float("-inf")
        self.refusals = 0
        self.mark: int | None = None
        self.kind: str | None = None


class Model(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.cursor = Cursor(lanes=2, max_refusals=MAX_REFUSALS)
        self.now = 1_000_000.0
        self.latest = float("inf")
        self.all: dict[int, Kept] = {}

    def of(self, state: str) -> list[Kept]:
        return [one for one in self.all.values() if one.state == state]

    def same_key(self, one: Kept) -> list[Kept]:
        return [other for other in self.of(WAITING) if one.key is not None and other.key == one.key]

    def leave(self, one: Kept, state: str) -> None:
        was_held, one.state, one.is_in_flight, one.is_held = one.is_held, state, False, False
        if not was_held and (rest := self.same_key(one)):
            min(rest, key=lambda other: other.number).is_held = False

    @rule(lane=st.integers(0, 1), key=st.sampled_from([None, "a", "b"]))
    def add(self, lane: int, key: str | None) -> None:
        one = Kept(len(self.all) + 1, lane, key)
        one.is_held = bool(self.same_key(one))
        self.all[one.number] = one
        self.cursor.add(one.number, lane, key)

    @rule(count=st.integers(1, 3), lane=st.integers(0, 1))
    def skip(self, count: int, lane: int) -> None:
        first = len(self.all) + 1
        for number in range(first, first + count):
            self.all[number] = Kept(number, lane, None)
            self.all[number].state = SKIPPED
        self.add(lane, None)
        self.cursor.skip(first, first + count - 1)

    @rule(limit=st.integers(1, 4))
    def claim(self, limit: int) -> None:
        if self.now < self.latest:
            for one in self.of(WAITING):
                if one.attempted_at > self.now:
                    one.due = 0.0
        self.latest = self.now
        ready = [
            one for one in self.of(WAITING) if not (one.is_held or one.is_in_flight) and one.due <= self.now
        ]
        ready.sort(key=lambda one: (one.lane, one.refusals >= MAX_REFUSALS, one.number))
        assert self.cursor.claim(limit, self.now) == [one.number for one in ready[:limit]]
        for one in ready[:limit]:
            self.cursor.count_attempt(one.number, self.now)
            one.is_in_flight = True
            one.attempts += 1
            one.attempted_at = self.now
        dues = [
            one.due
            for one in self.of(WAITING)
            if not (one.is_held or one.is_in_flight) and one.due > self.now
        ]
        expected = 0.0 if len(ready) > limit else min(dues, default=None)
        assert self.cursor.next_due() == expected

    @rule()
    def probe(self) -> None:
        free = [one for one in self.of(WAITING) if not (one.is_held or one.is_in_flight)]
        found = self.cursor.probe()
        if not free:
            assert found is None
            return
        one = min(free, key=lambda one: (one.attempted_at, one.lane, one.number))
        assert found == one.number
        self.cursor.count_attempt(one.number, self.now)
        one.is_in_flight = True
        one.attempts += 1
        one.attempted_at = self.now

    def flying(self, data: st.DataObject) -> Kept:
        return self.all[data.draw(st.sampled_from(sorted(self.cursor.in_flight)))]

    @precondition(lambda self: self.cursor.in_flight)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        one = self.flying(data)
        self.cursor.done_with(one.number)
        self.leave(one, DONE)

    @precondition(lambda self: self.cursor.in_flight)
    @rule(data=st.data(), wait=st.sampled_from([-1, 5, 60]), kind=st.sampled_from([None, "x", "y"]))
    def retry(self, data: st.DataObject, wait: int, kind: str | None) -> None:
        one = self.flying(data)
        self.cursor.retry(one.number, self.now + wait, reason="r", kind=kind, mark=len(self.all))
        one.is_in_flight, one.due = False, self.now + wait
        if kind is not None:
            one.refusals += 1
            one.kind = kind
            one.mark = len(self.all) if one.mark is None else one.mark

    @precondition(lambda self: self.cursor.in_flight)
    @rule(data=st.data())
    def bury(self, data: st.DataObject) -> None:
        one = self.flying(data)
        self.cursor.bury(one.number, reason="no", at=self.now)
        self.leave(one, DEAD)
        one.refusals += 1

    @precondition(lambda self: self.cursor.dead)
    @rule(data=st.data())
    def take_up(self, data: st.DataObject) -> None:
        one = self.all[data.draw(st.sampled_from(sorted(self.cursor.dead)))]
        one.is_held = bool(self.same_key(one))
        self.cursor.take_up(one.number, one.lane, one.key)
        one.state, one.due, one.refusals, one.mark, one.kind = WAITING, 0.0, 0, None, None

    @precondition(lambda self: self.cursor.waiting or self.cursor.dead)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        one = self.all[data.draw(st.sampled_from(sorted([*self.cursor.waiting, *self.cursor.dead])))]
        self.cursor.drop(one.number)
        self.leave(one, DROPPED)

    @precondition(lambda self: self.cursor.dead or self.cursor.waiting)
    @rule(data=st.data())
    def drop_and_restore(self, data: st.DataObject) -> None:
        """Without a key, nothing has changed; with one, the order within it holds."""
        free = [one for one in self.of(WAITING) + self.of(DEAD) if one.key is None or one.state == DEAD]
        if free:
            one = data.draw(st.sampled_from(free))
            is_dead, flies = one.state == DEAD, one.is_in_flight
            tried = self.cursor.drop(one.number)
            self.cursor.restore(one.number, tried, None if is_dead else one.lane, one.key, in_flight=flies)

    @rule()
    def release(self) -> None:
        self.cursor.release()
        for one in self.all.values():
            one.is_in_flight = False

    @rule()
    def hasten(self) -> None:
        self.cursor.hasten()
        for one in self.of(WAITING):
            one.due = 0.0

    @rule()
    def forget_refusals(self) -> None:
        self.cursor.forget_refusals()
        for one in self.of(WAITING):
            one.refusals, one.mark, one.kind = 0, None, None

    @rule(seconds=st.sampled_from([1, 5, 60, -30, -3600]))
    def clock(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def begin_again(self) -> None:
        """What is kept, and the numbers that are not settled, make the same cursor."""
        kept = self.cursor.dump()
        self.cursor = Cursor(lanes=2, max_refusals=MAX_REFUSALS)
        self.cursor.load(kept)
        self.latest = float("inf")
        waiting: list[Kept] = []
        for one in self.all.values():
            one.is_in_flight = False
            if one.state == WAITING:
                one.is_held = any(other.key == one.key for other in waiting) and one.key is not None
                waiting.append(one)
                self.cursor.add(one.number, one.lane, one.key)

    @invariant()
    def both_know_the_same(self) -> None:
        cursor = self.cursor
        assert cursor.last == len(self.all)
        assert (cursor.done, cursor.dropped) == (len(self.of(DONE)), len(self.of(DROPPED)))
        assert cursor.taken == len(self.all) - len(self.of(SKIPPED))
        assert set(cursor.dead) == {one.number for one in self.of(DEAD)}
        assert cursor.waiting == {one.number: one.lane for one in self.of(WAITING)}
        assert cursor.in_flight == {one.number for one in self.all.values() if one.is_in_flight}
        for one in self.of(WAITING):
            tried = cursor.tried.get(one.number)
            assert (tried.attempts if tried else 0) == one.attempts
            assert (
                (tried.refusals, tried.mark, tried.kind) == (one.refusals, one.mark, one.kind)
                if tried
                else True
            )
        kinds = [one.kind for one in self.of(WAITING) if one.kind is not None]
        assert cursor.kinds == {kind: kinds.count(kind) for kind in set(kinds)}
        for lane in (0, 1):
            numbers = [one.number for one in self.of(WAITING) if one.lane == lane]
            assert cursor.count(lane) == len(numbers)
            assert cursor.oldest(lane) == min(
                numbers, key=lambda number: (number in cursor.in_flight, number), default=None
            )
        assert cursor.first_waiting() == min(cursor.waiting, default=None)
        settled = {one.number for one in self.of(DONE) + self.of(DROPPED) + self.of(SKIPPED)}
        assert {n for first, last in cursor.settled for n in range(first, last + 1)} == settled
        unsettled = {n for first, last in cursor.settled.gaps(cursor.last) for n in range(first, last + 1)}
        assert unsettled == self.all.keys() - settled
        front = next(n for n in range(1, len(self.all) + 2) if n not in settled)
        assert cursor.settled.front == front - 1


def run(**how: Any) -> None:
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        Model, settings=settings(deadline=None, suppress_health_check=checks, database=None, **how)
    )


def test_the_cursor_and_the_model_tell_the_same_story() -> None:
    run(max_examples=60, stateful_step_count=40, derandomize=True)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_the_cursor_and_the_model_tell_the_same_story_for_long() -> None:
    run(max_examples=3_000, stateful_step_count=80)


def test_heaps_do_not_grow_with_what_was_settled() -> None:
    cursor = Cursor()
    for number in range(1, 20_000):
        cursor.add(number, 1)
        (claimed,) = cursor.claim(1, 1.0)
        cursor.done_with(claimed)
    assert list(cursor.settled) == [(1, 19_999)]
    assert sum(map(len, cursor._queue._oldest + cursor._queue._ready)) < 5_000


def test_spans_join_and_part() -> None:
    spans = Spans([(1, 3), (7, 9)])
    spans.add(5)
    assert list(spans) == [(1, 3), (5, 5), (7, 9)]
    spans.add(4, 6)
    assert list(spans) == [(1, 9)]
    spans.remove(5)
    assert (list(spans), spans.front, len(spans)) == ([(1, 4), (6, 9)], 4, 2)
    assert (spans.covers(6, 9), spans.covers(4, 6), 5 in spans, 4 in spans) == (True, False, False, True)
    assert list(spans.gaps(11)) == [(5, 5), (10, 11)]
