"""Statistics: how much went on, hour by hour and day by day, how it went, and where.

Hours and days are local ones: see local_days.py. An hour is one on the clock at the wall, so that the hour which is
repeated when clocks are put back is there twice, and the one that is jumped over is not.

Counts come out of the indexes of ``records`` by facet and time, and by terminal, facet and time, without looking at
a record. Only scores and temperatures are read from the records, in one go.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    case,
    cast,
    func,
    literal_column,
    or_,
    select,
    true,
)

from gatepost.store.conversion.values import moment
from gatepost.store.interface import ForUser, Visible
from gatepost.store.local_days import DAY_MS, Days, days_between, zone
from gatepost.store.schema import tables as t
from gatepost.store.terminals.terminal_labels import terminals_asked
from gatepost.wire.codes import RecognitionType

__all__ = [
    "Counts",
    "HourCounts",
    "DayCounts",
    "CodeCount",
    "Bin",
    "TerminalCounts",
    "Statistics",
    "StatisticsQuery",
    "day_in_sql",
    "statistics",
    "MAX_HOURS_DAYS",
]

MAX_HOURS_DAYS = 31
"""Over a longer stretch there are no hours, only days."""

_QUARTER_MS = 900_000
_BUSIEST = 20
_BINS: dict[str, tuple[float, float, int]] = {"score": (0.0, 0.05, 20), "temperature": (34.0, 0.5, 16)}
"""Where the first one begins, how wide each is, how many there are."""


class StatisticsQuery(Struct, frozen=True, kw_only=True):
    """Which stretch of days, both ends included, and of what. ``None`` does not filter."""

    first: date
    last: date
    site_id: int | None = None
    terminal: str | int | None = None
    """As in a ``RecordQuery``; so is the next."""
    without_serial: bool = False
    timezone: str | None = None
    """Whose days; ``None``: those of the terminals if all have one zone, else of the site, else of the first site."""


class Counts(Struct, frozen=True, kw_only=True):
    """Records, and how they went."""

    records: int = 0
    passed: int = 0
    refused: int = 0
    unsaid: int = 0
    """The terminal did not say whether they passed."""
    strangers: int = 0
    """``recognition_type`` 3."""


class HourCounts(Struct, frozen=True, kw_only=True):
    at: datetime
    """When it begins."""
    day: date
    hour: int
    """On the clock at the wall, 0 to 23."""
    counts: Counts


class DayCounts(Struct, frozen=True, kw_only=True):
    day: date
    counts: Counts


class CodeCount(Struct, frozen=True, kw_only=True):
    code: int | None
    """``None``: not said. -2: one that the protocol page does not have."""
    count: int


class Bin(Struct, frozen=True, kw_only=True):
    """Values from ``low`` up to, but not including, ``high``; ``None`` at the open ends."""

    low: float | None
    high: float | None
    count: int


class TerminalCounts(Struct, frozen=True, kw_only=True):
    terminal_id: int
    serial: str | None
    name: str | None
    counts: Counts


class Statistics(Struct, frozen=True, kw_only=True):
    """Hold the counts of a stretch of days."""

    first: date
    last: date
    timezone: str
    begins_at: datetime
    ends_at: datetime
    total: Counts
    hours: tuple[HourCounts, ...]
    """Every hour, quiet ones too; empty over more than :data:`MAX_HOURS_DAYS` days."""
    days: tuple[DayCounts, ...]
    """Every day, quiet ones too."""
    recognition_types: tuple[CodeCount, ...]
    abnormal_types: tuple[CodeCount, ...]
    entry_modes: tuple[CodeCount, ...]
    scores: tuple[Bin, ...]
    """Twenty from 0 to 1."""
    temperatures: tuple[Bin, ...]
    """Steps of half a degree Celsius from 34 to 42; a zero is no measurement, and left out."""
    terminals: tuple[TerminalCounts, ...]
    """The busiest, at most 20."""


def statistics(store: ForUser, query: StatisticsQuery) -> Statistics:
    """Count. Raises ``ValueError`` for days in the wrong order or too many, ``StoreError`` for an unknown zone."""
    days_between(query.first, query.last)
    with store.reading() as db:
        asked = _asked(db, query, store.visible)
        name = query.timezone or _zone(db, query, asked, store.visible)
        days = Days.of(query.first, query.last, name)
        by_terminal = _by_terminal(db, days, asked)
        by_day: dict[int, Counter[int]] = {}
        hours: list[tuple[datetime, date, int, Counter[int]]] = []
        if len(days) <= MAX_HOURS_DAYS:
            hours = _hours(days, _by_slot(db, days, asked, t.records.c.at_ms // _QUARTER_MS))
            for _, day, _, counted in hours:
                by_day.setdefault((day - days.first).days, Counter()).update(counted)
        else:
            by_day = _by_slot(db, days, asked, day_in_sql(days, t.records.c.at_ms))
        values = _values(db, days, asked)
    facets = asked.facets
    total: Counter[int] = Counter()
    for counted in by_day.values():
        total.update(counted)
    busiest = sorted(by_terminal.items(), key=lambda item: (-item[1].total(), item[0]))
    return Statistics(
        first=query.first,
        last=query.last,
        timezone=name,
        begins_at=moment(days.begin_ms),
        ends_at=moment(days.end_ms),
        total=_counts(total, facets),
        hours=tuple(
            HourCounts(at=at, day=day, hour=hour, counts=_counts(counted, facets))
            for at, day, hour, counted in hours
        ),
        days=tuple(
            DayCounts(day=days.day(index), counts=_counts(by_day.get(index, Counter()), facets))
            for index in range(len(days))
        ),
        recognition_types=_codes(total, facets, "recognition_type"),
        abnormal_types=_codes(total, facets, "abnormal_type"),
        entry_modes=_codes(total, facets, "entry_mode"),
        scores=_bins(values["score"], *_BINS["score"]),
        temperatures=_bins(values["temperature"], *_BINS["temperature"]),
        terminals=tuple(
            TerminalCounts(
                terminal_id=number,
                serial=asked.terminals[number].serial,
                name=asked.terminals[number].name,
                counts=_counts(counted, facets),
            )
            for number, counted in busiest[:_BUSIEST]
            if counted
        ),
    )


class _Asked(Struct, frozen=True):
    """What is counted."""

    terminals: dict[int, Any]
    everything: bool
    """They are all that there are."""
    facets: dict[int, Any]


def _zone(db: Connection, query: StatisticsQuery, asked: _Asked, visible: Visible) -> str:
    if query.terminal is not None or query.without_serial:
        zones = {str(row.zone) for row in asked.terminals.values()}
        if len(zones) == 1:
            return zones.pop()
    of_site = select(t.sites.c.timezone).order_by(t.sites.c.id).limit(1)
    if query.site_id is not None:
        of_site = of_site.where(t.sites.c.id == query.site_id)
    if visible.sites is not None:
        of_site = of_site.where(t.sites.c.id.in_(sorted(visible.sites)))
    return str(db.execute(of_site).scalar_one_or_none() or "UTC")


def _asked(db: Connection, query: StatisticsQuery, visible: Visible) -> _Asked:
    c = t.terminals.c
    zone_of = func.coalesce(c.timezone, t.sites.c.timezone).label("zone")
    rows: Sequence[Any] = db.execute(
        select(c.id, c.serial, c.name, zone_of)
        .join(t.sites, t.sites.c.id == c.site_id)
        .where(c.state != "held", *terminals_asked(db, query, visible))
    ).all()
    found = {row.id: row for row in rows}
    count = db.execute(select(func.count()).select_from(t.terminals)).scalar_one()
    facets: Sequence[Any] = db.execute(select(t.facets)).all()
    return _Asked(found, len(found) == count, {facet.id: facet for facet in facets})


def _within(days: Days, asked: _Asked) -> list[ColumnElement[bool]]:
    """One stretch of an index for each facet; without the facets a planner would look at every record."""
    r = t.records.c
    found = [r.facet_id.in_(asked.facets), r.at_ms >= days.begin_ms, r.at_ms < days.end_ms]
    return found if asked.everything else [*found, r.terminal_id.in_(asked.terminals)]


def _by_terminal(db: Connection, days: Days, asked: _Asked) -> dict[int, Counter[int]]:
    """How often each facet, by terminal: a count of its own for each stretch."""
    r, f = t.records.c, t.facets.c
    stretch = (
        select(func.count())
        .where(r.terminal_id == t.terminals.c.id, r.facet_id == f.id)
        .where(r.at_ms >= days.begin_ms, r.at_ms < days.end_ms)
        .correlate(t.terminals, t.facets)
        .scalar_subquery()
    )
    found: dict[int, Counter[int]] = {number: Counter() for number in asked.terminals}
    statement = select(t.terminals.c.id, f.id.label("facet_id"), stretch.label("n"))
    for row in db.execute(statement.select_from(t.terminals.join(t.facets, true()))):
        if row.n and row.id in found:
            found[row.id][row.facet_id] = row.n
    return found


def _by_slot(db: Connection, days: Days, asked: _Asked, slot: ColumnElement[int]) -> dict[int, Counter[int]]:
    """How often each facet, by a slot of time."""
    c = t.records.c
    found: dict[int, Counter[int]] = {}
    statement = select(slot.label("slot"), c.facet_id, func.count().label("n")).where(*_within(days, asked))
    for row in db.execute(statement.group_by("slot", c.facet_id)):
        found.setdefault(row.slot, Counter())[row.facet_id] = row.n
    return found


def _hours(days: Days, quarters: dict[int, Counter[int]]) -> list[tuple[datetime, date, int, Counter[int]]]:
    """Put quarters of an hour, which every zone's hours are made of, into hours on the wall."""
    tz = zone(days.zone)
    hours: list[tuple[datetime, date, int, Counter[int]]] = []
    for at_ms in range(days.begin_ms - days.begin_ms % _QUARTER_MS, days.end_ms, _QUARTER_MS):
        at = moment(max(at_ms, days.begin_ms))
        wall = at.astimezone(tz)
        day = days.day(days.index(max(at_ms, days.begin_ms)) or 0)
        begins = at - timedelta(minutes=wall.minute, seconds=wall.second)
        # The hour that is shown twice has another beginning the second time.
        if not hours or hours[-1][1:3] != (day, wall.hour) or hours[-1][0] < begins:
            hours.append((at, day, wall.hour, Counter()))
        hours[-1][3].update(quarters.get(at_ms // _QUARTER_MS, {}))
    return hours


def _counts(counted: Counter[int], facets: dict[int, Any]) -> Counts:
    said = Counter[int]()
    strangers = 0
    for facet_id, count in counted.items():
        facet = facets[facet_id]
        said[facet.passed] += count
        strangers += count if facet.recognition_type == RecognitionType.STRANGER else 0
    return Counts(records=said.total(), passed=said[1], refused=said[0], unsaid=said[-1], strangers=strangers)


def _codes(counted: Counter[int], facets: dict[int, Any], name: str) -> tuple[CodeCount, ...]:
    """How often each code, the most frequent first."""
    codes = Counter[int]()
    for facet_id, count in counted.items():
        codes[getattr(facets[facet_id], name)] += count
    ranked = sorted(codes.items(), key=lambda item: (-item[1], item[0]))
    return tuple(CodeCount(code=None if code == -1 else code, count=count) for code, count in ranked)


def _values(db: Connection, days: Days, asked: _Asked) -> dict[str, Counter[int]]:
    """How many scores and temperatures fall into each bin, in one look at the records."""
    r = t.records.c
    whole = _floor if db.dialect.name == "postgresql" else _truncate
    places = {name: _place(r[name], *bins, whole=whole).label(name) for name, bins in _BINS.items()}
    statement = (
        select(*places.values(), func.count().label("n"))
        .where(*_within(days, asked))
        # By number: "score" would be the column.
        .group_by(literal_column("1"), literal_column("2"))
    )
    found: dict[str, Counter[int]] = {name: Counter() for name in _BINS}
    for row in db.execute(statement):
        for name, counted in found.items():
            if (place := getattr(row, name)) is not None:
                counted[place] += row.n
    return found


def _floor(value: ColumnElement[float]) -> ColumnElement[int]:
    """PostgreSQL rounds when it casts."""
    return cast(func.floor(value), Integer)


def _truncate(value: ColumnElement[float]) -> ColumnElement[int]:
    """SQLite truncates, and has no floor() of its own: that would be one in Python, called for each record."""
    return cast(value, Integer)


def _place(
    value: ColumnElement[float],
    low: float,
    width: float,
    count: int,
    *,
    whole: Callable[[ColumnElement[float]], ColumnElement[int]],
) -> ColumnElement[int]:
    """Return the number of a bin; below the first -1, after the last how many there are, without a value ``NULL``.

    Where zero is not in the bins it is what a terminal sends that has not measured.
    """
    not_measured = or_(value.is_(None), value == 0) if low > 0 else value.is_(None)
    return case(
        (not_measured, None),
        (value < low, -1),
        (value >= low + width * count, count),
        # A quotient that should be whole may be a hair below: 0.15 / 0.05.
        else_=whole((value - low) / width + 1e-9),
    )


def _bins(counted: Counter[int], low: float, width: float, count: int) -> tuple[Bin, ...]:
    edges = [None, *(round(low + width * number, 6) for number in range(count + 1)), None]
    bins = [
        Bin(low=edges[place + 1], high=edges[place + 2], count=counted[place])
        for place in range(-1, count + 1)
    ]
    # What lies outside is shown only if there is any.
    return tuple(one for one in bins if one.count or (one.low is not None and one.high is not None))


def day_in_sql(days: Days, at_ms: ColumnElement[int]) -> ColumnElement[int]:
    """Return :meth:`Days.index` in SQL, for a moment that belongs to one of these days.

    Days of 24 hours in a row are one division, so that there are as many branches as changes of the clock.
    """
    branches: list[tuple[ColumnElement[bool], ColumnElement[int]]] = []
    for index, count, start in days.runs():
        end = days.starts[index + count]
        day = _number(index)
        if count > 1:
            day = day + (at_ms - _number(start)) // _number(DAY_MS)
        branches.append((at_ms < _number(end), day))
    return case(*branches[:-1], else_=branches[-1][1]) if len(branches) > 1 else branches[0][1]


def _number(value: int) -> ColumnElement[int]:
    """Return a number as a literal: a database would have to guess the type of a parameter."""
    return literal_column(str(value), BigInteger)
