"""Steps of alarms in a store, against the rules applied to all of them at once."""

import itertools
import random
import sqlite3
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from tests.store.events import NOON, RECEIVED_MS, alarm, arrival

from gatepost.store.base import BaseStore
from gatepost.store.conversion.occurrences import Step, tie
from gatepost.store.conversion.rows import listed_at
from gatepost.store.conversion.values import indexable, ms
from gatepost.store.interface import AlarmQuery, AlarmRow, Arrival
from gatepost.store.postgres import connection
from gatepost.store.postgres import store as postgres
from gatepost.store.sqlite.store import SqliteStore
from gatepost.store.write import joining

DOOR, FIRE = 10003, 20003
STATES = {0: "open", 1: "open", 2: "clear_failed", 3: "cleared"}


@pytest.fixture
def store(open_store: Callable[[], BaseStore]) -> BaseStore:
    store = open_store()
    store.create_terminal(now_ms=0, serial="SN-1")
    return store


def reported(
    number: int,
    status: int | None,
    at: int | None,
    *,
    trace: str = "1",
    code: int | None = None,
    received: int = 0,
) -> Arrival:
    """Step ``number``, which happened ``at`` minutes after noon and was received ``received`` minutes after it."""
    time = None if at is None else NOON + timedelta(minutes=at)
    event = alarm(trace, status, code=code, event_time=time, description=str(number))
    key = number.to_bytes(8, "big") + trace.encode()[:8].ljust(8, b"\0")
    return arrival(event, key=key, received_at_ms=RECEIVED_MS + received * 60_000)


def listed(store: BaseStore, trace: str = "1") -> list[Any]:
    """Occurrences, oldest first: code, state, when it began and ended, and its steps."""
    rows = [row for row in _all(store) if row.trace_id == trace]
    return sorted((_plain(row) for row in rows), key=str)


def _all(store: BaseStore) -> Sequence[AlarmRow]:
    return store.alarms(AlarmQuery(limit=1000)).items


def _plain(row: AlarmRow) -> Any:
    steps = sorted(int(step.description or "") for step in row.history)
    return row.code, row.state, ms(row.first_at), ms(row.last_at), steps


def expected(steps: Sequence[Arrival], store: BaseStore, trace: str) -> list[Any]:
    """What the rules say, in the plainest way. Only the ids are those of the store."""
    of_trace = [row for row in _all(store) if row.trace_id == trace]
    ids = {int(step.description or ""): step.id for row in of_trace for step in row.history}
    all_of_them = {}
    for each in steps:
        event: Any = each.event
        time = ms(event.event_time)
        at = listed_at(time, each.received_at_ms)
        number = int(event.description)
        all_of_them[number] = Step(
            number, 1, indexable(event.trace_id), event.status, event.code, time, at, each.received_at_ms
        )
    opened: dict[tuple[int, int], list[Step]] = {}
    for step in all_of_them.values():
        if step.status == 1:
            opened.setdefault((step.at_ms, tie(step)), []).append(step)
    openers = {place: steps[0] for place, steps in opened.items()}

    def receipt(step: Step) -> tuple[int, int]:
        return step.received_at_ms, ids[step.id]

    known = {place: min(map(receipt, steps)) for place, steps in opened.items()}
    unopened: list[Step] = []
    for step in all_of_them.values():
        if step.status == 1:
            continue
        before = [
            place
            for place in openers
            if place[0] <= step.at_ms and (step.is_timed or known[place] < receipt(step))
        ]
        same = [place for place in before if step.code is not None and openers[place].code == step.code]
        (opened[max(same or before)] if before else unopened).append(step)
    found = []
    following: dict[int | None, tuple[int, bool]] = {}
    for place in sorted(openers, reverse=True):
        opener = openers[place]
        status = max(
            each.status
            for each in opened[place]
            if each.status in (1, 2, 3)
            and (opener.is_timed or each.status == 1 or receipt(each) > known[place])
        )
        later = following.get(opener.code)
        if later is not None and later[0] == 3 and (opener.is_timed or not later[1]):
            status = 3
        following[opener.code] = (status, opener.is_timed)
        found.append((opener.code, status, opened[place]))
    if unopened:
        status = max((each.status for each in unopened if each.status in (2, 3)), default=0)
        if following.get(None, (0, True))[0] == 3:
            status = 3
        found.append((None, status, unopened))
    result = []
    for code, status, of_it in found:
        named = [each.code for each in of_it if each.code is not None]
        shown = code if code is not None else min(named, default=None)
        times = [each.at_ms for each in of_it]
        result.append((shown, STATES[status], min(times), max(times), sorted(each.id for each in of_it)))
    return sorted(result, key=str)


