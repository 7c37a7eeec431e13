"""``/api/v1/people`` and ``/api/v1/groups``: who was here, and one person's days."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from litestar import Controller, get
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import FromPath, FromQuery, QueryParameter
from msgspec import Struct

from gatepost.items import PersonMarkItem, SomeoneItem
from gatepost.receiver.api.access.authorization import VIEWER, AnyRequest, TheAccess
from gatepost.receiver.api.events.filters import AtSite, AtTerminal, note_search
from gatepost.receiver.api.events.records import RecordItem, record_items
from gatepost.receiver.api.people.attended import (
    AttendedItem,
    CorrectionItem,
    absence_item,
    attended_item,
    correction_item,
    days_of,
)
from gatepost.receiver.api.shapes import (
    MAX_ID,
    MAX_LIMIT,
    Include,
    Listing,
    TheMeaning,
    TheStore,
    days,
    moment,
    read,
    word,
)
from gatepost.receiver.http.url_prefix import link
from gatepost.receiver.people_rules import Meaning
from gatepost.store.attendance.person_day import Passage, PersonDay, day_of
from gatepost.store.interface import RecordQuery
from gatepost.store.local_days import parse_day
from gatepost.store.page_bytes import paged
from gatepost.store.people.marked import Marked, PersonMark
from gatepost.store.people.person import PeopleQuery, Person

__all__ = [
    "GroupsController",
    "Limit",
    "PeopleController",
    "SomeoneItem",
    "mark_item",
    "person_meant",
    "person_named",
    "someone_item",
]

Limit = Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT)]


class PassageItem(Struct, frozen=True, kw_only=True):
    """Describe one passage of a person."""

    record_id: int
    at: datetime
    terminal_id: int
    terminal: str | None
    """The serial."""
    terminal_name: str | None
    refused: bool
    unsaid: bool
    """The terminal did not say whether they passed, though its dialect does: it counts as nothing."""
    recognition_type: int | None
    abnormal_type: int | None
    entry_mode: int | None
    outside_time: bool
    """A visitor, before or after their time."""
    image: str | None
    is_struck: bool
    """A correction says that it does not count."""
    repeats: int
    """How many more of the same followed at once and are not listed."""
    last_at: datetime
    """When the last of them followed; ``at`` where there are none."""


class PersonDayItem(Struct, frozen=True, kw_only=True):
    """One day of a person."""

    person: SomeoneItem
    day: date
    timezone: str
    begins_at: datetime
    ends_at: datetime
    shifts: list[AttendedItem]
    """Those that began on this day, and an absence, which has no passage."""
    corrections: list[CorrectionItem]
    """Passages of this day that were added or struck."""
    refused: int
    """Refusals among ``items``."""
    items: list[PassageItem]
    """The passages of these shifts, refusals, and what is neither, by time."""
    is_cut: bool
    """The day has more than is listed in one reply; ``/api/v1/records`` has all of it."""


class GroupItem(Struct, frozen=True):
    """A group that somebody has been seen in. Groups that are named alike are one."""

    id: str
    ids: list[str]
    """The ids of a group that is named so, 100 at most; ``id`` is the first. A filter by any of them, or by the name,
    means all."""
    name: str


def someone_item(person: Person, marked: Marked | None = None) -> SomeoneItem:
    """Shape a person for an answer. ``marked``: who is, where the reply says so."""
    names = [name for name in SomeoneItem.__struct_fields__ if name != "mark"]
    values = {name: getattr(person, name) for name in names}
    mark = None if marked is None else marked.of_person(person)
    return SomeoneItem(**{**values, "groups": list(person.groups), "mark": mark_item(mark)})


def mark_item(mark: PersonMark | None) -> PersonMarkItem | None:
    """Shape a mark for a reply."""
    if mark is None:
        return None
    return PersonMarkItem(
        reason=mark.reason,
        until=mark.until,
        made_by=mark.made_by,
        made_at=mark.made_at,
        version=mark.version,
    )


def _passage_item(passage: Passage) -> PassageItem:
    return PassageItem(
        record_id=passage.record_id,
        at=passage.at,
        terminal_id=passage.terminal_id,
        terminal=passage.serial,
        terminal_name=passage.terminal,
        refused=passage.refused,
        unsaid=passage.unsaid,
        recognition_type=passage.recognition_type,
        abnormal_type=passage.abnormal_type,
        entry_mode=passage.entry_mode,
        outside_time=passage.outside_time,
        image=link(f"/api/v1/records/{passage.record_id}/image") if passage.has_image else None,
        is_struck=passage.is_struck,
        repeats=passage.repeats,
        last_at=passage.last_at,
    )


def _day_item(person: Person, found: PersonDay) -> PersonDayItem:
    return PersonDayItem(
        person=someone_item(person),
        day=found.day,
        timezone=person.timezone,
        begins_at=found.begins_at,
        ends_at=found.ends_at,
        shifts=[
            *(attended_item(one) for one in found.shifts),
            *(absence_item(person, one) for one in found.absences),
        ],
        corrections=[correction_item(one, person.id) for one in found.corrections],
        refused=found.refused,
        items=[_passage_item(passage) for passage in found.items],
        is_cut=found.is_cut,
    )


def person_named(meaning: Meaning, person_id: str) -> Person:
    """Return a person by id. Raises 404."""
    person = read(lambda: meaning.people.person(person_id))
    if person is None:
        raise NotFoundException("there is no such person")
    return person


def person_meant(meaning: Meaning, person_id: str) -> Person:
    """Return the person whom a field ``person_id`` means. Raises 400."""
    person = read(lambda: meaning.people.person(person_id))
    if person is None:
        raise ClientException("person_id: there is no such person; /api/v1/people lists them")
    return person


class PeopleController(Controller):
    path = "/api/v1/people"
    opt = VIEWER
    tags = ("people",)

    @get(sync_to_thread=True, summary="List people, or search them by name and numbers")
    def list_people(
        self,
        request: AnyRequest,
        access: TheAccess,
        meaning: TheMeaning,
        at_site: AtSite,
        q: FromQuery[str | None] = None,
        group: FromQuery[str | None] = None,
        person_type: Annotated[int | None, QueryParameter(name="type", ge=-MAX_ID, le=MAX_ID)] = None,
        limit: Limit = 100,
        cursor: FromQuery[str | None] = None,
    ) -> Listing[SomeoneItem]:
        """``q`` is contained in the name or a number, now or before; ``group`` and ``site`` are a name or an id.

        Those who first appeared last come first. Strangers are no people: see ``/api/v1/people/strangers``.
        """
        query = PeopleQuery(
            q=word("q", q),
            site_id=at_site,
            group=word("group", group),
            type=person_type,
            limit=limit,
            cursor=cursor,
        )
        page = read(lambda: meaning.people.page(query))
        note_search(access, request, query, len(page.items))
        marked = read(lambda: meaning.marked(access.doors.now_ms()))
        return Listing([someone_item(person, marked) for person in page.items], page.next_cursor)

    @get("/strangers", sync_to_thread=True, summary="Records of faces that no terminal knew, newest first")
    def list_strangers(
        self,
        store: TheStore,
        meaning: TheMeaning,
        at_terminal: AtTerminal,
        at_site: AtSite,
        since: FromQuery[str | None] = None,
        until: FromQuery[str | None] = None,
        has_image: FromQuery[bool | None] = None,
        limit: Limit = 100,
        cursor: FromQuery[str | None] = None,
        include: Include = None,
    ) -> Listing[RecordItem]:
        query = RecordQuery(
            since=moment("since", since),
            until=moment("until", until),
            terminal=at_terminal.terminal,
            without_serial=at_terminal.without_serial,
            site_id=at_site,
            has_image=has_image,
            strangers=True,
            limit=limit,
            cursor=cursor,
        )
        page = read(lambda: store.records(query))
        return Listing(record_items(meaning, page.items, include=include), page.next_cursor)

    @get("/outside-time", sync_to_thread=True, summary="Records of visitors outside their time, newest first")
    def list_outside(
        self,
        store: TheStore,
        meaning: TheMeaning,
        at_site: AtSite,
        since: FromQuery[str | None] = None,
        until: FromQuery[str | None] = None,
        limit: Limit = 100,
        cursor: FromQuery[str | None] = None,
        include: Include = None,
    ) -> Listing[RecordItem]:
        """Before ``guest_from`` or after ``guest_until`` as they were then, or refused by the terminal for it."""
        query = RecordQuery(
            since=moment("since", since),
            until=moment("until", until),
            site_id=at_site,
            outside_time=True,
            limit=limit,
            cursor=cursor,
        )
        page = read(lambda: store.records(query))
        return Listing(record_items(meaning, page.items, include=include), page.next_cursor)

    @get("/{person_id:str}", sync_to_thread=True, summary="One person")
    def one_person(self, meaning: TheMeaning, access: TheAccess, person_id: FromPath[str]) -> SomeoneItem:
        """``mark`` says why guards are told to look out for them, and until when; ``null`` for most."""
        person = person_named(meaning, person_id)
        return someone_item(person, read(lambda: meaning.marked(access.doors.now_ms())))

    @get("/{person_id:str}/shifts", sync_to_thread=True, summary="The shifts of a person")
    def person_shifts(
        self,
        meaning: TheMeaning,
        person_id: FromPath[str],
        month: FromQuery[str | None] = None,
        first: FromQuery[str | None] = None,
        last: FromQuery[str | None] = None,
    ) -> Listing[AttendedItem]:
        """Those that began in a ``month`` (2024-05), or from ``first`` to ``last`` (2024-05-06), both included.

        Absences are among them: they have no ``first_in``.
        """
        stretch = days(day=None, month=month, first=first, last=last)
        person = person_named(meaning, person_id)
        return Listing(days_of(read(lambda: meaning.attendance.of(person, *stretch))), None)

    @get("/{person_id:str}/days/{day:str}", sync_to_thread=True, summary="A person's day, every passage")
    def person_day(self, meaning: TheMeaning, person_id: FromPath[str], day: FromPath[str]) -> PersonDayItem:
        """``day`` is a local date of the person's site, 2024-05-06."""
        asked = read(lambda: parse_day(day))
        person = person_named(meaning, person_id)
        return _day_item(
            person, read(lambda: day_of(meaning.store, person, asked, meaning.rules, meaning.now_ms))
        )


class GroupsController(Controller):
    path = "/api/v1/groups"
    opt = VIEWER
    tags = ("people",)

    @get(sync_to_thread=True, summary="Every group that somebody has been seen in, by name")
    def list_groups(
        self, meaning: TheMeaning, at_site: AtSite, cursor: FromQuery[str | None] = None
    ) -> Listing[GroupItem]:
        page = read(
            lambda: paged(
                meaning.people.groups(at_site),
                lambda group: group.size,
                order="groups",
                place=lambda group: (group.name, group.ids),
                cursor=cursor,
            )
        )
        items = [GroupItem(group.id, list(group.ids), group.name) for group in page.items]
        return Listing(items, page.next_cursor)
