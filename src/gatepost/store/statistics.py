"""Statistics: how much went on, hour by hour and day by day, how it went, and where.

Hours and days are local ones: see days.py. An hour is one on the clock at the wall, so that the hour which is
repeated when clocks are put back is there twice, and the one that is jumped over is not.

Counts come out of the index of ``records`` by terminal, facet and time, without looking at a record: for each
visible terminal and each facet one stretch of it. Only scores and temperatures are read from the records.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Integer, Row, case, cast, func, select, true

from gatepost.store import schema as t
from gatepost.store.arrivals import moment
from gatepost.store.days import Days, days_between, zone
from gatepost.store.store import Transactions
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
    "statistics",
    "MAX_HOURS_DAYS",
]

MAX_HOURS_DAYS = 31
"""Over a longer stretch there are no hours, only days."""

_QUARTER_MS = 900_000
_BUSIEST = 20


class StatisticsQuery(Struct, frozen=True, kw_only=True):
    """Which stretch of days, both ends included, and of what. ``None`` does not filter."""

    first: date
    last: date
    site_id: int | None = None
    terminal_id: int | None = None
    timezone: str | None = None
    """Whose days; ``None``: those of the terminal, else of the site, else of the first site."""


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
    """What went on in a stretch of days."""

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


def statistics(store: Transactions, query: StatisticsQuery, *, day_starts_min: int = 0) -> Statistics:
    """Count. Raises ``ValueError`` for days in the wrong order or too many, ``StoreError`` for an unknown zone."""
    days_between(query.first, query.last)
    with store.reading() as db:
        name = query.timezone or _zone(db, query)
        days = Days.of(query.first, query.last, name, starts_at_min=day_starts_min)
        terminals = _terminals(db, query)
        facets = {row.id: row for row in db.execute(select(t.facets))}
        by_terminal = _by_terminal(db, days, terminals, facets)
        by_day = _by_time(db, days, terminals, days.sql(t.records.c.at_ms))
        hours: tuple[HourCounts, ...] = ()
        if len(days) <= MAX_HOURS_DAYS:
            quarters = _by_time(db, days, terminals, t.records.c.at_ms // _QUARTER_MS)
            hours = _hours(days, quarters)
        values = _values(db, days, terminals)
    busiest = sorted(by_terminal.items(), key=lambda item: (-_size(item[1]), item[0]))
    total: Counter[int] = Counter()
    for counted in by_terminal.values():
        total += counted
    return Statistics(
        first=query.first,
        last=query.last,
        timezone=name,
        begins_at=moment(days.begin_ms),
        ends_at=moment(days.end_ms),
        total=_counts(total, facets),
        hours=hours,
        days=tuple(
            DayCounts(day=days.day(index), counts=_of_time(by_day.get(index, ())))
            for index in range(len(days))
        ),
        recognition_types=_codes(total, facets, "recognition_type"),
        abnormal_types=_codes(total, facets, "abnormal_type"),
        entry_modes=_codes(total, facets, "entry_mode"),
        scores=_bins(values["score"], 0.0, 0.05, 20),
        temperatures=_bins(values["temperature"], 34.0, 0.5, 16),
        terminals=tuple(
            TerminalCounts(
                terminal_id=number,
                serial=terminals[number].serial,
                name=terminals[number].name,
                counts=_counts(counted, facets),
            )
            for number, counted in busiest[:_BUSIEST]
            if counted
        ),
    )


def _size(counted: Counter[int]) -> int:
    return sum(counted.values())


def _zone(db: Connection, query: StatisticsQuery) -> str:
    if query.terminal_id is not None:
        of_terminal = (
            select(func.coalesce(t.terminals.c.timezone, t.sites.c.timezone))
            .join(t.sites, t.sites.c.id == t.terminals.c.site_id)
            .where(t.terminals.c.id == query.terminal_id)
        )
        if (found := db.execute(of_terminal).scalar_one_or_none()) is not None:
            return str(found)
    of_site = select(t.sites.c.timezone).order_by(t.sites.c.id).limit(1)
    if query.site_id is not None:
        of_site = of_site.where(t.sites.c.id == query.site_id)
    return str(db.execute(of_site).scalar_one_or_none() or "UTC")


def _terminals(db: Connection, query: StatisticsQuery) -> dict[int, Row[Any]]:
    c = t.terminals.c
    statement = select(c.id, c.serial, c.name).where(c.state != "held")
    if query.site_id is not None:
        statement = statement.where(c.site_id == query.site_id)
    if query.terminal_id is not None:
        statement = statement.where(c.id == query.terminal_id)
    rows: Sequence[Any] = db.execute(statement).all()
    return {row.id: row for row in rows}


def _stretches(days: Days, terminals: Sequence[int], *columns: Any) -> Any:
    """One stretch of the index for each terminal and facet."""
    r = t.records.c
    source = t.terminals.join(t.facets, true()).join(
        t.records, (r.terminal_id == t.terminals.c.id) & (r.facet_id == t.facets.c.id)
    )
    within = [r.at_ms >= days.begin_ms, r.at_ms < days.end_ms, t.terminals.c.id.in_(terminals)]
    return select(*columns).select_from(source).where(*within)


def _by_terminal(
    db: Connection, days: Days, terminals: dict[int, Row[Any]], facets: dict[int, Row[Any]]
) -> dict[int, Counter[int]]:
    """How often each facet, by terminal."""
    r = t.records.c
    found: dict[int, Counter[int]] = {number: Counter() for number in terminals}
    statement = _stretches(days, list(terminals), r.terminal_id, r.facet_id, func.count().label("n"))
    for row in db.execute(statement.group_by(r.terminal_id, r.facet_id)):
        if row.facet_id in facets:
            found[row.terminal_id][row.facet_id] += row.n
    return found


def _by_time(
    db: Connection, days: Days, terminals: dict[int, Row[Any]], slot: ColumnElement[int]
) -> dict[int, tuple[Row[Any], ...]]:
    """How many of each outcome, by a slot of time."""
    f = t.facets.c
    stranger = func.sum(case((f.recognition_type == int(RecognitionType.STRANGER), 1), else_=0))
    statement = _stretches(
        days,
        list(terminals),
        slot.label("slot"),
        f.passed,
        func.count().label("n"),
        cast(stranger, Integer).label("strangers"),
    )
    found: dict[int, tuple[Row[Any], ...]] = {}
    for row in db.execute(statement.group_by("slot", f.passed)):
        found[row.slot] = (*found.get(row.slot, ()), row)
    return found


def _of_time(rows: Sequence[Row[Any]]) -> Counts:
    said = Counter[int]()
    strangers = 0
    for row in rows:
        said[row.passed] += row.n
        strangers += row.strangers
    return Counts(records=_size(said), passed=said[1], refused=said[0], unsaid=said[-1], strangers=strangers)


def _hours(days: Days, quarters: dict[int, tuple[Row[Any], ...]]) -> tuple[HourCounts, ...]:
    """Put quarters of an hour, which every zone's hours are made of, into hours on the wall."""
    tz = zone(days.zone)
    hours: list[tuple[datetime, date, int, list[Row[Any]]]] = []
    for at_ms in range(days.begin_ms - days.begin_ms % _QUARTER_MS, days.end_ms, _QUARTER_MS):
        at = moment(max(at_ms, days.begin_ms))
        wall = at.astimezone(tz)
        day = days.day(days.index(max(at_ms, days.begin_ms)) or 0)
        rows = quarters.get(at_ms // _QUARTER_MS, ())
        whole = at - timedelta(minutes=wall.minute, seconds=wall.second)
        if hours and hours[-1][1:3] == (day, wall.hour) and hours[-1][0] >= whole:
            hours[-1][3].extend(rows)
        else:
            hours.append((at, day, wall.hour, list(rows)))
    return tuple(
        HourCounts(at=at, day=day, hour=hour, counts=_of_time(rows)) for at, day, hour, rows in hours
    )


def _counts(counted: Counter[int], facets: dict[int, Row[Any]]) -> Counts:
    said = Counter[int]()
    strangers = 0
    for facet_id, count in counted.items():
        facet = facets[facet_id]
        said[facet.passed] += count
        strangers += count if facet.recognition_type == RecognitionType.STRANGER else 0
    return Counts(records=_size(said), passed=said[1], refused=said[0], unsaid=said[-1], strangers=strangers)


def _codes(counted: Counter[int], facets: dict[int, Row[Any]], name: str) -> tuple[CodeCount, ...]:
    """How often each code, the most frequent first."""
    codes = Counter[int]()
    for facet_id, count in counted.items():
        codes[getattr(facets[facet_id], name)] += count
    ranked = sorted(codes.items(), key=lambda item: (-item[1], item[0]))
    return tuple(CodeCount(code=None if code == -1 else code, count=count) for code, count in ranked)


def _values(db: Connection, days: Days, terminals: dict[int, Row[Any]]) -> dict[str, dict[int, int]]:
    """How many scores and temperatures fall into each bin; below the first -1, from the last on its number."""
    r = t.records.c
    found: dict[str, dict[int, int]] = {"score": {}, "temperature": {}}
    for name, low, width, count in (("score", 0.0, 0.05, 20), ("temperature", 34.0, 0.5, 16)):
        value = r[name]
        place = case(
            (value < low, -1),
            (value >= low + width * count, count),
            # A quotient that should be whole may be a hair below: 0.15 / 0.05.
            else_=cast(func.floor((value - low) / width + 1e-9), Integer),
        )
        measured = value.is_not(None) if name == "score" else value > 0
        statement = _stretches(days, list(terminals), place.label("place"), func.count().label("n"))
        for row in db.execute(statement.where(measured).group_by(place)):
            found[name][row.place] = row.n
    return found


def _bins(counted: dict[int, int], low: float, width: float, count: int) -> tuple[Bin, ...]:
    edges = [None, *(round(low + width * number, 6) for number in range(count + 1)), None]
    bins = [
        Bin(low=edges[place + 1], high=edges[place + 2], count=counted.get(place, 0))
        for place in range(-1, count + 1)
    ]
    # What lies outside is shown only if there is any.
    return tuple(one for one in bins if one.count or (one.low is not None and one.high is not None))
