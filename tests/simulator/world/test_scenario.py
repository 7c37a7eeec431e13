from datetime import timedelta
from itertools import pairwise

import pytest
from msgspec import structs

from gatepost.simulator.world.people import Site, make_site
from gatepost.simulator.world.scenario import Plan, PlannedEvent, density, doors, happenings
from gatepost.wire import Alarm, Dialect, Record, key
from gatepost.wire.codes import AlarmStatus


@pytest.fixture(scope="module")
def site() -> Site:
    return make_site(1, employees=12)


def played(plan: Plan, site: Site) -> list[list[PlannedEvent]]:
    return [list(happenings(plan, site, door)) for door in doors(plan)]


def test_the_same_plan_gives_the_same_day(site: Site) -> None:
    plan = Plan(seed=5, terminals=6, passages=40)
    assert played(plan, site) == played(plan, site)


def test_two_days_of_one_seed_have_one_fleet_and_no_event_in_common(site: Site) -> None:
    monday = Plan(seed=5, terminals=6, passages=40)
    tuesday = structs.replace(monday, day=monday.day + timedelta(days=1))
    names = [
        {
            name
            for happened in played(plan, site)
            for happening in happened
            if (name := getattr(happening.event, "uuid", None) or getattr(happening.event, "trace_id", None))
        }
        for plan in (monday, tuesday)
    ]
    assert min(map(len, names)) > 100
    assert names[0] & names[1] == set()
    fleet = [[(door.serial, door.firmware, door.mode) for door in doors(plan)] for plan in (monday, tuesday)]
    assert fleet[0] == fleet[1]
    rhythm = [[h.at - plan.day for h in played(plan, site)[0]] for plan in (monday, tuesday)]
    assert rhythm[0] != rhythm[1]
    assert doors(monday)[0].outages[-1] != doors(tuesday)[0].outages[-1]


def test_a_larger_fleet_begins_with_the_doors_of_the_smaller_one(site: Site) -> None:
    small, large = Plan(seed=5, terminals=3, passages=20), Plan(seed=5, terminals=9, passages=20)
    assert doors(large)[:3] == doors(small)
    assert played(large, site)[:3] == played(small, site)


def test_happenings_come_in_the_order_of_time_and_within_the_hours_asked_for(site: Site) -> None:
    plan = Plan(seed=5, terminals=6, opens=8, closes=10, passages=200, images=False)
    for happened in played(plan, site):
        times = [happening.at for happening in happened]
        assert times == sorted(times)
        assert plan.begins <= times[0]
        assert times[-1] <= plan.ends


def test_cutting_out_hours_does_not_change_what_happens_in_them(site: Site) -> None:
    whole = Plan(seed=5, terminals=1, opens=0, closes=24, passages=100, faults=False)
    morning = Plan(seed=5, terminals=1, opens=8, closes=10, passages=100, faults=False)
    expected = [h for h in played(whole, site)[0] if morning.begins <= h.at <= morning.ends]
    assert played(morning, site)[0] == expected != []


def test_the_day_has_a_rush_in_the_morning_at_noon_and_in_the_evening() -> None:
    assert density(8.7) > 4 * density(10.5)
    assert density(12.1) > 4 * density(15)
    assert density(18.1) > 4 * density(15)
    assert density(3) < 0.05
    assert 0.8 < sum(density(hour / 10) for hour in range(240)) / 240 < 1.2


def test_a_fleet_with_faults_has_the_odd_ones() -> None:
    fleet = doors(Plan(seed=5, terminals=60))
    assert [door.defect for door in fleet].count("no uuid") == 1
    assert [door.defect for door in fleet].count("broken image") == 1
    assert fleet[3].clock_error == timedelta(hours=-8)
    assert fleet[4].clock_error < timedelta(days=-9000)
    assert any(len(door.outages) > 1 for door in fleet)
    assert {door.firmware for door in fleet} == set(Dialect)


def test_a_fleet_without_faults_has_none() -> None:
    for door in doors(Plan(seed=5, terminals=60, faults=False)):
        assert (door.defect, door.clock_error, door.duplicates, door.outages) == ("", timedelta(0), 0.0, ())


def test_an_outage_lasts_from_its_beginning_to_its_end() -> None:
    door = doors(Plan(seed=5, terminals=1))[0]
    begin, end = door.outages[0]
    assert door.cut_off(begin)
    assert not door.cut_off(end)


def test_what_happens_again_has_happened_before_and_is_the_same_event(site: Site) -> None:
    plan = Plan(seed=5, terminals=12, passages=200, images=False)
    again = 0
    for happened in played(plan, site):
        seen: set[str] = set()
        for happening in happened:
            assert (key(happening.event) in seen) == happening.again
            seen.add(key(happening.event))
            again += happening.again
    assert again > 10


def test_every_alarm_occurs_before_it_is_cleared_and_only_once(site: Site) -> None:
    plan = Plan(
        opens=0,
        closes=24,
        seed=5,
        terminals=20,
        passages=20,
        alarms=8,
        mix={Dialect.V1_3_0: 1},
        faults=False,
        images=False,
    )
    lives: dict[str, list[Alarm]] = {}
    for happened in played(plan, site):
        for happening in happened:
            if isinstance(happening.event, Alarm):
                lives.setdefault(happening.event.trace_id, []).append(happening.event)
    assert len(lives) > 60
    for steps in lives.values():
        statuses = [step.status for step in steps]
        assert statuses[0] == AlarmStatus.OCCURRED
        assert statuses == sorted(set(statuses), key=lambda status: status or 0)
        assert all(a.event_time and b.event_time and a.event_time < b.event_time for a, b in pairwise(steps))


def test_firmware_before_1_3_0_raises_no_alarms(site: Site) -> None:
    plan = Plan(seed=5, terminals=5, passages=20, alarms=30, mix={Dialect.V1_2_1: 1}, images=False)
    events = [h.event for door, happened in zip(doors(plan), played(plan, site), strict=True) for h in happened
              if door.firmware is Dialect.V1_2_1]  # fmt: skip
    assert events
    assert all(isinstance(event, Record) for event in events)


def test_wrong_pins_bring_about_an_alarm(site: Site) -> None:
    plan = Plan(
        seed=5, terminals=40, passages=400, alarms=0, mix={Dialect.V1_3_0: 1}, images=False, faults=False
    )
    attacks = [h for happened in played(plan, site) for h in happened if isinstance(h.event, Alarm)]
    assert {h.event.code for h in attacks if isinstance(h.event, Alarm)} == {10004}
