"""Define the routes of files: ``/api/v1/records/export``, and those of alarms, attendance and who is inside."""

from __future__ import annotations

from typing import Literal

from litestar import Controller, get
from litestar.exceptions import ClientException
from litestar.params import FromQuery
from litestar.response import Stream
from msgspec.structs import replace

from gatepost.receiver.api.access.authorization import OPERATOR, AnyRequest, TheAccess
from gatepost.receiver.api.events.filters import AlarmFilters, AtSite, RecordFilters
from gatepost.receiver.api.exports.download import (
    TYPES,
    FileOptions,
    Format,
)
from gatepost.receiver.api.exports.events import alarms_file, records_file
from gatepost.receiver.api.exports.people import Layout, attendance_file, inside_file
from gatepost.receiver.api.people.attendance import OfKind
from gatepost.receiver.api.people.inside import asked
from gatepost.receiver.api.shapes import Include, TheMeaning, TheStore, answering, days, word
from gatepost.store.local_days import days_between
from gatepost.store.people.person import PeopleQuery

__all__ = ["ExportsController"]

AS_FILES = {"types": tuple(TYPES.values())}
"""Media types of exports in the OpenAPI document: see :mod:`gatepost.receiver.api.problem_details`."""


class ExportsController(Controller):
    path = "/api/v1"
    opt = OPERATOR
    tags = ("exports",)

    @get("/records/export", summary="Records as a file", opt=AS_FILES)
    async def export_records(
        self,
        request: AnyRequest,
        store: TheStore,
        meaning: TheMeaning,
        access: TheAccess,
        record_filters: RecordFilters,
        format: FromQuery[Format] = "csv",
        order: FromQuery[Literal["newest", "oldest"]] = "oldest",
        columns: FromQuery[str | None] = None,
        lang: FromQuery[Literal["en", "zh"]] = "en",
        tz: FromQuery[str | None] = None,
        include: Include = None,
    ) -> Stream:
        """Return every record that the filters leave, in CSV, XLSX, JSON lines, or a ZIP of CSV and images.

        ``columns``: names of columns with commas in between, in the order wanted. ``lang``: of headers and codes.
        ``tz``: the zone of the times; each terminal's own without it. All times say their offset. JSON lines have the
        items of ``/api/v1/records``, ``include=original`` there too.
        """
        return await records_file(
            request,
            store,
            meaning,
            access,
            replace(record_filters, order=order),
            FileOptions(format=format, columns=columns, lang=lang, tz=tz, include=_included(include, format)),
        )

    @get("/alarms/export", summary="Alarms as a file", opt=AS_FILES)
    async def export_alarms(
        self,
        request: AnyRequest,
        store: TheStore,
        access: TheAccess,
        alarm_filters: AlarmFilters,
        format: FromQuery[Format] = "csv",
        columns: FromQuery[str | None] = None,
        lang: FromQuery[Literal["en", "zh"]] = "en",
        tz: FromQuery[str | None] = None,
        include: Include = None,
    ) -> Stream:
        """Return every alarm that the filters leave, newest first; otherwise as for records."""
        return await alarms_file(
            request,
            store,
            access,
            alarm_filters,
            FileOptions(format=format, columns=columns, lang=lang, tz=tz, include=_included(include, format)),
        )

    @get("/attendance/export", summary="Attendance as a file", opt={"types": tuple(TYPES.values())[:3]})
    async def export_attendance(
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
        format: FromQuery[Literal["csv", "xlsx", "jsonl"]] = "csv",
        layout: FromQuery[Layout] = "shifts",
        columns: FromQuery[str | None] = None,
        lang: FromQuery[Literal["en", "zh"]] = "en",
        tz: FromQuery[str | None] = None,
    ) -> Stream:
        """Return attendance of one ``day``, a ``month``, or ``first`` to ``last`` for payroll.

        ``layout``: ``shifts`` is a row a shift, absences among them; ``matrix`` a row a person with totals and a column
        a day, as CSV or XLSX. Filters are those of ``/api/v1/attendance``; otherwise as for records.
        """
        stretch = days(day=day, month=month, first=first, last=last)
        query = PeopleQuery(q=word("q", q), site_id=at_site, group=word("group", group), kind=kind)
        with answering():
            days_between(*stretch)
        return await attendance_file(
            request,
            access,
            meaning,
            query,
            stretch,
            FileOptions(format=format, columns=columns, lang=lang, tz=tz),
            layout=layout,
        )

    @get("/inside/export", summary="Who is inside as a file", opt={"types": tuple(TYPES.values())[:3]})
    async def export_inside(
        self,
        request: AnyRequest,
        access: TheAccess,
        meaning: TheMeaning,
        at_site: AtSite,
        at: FromQuery[str | None] = None,
        group: FromQuery[str | None] = None,
        kind: OfKind = "all",
        format: FromQuery[Literal["csv", "xlsx", "jsonl"]] = "csv",
        columns: FromQuery[str | None] = None,
        lang: FromQuery[Literal["en", "zh"]] = "en",
        tz: FromQuery[str | None] = None,
    ) -> Stream:
        """Return who is inside now, or was at a time, a row a person. Filters are those of ``/api/v1/inside``."""
        query = asked(at=at, now_ms=access.doors.now_ms(), site_id=at_site, group=group, kind=kind)
        return await inside_file(
            request, access, meaning, query, FileOptions(format=format, columns=columns, lang=lang, tz=tz)
        )


def _included(include: str | None, form: Format) -> str | None:
    if include is not None and form != "jsonl":
        raise ClientException(f"include={include} is for format=jsonl; leave it out, or ask for that format")
    return include
