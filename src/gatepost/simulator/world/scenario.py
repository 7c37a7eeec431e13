"""A day at the doors of a site: who comes when, what the terminals report, and what is wrong with some of them.

Rules:

- Everything depends only on the `Plan`. The same plan gives the same doors and the same events in the same order, at
  any speed. A larger fleet begins with the doors of the smaller one.
- A seed has one fleet and one staff. Each of its days has other passages, alarms, outages and identifiers.
- Times are those of the site (aware). A terminal's clock adds its error, and only that time is sent.
- A day is always drawn whole. `opens` and `closes` cut a part out of it.

Flow: `Plan` → `doors(plan)` → `happenings(plan, site, door)` per door, ordered by time and lazy, because five thousand
doors have two million passages a day.

What a passage consists of: `gatepost.simulator.world.passages`. Who works when: `gatepost.simulator.world.roster`.
How a firmware writes it: `gatepost.simulator.world.dialects`.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
import math
import random
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone

from msgspec import Struct, field

from gatepost.simulator.world import passages, roster
from gatepost.simulator.world.passages import Door
from gatepost.simulator.world.people import Person, Site
from gatepost.simulator.world.rng import rng
from gatepost.wire import Alarm, Dialect, Record
from gatepost.wire.codes import AbnormalType, AlarmCode, AlarmStatus, RecognitionType, VerificationMode

SITE_TIME = timezone(timedelta(hours=8))
"""The site's time zone. Fixed, so that a day is the same on every machine."""

DEFAULT_DAY = datetime(2026, 1, 5, tzinfo=SITE_TIME)
"""A Monday. Fixed, so that the same seed sends the same bytes on any day."""

DEFAULT_MIX: Mapping[Dialect, float] = {
    Dialect.V1_3_0: 55,
    Dialect.V1_2_1: 20,
    Dialect.V1_2_0: 10,
    Dialect.V1_0: 10,
    Dialect.BEFORE_1_0: 5,
}
"""Shares of the firmware versions in a fleet that grew over the years."""

_PLACES = (
    "main gate", "lobby", "loading bay", "car park", "laboratory", "server room", "canteen", "east wing", "west wing",
    "roof", "archive", "workshop",
)  # fmt: skip

# (middle in hours, spread in hours, share): arrival, lunch out and back, leaving, a late shift.
_PEAKS = ((8.65, 0.38, 0.34), (12.05, 0.22, 0.13), (13.05, 0.25, 0.13), (18.1, 0.55, 0.27), (21.9, 0.4, 0.03))
_STEPS_AN_HOUR = 12


class Plan(Struct, frozen=True, kw_only=True):
    """A day to simulate. `passages` and `alarms` are averages per door and day; `opens` and `closes` are hours."""

    seed: int
    terminals: int
    day: datetime = DEFAULT_DAY
    opens: float = 7.0
    closes: float = 20.0
    passages: int = 400
    alarms: float = 2.0
    mix: Mapping[Dialect, float] = field(default_factory=lambda: dict(DEFAULT_MIX))
    faults: bool = True
    """With wrong clocks, outages, duplicates, a broken image, and a terminal without `uuid`."""
    images: bool = True
    shifts: bool = False
    """Employees pass by their shifts (`gatepost.simulator.world.roster`), not by chance."""
    dialect_faults: bool = False
    """With faults in bodies that public bug reports show, see `gatepost.simulator.engines.faulty`."""

    @property
    def begins(self) -> datetime:
        return self.day + timedelta(hours=self.opens)

    @property
    def ends(self) -> datetime:
        return self.day + timedelta(hours=self.closes)


class PlannedEvent(Struct, frozen=True, kw_only=True):
    """An event at a door. `number` counts from 0 within the door; `again` marks one that was sent before."""

    at: datetime
    number: int
    event: Record | Alarm
    again: bool = False


def doors(plan: Plan) -> list[Door]:
    """Return the fleet. With faults, doors 1 to 4 are unusual: no `uuid`, a broken image, two wrong clocks."""
    return [_door(plan, index) for index in range(plan.terminals)]


