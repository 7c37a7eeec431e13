"""The promises of a store, on any history: against a dictionary, and against another order of the same events.

Each example takes terminals of its own in a store that all examples share, so that an example costs no database.
"""

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from tests.store.events import JPEG, NOON, RECEIVED_MS, alarm, arrival, record, unknown
from tests.terminals import ensured

from gatepost import wire
from gatepost.store.base import BaseStore
from gatepost.store.interface import AlarmQuery, Arrival, QuarantineQuery, RecordQuery

_serials = itertools.count(1)
QUICK = settings(
    max_examples=15,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def event(number: int) -> tuple[wire.Event, bytes | None]:
    """The ``number``-th of a fixed world of events: records with and without uuid or image, alarms, oddities."""
    kind = number % 6
    if kind == 0:
        return alarm(f"trace-{number // 12}", 1 + number // 6 % 3, code=10001 + number % 3), None
    if kind == 1:
        return unknown(number), None
    image = JPEG + number.to_bytes(2) if kind in (2, 4) else None
    uuid = None if kind in (4, 5) else f"uuid-{number:06d}"
    return record(number, uuid=uuid, recognition_type=kind, passed=number % 4 == 0, image=image), image


NUMBERS = st.integers(0, 90)
BATCHES = st.lists(st.lists(NUMBERS, min_size=1, max_size=30), max_size=8)


def arrivals(numbers: list[int], terminal_id: int) -> list[Arrival]:
    found = []
    for number in numbers:
        what, image = event(number)
        at = RECEIVED_MS + number  # the same event arrives at the same time, whatever the batch
        found.append(arrival(what, terminal_id, image=image, received_at_ms=at))
    return found


def content(store: BaseStore, terminal_id: int, *, limit: int = 17, images: bool = True) -> Any:
    """Everything that is listed of a terminal, without ids, which tell when something was written."""
    records = {}
    cursor = None
    while True:
        page = store.records(RecordQuery(terminal=terminal_id, limit=limit, cursor=cursor))
        for row in page.items:
            assert row.original not in records
            records[row.original] = (
                row.uuid, row.at, row.passed, row.recognition_type, row.score, store.image(row.id) if images else None,
                row.person and (row.person.user_id, row.person.name),
            )  # fmt: skip
        cursor = page.next_cursor
        if cursor is None:
            break
    alarms = {
        row.trace_id: (
            row.state,
            row.code,
            row.first_at,
            row.last_at,
            [(s.status, s.at) for s in row.history],
        )
        for row in store.alarms(AlarmQuery(terminal=terminal_id, limit=1000)).items
    }
    odd = {
        row.original
        for row in store.quarantined(QuarantineQuery(limit=10_000)).items
        if row.terminal_id == terminal_id
    }
    return records, alarms, odd


@pytest.fixture
def store(open_store: Callable[[], BaseStore]) -> BaseStore:
    return open_store()


def new_terminal(store: BaseStore) -> int:
    return ensured(store, f"SN-{next(_serials)}", now_ms=0).id


def test_any_order_any_batching_and_any_duplicates_give_the_same_content(store: BaseStore) -> None:
    @QUICK
    @given(BATCHES, st.randoms(use_true_random=False), st.integers(1, 40))
    def check(batches: list[list[int]], rand: Any, size: int) -> None:
        one, two = new_terminal(store), new_terminal(store)
        for batch in batches:
            store.write(arrivals(batch, one))
        again = [number for batch in batches for number in batch]
        again += rand.choices(again, k=10) if again else []
        rand.shuffle(again)
        for start in range(0, len(again), size):
            store.write(arrivals(again[start : start + size], two))
        assert content(store, one) == content(store, two)

    check()


class AgainstADictionary(RuleBasedStateMachine):
    """Random histories: batches with duplicates, batches that fail, opening anew; beside them a dictionary."""

    open_store: Callable[[], BaseStore]
    store: BaseStore

    @initialize()
    def begin(self) -> None:
        self.terminal = new_terminal(self.store)
        self.stored: dict[bytes, int] = {}
        self.duplicates = 0

    @rule(numbers=st.lists(NUMBERS, min_size=1, max_size=30))
    def write(self, numbers: list[int]) -> None:
        batch = arrivals(numbers, self.terminal)
        for one, result in zip(batch, self.store.write(batch), strict=True):
            assert result.new == (one.key not in self.stored)
            assert self.stored.setdefault(one.key, result.id) == result.id
            self.duplicates += not result.new

    @rule(numbers=st.lists(NUMBERS, max_size=10))
    def write_what_fails(self, numbers: list[int]) -> None:
        batch = arrivals(numbers, self.terminal)
        with pytest.raises(LookupError):
            self.store.write([*batch, arrival(record(1), terminal_id=10**9)])

    @rule()
    def open_anew(self) -> None:
        self.store.close()
        type(self).store = self.open_store()

    @invariant()
    def lists_what_the_dictionary_has(self) -> None:
        if not hasattr(self, "terminal"):
            return
        every = {a.key: a for a in arrivals(list(range(91)), self.terminal)}
        wanted = {key: every[key] for key in self.stored}
        records, alarms, odd = content(self.store, self.terminal, limit=1000, images=False)
        assert records.keys() == {a.original for a in wanted.values() if isinstance(a.event, wire.Record)}
        assert odd == {a.original for a in wanted.values() if isinstance(a.event, wire.Unknown)}
        steps = [a.event for a in wanted.values() if isinstance(a.event, wire.Alarm)]
        assert alarms.keys() == {step.trace_id for step in steps}
        for trace, (state, code, _, _, history) in alarms.items():
            mine = sorted(step.status or 0 for step in steps if step.trace_id == trace)
            assert [status for status, _ in history] == mine
            assert state == {1: "open", 2: "clear_failed", 3: "cleared"}[max(mine)]
            assert code == min(step.code or 0 for step in steps if step.trace_id == trace)
        row = self.store.terminal(self.terminal)
        assert row is not None
        assert row.records + row.alarms + row.quarantined == len(self.stored)
        assert row.duplicates == self.duplicates

    def teardown(self) -> None:
        if hasattr(self, "terminal"):
            for one in arrivals(list(range(91)), self.terminal):
                if one.key in self.stored and isinstance(one.event, wire.Record):
                    assert self.store.image(self.stored[one.key]) == one.event.image


def test_any_history_agrees_with_a_dictionary(open_store: Callable[[], BaseStore]) -> None:
    class Machine(AgainstADictionary):
        pass

    Machine.open_store = staticmethod(open_store)
    Machine.store = open_store()
    run_state_machine_as_test(Machine, settings=QUICK)


def test_an_id_is_never_given_twice(open_store: Callable[[], BaseStore]) -> None:
    seen: set[int] = set()
    store = open_store()
    terminal = new_terminal(store)
    for round_ in range(4):
        stored = store.write([arrival(unknown(round_ * 10 + n), terminal) for n in range(5)])
        assert seen.isdisjoint(s.id for s in stored)
        seen |= {s.id for s in stored}
        store.discard_quarantined([s.id for s in stored])
        if round_ % 2:
            store.close()
            store = open_store()
    assert len(seen) == 20


def test_one_day_after_another_keeps_its_images(store: BaseStore) -> None:
    terminal = new_terminal(store)
    stored = {}
    for day in (0, 1, 0, 2, 1):
        number = len(stored)
        image = JPEG + bytes([number])
        at = RECEIVED_MS + day * 86_400_000
        what = record(number, recorded_at=NOON + timedelta(days=day))
        (result,) = store.write([arrival(what, terminal, image=image, received_at_ms=at)])
        stored[result.id] = image
    assert {number: store.image(number) for number in stored} == stored
