"""``/api/v1/attendance``: when people came and went, by day and by month."""

from __future__ import annotations

from datetime import date, datetime

from litestar import Controller, get
from litestar.params import FromQuery
from msgspec import Struct

from gatepost.receiver.api.access.authorization import VIEWER, AnyRequest, TheAccess
from gatepost.receiver.api.events.filters import AtSite, note_search
from gatepost.receiver.api.people.attended import AttendedItem, CorrectionItem, correction_item, days_of
from gatepost.receiver.api.people.people import Limit, SomeoneItem, someone_item
from gatepost.receiver.api.shapes import Listing, TheMeaning, days, read, word
from gatepost.store.page_bytes import paged
from gatepost.store.people.person import Kind, PeopleQuery

__all__ = ["AttendanceController", "OfKind"]


OfKind = FromQuery[Kind]
"""The kind of person."""


class AttendanceItem(Struct, frozen=True):
    """A person, and their shifts."""

    person: SomeoneItem
    days: list[AttendedItem]
    """An entry a shift, ``day`` the one on which it began; or an absence, without ``first_in``."""
    corrections: list[CorrectionItem]
    """Passages of these days that were added or struck by hand."""


class GroupDayItem(Struct, frozen=True):
    """How many of a group began a shift on a day."""

    day: date
    present: int
    first_in: datetime
    last_out: datetime | None


class GroupAttendanceItem(Struct, frozen=True):
    """A group, and the days on which anybody of it was there."""

    id: str
    ids: list[str]
    """The ids of a group that is named so, 100 at most."""
    name: str
    people: int
    """Who are in it, there or not."""
    days: list[GroupDayItem]


class AttendanceController(Controller):
    path = "/api/v1/attendance"
    opt = VIEWER
    tags = ("attendance",)

    @get(sync_to_thread=True, summary="When each person came and went, shift by shift")
    def list_attendance(
        self,
        request: AnyRequest,
        access: TheAccess,
        meaning: TheMeaning,
        at_site: AtSite,
        day: FromQuery[str | None] = None,
        month: FromQuery[str | None] = None,
        first: FromQuery[str | None] = None,
        last: FromQuery[str | None] = None,
        q: FromQuery[str | None] = None,
        group: FromQuery[str | None] = None,
        kind: OfKind = "employees",
        limit: Limit = 100,
        cursor: FromQuery[str | None] = None,
    ) -> Listing[AttendanceItem]:
        """Of one ``day`` (2024-05-06), a ``month`` (2024-05), or from ``first`` to ``last``, both included.

        ``group`` and ``site`` are a name or an id. People who were not there are listed with no ``days``. An entry of
        ``days`` is a shift, and ``day`` the one on which it began, by the clocks of the site where it began. ``marks``
        of a shift says what is unusual about it: ``no_out`` is one passage only, so that ``last_out`` and ``hours``
        are ``null``. Where a schedule is assigned, ``late``, ``early``, ``missing``, ``absent`` and ``holiday`` say
        how a shift compares with it; an absence is an entry without ``first_in``. ``corrected``: a passage was added
        or struck by hand, see ``corrections``.

        ``kind``: employees without anything said, visitors, blacklist, or all. The type that a person had in a shift
        decides; without a known one it is an employee's. Go on while there is a ``next_cursor``: a page may be short.
        """
        stretch = days(day=day, month=month, first=first, last=last)
        query = PeopleQuery(
            q=word("q", q),
            site_id=at_site,
            group=word("group", group),
            kind=kind,
            limit=limit,
            cursor=cursor,
        )
        page = read(lambda: meaning.attendance.page(query, *stretch))
        note_search(access, request, query, len(page.items))
        items = [
            AttendanceItem(
                someone_item(item.person),
                days_of(item),
                [correction_item(one, item.person.id) for one in item.corrections],
            )
            for item in page.items
        ]
        return Listing(items, page.next_cursor)

    @get("/groups", sync_to_thread=True, summary="How many of each group were there, by day")
    def list_group_attendance(
        self,
        meaning: TheMeaning,
        at_site: AtSite,
        day: FromQuery[str | None] = None,
        month: FromQuery[str | None] = None,
        first: FromQuery[str | None] = None,
        last: FromQuery[str | None] = None,
        kind: OfKind = "employees",
        cursor: FromQuery[str | None] = None,
    ) -> Listing[GroupAttendanceItem]:
        """Count each person in the groups in which they were last seen. ``kind`` is as in the list.

        Groups that are named alike are one.
        """
        stretch = days(day=day, month=month, first=first, last=last)
        page = read(
            lambda: paged(
                meaning.attendance.groups(*stretch, site_id=at_site, kind=kind),
                lambda each: each.size,
                order="attendance of groups",
                place=lambda each: (each.group.name, each.group.ids),
                cursor=cursor,
            )
        )
        return Listing(
            [
                GroupAttendanceItem(
                    group.group.id,
                    list(group.group.ids),
                    group.group.name,
                    group.people,
                    [GroupDayItem(one.day, one.present, one.first_in, one.last_out) for one in group.days],
                )
                for group in page.items
            ],
            page.next_cursor,
        )
