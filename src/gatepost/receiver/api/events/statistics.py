"""``/api/v1/statistics``: how much went on, hour by hour and day by day, how it went, and where."""

from __future__ import annotations

from litestar import Controller, get
from litestar.params import FromQuery

from gatepost.receiver.api.access.authorization import VIEWER, AnyRequest, TheAccess
from gatepost.receiver.api.events.filters import AtSite, AtTerminal
from gatepost.receiver.api.shapes import TheMeaning, days, read
from gatepost.store.query.statistics import Statistics, StatisticsQuery, statistics

__all__ = ["StatisticsController"]


class StatisticsController(Controller):
    path = "/api/v1/statistics"
    opt = VIEWER
    tags = ("statistics",)

    @get(sync_to_thread=True, summary="Count a day, a month, or any stretch of days")
    def statistics(
        self,
        request: AnyRequest,
        access: TheAccess,
        meaning: TheMeaning,
        at_terminal: AtTerminal,
        at_site: AtSite,
        day: FromQuery[str | None] = None,
        month: FromQuery[str | None] = None,
        first: FromQuery[str | None] = None,
        last: FromQuery[str | None] = None,
        timezone: FromQuery[str | None] = None,
    ) -> Statistics:
        """Of one ``day`` (2024-05-06), a ``month`` (2024-05), or from ``first`` to ``last``, both included.

        Days and hours are local: in ``timezone`` if it is given, else in the terminal's, the site's, or the
        first site's. Codes are those of the protocol page, ``null`` where none was sent.
        """
        first_day, last_day = days(day=day, month=month, first=first, last=last)
        query = StatisticsQuery(
            first=first_day,
            last=last_day,
            site_id=at_site,
            terminal=at_terminal.terminal,
            without_serial=at_terminal.without_serial,
            timezone=timezone or None,
        )
        with access.shares.statistics.of(request.user):
            return read(lambda: statistics(meaning.store, query))