def happenings(plan: Plan, site: Site, door: Door) -> Iterator[PlannedEvent]:
    """Return the events at `door` between `plan.begins` and `plan.ends`, ordered by time."""
    rand = rng("duplicates", plan.seed, plan.day.date(), door.serial)
    later: list[tuple[datetime, int, PlannedEvent]] = []
    for number, (at, event) in enumerate(_events(plan, site, door)):
        while later and later[0][0] <= at:
            yield heapq.heappop(later)[2]
        if at > plan.ends:
            return
        again = at + timedelta(seconds=rand.uniform(5, 120)) if rand.random() < door.duplicates else None
        if at < plan.begins:
            continue
        happening = PlannedEvent(at=at, number=number, event=event)
        yield happening
        if again and again <= plan.ends:
            heapq.heappush(
                later, (again, number, PlannedEvent(at=again, number=number, event=event, again=True))
            )
    yield from (entry[2] for entry in sorted(later, key=lambda entry: entry[:2]))


def density(hour: float) -> float:
    """Return how busy a door is at `hour` (0 to 24) of a working day. The mean over the day is about 1."""
    if not 6 <= hour < 23:
        return 0.02
    busy = sum(
        share * 24 / (spread * math.sqrt(2 * math.pi)) * math.exp(-0.5 * ((hour - middle) / spread) ** 2)
        for middle, spread, share in _PEAKS
    )
    return busy + 0.12


def _cumulated() -> list[float]:
    steps = [density((k + 0.5) / _STEPS_AN_HOUR) for k in range(24 * _STEPS_AN_HOUR)]
    return [total / sum(steps) for total in itertools.accumulate(steps)]


_CUMULATED = _cumulated()


def _hour(rand: random.Random) -> float:
    """Return an hour of the day, drawn by `density`."""
    step = min(bisect.bisect_left(_CUMULATED, rand.random()), len(_CUMULATED) - 1)
    return (step + rand.random()) / _STEPS_AN_HOUR


def _events(plan: Plan, site: Site, door: Door) -> Iterator[tuple[datetime, Record | Alarm]]:
    """Return every event of the day in order: passages, alarms, and the alarm after wrong PINs."""
    rand = rng("rhythm", plan.seed, plan.day.date(), door.serial)
    count = max(1, round(plan.passages * rand.uniform(0.7, 1.3)))
    hours = sorted(_hour(rand) for _ in range(count))
    steps = [step for alarm in range(_poisson(rand, plan.alarms)) for step in _alarm(plan, door, alarm)]
    heapq.heapify(steps)
    coming = [(plan.day + timedelta(hours=hour), number, None) for number, hour in enumerate(hours)]
    for at, number, worker in heapq.merge(coming, _workers(plan, site, door)):
        while steps and steps[0][0] <= at:
            yield _step(plan, site, door, heapq.heappop(steps))
        if not plan.begins <= at <= plan.ends:
            # Outside the part that is simulated: it counts, and is not drawn.
            yield at, _NOTHING
            continue
        record = passages.passage(
            passages.Moment(plan.seed, plan.day, at, number), site, door, image=plan.images, worker=worker
        )
        if plan.shifts and worker is None and record.recognition_type == RecognitionType.EMPLOYEE:
            continue
        yield at, record
        if record.abnormal_type == AbnormalType.TOO_MANY_PINS and door.firmware is Dialect.V1_3_0:
            rage = rng("attack", plan.seed, plan.day.date(), door.serial, number)
            for step in _life(rage, at, AlarmCode.PASSWORD_ATTACK):
                heapq.heappush(steps, step)
    while steps:
        yield _step(plan, site, door, heapq.heappop(steps))


def _workers(plan: Plan, site: Site, door: Door) -> list[tuple[datetime, int, Person | None]]:
    """Return when which employee passes this door on the plan's day, by their shifts of this day and the one before."""
    if not plan.shifts:
        return []
    day = timedelta(days=1)
    found: list[tuple[datetime, int, Person | None]] = []
    for begins, person in itertools.product((plan.day - day, plan.day), site.employees):
        shift = roster.begun_on(plan.seed, person, begins)
        for place, at in enumerate(shift.times if shift is not None else ()):
            chosen = rng("door of", plan.seed, at, person.number).randrange(plan.terminals)
            if chosen == door.index and plan.day <= at < plan.day + day:
                found.append((at, _WORKERS + person.number * 100 + place, person))
    return sorted(found, key=lambda one: one[:2])


_WORKERS = 1_000_000
"""First number of workers' passages, after those that are drawn by chance."""

_NOTHING = Record()

Step = tuple[datetime, int, AlarmCode, datetime]
"""Time, status, code, and when the alarm began, which identifies the alarm."""


