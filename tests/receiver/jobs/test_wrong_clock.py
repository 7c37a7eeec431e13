"""A wrong clock, or a slip in a setting, deletes nothing: retention asks, with the dates."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from sqlalchemy import delete, func, select
from structlog.testing import capture_logs
from tests.receiver.kit import Clock
from tests.store.conftest import (  # noqa: F401 - fixtures
    empty_folder,
    open_postgres,
    open_sqlite,
)
from tests.store.events import NOON, RECEIVED_MS, arrival, record, sample
from tests.terminals import ensured

from gatepost.receiver.jobs.retention import RetentionJob
from gatepost.store.base import BaseStore
from gatepost.store.conversion.values import DAY_MS
from gatepost.store.interface import RecordQuery
from gatepost.store.privacy.erasure import Whom
from gatepost.store.privacy.retention import Limits
from gatepost.store.schema import tables as t

DAY_S = 86_400
SEVEN = Limits(records_days=7)
IN_2000 = 946_684_800.0
FIRST_OF_2000 = date(2000, 1, 1)
"""As of a machine without a battery."""


class Site:
    """A receiver whose clock can be set, and the clock by which it runs, which cannot."""

    def __init__(self, store: BaseStore, limits: Limits = SEVEN) -> None:
        self.store = store
        self.clock, self.running = Clock(RECEIVED_MS / 1000), Clock(0.0)
        self.numbers = iter(range(100_000))
        ensured(store, "SN-1", now_ms=RECEIVED_MS)
        self.start(limits)

    def start(self, limits: Limits = SEVEN) -> None:
        """Start another process."""
        self.keeper = RetentionJob(self.store, limits, now=self.clock, running=self.running)

    def pass_days(self, days: float) -> None:
        self.clock.at += days * DAY_S
        self.running.at += days * DAY_S

    def now_ms(self) -> int:
        return int(self.clock.at * 1000)

    def receive(self) -> None:
        self.store.write([arrival(record(next(self.numbers)), received_at_ms=self.now_ms())])

    def retain(self) -> int:
        """Run a round; return how many records are left."""
        for _ in range(1000):
            if not self.keeper.once().more:
                return len(self.store.records(RecordQuery(limit=100)).items)
        raise AssertionError("a round does not end")

    def live(self, days: int, *, closed: Callable[[int], bool] = lambda day: False) -> None:
        """Receive an event on every day that is not closed, and run a round each day."""
        for day in range(days):
            if not closed(day):
                self.receive()
            self.retain()
            assert self.keeper.asks == ()
            self.pass_days(1)


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> BaseStore:
    opener: Callable[[], BaseStore] = request.getfixturevalue(f"open_{request.param}")
    return opener()


@pytest.fixture
def site(store: BaseStore) -> Site:
    return Site(store)


def day(number: int) -> date:
    return NOON.date() + timedelta(days=number)


def test_closed_weekends_and_seven_days_never_ask(site: Site) -> None:
    site.live(60, closed=lambda day: day % 7 >= 5)
    assert site.retain() == 5


def test_a_receiver_that_was_off_for_a_long_weekend_does_not_ask(site: Site) -> None:
    site.live(20)
    site.pass_days(4)
    site.start()
    assert site.retain() == 3
    assert site.keeper.asks == ()


@pytest.mark.parametrize("days", [2, 20, 400, 20_000])
def test_a_clock_that_is_set_forward_while_it_runs_deletes_nothing(site: Site, days: int) -> None:
    site.live(20)
    left = site.retain()
    site.clock.at += days * DAY_S
    with capture_logs() as logged:
        site.receive()
        assert site.retain() == left + 1
    (ask,) = (one for one in site.keeper.asks if one.part == "records")
    assert (ask.why, ask.first, ask.days) == ("days", day(13), min(days, 7))
    assert ask.last == day(12 + days)
    said = [line for line in logged if line["event"] == "retention.asks"]
    assert (said[0]["part"], said[0]["first"]) == ("records", ask.first.isoformat())
    assert site.retain() == left + 1
    site.start()  # nor does another start
    site.keeper.once()
    assert site.retain() == left + 1
    # The clock is put right: nothing was lost, nothing is asked, and what is due is deleted as ever.
    site.clock.at -= days * DAY_S
    site.retain()
    assert site.keeper.asks == ()


def test_it_does_not_come_to_be_permitted_by_waiting(site: Site) -> None:
    site.live(20)
    left = site.retain()
    site.clock.at += 20 * DAY_S
    for _ in range(60):
        assert site.retain() == left
        site.pass_days(1)
    assert site.keeper.asks


@pytest.mark.parametrize(("days", "asks"), [(9, False), (31, True), (4000, True)])
def test_a_long_gap_at_a_start_is_asked_about(store: BaseStore, days: int, asks: bool) -> None:
    limits = Limits(records_days=60)
    site = Site(store, limits)
    for _ in range(70):
        site.receive()
        site.retain()
        site.pass_days(1)
    left = site.retain()
    site.pass_days(days)
    site.start(limits)
    assert (site.retain() == left) is asks
    assert [ask.why for ask in site.keeper.asks] == (["gap"] if asks else [])


def test_what_a_shorter_setting_would_delete_is_asked_about_first(site: Site) -> None:
    site.live(20)
    left = site.retain()
    site.start(Limits(records_days=3))
    assert site.retain() == left
    (ask,) = site.keeper.asks
    assert (ask.why, ask.first, ask.last, ask.days) == ("shortened", day(13), day(16), 4)
    site.start(SEVEN)  # it was a slip
    site.retain()
    assert (site.keeper.asks, len(site.store.records(RecordQuery()).items)) == ((), left)


def test_what_is_confirmed_is_deleted_and_no_more(site: Site) -> None:
    site.live(20)
    site.start(Limits(records_days=3))
    left = site.retain()
    (ask,) = site.keeper.asks
    assert site.keeper.confirm("records", ask.last - timedelta(days=1)) is None
    assert site.keeper.confirm("alarms", ask.last) is None
    assert site.keeper.confirm("records", ask.last) == ask
    assert site.keeper.asks == ()
    assert site.retain() == left - ask.days
    for _ in range(5):
        site.pass_days(1)
        site.receive()
        site.retain()
        assert site.keeper.asks == ()


def test_a_confirmation_in_the_middle_of_a_round_is_kept(site: Site) -> None:
    site.live(20)
    site.start(Limits(records_days=3))
    left = site.retain()
    (ask,) = site.keeper.asks
    site.running.at += 60
    site.keeper._plan = site.keeper._permit()  # a round begins
    site.keeper.confirm("records", ask.last)
    assert site.retain() == left  # as it was planned
    site.pass_days(1)
    assert site.retain() == left - ask.days - 1
    assert site.keeper.asks == ()


def test_a_clock_that_is_not_set_yet_deletes_nothing_and_asks_nothing(site: Site) -> None:
    site.live(20)
    left = site.retain()
    site.pass_days(2)
    right = site.clock.at
    site.clock.at = 1000.0  # as of a machine without a battery
    site.start()
    assert (site.retain(), site.keeper.asks) == (left, ())
    site.clock.at = right
    assert site.retain() == left - 2
    assert site.keeper.asks == ()


@pytest.mark.parametrize(("limit", "days", "gone"), [(7, 1, 0), (7, 2, 0), (7, 11, 3), (1095, 11, 0)])
def test_what_a_clock_in_the_past_received_is_asked_about(
    store: BaseStore, limit: int, days: int, gone: int
) -> None:
    """Each of the days in 2000 has an event; of those, ``gone`` are due by the clock of 2000."""
    limits = Limits(records_days=limit)
    site = Site(store, limits)
    site.live(6)
    right = site.clock.at
    site.clock.at = IN_2000
    site.start(limits)
    for _ in range(days):
        site.receive()
        site.retain()
        site.pass_days(1)
    site.clock.at = right + 3600
    assert site.retain() == 6 + days - gone
    (ask,) = (one for one in site.keeper.asks if one.part == "records")
    assert ask.first == FIRST_OF_2000 + timedelta(days=gone)
    site.start(limits)  # nor does another start
    assert site.retain() == 6 + days - gone
    assert site.keeper.asks


@pytest.mark.parametrize("rounds", [0, 1])
def test_what_came_at_a_first_start_with_a_clock_in_the_past_is_asked_about(site: Site, rounds: int) -> None:
    right = site.clock.at
    site.clock.at = IN_2000
    site.receive()
    for _ in range(rounds):
        site.retain()
    site.clock.at = right
    site.running.at += 600
    assert site.retain() == 1
    assert [(ask.part, ask.why, ask.first) for ask in site.keeper.asks] == [
        ("records", "days", FIRST_OF_2000)
    ]


def test_what_a_clock_in_the_past_received_is_deleted_once_it_is_confirmed(site: Site) -> None:
    site.live(3)
    right = site.clock.at
    site.clock.at = IN_2000
    site.receive()
    site.clock.at = right
    site.receive()
    assert site.retain() == 5
    (ask,) = site.keeper.asks
    assert (ask.why, ask.first, ask.last) == ("past", FIRST_OF_2000, day(-5))
    site.pass_days(0.6)  # it is another day
    assert site.keeper.confirm("records", ask.last) == ask
    assert site.retain() == 4
    site.pass_days(1)
    site.live(20)
    assert site.retain() == 7


def test_what_is_confirmed_after_a_clock_was_set_forward_is_not_asked_about_once_more(site: Site) -> None:
    right = site.clock.at
    site.clock.at = IN_2000
    site.receive()
    site.retain()
    site.clock.at = right - 7 * DAY_S
    site.receive()
    site.clock.at = right
    assert site.retain() == 2
    (ask,) = site.keeper.asks
    site.pass_days(0.6)  # it is another day, and what was received a week ago is due
    assert site.keeper.confirm("records", ask.last) == ask
    assert (site.retain(), site.keeper.asks) == (0, ())


def test_a_clock_that_is_set_forward_over_one_day_of_receipt_is_asked_about(site: Site) -> None:
    site.receive()
    site.retain()
    site.clock.at += 400 * DAY_S
    assert site.retain() == 1
    assert [(ask.part, ask.why, ask.days) for ask in site.keeper.asks] == [("records", "days", 1)]


def test_a_round_over_midnight_does_not_ask_about_what_the_next_one_deletes(site: Site) -> None:
    site.live(9)
    site.pass_days(0.4)
    while site.keeper.once().more:
        site.pass_days(0.2)
    site.retain()
    assert site.keeper.asks == ()
    site.live(9)


def test_a_clock_that_was_ahead_while_nothing_was_due_does_not_stop_retention(site: Site) -> None:
    site.clock.at += 400 * DAY_S
    site.retain()
    site.clock.at -= 400 * DAY_S
    site.start()
    site.live(20)
    assert site.retain() == 7


def test_what_is_due_after_such_a_clock_is_asked_about(site: Site) -> None:
    for _ in range(3):
        site.receive()
        site.pass_days(1)
    with site.store.changing() as db:  # as after a round whose clock was ahead
        state = f'{{"at_ms": {site.now_ms() + 400 * DAY_MS}, "limit": 7}}'
        db.execute(t.meta.insert().values(name="retention:records", value=state))
    site.pass_days(9)
    site.start()
    assert (site.retain(), site.keeper.asks) == (3, ())
    site.pass_days(1)
    assert site.retain() == 3
    (ask,) = site.keeper.asks
    assert (ask.part, ask.first, ask.days) == ("records", day(0), 3)
    assert site.keeper.confirm("records", ask.last) == ask
    assert (site.retain(), site.keeper.asks) == (0, ())


def test_a_second_receiver_whose_clock_is_right_does_not_permit_it_for_the_first(site: Site) -> None:
    site.live(20)
    left = site.retain()
    other = RetentionJob(site.store, SEVEN, now=Clock(site.clock.at), running=site.running)
    site.clock.at += 400 * DAY_S
    for _ in range(3):
        assert site.retain() == left
        while other.once().more:
            pass
    assert site.keeper.asks
    assert other.asks == ()


def test_what_was_set_aside_is_not_deleted_by_a_wrong_clock_either(store: BaseStore) -> None:
    limits = Limits(quarantine_days=7)
    site, expired = Site(store, limits), []
    written = site.clock.at
    site.keeper = RetentionJob(
        store,
        limits,
        now=site.clock,
        running=site.running,
        oldest_unlisted=lambda: written,
        expire_unlisted=lambda before: expired.append(before) or 0,  # type: ignore[func-returns-value]
    )
    site.live(5)
    site.clock.at += 400 * DAY_S
    site.retain()
    assert [ask.part for ask in site.keeper.asks] == ["quarantine"]
    assert max(expired) <= written


@pytest.mark.parametrize("days", [9, 400])
def test_samples_of_refused_bodies_are_not_deleted_by_a_wrong_clock_alone(
    store: BaseStore, days: int
) -> None:
    forever = Limits()
    site = Site(store, forever)
    site.retain()
    store.note_refused({}, {("10.0.0.9", "no JSON"): sample(at_ms=site.now_ms())})
    site.clock.at += days * DAY_S
    site.retain()
    (ask,) = site.keeper.asks
    assert (ask.part, ask.why, ask.first, ask.days) == ("refusal_samples", "days", day(0), days - 7)
    site.start(forever)
    site.retain()
    assert [ask.part for ask in site.keeper.asks] == ["refusal_samples"]
    assert site.keeper.confirm("refusal_samples", ask.last) == ask
    site.retain()
    assert store.drop_refusal_samples() == 0


def test_samples_leave_after_a_week_and_after_holidays_without_being_asked_about(store: BaseStore) -> None:
    site = Site(store, Limits())
    for day in range(20):
        store.note_refused({}, {("10.0.0.9", f"reason {day}"): sample(at_ms=site.now_ms())})
        site.retain()
        assert site.keeper.asks == ()
        site.pass_days(1)
    site.pass_days(12)  # the machine is off
    site.start(Limits())
    site.retain()
    assert site.keeper.asks == ()
    assert store.drop_refusal_samples() == 0


def test_tombstones_are_not_deleted_by_a_wrong_clock_alone(store: BaseStore) -> None:
    """Where nothing else is due, an event that waits in a journal must not bring back a person who was erased."""
    site = Site(store)
    site.receive()
    site.keeper.erase(Whom(user_id="0"))
    site.pass_days(1)
    site.retain()
    with store.changing() as db:
        db.execute(delete(t.records))
    site.clock.at += 400 * DAY_S
    site.retain()
    assert [ask.part for ask in site.keeper.asks] == ["tombstones"]
    assert tombstones(store) > 0
    site.clock.at -= 400 * DAY_S
    for _ in range(9):
        site.pass_days(1)
        site.retain()
        assert site.keeper.asks == ()
    assert tombstones(store) == 0


def tombstones(store: BaseStore) -> int:
    with store.reading() as db:
        return db.execute(select(func.count()).select_from(t.tombstones)).scalar_one()


def test_receipt_days_are_those_on_which_anything_was_received(store: BaseStore) -> None:
    ensured(store, "SN-1", now_ms=RECEIVED_MS)
    for number in (0, 3, 3, 4):
        store.write([arrival(record(number), received_at_ms=RECEIVED_MS + number * DAY_MS)])
    with store.reading() as db:
        days = [row[0] for row in db.exec_driver_sql("SELECT day FROM receipt_days ORDER BY day")]
    assert [each - RECEIVED_MS // DAY_MS for each in days] == [0, 3, 4]
