"""How far a destination is, against a dictionary: whatever happens when, nothing is lost or counted twice."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from msgspec import Struct
from msgspec.structs import replace

from gatepost.forward.progress.progress import DELETED, Item, Progress, Track
from gatepost.store.forwarding.destinations import AsideRow, ExceptionRow, Loaded, PlaceRow, Step
from gatepost.store.interface import FEED_KINDS, FeedItem, FeedKind, ToForward

TERMINALS = (1, 2)
PAGE, AHEAD = 5, 9


class Event(Struct):
    """An event of the feed, and what became of it."""

    id: int
    kind: FeedKind
    terminal_id: int
    is_chosen: bool
    is_deleted: bool = False
    deliveries: int = 0
    is_excused: bool = False
    """It was a dead letter, or was dropped: later events need not wait for it."""


class Stored:
    """What a database has of a destination: :meth:`commit` reckons as ``Destinations.commit`` does."""

    def __init__(self) -> None:
        self.changes = 0
        self.places = {
            kind: PlaceRow(kind=kind, begin=0, place=0, tried=0, accepted=0) for kind in FEED_KINDS
        }
        self.exceptions: dict[int, ExceptionRow] = {}
        self.asides: dict[tuple[FeedKind, int], AsideRow] = {}
        self.seen = self.filtered = self.delivered = 0
        self.dropped: dict[str, int] = {}

    def loaded(self) -> Loaded:
        rows = sorted(self.exceptions.values(), key=lambda row: row.event_id)
        return Loaded(
            changes=self.changes,
            steps=0,
            is_away=False,
            places=tuple(self.places.values()),
            exceptions=tuple(rows),
            asides=tuple(self.asides.values()),
        )

    def commit(self, step: Step) -> None:
        for kind, (place, tried, accepted) in step.places.items():
            row = self.places[kind]
            self.places[kind] = replace(row, place=place, tried=tried, accepted=row.accepted + accepted)
        self.seen += step.seen
        self.filtered += step.filtered
        self.delivered += step.delivered
        for why, events in step.dropped.items():
            assert events > 0
            self.dropped[why] = self.dropped.get(why, 0) + events
        for event_id in step.gone | step.put.keys():
            self.exceptions.pop(event_id, None)
        self.exceptions |= step.put
        for key, aside in step.asides.items():
            if aside is None:
                self.asides.pop(key, None)
            else:
                self.asides[key] = aside

    def check(self, events: list[Event]) -> None:
        dead = sum(row.is_dead for row in self.exceptions.values())
        aside = [row.events for row in self.asides.values()]
        assert min(aside, default=0) >= 0
        waiting = len(self.exceptions) - dead + sum(aside)
        assert self.seen == self.filtered + self.delivered + waiting + dead + sum(self.dropped.values())
        # A place has counted every event up to it, those that were deleted before it came there too.
        assert self.seen == sum(one.id <= self.places[one.kind].place for one in events)
        assert len(self.asides) <= len(TERMINALS) * len(FEED_KINDS)


class Model(RuleBasedStateMachine):
    """A feed, a destination and the process that sends to it."""

    keep_order = False

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Event] = []
        self.held: set[int] = set()
        self.stored = Stored()
        self.now = 1_000_000.0
        self.expired_before = 0
        self.begin()

    def begin(self) -> None:
        self.progress = Progress(self.stored.loaded(), keep_order=self.keep_order, max_refusals=3)
        self.changes = self.stored.changes
        self.uncommitted: Step | None = None
        self.flying: list[Item] = []
        self.settled: set[int] = set()

    # --- the feed ---------------------------------------------------------------------------------------------

    @rule(
        kind=st.sampled_from(["record", "record", "record", "alarm"]),
        told=st.lists(st.tuples(st.sampled_from(TERMINALS), st.integers(0, 2)), min_size=1, max_size=8),
    )
    def arrive(self, kind: FeedKind, told: list[tuple[int, int]]) -> None:
        for terminal_id, chosen in told:
            self.events.append(Event(len(self.events) + 1, kind, terminal_id, chosen > 0))

    @rule(terminal_id=st.sampled_from(TERMINALS))
    def hold_or_approve(self, terminal_id: int) -> None:
        self.held ^= {terminal_id}

    @precondition(lambda self: self.events)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        """Retention takes a stretch."""
        first = data.draw(st.integers(0, len(self.events) - 1))
        for one in self.events[first : first + data.draw(st.integers(1, 4))]:
            one.is_deleted = True

    def page(self, track: Track, limit: int) -> ToForward:
        end = len(self.events) if track.until is None else track.until
        mine = [
            one
            for one in self.events[track.place : end]
            if one.kind == track.kind and track.terminal_id in (None, one.terminal_id)
        ]
        there = [one for one in mine if not one.is_deleted][:limit]
        place = there[-1].id if len(there) == limit else end
        deleted: list[tuple[int, int]] = []
        if track.terminal_id is None:
            edges = [*(one.id - 1 for one in there), place]
            after = track.place
            for edge in edges:
                gone = sum(one.is_deleted and after < one.id <= edge for one in mine)
                if gone:
                    deleted.append((edge, gone))
                after = edge
        return ToForward(
            items=tuple(
                FeedItem(one.id, one.kind, _alarm(one), one.terminal_id, one.terminal_id in self.held)
                for one in there
            ),
            chosen={
                one.id: _row(one.id) for one in there if one.is_chosen and one.terminal_id not in self.held
            },
            place=place,
            deleted=tuple(deleted),
        )

    # --- the process ------------------------------------------------------------------------------------------

    @rule(changes_meanwhile=st.sampled_from([None, *TERMINALS]))
    def read(self, changes_meanwhile: int | None) -> None:
        """Read a page of each track; a terminal may be held or approved after the look at who is held."""
        held = frozenset(self.held)
        if changes_meanwhile is not None:
            self.held ^= {changes_meanwhile}
        for track in self.progress.wanted(len(self.events), held, limit=AHEAD):
            self.progress.read(track, self.page(track, PAGE))

    @rule(limit=st.integers(1, 5), probes=st.booleans())
    def claim(self, limit: int, probes: bool) -> None:
        found = self.progress.probe(self.now) if probes else self.progress.claim(limit, self.now)
        self.commit()
        for item in found:
            event = self.events[item.event_id - 1]
            assert event.is_chosen
            assert item.event_id not in self.settled
            if event.is_deleted:
                self.progress.dropped(item, DELETED)
                self.settled.add(item.event_id)
            else:
                self.flying.append(item)

    def landed(self, data: st.DataObject) -> tuple[Item, Event]:
        item = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        return item, self.events[item.event_id - 1]

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        self.take(*self.landed(data))

    def take(self, item: Item, event: Event) -> None:
        self.progress.delivered(item, 1)
        for event_id, number in self.progress._events.numbers.items():
            if number in self.progress.cursor.dead:  # what was passed is a dead letter now
                self.events[event_id - 1].is_excused = True
        if (self.keep_order or event.kind == "alarm") and not event.deliveries:
            mine = (one for one in self.events[: event.id] if one.terminal_id == event.terminal_id)
            mine = (one for one in mine if self.keep_order or _alarm(one) == _alarm(event))
            before = [one for one in mine if one.kind == event.kind and one.id < event.id and one.is_chosen]
            late = [one.id for one in before if not (one.deliveries or one.is_excused or one.is_deleted)]
            late = [each for each in late if each * 1000 >= self.expired_before]
            assert not late, f"{event.id} is delivered before {late}"
        event.deliveries += 1
        self.settled.add(event.id)

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), why=st.sampled_from(["refused", "unreachable"]))
    def fail(self, data: st.DataObject, why: Literal["unreachable", "refused"]) -> None:
        item, _ = self.landed(data)
        refusal = "HTTP 422" if why == "refused" else None
        self.progress.retry(item, self.now + 5, why, refusal=refusal)

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def bury(self, data: st.DataObject) -> None:
        item, event = self.landed(data)
        event.is_excused = True
        self.progress.bury(item, "HTTP 422", self.now)

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        item, _ = self.landed(data)
        self.progress.give_back([item])

    @rule(seconds=st.sampled_from([1, 10, -30, 100]))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @precondition(lambda self: self.events)
    @rule(data=st.data())
    def expire(self, data: st.DataObject) -> None:
        before = data.draw(st.integers(0, 2)) * 1000
        self.expired_before = max(self.expired_before, before)
        self.progress.expire(before, "old")

    @rule()
    def commit(self) -> None:
        while True:
            step = self.uncommitted or self.progress.take_step()
            if step.is_empty:
                break
            if self.changes != self.stored.changes:
                self.uncommitted = step
                self.take_over()
                continue
            self.stored.commit(step)
            self.uncommitted = None
        self.stored.check(self.events)

    @rule()
    def take_over(self) -> None:
        self.progress.note_changes(self.stored.loaded(), self.uncommitted)
        self.changes = self.stored.changes

    @rule()
    def commit_fails(self) -> None:
        """The database is away: the step is committed later, or lost with the process."""
        step = self.uncommitted or self.progress.take_step()
        self.uncommitted = None if step.is_empty else step

    @rule()
    def crash(self) -> None:
        self.begin()

    # --- people -----------------------------------------------------------------------------------------------

    @precondition(lambda self: any(row.is_dead for row in self.stored.exceptions.values()))
    @rule(data=st.data(), drops=st.booleans())
    def decide(self, data: st.DataObject, drops: bool) -> None:
        dead = sorted(event_id for event_id, row in self.stored.exceptions.items() if row.is_dead)
        self.person_decides(data.draw(st.sampled_from(dead)), drops=drops)

    def person_decides(self, event_id: int, *, drops: bool) -> None:
        row = self.stored.exceptions.pop(event_id)
        self.stored.changes += 1
        if drops:
            self.stored.dropped["by a person"] = self.stored.dropped.get("by a person", 0) + 1
        else:
            self.stored.exceptions[event_id] = replace(
                row, is_dead=False, refusals=0, mark=None, attempted_at_ms=None, due_ms=0, dead_at_ms=None
            )
        self.stored.check(self.events)

    # --- the end ----------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        self.held = set()
        for _ in range(3 * len(self.events) + 20):
            self.now += 1000
            for item in self.flying:
                self.take(item, self.events[item.event_id - 1])
            self.flying = []
            self.take_over()
            self.read(None)
            self.claim(100, False)
        self.commit()
        assert not self.progress.ahead
        assert not self.progress.exceptions
        assert not self.stored.asides
        dead = {event_id for event_id, row in self.stored.exceptions.items() if row.is_dead}
        assert dead == self.stored.exceptions.keys()
        for one in self.events:
            may_be_gone = one.is_deleted or one.is_excused or one.id * 1000 < self.expired_before
            if one.is_chosen:
                assert one.deliveries or one.id in dead or may_be_gone, f"{one.id} is gone"
            else:
                assert not one.deliveries
        assert all(
            row.place == len(self.events) or self.is_behind(row) for row in self.stored.places.values()
        )
        left_out = [one for one in self.events if not one.is_chosen]
        assert sum(not one.is_deleted for one in left_out) <= self.stored.filtered <= len(left_out)

    def is_behind(self, row: PlaceRow) -> bool:
        return not any(one.id > row.place and one.kind == row.kind for one in self.events)


def _alarm(one: Event) -> int:
    """Return of which alarm an event is a step: there are two of each terminal."""
    return one.terminal_id * 10 + one.id % 2


class OrderedModel(Model):
    keep_order = True


def _row(event_id: int) -> Any:
    at = datetime.fromtimestamp(event_id, UTC)
    return SimpleNamespace(step=SimpleNamespace(received_at=at, listed_at=at))


def _run(machine: type[Model], examples: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("machine", [Model, OrderedModel], ids=["any order", "order of terminals"])
def test_progress_agrees_with_a_dictionary(machine: type[Model]) -> None:
    _run(machine, 60)


@pytest.mark.soak
@pytest.mark.parametrize("machine", [Model, OrderedModel], ids=["any order", "order of terminals"])
def test_progress_agrees_with_a_dictionary_for_long(machine: type[Model]) -> None:
    _run(machine, 5_000)


def test_what_a_filter_leaves_out_behind_a_refused_event_is_counted_once() -> None:
    model = OrderedModel()
    model.arrive("record", [(1, 1), (1, 1), (1, 0)])
    model.read(None)
    model.claim(5, False)
    model.progress.retry(model.flying.pop(), model.now, "no", refusal="HTTP 422")
    model.commit()
    model.arrive("record", [(1, 1)])

    model.teardown()

    assert (model.stored.delivered, model.stored.filtered, model.stored.dropped) == (3, 1, {})


def test_what_was_deleted_before_an_item_is_counted_with_it() -> None:
    model = Model()
    model.arrive("record", [(1, 1)] * 4)
    model.events[0].is_deleted = model.events[1].is_deleted = True
    model.read(None)
    model.claim(1, False)
    model.take(model.flying.pop(), model.events[2])
    model.commit()

    assert model.stored.places["record"].place == 3
    assert model.stored.dropped == {DELETED: 2}


def _refused(model: Model, *bad: int, turns: int = 60) -> list[list[int]]:
    """Have a destination refuse these events and accept others; return what it was sent in each minute."""
    sent: list[list[int]] = []
    for _ in range(turns):
        model.now += 61
        sent.append([])
        while True:
            model.read(None)
            model.claim(5, False)
            flying, model.flying = model.flying, []
            sent[-1] += [item.event_id for item in flying]
            if not flying:
                break
            for item in flying:
                if item.event_id in bad:
                    model.progress.retry(item, model.now + 60, "no", refusal="HTTP 422")
                else:
                    model.take(item, model.events[item.event_id - 1])
            model.commit()
    return sent


def _dead(model: Model) -> list[int]:
    return sorted(event_id for event_id, row in model.stored.exceptions.items() if row.is_dead)


@pytest.mark.parametrize("bad", [(2,), (2, 3), (2, 3, 5)])
def test_bad_events_of_the_only_terminal_are_dead_once_one_behind_them_is_accepted(
    bad: tuple[int, ...],
) -> None:
    model = OrderedModel()
    model.arrive("record", [(1, 1), (1, 1), (1, 1), (1, 1)])
    model.arrive("record", [(1, 1), (1, 0), (1, 1), (1, 1)])

    _refused(model, *bad)

    assert _dead(model) == list(bad)
    assert all(row.refusals >= 3 for row in model.stored.exceptions.values())
    assert model.stored.delivered == 7 - len(bad)
    assert model.stored.filtered == 1


def test_a_destination_that_refuses_all_of_a_terminal_makes_no_dead_letters() -> None:
    model = OrderedModel()
    model.arrive("record", [(1, 1)] * 8)
    model.arrive("record", [(1, 1)] * 8)

    sent = _refused(model, *range(1, 17), turns=120)
    assert not _dead(model)
    assert len(model.stored.exceptions) == 11
    assert max(map(len, sent)) == 11

    _refused(model)  # it takes all again
    assert not _dead(model)
    assert model.stored.delivered == 16


def test_what_is_passed_goes_first_again_after_an_outage() -> None:
    model = OrderedModel()
    model.arrive("record", [(1, 1)] * 2)
    _refused(model, 1, turns=2)
    model.now += 61
    model.claim(5, False)
    model.progress.retry(model.flying.pop(), model.now + 60, "no", refusal="HTTP 422")
    model.read(None)  # the one behind it is to be tried now
    model.claim(5, False)
    (second,) = model.flying
    model.flying = []
    model.progress.retry(second, model.now + 5, "away")

    sent = _refused(model, turns=3)

    assert [each for turn in sent for each in turn] == [1, 2]
    assert not _dead(model)


@pytest.mark.parametrize("drops", [False, True])
def test_a_dead_letter_that_people_do_not_know_yet_stays_one(drops: bool) -> None:
    model = Model()
    model.arrive("record", [(1, 1)] * 2)
    model.read(None)
    model.claim(1, False)
    model.progress.bury(model.flying.pop(), "no", model.now)
    model.commit()
    model.claim(1, False)
    model.progress.bury(model.flying.pop(), "no", model.now)
    model.commit_fails()
    model.person_decides(1, drops=drops)

    model.commit()
    model.person_decides(2, drops=False)
    model.take_over()
    model.claim(5, False)

    assert sorted(item.event_id for item in model.flying) == ([2] if drops else [1, 2])


def test_what_was_left_aside_of_a_terminal_that_is_held_again_is_not_filtered() -> None:
    model = Model()
    model.held = {1}
    model.arrive("record", [(1, 1)] * 2)
    model.read(None)
    model.commit()
    model.held = set()

    model.read(1)  # it is held again after the look at who is held
    model.commit()

    assert model.stored.filtered == 0
    model.teardown()
    assert model.stored.delivered == 2


def test_a_destination_that_takes_nothing_makes_no_rows() -> None:
    model = Model()
    model.arrive("record", [(1, 1)] * 30)
    for _ in range(40):
        model.read(None)
        model.claim(4, False)
        for item in model.flying:
            model.progress.retry(item, model.now, "away")
        model.flying = []
        model.commit()

    assert not model.stored.exceptions
    assert model.stored.places["record"].place == 0


def test_each_probe_is_another_event() -> None:
    model = Model()
    model.arrive("record", [(1, 1)] * 5)
    model.read(None)
    model.read(None)
    probed = []
    for _ in range(10):
        (item,) = model.progress.probe(model.now)
        probed.append(item.event_id)
        model.now += 1
        model.progress.retry(item, model.now + 3600, "away")

    assert probed == [1, 2, 3, 4, 5] * 2