def _alarm(plan: Plan, door: Door, number: int) -> list[Step]:
    """Return the steps of one alarm of the day. Firmware before API 1.3.0 has no alarms."""
    if door.firmware is not Dialect.V1_3_0:
        return []
    rand = rng("alarm", plan.seed, plan.day.date(), door.serial, number)
    code = rand.choices(
        (
            AlarmCode.DOOR_HELD,
            AlarmCode.FORCED_DOOR,
            AlarmCode.TAMPER,
            AlarmCode.PASSWORD_ATTACK,
            AlarmCode.FIRE,
        ),
        (52, 20, 12, 12, 4),
    )[0]
    return _life(rand, plan.day + timedelta(hours=rand.uniform(6, 22)), code)


def _life(rand: random.Random, began: datetime, code: AlarmCode) -> list[Step]:
    """Return the steps: it occurs, sometimes clearing fails, mostly it is cleared. One in twelve stays open."""
    began += timedelta(milliseconds=rand.randrange(1, 4000))
    steps: list[Step] = [(began, int(AlarmStatus.OCCURRED), code, began)]
    at = began
    if rand.random() < 0.25:
        at += timedelta(milliseconds=rand.randrange(20_000, 240_000))
        steps.append((at, int(AlarmStatus.CLEAR_FAILED), code, began))
    if rand.random() > 1 / 12:
        at += timedelta(milliseconds=rand.randrange(30_000, 900_000))
        steps.append((at, int(AlarmStatus.CLEARED), code, began))
    return steps


def _step(plan: Plan, site: Site, door: Door, step: Step) -> tuple[datetime, Record | Alarm]:
    at, number, code, began = step
    status = next(status for status in AlarmStatus if status == number)
    moment = passages.Moment(plan.seed, plan.day, at, 0)
    return at, passages.alarm(moment, site, door, life=(code, status, began), image=plan.images)


def _poisson(rand: random.Random, mean: float) -> int:
    """Draw from a Poisson distribution by Knuth's method. The means are small here."""
    limit, product, count = math.exp(-mean), rand.random(), 0
    while product > limit:
        product *= rand.random()
        count += 1
    return count


def _door(plan: Plan, index: int) -> Door:
    rand = rng("door", plan.seed, index)
    firmware = rand.choices(list(plan.mix), list(plan.mix.values()))[0]
    defect = {1: "no uuid", 2: "broken image"}.get(index, "") if plan.faults else ""
    newest = Dialect.V1_3_0 if defect else firmware
    modes = [mode for mode in VerificationMode if mode != VerificationMode.ID_CARD]
    return Door(
        index=index,
        serial=f"SIM{plan.seed % 10_000:04d}C0MC22F{index:05d}",
        model=rand.choice(("SensePass X", "SensePass Pro", "SensePass")),
        place=_place(index),
        firmware=newest,
        mode=rand.choices(modes, [40, 14, 8, 20, 2, 2, 6, 4, 4])[0],
        checks_masks=rand.random() < 0.5,
        measures_temperature=rand.random() < 0.4,
        defect=defect,
        clock_error=_clock_error(plan, rand, index),
        duplicates=0.02 if plan.faults and rand.random() < 0.7 else 0.0,
        outages=_outages(plan, index),
    )


def _place(index: int) -> str:
    name, storey = _PLACES[index % len(_PLACES)], index // len(_PLACES)
    return f"{name} {storey + 1}" if storey else name


def _clock_error(plan: Plan, rand: random.Random, index: int) -> timedelta:
    """Return the error of a clock: mostly seconds, hours with a wrong time zone, decades after an empty battery."""
    drift = timedelta(seconds=rand.randint(-3, 3))
    lot = rand.random()
    if not plan.faults:
        return timedelta(0)
    if index == 3 or (index > 4 and lot < 0.015):
        return timedelta(hours=-8)
    if index == 4 or (index > 4 and lot > 0.99):
        return datetime(2000, 1, 1, tzinfo=UTC) - plan.day
    return drift


def _outages(plan: Plan, index: int) -> tuple[tuple[datetime, datetime], ...]:
    """Return the outages of a door: for every third door a planned one in the middle, and some by chance."""
    rand = rng("outages", plan.seed, plan.day.date(), index)
    by_chance = []
    for _ in range(_poisson(rand, 0.6)):
        begin = plan.day + timedelta(hours=rand.uniform(6, 22))
        by_chance.append((begin, begin + timedelta(minutes=rand.uniform(2, 25))))
    if not plan.faults:
        return ()
    middle = plan.begins + (plan.ends - plan.begins) / 2
    planned = [(middle, middle + (plan.ends - plan.begins) / 24)] if index % 3 == 0 else []
    return tuple(sorted(outage for outage in (*planned, *by_chance) if plan.begins <= outage[0] < plan.ends))
