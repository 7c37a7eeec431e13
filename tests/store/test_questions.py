"""What a user sees of a store: two sites with the same events, of which one is the user's; on both databases."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, get_args

import pytest
from tests.store.events import JPEG, NOON, alarm, arrival, record, refused, sample, times, unknown

from gatepost.store.attendance.attendance import Attendance
from gatepost.store.attendance.person_day import day_of
from gatepost.store.base import BaseStore
from gatepost.store.interface import AlarmQuery, QuarantineQuery, RecordQuery, Visible
from gatepost.store.people.people import People
from gatepost.store.people.person import PeopleQuery, Rules, Scope
from gatepost.store.query.alarms import is_visible
from gatepost.store.query.statistics import StatisticsQuery, statistics
from gatepost.store.questions import UserStore
from gatepost.wire import Group, Problem, User

MINE = Visible(sites=frozenset({1}))
OTHER = ("Bertha", "SN-2", "Hamburg", "10.0.0.2", "trace-2", "Sales", "C-2", "I-2")
"""What stands in everything of the other site, and nowhere else."""

DAY = date(2024, 5, 6)


class World:
    """A store with two sites, 1 and 2, each with a terminal of the same number that sent the same."""

    def __init__(self, store: BaseStore) -> None:
        self.store = store
        store.update_site(1, name="Bremen")
        store.create_site("Hamburg", "Europe/Berlin", now_ms=0)
        self.records: dict[int, int] = {}
        self.alarms: dict[int, int] = {}
        self.steps: dict[int, int] = {}
        self.pushes: dict[int, int] = {}
        self.users: dict[int, User] = {}
        for site, name, group in ((1, "Anna", "Guards"), (2, "Bertha", "Sales")):
            store.create_terminal(now_ms=0, serial=f"SN-{site}", site_id=site)
            user = User(
                user_id="5",
                name=name,
                type=1,
                ic_number=f"C-{site}",
                id_number=f"I-{site}",
                groups=(Group(id="53", name=group),),
            )
            self.users[site] = user
            problems = (Problem("ic_number", f"is C-{site}"),)
            for minutes in (0, 30):
                at = NOON + timedelta(minutes=minutes)
                event = record(
                    site, uuid=f"u-{site}-{minutes}", serial=f"SN-{site}", recorded_at=at, user=user
                )
                one = arrival(event, site, image=JPEG, peer=f"10.0.0.{site}", problems=problems)
                self.records[site] = store.write([one])[0].id
            raised = arrival(alarm(f"trace-{site}"), site, image=JPEG, problems=problems)
            self.steps[site] = store.write([raised])[0].id
            self.alarms[site] = next(
                row.id for row in store.alarms(AlarmQuery()).items if row.trace_id == f"trace-{site}"
            )
            odd = arrival(unknown(site), site, peer=f"10.0.0.{site}")
            self.pushes[site] = store.write([odd])[0].id
            store.count_refused({(site, f"reason of SN-{site}"): 2}, now_ms=0)
            push = refused("/x", serial=f"SN-{site}", peer=f"10.0.0.{site}")
            store.note_refused({push: times()}, {(push.peer, push.reason): sample()})
        store.note_receiver(b"j" * 16, host="SN-2", events=0, now_ms=0)

    def seen(self, visible: Visible = MINE) -> UserStore:
        return UserStore(self.store, visible)


@pytest.fixture
def world(open_store: Callable[[], BaseStore]) -> World:
    return World(open_store())


RULES = Rules()

ASKED: dict[str, Callable[[World, UserStore], Any]] = {
    "terminal": lambda w, s: [s.terminal(1), s.terminal(2)],
    "terminals": lambda w, s: s.terminals(),
    "terminals_page": lambda w, s: s.terminals_page(),
    "refusals": lambda w, s: [s.refusals(1), s.refusals(2)],
    "disagreements": lambda w, s: [s.disagreements(1), s.disagreements(2)],
    "labels": lambda w, s: s.labels([1, 2]),
    "all_labels": lambda w, s: s.all_labels(),
    "terminals_named": lambda w, s: ["SN-2"[: 4 * len(s.terminals_named("SN-2"))], s.terminals_named("SN-1")],
    "sites": lambda w, s: s.sites(),
    "receivers": lambda w, s: s.receivers(),
    "records": lambda w, s: [
        s.records(RecordQuery(order=order, **query))
        for order in ("newest", "oldest", "received")
        for query in ({}, {"terminal": "SN-2"}, {"terminal": 2}, {"site_id": 2}, {"q": "a"}, {"person": "5"})
    ],
    "record": lambda w, s: [s.record(w.records[site]) for site in (1, 2)],
    "records_by_id": lambda w, s: s.records_by_id([w.records[1], w.records[2]]),
    "latest_records": lambda w, s: s.latest_records(10),
    "portrait": lambda w, s: w.store.record(
        s.portrait([row.person.identity_id for row in w.store.latest_records(9) if row.person]) or 0
    ),
    "alarms": lambda w, s: [s.alarms(AlarmQuery(**q)) for q in ({}, {"site_id": 2}, {"terminal": "SN-2"})],
    "alarm": lambda w, s: [s.alarm(w.alarms[site]) for site in (1, 2)],
    "read_feed": lambda w, s: [w.store.record(item.id) for item in s.read_feed(0).items],
    "read_feed_of": lambda w, s: [w.store.record(item.id) for item in s.read_feed_of(2, 0, 10**9)],
    "alarm_steps_by_id": lambda w, s: s.alarm_steps_by_id(list(w.steps.values())),
    "happened": lambda w, s: s.happened(0),
    "quarantined": lambda w, s: [s.quarantined(), s.quarantined(QuarantineQuery(terminal="SN-2"))],
    "quarantined_by_id": lambda w, s: s.quarantined_by_id(list(w.pushes.values())),
    "refused": lambda w, s: s.refused(),
    "people": lambda w, s: People(s, RULES).page(PeopleQuery()),
    "groups": lambda w, s: People(s, RULES).groups(),
    "attendance": lambda w, s: Attendance(s, RULES).page(PeopleQuery(), DAY, DAY),
    "attendance of groups": lambda w, s: Attendance(s, RULES).groups(DAY, DAY),
    "statistics": lambda w, s: statistics(s, StatisticsQuery(first=DAY, last=DAY)).terminals,
}
"""Questions, each of which shows something of the other site to whoever may see it."""

COUNTED = {
    "count_alarms",
    "count_records",
    "count_quarantined",
    "alarms_to_acknowledge",
    "alarm_counts",
    "glance",
    "stats",
}
GUARDED = {
    "image",
    "original",
    "pushed",
    "acknowledge_alarm",
    "acknowledge_alarms",
    "close_alarm",
    "discard_quarantined",
}
GUARDED |= {"would_move", "refusal_sample"}
ELSEWHERE = {"reading", "changing", "horizon", "visible", "packs", "end_of_feed", "place_before", "narrowed"}
FOR_EVERY_SITE = {"create_site", "update_site", "forget_receiver"}
"""Their routes are for users of every site."""


def test_every_question_of_a_store_is_tested_here() -> None:
    named = {name for name in dir(UserStore) if not name.startswith("_")}
    assert named <= ASKED.keys() | COUNTED | GUARDED | ELSEWHERE | FOR_EVERY_SITE


@pytest.mark.parametrize("name", ASKED)
def test_nothing_of_another_site_is_seen(world: World, name: str) -> None:
    ask = ASKED[name]
    mine, everything = repr(ask(world, world.seen())), repr(ask(world, world.seen(Visible())))
    assert [word for word in OTHER if word in mine] == []
    if name != "disagreements":  # of which there are none
        assert [word for word in OTHER if word in everything], "the question shows nothing of the other site"
    nothing = repr(ask(world, world.seen(Visible(sites=frozenset()))))
    assert [word for word in (*OTHER, "Anna", "SN-1", "Bremen", "C-1") if word in nothing] == []


def test_counts_are_of_ones_own_sites(world: World) -> None:
    mine, everything = world.seen(), world.seen(Visible())
    assert (mine.alarm_counts().open, everything.alarm_counts().open) == (1, 2)
    assert [one.count_records(RecordQuery()).n for one in (mine, everything)] == [2, 4]
    assert [one.count_records(RecordQuery(q="5")).n for one in (mine, everything)] == [2, 4]
    assert [one.count_quarantined(QuarantineQuery()).n for one in (mine, everything)] == [1, 2]
    assert [People(one, RULES).count(PeopleQuery()).n for one in (mine, everything)] == [1, 2]
    assert [one.count_alarms(AlarmQuery()).n for one in (mine, everything)] == [1, 2]
    assert [one.alarms_to_acknowledge(AlarmQuery()).alarms for one in (mine, everything)] == [1, 2]
    since = NOON - timedelta(hours=1)
    glances = mine.glance(since), everything.glance(since)
    assert [one.since.records for one in glances] == [2, 4]
    assert [len(one.heard) for one in glances] == [1, 2]
    assert [sum(one.states.values()) for one in glances] == [1, 2]
    counted, whole = mine.stats(), everything.stats()
    for name in ("records", "alarms", "open_alarms", "unacknowledged_alarms", "quarantined", "terminals"):
        assert getattr(counted, name) * 2 == getattr(whole, name) > 0, name
    assert counted.refusals == {"reason of SN-1": 2}
    query = StatisticsQuery(first=DAY, last=DAY)
    assert (statistics(mine, query).total.records, statistics(everything, query).total.records) == (2, 4)
    assert statistics(world.seen(Visible(sites=frozenset({2}))), query).timezone == "Europe/Berlin"


def test_images_of_another_site_are_not_there(world: World) -> None:
    mine = world.seen()
    for event in (world.records, world.steps):
        assert mine.image(event[1]) == JPEG
        assert mine.image(event[2]) is None
        assert world.seen(Visible()).image(event[2]) == JPEG


def test_parts_of_a_push_in_the_quarantine_are_of_its_site_and_not_for_guards(world: World) -> None:
    with world.store.reading() as db:
        shown = {
            (site, visible): is_visible(db, world.pushes[site], visible)
            for site in (1, 2)
            for visible in (MINE, Visible(), Visible(numbers=False))
        }
    assert [one for one, is_shown in shown.items() if is_shown] == [(1, MINE), (1, Visible()), (2, Visible())]


def test_what_is_not_visible_is_not_changed(world: World) -> None:
    mine = world.seen()
    done: dict[str, Any] = {"by": "anna", "note": "seen", "now_ms": 1}
    assert mine.acknowledge_alarms([world.alarms[2]], **done) == 0
    assert mine.acknowledge_alarm(world.alarms[1], **done)
    assert mine.acknowledge_alarms(AlarmQuery(), **done) == 0
    assert not mine.acknowledge_alarm(world.alarms[2], **done)
    assert not mine.close_alarm(world.alarms[2], **done)
    assert mine.discard_quarantined([world.pushes[2]]) == 0
    other = world.store.alarm(world.alarms[2])
    assert other is not None
    assert (other.acknowledged_at, other.closed_at) == (None, None)
    assert len(world.store.quarantined().items) == 2
    assert mine.close_alarm(world.alarms[1], **done)
    assert mine.discard_quarantined(list(world.pushes.values())) == 1


def test_the_latest_are_as_many_as_are_asked_for(world: World) -> None:
    """What other sites sent last takes no place among them."""
    (latest,) = world.seen().latest_records(1)
    assert latest.serial == "SN-1"
    assert world.seen(Visible()).latest_records(1)[0].serial == "SN-2"


def test_a_terminal_that_has_moved_away_shows_nothing_while_its_people_have_not(world: World) -> None:
    moved = world.store.create_terminal(now_ms=0, serial="SN-3", site_id=1).id
    for minutes, passed in ((15, False), (50, True)):
        at = NOON + timedelta(minutes=minutes)
        event = record(
            3, uuid=f"u-3-{minutes}", serial="SN-3", recorded_at=at, user=world.users[1], passed=passed
        )
        world.store.write([arrival(event, moved)])
    world.store.update_terminal(moved, site_id=2)  # what is done by jobs.moving is not done yet
    (person,) = People(world.seen(), RULES).page(PeopleQuery()).items
    assert {item.serial for item in day_of(world.seen(), person, DAY, RULES).items} == {"SN-1"}
    (shift,) = Attendance(world.seen(), RULES).shifts(person, DAY, DAY)
    assert shift.passages == 2


def test_what_is_of_no_site_is_for_users_of_every_site(world: World) -> None:
    samples = [row.sample_id or 0 for row in world.store.refused()]
    assert all(world.seen(Visible()).refusal_sample(one) is not None for one in samples)
    assert [world.seen().refusal_sample(one) for one in samples] == [None, None]
    assert world.seen().would_move(1, 2, "site").records == 0
    assert world.seen(Visible()).would_move(1, 2, "site").records == 2


@pytest.mark.parametrize("scope", get_args(Scope))
def test_people_are_seen_as_far_as_their_sites(world: World, scope: Scope) -> None:
    """Also where one number is one person at every site: then only what they did at the visible ones."""
    rules = Rules(scope=scope)
    mine = People(world.seen(), rules)
    (person,) = mine.page(PeopleQuery()).items
    assert (person.name, person.ic_number, person.site) == ("Anna", "C-1", "Bremen")
    assert mine.page(PeopleQuery(q="Bertha")).items == ()
    assert [group.name for group in mine.groups()] == ["Guards"]
    assert mine.person(person.id) == person
    day = day_of(world.seen(), person, DAY, rules)
    assert {item.serial for item in day.items} == {"SN-1"}
    assert len(day.items) == 2
    others = People(world.seen(Visible(sites=frozenset({2}))), rules)
    (other,) = others.page(PeopleQuery()).items
    assert (other.name, others.person(other.id)) == ("Bertha", other)
    if scope != "everywhere":
        assert mine.person(other.id) is None
    (shift,) = Attendance(world.seen(), rules).shifts(person, DAY, DAY)
    assert (shift.name, shift.site, shift.passages) == ("Anna", "Bremen", 2)


def test_without_numbers_neither_card_nor_identity_number_is_seen(world: World) -> None:
    seen = world.seen(Visible(numbers=False))
    rows = [
        *seen.records(RecordQuery()).items,
        *seen.latest_records(9),
        *(row for _, row in seen.happened(0)[0]),
        *seen.alarms(AlarmQuery()).items,
        seen.record(world.records[1]),
        seen.alarm(world.alarms[1]),
    ]
    assert len(rows) == 4 + 4 + 6 + 2 + 2
    shown = repr(rows)
    assert "Anna" in shown
    for number in ("C-1", "I-1", "C-2", "I-2", "C-", '"ic'):
        assert number not in shown
    assert "C-1" in repr(world.seen(Visible()).record(world.records[1]))


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("消防联动，3楼，卡号 0012345678 已刷", "消防联动，…楼，卡号 … 已刷"),
        ("door forced by 11010519491231002X", "door forced by …"),
        ("IC:0A1B-2C3D ID:１２３４", "IC:…-… ID:…"),
        ("card ABCDEFAB, no number", "card …, no number"),
        ("Tampered with", "Tampered with"),
        ("", ""),
        (None, None),
    ],
)
def test_without_numbers_the_description_of_an_alarm_has_none(
    world: World, said: str | None, shown: str | None
) -> None:
    world.store.write([arrival(alarm("described", description=said), key=b"described-alarm!")])
    guard = world.seen(Visible(numbers=False))
    (row,) = (row for row in guard.alarms(AlarmQuery()).items if row.trace_id == "described")
    (step,) = row.history
    live = [one for _, one in guard.happened(0)[0] if getattr(one, "trace_id", None) == "described"]
    told = [step, *guard.alarm_steps_by_id([step.id]), *live, guard.alarm(row.id)]
    assert step.description == shown
    assert len(told) == 4
    whole = world.seen(Visible()).alarm(row.id)
    assert whole is not None
    assert whole.history[0].description == said
    if said != shown and said is not None:
        assert all(said not in repr(one) for one in told)


def test_who_may_see_every_site_sees_what_the_store_has(world: World) -> None:
    assert world.seen(Visible()).records(RecordQuery()) == world.store.records(RecordQuery())
    both = world.seen(Visible(sites=frozenset({1, 2})))
    assert both.records(RecordQuery()) == world.store.records(RecordQuery())
