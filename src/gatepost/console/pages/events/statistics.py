"""``/statistics``: how much went on, how it went, and where. A chart is drawn from the table beneath it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

from litestar import Controller, get
from msgspec import Struct

from gatepost.console.desk import Html, TheDesk, View
from gatepost.console.input.filter_names import PLACES
from gatepost.console.input.filters import Filters
from gatepost.console.pages.events.views import page_views
from gatepost.console.pages.people.people import month_in
from gatepost.receiver.api.access.authorization import VIEWER, AnyRequest, TheAccess
from gatepost.receiver.api.shapes import TheMeaning, read
from gatepost.store.local_days import MAX_DAYS
from gatepost.store.query.statistics import Bin, CodeCount, Counts, Statistics, statistics

__all__ = ["Chart", "StatisticsPages"]

WEEK = timedelta(days=6)

NONE: Mapping[str, object] = {"day": None, "month": None, "first": None, "last": None}
"""Which days: none said."""


class Chart(Struct, frozen=True, kw_only=True):
    """A chart, and its numbers."""

    kind: str
    """``bars``, ``stack``, ``shares`` or ``heat``."""
    title: str
    columns: Sequence[str]
    """What the first column is, and then each series."""
    rows: Sequence[tuple[str, Sequence[int]]]
    wide: bool = False

    @property
    def drawn(self) -> bool:
        return any(any(values) for _, values in self.rows)


class StatisticsPages(Controller):
    """``/statistics``."""

    path = "/statistics"
    opt = VIEWER

    @get(sync_to_thread=True)
    def show_statistics(
        self, request: AnyRequest, desk: TheDesk, meaning: TheMeaning, access: TheAccess
    ) -> Html:
        view = desk.view(request)
        views = page_views(view, "statistics")
        if views.start is not None:
            return view.go(views.start)
        filters = Filters(view, PLACES)
        first, last, spans = _stretch(view, filters.zone)
        with access.shares.statistics.of(request.user):
            found = read(lambda: statistics(view.store, filters.statistics(first, last)))
        return view.page(
            "statistics.html",
            active="statistics",
            found=found,
            charts=list(_charts(view, found)),
            spans=spans,
            first=first,
            last=last,
            today=view.show.today(filters.zone),
            shown=f"{first}" if first == last else f"{first} – {last}",
            filters=filters,
            views=views,
        )


def _stretch(view: View, zone: str) -> tuple[date, date, list[tuple[str, str, bool]]]:
    """Return the stretches of days to choose from: name, address, and whether it is the one that is shown.

    ``first`` and ``last`` are any days, in either order; one alone goes up to today, or is the only one. Today is by
    the clocks of ``zone``.
    """
    today = view.show.today(zone)
    first, last, chosen = today - WEEK, today, "week"
    given = [day for day in (view.day("first"), view.day("last")) if day is not None]
    if given:
        first, last, chosen = min(given), max(given), "any"
        if view.day("last") is None:
            first, last = sorted((first, today))
    elif view.query.get("month"):
        month = month_in(view, view.query["month"], today)
        first, last, chosen = month.first, month.last, "month"
    elif (day := view.day("day")) is not None:
        first, last, chosen = day, day, "today" if day == today else "day"
    first = max(first, last - timedelta(days=MAX_DAYS - 1))
    links = [
        ("today", view.here(**{**NONE, "day": today}), chosen == "today"),
        ("week", view.here(**NONE), chosen == "week"),
        ("month", view.here(**{**NONE, "month": f"{today:%Y-%m}"}), chosen == "month"),
    ]
    return first, last, links


def _charts(view: View, found: Statistics) -> Iterator[Chart]:
    """Yield the charts of a page: when, with which result, how, where."""
    yield from _times(view, found)
    yield from _results(view, found)
    yield from _values(view, found)


def _times(view: View, found: Statistics) -> Iterator[Chart]:
    """Yield the charts of hours and days."""
    t = view.words
    how = _hows(view)
    if found.hours and len(found.days) > 1:
        yield _heat(view, found)
    elif found.hours:
        yield Chart(
            kind="stack",
            title=t("statistics.by_hour"),
            columns=(t("statistics.hour"), *how),
            rows=[(f"{hour.hour:02d}", _split(hour.counts)) for hour in found.hours],
            wide=True,
        )
    if len(found.days) > 1:
        one_year = found.first.year == found.last.year
        yield Chart(
            kind="stack",
            title=t("statistics.by_day"),
            columns=(t("people.day"), *how),
            rows=[
                (f"{one.day:{'%m-%d' if one_year else '%Y-%m-%d'}}", _split(one.counts)) for one in found.days
            ],
            wide=True,
        )


def _heat(view: View, found: Statistics) -> Chart:
    """Return the hours of each day."""
    t = view.words
    cells: Counter[tuple[date, int]] = Counter()
    for hour in found.hours:
        cells[hour.day, hour.hour] += hour.counts.records
    return Chart(
        kind="heat",
        title=t("statistics.heat"),
        columns=(t("people.day"), *(f"{hour:02d}" for hour in range(24))),
        rows=[
            (
                f"{one.day:%m-%d} {view.show.weekday(one.day)}",
                [cells[one.day, hour] for hour in range(24)],
            )
            for one in found.days
        ],
        wide=True,
    )


def _results(view: View, found: Statistics) -> Iterator[Chart]:
    """Yield the charts of results and codes."""
    t = view.words
    records = t("statistics.records")
    yield Chart(
        kind="shares",
        title=t("statistics.results"),
        columns=(t("records.result"), records),
        rows=list(zip(_hows(view), ((value,) for value in _split(found.total)), strict=True)),
    )
    yield Chart(
        kind="bars",
        title=t("statistics.recognised"),
        columns=(t("records.who"), records),
        rows=_codes(view, "recognition_type", found.recognition_types),
    )
    abnormal = zip(found.abnormal_types, _codes(view, "abnormal_type", found.abnormal_types), strict=True)
    yield Chart(
        kind="bars",
        title=t("statistics.abnormal"),
        columns=(t("records.abnormal"), records),
        rows=[row for code, row in abnormal if code.code],
    )
    yield Chart(
        kind="bars",
        title=t("statistics.entries"),
        columns=(t("records.how"), records),
        rows=_codes(view, "entry_mode", found.entry_modes),
    )


def _values(view: View, found: Statistics) -> Iterator[Chart]:
    """Yield the charts of measured values, and of the busiest terminals."""
    t = view.words
    records = t("statistics.records")
    yield Chart(
        kind="columns",
        title=t("statistics.scores"),
        columns=(t("records.score"), records),
        rows=_bins(found.scores, ""),
    )
    yield Chart(
        kind="columns",
        title=t("statistics.temperatures"),
        columns=(t("records.temperature"), records),
        rows=_bins(found.temperatures, " °C"),
    )
    yield Chart(
        kind="bars",
        title=t("statistics.busiest"),
        columns=(t("records.terminal"), records),
        rows=[
            (one.name or one.serial or f"#{one.terminal_id}", (one.counts.records,))
            for one in found.terminals[:12]
        ],
        wide=True,
    )


def _hows(view: View) -> tuple[str, str, str]:
    """Return the names of the three results."""
    t = view.words
    return t("statistics.passed"), t("statistics.refused"), t("statistics.unsaid")


def _split(counts: Counts) -> tuple[int, int, int]:
    """Return how many records have each of the three results."""
    return counts.passed, counts.refused, counts.unsaid


def _codes(view: View, table: str, counts: Sequence[CodeCount]) -> list[tuple[str, Sequence[int]]]:
    return [
        (
            view.words("frame.unsaid")
            if one.code is None
            else view.words("statistics.other")
            if one.code == -2
            else view.show.code(table, one.code),
            (one.count,),
        )
        for one in counts
    ]


def _bins(bins: Sequence[Bin], unit: str) -> list[tuple[str, Sequence[int]]]:
    found: list[tuple[str, Sequence[int]]] = []
    for one in bins:
        if one.low is None:
            title = f"< {one.high:g}{unit}"
        elif one.high is None:
            title = f"≥ {one.low:g}{unit}"
        else:
            title = f"{one.low:g}{unit}"
        found.append((title, (one.count,)))
    return found
