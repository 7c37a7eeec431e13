"""``/attendance``: who was there on a day, or in a month, by group; and the same as a file."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date, timedelta

from litestar import Controller, get, post
from litestar.params import RawBody
from litestar.response import Stream
from msgspec import Struct
from msgspec.structs import replace

from gatepost.console.desk import Html, TheDesk, View
from gatepost.console.input.filter_names import ATTENDANCE, KINDS
from gatepost.console.input.filters import CHOICE_BYTES, Filters
from gatepost.console.input.forms import Form
from gatepost.console.pages.events.records import export_format
from gatepost.console.pages.events.views import page_views
from gatepost.console.pages.people.people import month_in
from gatepost.receiver.api.access.authorization import OPERATOR, VIEWER, AnyRequest, TheAccess
from gatepost.receiver.api.events.filters import note_search
from gatepost.receiver.api.exports.download import FileOptions
from gatepost.receiver.api.exports.people import attendance_file
from gatepost.receiver.api.shapes import TheMeaning, read
from gatepost.receiver.exports.month import COUNTED, row_of
from gatepost.receiver.people_rules import Meaning
from gatepost.store.local_days import month_of, parse_day
from gatepost.store.page_bytes import fitting
from gatepost.store.people.groups import Group
from gatepost.store.people.person import PeopleQuery

__all__ = ["AttendancePages"]

PAGE = 60


class Stretch(Struct, frozen=True):
    """The days that are shown: one, or a month."""

    first: date
    last: date
    days: tuple[date, ...]
    address: dict[str, str]
    """As it stands in an address."""
    before: dict[str, str]
    after: dict[str, str]

    @property
    def single(self) -> bool:
        return self.first == self.last


class AttendancePages(Controller):
    """``/attendance``."""

    path = "/attendance"
    opt = VIEWER

    @get(sync_to_thread=True)
    def show_attendance(
        self, request: AnyRequest, desk: TheDesk, meaning: TheMeaning, access: TheAccess
    ) -> Html:
        view = desk.view(request)
        views = page_views(view, "attendance")
        if views.start is not None:
            return view.go(views.start)
        filters = Filters(view, ATTENDANCE, groups=meaning.people.groups())
        if (sealed := filters.sealed()) is not None:
            return view.go(sealed)
        stretch = _stretch(view, filters.zone)
        _tell_wrong(view, filters, stretch)
        query = replace(filters.attendance(), limit=PAGE, cursor=view.query.get("cursor"))
        page = read(lambda: meaning.attendance.page(query, stretch.first, stretch.last))
        note_search(access, request, query, len(page.items))
        return view.page(
            "attendance.html",
            active="attendance",
            filters=filters,
            views=views,
            stretch=stretch,
            today=view.show.today(filters.zone),
            rows=[row_of(item) for item in page.items],
            counted=COUNTED,
            found=meaning.people.count(query),
            next=page.next_cursor,
            present=_present(meaning, stretch, query) if stretch.single else (),
            kinds=[(kind, view.words(f"attendance.{kind}")) for kind in KINDS[1:]],
        )

    @post(sync_to_thread=True)
    def filter_attendance(self, request: AnyRequest, body: RawBody, desk: TheDesk) -> Html:
        view, form = desk.view(request), Form(body)
        kept = {"month": form("month")} if form("month") else {"day": form("day")}
        return view.go(Filters(view, ATTENDANCE).address("/attendance", form, **kept))

    @get("/export", opt=OPERATOR)
    async def export(
        self, request: AnyRequest, desk: TheDesk, access: TheAccess, meaning: TheMeaning
    ) -> Stream:
        """Send the same as a file: a row a shift, as the API makes it."""

        def ask() -> tuple[View, Stretch, PeopleQuery]:
            view = desk.view(request)
            filters = Filters(view, ATTENDANCE)
            asked = filters.attendance()
            filters.for_file("format", "day", "month", "layout")
            if view.query.get("month"):
                read(lambda: month_of(view.query["month"]))
            elif view.query.get("day"):
                read(lambda: parse_day(view.query["day"]))
            return view, _stretch(view, filters.zone), asked

        view, stretch, query = await asyncio.to_thread(ask)
        return await attendance_file(
            request,
            access,
            meaning,
            query,
            (stretch.first, stretch.last),
            FileOptions(format=export_format(request, ("csv", "xlsx")), lang=view.words.language),
            layout="matrix" if view.query.get("layout") == "matrix" else "shifts",
        )


def _stretch(view: View, zone: str) -> Stretch:
    """Return the days of an address; without any it is today, by the clocks of ``zone``."""
    today = view.show.today(zone)
    if view.query.get("month"):
        month = month_in(view, view.query["month"], today)
        return Stretch(
            month.first,
            month.last,
            tuple(month.days),
            {"month": month.text},
            {"month": month.before},
            {"month": month.after},
        )
    try:
        day = parse_day(view.query.get("day", ""))
    except ValueError:
        day = today
    one = timedelta(days=1)
    return Stretch(day, day, (day,), {"day": str(day)}, {"day": str(day - one)}, {"day": str(day + one)})


def _tell_wrong(view: View, filters: Filters, stretch: Stretch) -> None:
    """Name the month or the day of the address among the wrong filters if it makes no sense."""
    for name in ("month", "day"):
        if asked := view.query.get(name):
            if asked not in stretch.address.values():
                filters.wrong.append(view.words(f"attendance.{name}"))
            return


def _present(meaning: Meaning, stretch: Stretch, query: PeopleQuery) -> Sequence[tuple[Group, int, int]]:
    """Of each group: how many were there, and how many there are; of as many groups as can be chosen."""
    found = read(
        lambda: meaning.attendance.groups(stretch.first, stretch.last, site_id=query.site_id, kind=query.kind)
    )
    shown = found[: fitting([each.size for each in found], CHOICE_BYTES)]
    return [(each.group, each.days[0].present if each.days else 0, each.people) for each in shown]
