"""A month of simulated shifts: what the terminals push, and what the roster says of who worked when."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from tests.terminals import ensured

from gatepost.simulator.world import roster
from gatepost.simulator.world.dialects import body
from gatepost.simulator.world.people import make_site
from gatepost.simulator.world.scenario import SITE_TIME, Plan, doors, happenings
from gatepost.store.interface import Arrival, Store
from gatepost.wire import Dialect, Record, decode, key, key_digest

MONTH = "2028-02"
"""It has a 29th day."""
ZONE = "Asia/Shanghai"

_SEED = 7
_FIRST = datetime(2028, 2, 1, tzinfo=SITE_TIME)
_DAYS = 29
SITE = make_site(_SEED, employees=30, visitors=6, blacklist=2, strangers=3)

Worked = tuple[str, datetime, datetime | None]
"""Day, first in, last out."""


def expected() -> dict[str, list[Worked]]:
    """Return the shifts that began in the month, by ``user_id``, out of the roster alone."""
    found: dict[str, list[Worked]] = {}
    for person in SITE.employees:
        for number in range(_DAYS):
            shift = roster.begun_on(_SEED, person, _FIRST + timedelta(days=number))
            if shift is not None:
                worked = (f"{shift.day:%Y-%m-%d}", shift.first_in, shift.last_out)
                found.setdefault(str(person.number), []).append(worked)
    return found


def hours(worked: Worked) -> float | None:
    """Return the hours between first in and last out, as they are shown."""
    _, first_in, last_out = worked
    return None if last_out is None else round((last_out - first_in).total_seconds() / 3600, 2)


def stock(store: Store) -> list[Record]:
    """Store what the terminals push in the month, and from three days before to three days after it. Return it."""
    store.update_site(1, timezone=ZONE)
    arrivals = list(_arrivals(store))
    for start in range(0, len(arrivals), 500):
        store.write(arrivals[start : start + 500])
    return [arrival.event for arrival in arrivals if isinstance(arrival.event, Record)]


def _arrivals(store: Store) -> Iterator[Arrival]:
    for number in range(-3, _DAYS + 3):
        plan = Plan(
            seed=_SEED,
            terminals=3,
            day=_FIRST + timedelta(days=number),
            opens=0,
            closes=24,
            passages=8,
            alarms=0,
            mix={Dialect.V1_3_0: 2, Dialect.V1_2_1: 1, Dialect.V1_0: 1},
            faults=False,
            images=False,
            shifts=True,
        )
        for door in doors(plan):
            received_ms = round(plan.day.timestamp() * 1000)
            terminal = ensured(store, door.serial, now_ms=received_ms)
            for happening in happenings(plan, SITE, door):
                decoded = decode(body(happening.event, door.firmware))
                assert isinstance(decoded.event, Record)
                yield Arrival(
                    terminal_id=terminal.id,
                    key=key_digest(key(decoded.event)),
                    event=decoded.event,
                    received_at_ms=round(happening.at.timestamp() * 1000) + 1000,
                    original=decoded.original,
                    problems=decoded.problems,
                    dialect=decoded.dialect,
                    peer="127.0.0.1",
                )
