"""``/statistics``: how much went on, how it went, and where. A chart is drawn from the table beneath it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
from gatepost.store.query.statistics import Bin, CodeCount, Statistics, statistics

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


def _charts(view: View, found: Statistics) -> Iterable[Chart]:
    t, show = view.words, view.show
    how = (t("statistics.passed"), t("statistics.refused"), t("statistics.unsaid"))

    def split(counts: object) -> tuple[int, int, int]:
        return tuple(getattr(counts, name) for name in ("passed", "refused", "unsaid"))

    if found.hours and len(found.days) > 1:
        cells = {(hour.day, hour.hour): 0 for hour in found.hours}
        for hour in found.hours:
            cells[hour.day, hour.hour] += hour.counts.records
        yield Chart(
            kind="heat",
            title=t("statistics.heat"),
            columns=(t("people.day"), *(f"{hour:02d}" for hour in range(24))),
            rows=[
                (
                    f"{one.day:%m-%d} {show.weekday(one.day)}",
                    [cells.get((one.day, hour), 0) for hour in range(24)],
                )
                for one in found.days
            ],
            wide=True,
        )
    elif found.hours:
        yield Chart(
            kind="stack",
            title=t("statistics.by_hour"),
            columns=(t("statistics.hour"), *how),
            rows=[(f"{hour.hour:02d}", split(hour.counts)) for hour in found.hours],
            wide=True,
        )
    if len(found.days) > 1:
        one_year = found.first.year == found.last.year
        yield Chart(
            kind="stack",
            title=t("statistics.by_day"),
            columns=(t("people.day"), *how),
            rows=[
                (f"{one.day:{'%m-%d' if one_year else '%Y-%m-%d'}}", split(one.counts)) for one in found.days
            ],
            wide=True,
        )
    yield Chart(
        kind="shares",
        title=t("statistics.results"),
        columns=(t("records.result"), t("statistics.records")),
        rows=list(zip(how, ((value,) for value in split(found.total)), strict=True)),
    )
    yield Chart(
        kind="bars",
        title=t("statistics.recognised"),
        columns=(t("records.who"), t("statistics.records")),
        rows=_codes(view, "recognition_type", found.recognition_types),
    )
    yield Chart(
        kind="bars",
        title=t("statistics.abnormal"),
        columns=(t("records.abnormal"), t("statistics.records")),
        rows=[
            row
            for code, row in zip(
                found.abnormal_types, _codes(view, "abnormal_type", found.abnormal_types), strict=True
            )
            if code.code
        ],
    )
    yield Chart(
        kind="bars",
        title=t("statistics.entries"),
        columns=(t("records.how"), t("statistics.records")),
        rows=_codes(view, "entry_mode", found.entry_modes),
    )
    yield Chart(
        kind="columns",
        title=t("statistics.scores"),
        columns=(t("records.score"), t("statistics.records")),
        rows=_bins(found.scores, ""),
    )
    yield Chart(
        kind="columns",
        title=t("statistics.temperatures"),
        columns=(t("records.temperature"), t("statistics.records")),
        rows=_bins(found.temperatures, " °C"),
    )
    yield Chart(
        kind="bars",
        title=t("statistics.busiest"),
        columns=(t("records.terminal"), t("statistics.records")),
        rows=[
            (one.name or one.serial or f"#{one.terminal_id}", (one.counts.records,))
            for one in found.terminals[:12]
        ],
        wide=True,
    )


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
