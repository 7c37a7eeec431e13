"""From arrivals to rows."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.store.events import NOON, RECEIVED_MS, alarm, arrival, record, unknown

from gatepost import wire
from gatepost.store.conversion import coded_fields, terminal_counters, values
from gatepost.store.conversion import rows as a
from gatepost.store.interface import SIGHTING_MS
from gatepost.wire import Problem


@given(st.integers(0, 8_000 * 365 * 86_400_000_000).map(lambda us: values.EPOCH + timedelta(microseconds=us)))
def test_a_time_survives_to_the_millisecond(moment: datetime) -> None:
    whole = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    assert values.moment(values.ms(moment)) == whole


def test_no_time_stays_none() -> None:
    assert values.ms(None) is None
    assert values.moment(None) is None


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_any_text_becomes_one_that_both_databases_hold_and_stays_so(value: str) -> None:
    held = values.text(value)
    held.encode()
    assert "\0" not in held
    assert values.text(held) == held


def test_ordinary_text_stays_as_it_is() -> None:
    assert values.text("王五 Ünal 😀") == "王五 Ünal 😀"


@given(st.lists(st.builds(Problem, st.text(), st.text())))
def test_problems_survive(problems: list[Problem]) -> None:
    stored = a.encode_problems(problems)
    expected = tuple(Problem(values.text(p.where), values.text(p.why)) for p in problems)
    assert a.decode_problems(stored) == expected


def test_a_facet_lumps_together_what_no_table_knows() -> None:
    odd = record(1, recognition_type=77, abnormal_type=78, entry_mode=79, passed=None)
    assert coded_fields.facet(odd, has_image=True, outside_time=False) == (-2, -1, -2, -2, 1, 0)
    bare = wire.Record(recognition_type=None, abnormal_type=None, entry_mode=None, passed=None)
    assert coded_fields.facet(bare, has_image=False, outside_time=True) == (-1, -1, -1, -1, 0, 1)
    assert coded_fields.facet(record(1), has_image=False, outside_time=False) == (1, 1, 0, 1, 0, 0)
    assert coded_fields.known("entry_mode", 79) == -2
    assert coded_fields.known("entry_mode", 12) == 12


def test_facets_are_few_whatever_is_sent() -> None:
    count = 3 * 2 * 2
    for codes in coded_fields.KNOWN_CODES.values():
        count *= len(codes) + 2
    assert count < 20_000


BEGINS, ENDS = NOON, NOON + timedelta(hours=1)
GUEST = wire.User(user_id="1", guest_from=BEGINS, guest_until=ENDS)
MOMENT = timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("user", "at", "outside"),
    [
        (GUEST, BEGINS - MOMENT, True),
        (GUEST, BEGINS, False),
        (GUEST, ENDS, False),
        (GUEST, ENDS + MOMENT, True),
        (wire.User(user_id="1", guest_from=BEGINS), ENDS + MOMENT, False),
        (wire.User(user_id="1", guest_until=ENDS), BEGINS - MOMENT, False),
        (wire.User(user_id="1", guest_until=ENDS), ENDS + MOMENT, True),
        (wire.User(guest_until=ENDS), ENDS + MOMENT, False),  # a stranger
        (wire.User(user_id="1"), ENDS, False),
        (None, ENDS, False),
    ],
)
def test_a_visitor_is_outside_their_time_before_and_after_it(
    user: wire.User | None, at: datetime, outside: bool
) -> None:
    said = record(1, user=user, recorded_at=at)
    assert a.is_outside_time(said, a.person(user, 1), values.ms(at)) is outside
    unsaid = record(1, user=user, recorded_at=None)
    assert a.is_outside_time(unsaid, a.person(user, 1), values.ms(at)) is outside
    refused = record(1, user=user, recorded_at=at, abnormal_type=int(wire.AbnormalType.VISITOR_EXPIRED))
    assert a.is_outside_time(refused, a.person(user, 1), values.ms(at))


@pytest.mark.parametrize(
    "user", [None, wire.User(), wire.User(type=2, remark="visitor", groups=(wire.Group("1", "a"),), pin="1")]
)
def test_somebody_without_name_and_number_is_a_stranger(user: wire.User | None) -> None:
    assert a.person(user, 1) is None


def test_the_pin_is_no_part_of_a_person() -> None:
    one = a.person(wire.User(user_id="1", pin="1111"), 1)
    two = a.person(wire.User(user_id="1", pin="2222"), 1)
    assert one == two
    assert one is not None
    assert two is not None
    assert "1111" not in repr(one)
    assert a.person_digest(one, b"a") == a.person_digest(two, b"a") != a.person_digest(one, b"b")


def test_people_differ_by_site_and_by_every_field() -> None:
    users = [wire.User(user_id="1"), wire.User(user_id="1", name="n"), wire.User(user_id="1", ic_number="n")]
    people = [a.person(user, site) for user in users for site in (1, 2)]
    assert len({a.person_digest(who, b"secret") for who in people if who}) == 6


def test_a_batch_refers_to_the_people_of_its_sites_and_to_each_of_them_once() -> None:
    anna, bob = wire.User(user_id="1", name="Anna"), wire.User(user_id="2", name="Bob")
    said = [(anna, 1), (None, 1), (anna, 2), (bob, 1), (anna, 1)]
    batch = [
        arrival(record(n, user=user), terminal_id, received_at_ms=n)
        for n, (user, terminal_id) in enumerate(said)
    ]
    found = a.referred([alarmed := arrival(alarm()), *batch], {1: 7, 2: 8})
    assert [who for _, who in found.of_records] == [
        None if user is None else a.person(user, {1: 7, 2: 8}[number]) for user, number in said
    ]
    assert found.people == {a.person(anna, 7): 0, a.person(anna, 8): 2, a.person(bob, 7): 3}
    assert found.facets == {coded_fields.facet(record(0), has_image=False, outside_time=False)}
    with pytest.raises(LookupError, match="no terminal 1"):
        a.referred([alarmed], {2: 8})


def test_rows_have_a_value_for_each_column() -> None:
    assert len(a.record_row(arrival(record(1)), record(1), 1, None)) == len(a.RECORD_COLUMNS)
    assert len(a.alarm_row(arrival(alarm()), alarm())) == len(a.ALARM_COLUMNS)
    assert len(a.quarantine_row(arrival(unknown()))) == len(a.QUARANTINE_COLUMNS)
    assert len(terminal_counters.Tally().row(1, 0)) == len(terminal_counters.TALLY_COLUMNS)


def test_only_new_steps_are_joined() -> None:
    batch = [arrival(alarm(status=3)), arrival(alarm(status=1)), arrival(record(1))]
    assert [(step.id, step.status) for step in a.alarm_steps(batch, range(3), [False, True, True])] == [
        (1, 1)
    ]


@pytest.mark.parametrize(
    ("happened", "listed"),
    [
        (None, RECEIVED_MS),
        (RECEIVED_MS - 5, RECEIVED_MS - 5),
        (RECEIVED_MS + a.AHEAD_MS, RECEIVED_MS + a.AHEAD_MS),
        (RECEIVED_MS + a.AHEAD_MS + 1, RECEIVED_MS),
        (4_436_000_000_000, RECEIVED_MS),
    ],
)
def test_a_time_in_the_future_is_listed_by_its_receipt(happened: int | None, listed: int) -> None:
    assert a.listed_at(happened, RECEIVED_MS) == listed


def test_duplicates_count_as_nothing_else() -> None:
    batch = [arrival(record(1)), arrival(record(1), problems=(Problem("a", "b"),)), arrival(unknown(), 2)]
    tallies = terminal_counters.add_up(batch, [True, False, True])
    assert (tallies[1].records, tallies[1].duplicates, tallies[1].with_problems) == (1, 1, 0)
    assert tallies[2].quarantined == 1
    assert tallies[1].first_at_ms == tallies[1].last_at_ms == RECEIVED_MS


def test_only_what_is_not_known_yet_is_learnt() -> None:
    peers: dict[tuple[str, int], int] = {}
    seen: dict[int, tuple[str | None, str | None]] = {}
    batch = [arrival(record(1), bind_peer=True, model="T1"), arrival(record(2), bind_peer=True)]
    first = a.learn(batch, peers=peers, seen=seen)
    assert first.peers == [("10.0.0.9", 1, RECEIVED_MS)]
    assert first.seen == [("T1", "1.3.0", 1)]
    again = a.learn(batch, peers=peers, seen=seen)
    assert (again.peers, again.seen, again.disagreements) == ([], [], [])


@pytest.mark.parametrize(("later_ms", "noted"), [(SIGHTING_MS - 1, 0), (SIGHTING_MS, 1), (-SIGHTING_MS, 0)])
def test_that_a_terminal_is_still_at_its_address_is_noted_once_an_hour(later_ms: int, noted: int) -> None:
    peers = {("10.0.0.9", 1): RECEIVED_MS}
    one = arrival(record(1), bind_peer=True, received_at_ms=RECEIVED_MS + later_ms)
    assert len(a.learn([one], peers=peers, seen={}).peers) == noted


def test_when_a_terminal_last_pushed_without_its_token_is_counted_of_duplicates_too() -> None:
    batch = [
        arrival(record(1), tokenless=True),
        arrival(record(1), tokenless=True, received_at_ms=RECEIVED_MS + 5),
        arrival(record(2), 2),
    ]
    tallies = terminal_counters.add_up(batch, [True, False, True])
    assert [tallies[number].tokenless_at_ms for number in (1, 2)] == [RECEIVED_MS + 5, None]
