"""``/attendance``: who was there on a day, or in a month, by group; and the same as a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any, cast

from litestar import Controller, get, post
from litestar.exceptions import ClientException
from litestar.params import RawBody
from litestar.response import Stream
from msgspec import Struct
from msgspec.structs import replace

from gatepost.console.desk import Html, TheDesk, View
from gatepost.console.filters import PEOPLE, Filters
from gatepost.console.forms import Form
from gatepost.console.pages.people import month_in
from gatepost.receiver.api.access import OPERATOR, VIEWER, AnyRequest, TheAccess
from gatepost.receiver.api.exports import answer_file
from gatepost.receiver.api.shapes import TheMeaning, read
from gatepost.receiver.exports.columns import Column, Words
from gatepost.receiver.exports.formats import Table, csv_pieces, xlsx_pieces
from gatepost.receiver.meaning import Meaning
from gatepost.store.attendance import Attended
from gatepost.store.days import parse_day
from gatepost.store.people import PeopleQuery, Person

__all__ = ["AttendancePages"]

PAGE = 60
EXPORT_PAGE = 500


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


class Row(Struct, frozen=True):
    """A line of the file: a person on a day."""

    person: Person
    attended: Attended


class AttendancePages(Controller):
    """``/attendance``."""

    path = "/attendance"
    opt = VIEWER

    @get(sync_to_thread=True)
    def show_attendance(self, request: AnyRequest, desk: TheDesk, meaning: TheMeaning) -> Html:
        view = desk.view(request)
        filters = Filters(view, PEOPLE)
        if (sealed := filters.sealed()) is not None:
            return view.go(sealed)
        stretch = _stretch(view)
        query = replace(filters.people(), limit=PAGE, cursor=view.query.get("cursor"))
        page = read(lambda: meaning.attendance.page(query, stretch.first, stretch.last))
        return view.page(
            "attendance.html",
            active="attendance",
            filters=filters,
            stretch=stretch,
            rows=[(item.person, {one.day: one for one in item.days}) for item in page.items],
            next=page.next_cursor,
            groups=[(group["id"], group["name"]) for group in meaning.people.groups()],
            present=_present(meaning, stretch, query.site_id) if stretch.single else (),
            site_options=[(site.id, site.name) for site in desk.store.sites()],
        )

    @post(sync_to_thread=True)
    def filter_attendance(self, request: AnyRequest, body: RawBody, desk: TheDesk) -> Html:
        view, form = desk.view(request), Form(body)
        kept = {"month": form("month")} if form("month") else {"day": form("day")}
        return view.go(Filters(view, PEOPLE).address("/attendance", form, **kept))

    @get("/export", opt=OPERATOR)
    async def export(
        self, request: AnyRequest, desk: TheDesk, access: TheAccess, meaning: TheMeaning
    ) -> Stream:
        """The same as CSV or XLSX: a line for each person and day."""
        view = desk.view(request)
        form = request.query_params.get("format", "xlsx")
        if form not in ("csv", "xlsx"):
            raise ClientException("format is csv or xlsx")
        stretch = _stretch(view)
        query = replace(Filters(view, PEOPLE).people(), limit=EXPORT_PAGE)

        def begin() -> Iterator[bytes]:
            words = Words(view.words.language, ())
            table = Table("attendance", _columns(view), words, lambda: _rows(meaning, query, stretch))
            return csv_pieces(table) if form == "csv" else xlsx_pieces(table)

        detail: dict[str, object] = {"first": stretch.first.isoformat(), "last": stretch.last.isoformat()}
        return await answer_file(
            request, access, begin, what="attendance", form=cast("Any", form), detail=detail
        )


def _stretch(view: View) -> Stretch:
    today = view.show.today()
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


def _present(meaning: Meaning, stretch: Stretch, site_id: int | None) -> Sequence[tuple[str, str, int, int]]:
    """Of each group: id, name, how many were there, and how many there are."""
    found = read(lambda: meaning.attendance.groups(stretch.first, stretch.last, site_id=site_id))
    return [
        (group.id, group.name, group.days[0].present if group.days else 0, group.people) for group in found
    ]


def _rows(meaning: Meaning, query: PeopleQuery, stretch: Stretch) -> Iterator[Sequence[Row]]:
    while True:
        page = meaning.attendance.page(query, stretch.first, stretch.last)
        yield [Row(item.person, attended) for item in page.items for attended in item.days]
        if page.next_cursor is None:
            return
        query = replace(query, cursor=page.next_cursor)


def _columns(view: View) -> Sequence[Column[Any]]:
    show, words = view.show, view.words

    def local(row: Row, at: datetime) -> datetime:
        return show.local(at, row.person.timezone).replace(tzinfo=None, microsecond=0)

    def column(name: str, key: str, cell: Any, width: int = 12) -> Column[Any]:
        title = words(key)
        return Column(name, title, title, cell, width)

    return (
        column("day", "people.day", lambda row, _: row.attended.day.isoformat(), 11),
        column("name", "records.name", lambda row, _: row.person.name, 16),
        column("job_number", "records.job_number", lambda row, _: row.person.job_number),
        column("user_id", "records.user_id", lambda row, _: row.person.user_id),
        column(
            "groups",
            "records.groups",
            lambda row, _: "; ".join(str(group.get("name", "")) for group in row.person.groups),
            16,
        ),
        column("first_in", "people.first_in", lambda row, _: local(row, row.attended.first_in), 19),
        column("last_out", "people.last_out", lambda row, _: local(row, row.attended.last_out), 19),
        column(
            "hours",
            "attendance.hours",
            lambda row, _: round((row.attended.last_out - row.attended.first_in).total_seconds() / 3600, 2),
            9,
        ),
        column("passages", "people.passages", lambda row, _: row.attended.passages, 9),
        column("site", "records.site", lambda row, _: row.person.site, 14),
        column("time_zone", "terminals.timezone", lambda row, _: row.person.timezone, 16),
    )