def written(store: BaseStore, steps: Sequence[Arrival], rand: random.Random) -> None:
    """Write steps in some order, in batches of any size, some of them twice."""
    shuffled = [*steps, *rand.sample(list(steps), len(steps) // 3)]
    rand.shuffle(shuffled)
    while shuffled:
        size = rand.choice((1, 1, 2, 5, 20))
        store.write(shuffled[:size])
        del shuffled[:size]


def any_steps(rand: random.Random, trace: str) -> list[Arrival]:
    span = rand.choice((3, 6, 30))
    codes = rand.choice(([None], [DOOR], [None, DOOR, FIRE], [None, DOOR, FIRE, 0]))
    times: list[Any] = list(range(span))
    times += rand.choice(([], [None], [None] * span, [45_000_000]))  # the last is in 2109
    statuses = rand.choice(([1, 3], [1, 2, 3], [1, 2, 3, 9, None], [1, 1, 1, 3]))
    untimed = rand.choice(([], [2, 3], [1, 2, 3]))
    steps = []
    for number in range(rand.choice((2, 4, 9, 24))):
        status = rand.choice(statuses)
        at = rand.choice((None, 45_000_000)) if status in untimed else rand.choice(times)
        code, received = rand.choice(codes), rand.randrange(span)
        steps.append(reported(number, status, at, trace=trace, code=code, received=received))
    return steps


@pytest.mark.parametrize("seed", range(4))
def test_whatever_the_order_and_the_batches_the_occurrences_are_those_of_the_rules(
    store: BaseStore, seed: int
) -> None:
    rand = random.Random(seed)
    for number in range(40):
        steps = any_steps(rand, trace := f"t{number}")
        written(store, steps, rand)
        assert listed(store, trace) == expected(steps, store, trace), (seed, number)


def test_a_fire_alarm_under_a_used_trace_is_an_alarm_of_its_own(store: BaseStore) -> None:
    store.write([reported(1, 1, 0, code=DOOR)])
    store.write([reported(2, 1, 60, code=FIRE, received=60)])
    assert [row.code for row in store.alarms(AlarmQuery(state="open")).items] == [FIRE, DOOR]


def test_a_clear_that_names_the_door_does_not_clear_the_fire(store: BaseStore) -> None:
    store.write([reported(1, 1, 0, code=DOOR), reported(2, 1, 1, code=FIRE), reported(3, 3, 2, code=DOOR)])
    assert {row.code: row.state for row in store.alarms(AlarmQuery()).items} == {
        DOOR: "cleared",
        FIRE: "open",
    }


def test_a_clear_without_a_code_clears_the_latest_and_leaves_an_older_one_of_another_code(
    store: BaseStore,
) -> None:
    store.write([reported(1, 1, 0, code=FIRE), reported(2, 1, 1, code=DOOR), reported(3, 3, 2)])
    assert {row.code: row.state for row in store.alarms(AlarmQuery()).items} == {
        DOOR: "cleared",
        FIRE: "open",
    }


def test_a_cleared_alarm_that_is_raised_later_is_open_again_and_nobody_has_looked_at_it(
    store: BaseStore,
) -> None:
    store.write([reported(1, 1, 0, code=DOOR), reported(2, 3, 1)])
    (cleared,) = store.alarms(AlarmQuery()).items
    store.acknowledge_alarm(cleared.id, by="ada", note="shut", now_ms=RECEIVED_MS)
    store.write([reported(3, 1, 2, code=DOOR)])
    again, before = store.alarms(AlarmQuery()).items
    assert (again.state, again.acknowledged_at) == ("open", None)
    assert (before.id, before.state, before.acknowledged_by) == (cleared.id, "cleared", "ada")


def test_a_status_1_that_is_older_than_a_known_clear_is_listed_and_cleared(store: BaseStore) -> None:
    store.write([reported(1, 1, 5, code=DOOR), reported(2, 3, 9)])
    store.write([reported(3, 1, 2, code=DOOR)])
    assert [row.state for row in store.alarms(AlarmQuery()).items] == ["cleared", "cleared"]


@pytest.mark.parametrize("at", [None, 45_000_000])
def test_a_status_1_without_a_usable_time_opens_whatever_was_cleared_before(
    store: BaseStore, at: int | None
) -> None:
    # The terminal's clock was ahead, so its clear is later than what was received after it.
    store.write([reported(1, 1, 5, code=FIRE), reported(2, 3, 9)])
    store.write([reported(3, 1, at, code=FIRE, received=1)])
    (opened,) = store.alarms(AlarmQuery(state="open")).items
    assert [step.description for step in opened.history if step.status == 1] == ["3"]


@pytest.mark.parametrize(("opened", "cleared"), [(None, 3), (3, None), (None, None), (45_000_000, 3)])
def test_an_alarm_is_cleared_though_one_of_its_steps_has_no_usable_time(
    store: BaseStore, opened: int | None, cleared: int | None
) -> None:
    store.write([reported(1, 1, opened, code=FIRE, received=3)])
    store.write([reported(2, 3, cleared, received=4)])
    (row,) = store.alarms(AlarmQuery()).items
    assert (row.state, len(row.history)) == ("cleared", 2)


@pytest.mark.parametrize("in_one_batch", [True, False])
def test_what_has_no_usable_time_does_not_join_a_fire_that_is_reported_after_it(
    store: BaseStore, in_one_batch: bool
) -> None:
    cases = itertools.product((None, 45_000_000), (2, 3), (None, DOOR, FIRE, 7), (0, 5, 10, 11))
    for number, (at, status, code, fire_at) in enumerate(cases):
        steps = [
            reported(1, 1, 0, code=DOOR, trace=(trace := f"t{number}"), received=10),
            reported(2, status, at, code=code, trace=trace, received=11),
            reported(3, 1, fire_at, code=FIRE, trace=trace, received=12),
        ]
        for batch in [steps] if in_one_batch else [[each] for each in steps]:
            store.write(batch)
        found = {(shown, state, *steps) for shown, state, _, _, steps in listed(store, trace)}
        assert found == {(FIRE, "open", 3), (DOOR, STATES[status], 1, 2)}, (at, status, code, fire_at)


@pytest.mark.parametrize("code", [None, FIRE])
def test_a_clear_without_a_usable_time_stays_alone_when_the_fire_is_reported_after_it(
    store: BaseStore, code: int | None
) -> None:
    store.write([reported(1, 3, None, code=code, received=11)])
    store.write([reported(2, 1, 10, code=FIRE, received=12)])
    assert sorted((row.state, len(row.history)) for row in _all(store)) == [("cleared", 1), ("open", 1)]


@pytest.mark.parametrize("first", ["clear", "fire"])
def test_of_what_was_received_at_the_same_moment_the_order_of_the_ids_decides(
    store: BaseStore, first: str
) -> None:
    door = reported(1, 1, 0, code=DOOR)
    clear, fire = reported(2, 3, None, received=5), reported(3, 1, 4, code=FIRE, received=5)
    store.write([door, clear, fire] if first == "clear" else [door, fire, clear])
    states = {row.code: row.state for row in _all(store)}
    cleared, left = (DOOR, FIRE) if first == "clear" else (FIRE, DOOR)
    assert states == {cleared: "cleared", left: "open"}


@pytest.mark.parametrize("code", [10001, 10002, DOOR, 10004, 20002, 20004, 0, 1 << 40, None])
def test_a_clear_without_a_code_clears_no_fire_if_something_else_happened_at_the_same_moment(
    store: BaseStore, code: int | None
) -> None:
    # A hash in place of an order would have it right for half of these times.
    for number, (at, later) in enumerate(itertools.product(range(0, 60, 10), (0, 1, None))):
        clear = None if later is None else at + later
        steps = [
            reported(1, 1, at, code=FIRE, trace=(trace := f"t{number}")),
            reported(2, 1, at, code=code, trace=trace),
            reported(3, 3, clear, trace=trace, received=at + 1),
        ]
        store.write(steps)
    assert {(row.code, row.state) for row in _all(store)} == {(FIRE, "open"), (code, "cleared")}


def test_a_repeated_status_1_that_was_received_earlier_takes_the_clear_that_was_received_between(
    store: BaseStore,
) -> None:
    store.write([reported(1, 1, 0, code=FIRE, received=9), reported(2, 3, None, received=5)])
    assert sorted((row.state, len(row.history)) for row in _all(store)) == [("cleared", 1), ("open", 1)]
    store.write([reported(3, 1, 0, code=FIRE, received=4)])
    assert [(row.state, len(row.history)) for row in _all(store)] == [("cleared", 3)]


def test_an_alarm_whose_clear_turns_out_to_be_another_ones_has_to_be_looked_at_again(
    store: BaseStore,
) -> None:
    store.write([reported(1, 1, 0, code=FIRE), reported(2, 3, 9)])
    (cleared,) = store.alarms(AlarmQuery()).items
    store.acknowledge_alarm(cleared.id, by="ada", note="shut", now_ms=RECEIVED_MS)
    store.write([reported(3, 1, 5, code=DOOR)])
    found = {row.code: row for row in store.alarms(AlarmQuery()).items}
    assert (found[FIRE].state, found[FIRE].acknowledged_by) == ("open", None)
    assert found[DOOR].state == "cleared"


def test_a_clear_that_comes_first_is_an_alarm_which_the_status_1_joins(store: BaseStore) -> None:
    (clear,) = store.write([reported(1, 3, 5)])
    (alone,) = store.alarms(AlarmQuery()).items
    assert (alone.id, alone.state, alone.code) == (clear.id, "cleared", None)
    store.acknowledge_alarm(alone.id, by="ada", note="", now_ms=RECEIVED_MS)
    store.write([reported(2, 1, 4, code=DOOR)])
    (joined,) = store.alarms(AlarmQuery()).items
    assert (joined.id, joined.state, joined.code) == (clear.id, "cleared", DOOR)
    assert joined.acknowledged_by == "ada"


def test_the_feed_names_the_occurrence_of_each_step(store: BaseStore) -> None:
    store.write([reported(1, 1, 0, code=DOOR), reported(2, 1, 1, code=FIRE), reported(3, 3, 2)])
    found = {row.code: row.id for row in store.alarms(AlarmQuery()).items}
    assert [item.event_id for item in store.read_feed(0).items] == [found[DOOR], found[FIRE], found[FIRE]]


def test_a_user_id_that_is_text_is_kept(store: BaseStore) -> None:
    event = alarm("t", 1, user_id="u-7Ä")
    store.write([arrival(event), arrival(alarm("t", 2, user_id=10**17))])
    (row,) = store.alarms(AlarmQuery()).items
    assert [step.user_id for step in row.history] == ["u-7Ä", str(10**17)]


def test_a_step_looks_at_its_neighbours_only_however_often_its_trace_was_used(
    open_sqlite: Callable[[], BaseStore],
) -> None:
    store = open_sqlite()
    assert isinstance(store, SqliteStore)
    store.create_terminal(now_ms=0, serial="SN-1")
    for start in range(0, 20_000, 2000):
        store.write(
            [
                reported(n, 3 if n % 2 else 1, n, code=None if n % 2 else DOOR)
                for n in range(start, start + 2000)
            ]
        )
    work = Work(store)
    for number, (status, at) in enumerate([(1, 20_001), (3, 20_002), (1, -1), (3, 10_001), (1, 5_001)]):
        with work:
            store.write([reported(30_000 + number, status, at, code=FIRE if status == 1 else None)])
        assert work.steps < 3_000, (status, at, work.steps)


class Work:
    """How many instructions SQLite's virtual machine runs for what is written meanwhile, in hundreds."""

    def __init__(self, store: SqliteStore) -> None:
        self._db: sqlite3.Connection = store._db
        self.steps = 0

    def _count(self) -> int:
        self.steps += 1
        return 0

    def __enter__(self) -> None:
        self.steps = 0
        self._db.set_progress_handler(self._count, 1)

    def __exit__(self, *_: object) -> None:
        self._db.set_progress_handler(None, 0)


def test_several_processes_at_once_find_the_same_occurrences(open_postgres: Callable[[], BaseStore]) -> None:
    stores = [open_postgres() for _ in range(3)]
    stores[0].create_terminal(now_ms=0, serial="SN-1")
    rand = random.Random(5)
    failed: list[BaseException] = []
    for number in range(6):
        steps = any_steps(rand, trace := f"t{number}")

        def write(mine: BaseStore, seed: int, steps: list[Arrival] = steps) -> None:
            try:
                written(mine, steps, random.Random(seed))
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=write, args=(each, n)) for n, each in enumerate(stores)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed
        assert listed(stores[0], trace) == expected(steps, stores[0], trace), number


def test_processes_take_the_locks_of_their_traces_in_one_order() -> None:
    steps = [Step(n, n % 3, f"t{n}", 1, None, None, 0, 0) for n in range(200)]
    statement, (buckets,) = joining.lock(reversed(steps))
    assert "pg_advisory_xact_lock" in statement
    assert all(name not in statement for name in (f"({connection._WRITER},", f"({postgres._MIGRATING},"))
    assert buckets == sorted(set(buckets))
    assert len(buckets) <= 64
