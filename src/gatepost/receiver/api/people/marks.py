"""``/api/v1/people/{id}/mark`` and ``/api/v1/people/marked``: whom guards are told to look out for."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, Response, delete, get, put
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from gatepost.items import MarkedPersonItem, PersonMarkItem
from gatepost.receiver.api.access.authorization import GUARD, OPERATOR, AnyRequest, TheAccess
from gatepost.receiver.api.people.people import person_named
from gatepost.receiver.api.shapes import Listing, TheMeaning, TheStore, moment, read
from gatepost.receiver.api.versions import ChangedByAnother, IfMatch, naming_who, tagged, wanted_versions
from gatepost.receiver.people_rules import Meaning
from gatepost.store.page_bytes import paged
from gatepost.store.people.marked import MAX_REASON, MarkedPeople, PersonMark
from gatepost.store.people.person import Person
from gatepost.store.questions import UserStore
from gatepost.store.versions import Versions

__all__ = ["MarksController", "NewMark", "mark_person", "marked_items", "take_away_mark"]


class NewMark(Struct, frozen=True, kw_only=True):
    """Why, and until when."""

    reason: Annotated[str, Meta(min_length=1, max_length=MAX_REASON)]
    until: str | None = None
    """A time with its offset, such as 2024-05-01T17:00:00+08:00; left out: until it is taken away."""


def _shaped(mark: PersonMark) -> PersonMarkItem:
    return PersonMarkItem(
        reason=mark.reason,
        until=mark.until,
        made_by=mark.made_by,
        made_at=mark.made_at,
        version=mark.version,
    )


def marked_items(meaning: Meaning, marks: list[PersonMark]) -> list[MarkedPersonItem]:
    """Shape marked people for a reply."""
    ids = meaning.people.ids((one.identity_id, 0) for one in marks)
    return [
        MarkedPersonItem(
            person_id=ids[one.identity_id, 0],
            user_id=one.user_id,
            name=one.name,
            site_id=one.site_id,
            site=one.site,
            mark=_shaped(one),
        )
        for one in marks
    ]


def mark_person(
    request: AnyRequest,
    access: TheAccess,
    store: UserStore,
    meaning: Meaning,
    person: Person,
    data: NewMark,
    versions: Versions = None,
) -> PersonMark:
    """Mark a person, with a line in the audit log, which does not repeat the reason. Raises 400, 409 and 412."""
    until = moment("until", data.until)
    with naming_who(access, ["person.unmarked", "person.marked"], person.id):
        made = read(
            lambda: MarkedPeople(store, meaning.rules).mark(
                person,
                reason=data.reason,
                until=until,
                by=request.user.name,
                now_ms=access.doors.now_ms(),
                versions=versions,
            )
        )
    ends = {} if made.until is None else {"until": made.until.isoformat()}
    access.note(request, "person.marked", person.id, **ends)
    return made


def take_away_mark(
    request: AnyRequest, access: TheAccess, store: UserStore, meaning: Meaning, person: Person
) -> PersonMark:
    """Take the mark of a person away, with a line in the audit log. Raises 404."""
    found = read(lambda: MarkedPeople(store, meaning.rules).take_away(person))
    if found is None:
        raise NotFoundException("this person is not marked")
    access.note(request, "person.unmarked", person.id)
    return found


class MarksController(Controller):
    path = "/api/v1/people"
    tags = ("people",)

    @get("/marked", opt=GUARD, sync_to_thread=True, summary="Marked people, the latest first")
    def list_marked(
        self, store: TheStore, meaning: TheMeaning, access: TheAccess, cursor: FromQuery[str | None] = None
    ) -> Listing[MarkedPersonItem]:
        """Each person once; a mark whose end is past is not listed."""
        found = read(lambda: MarkedPeople(store, meaning.rules).listed(access.doors.now_ms()))
        page = read(
            lambda: paged(
                found, lambda one: one.size, order="marked", place=lambda one: one.identity_id, cursor=cursor
            )
        )
        return Listing(marked_items(meaning, list(page.items)), page.next_cursor)

    @put(
        "/{person_id:str}/mark",
        opt=OPERATOR,
        sync_to_thread=True,
        summary="Mark a person",
        raises=[ChangedByAnother],
    )
    def mark(
        self,
        request: AnyRequest,
        person_id: FromPath[str],
        data: JSONBody[NewMark],
        store: TheStore,
        meaning: TheMeaning,
        access: TheAccess,
        if_match: IfMatch = None,
    ) -> Response[PersonMarkItem]:
        """Say why, and until when; it takes the place of the mark that the person has.

        The live page shows each record of a marked person so, and sounds; a rule of a destination may choose them.
        """
        wanted = wanted_versions(if_match)
        made = mark_person(request, access, store, meaning, person_named(meaning, person_id), data, wanted)
        return tagged(_shaped(made), made.version)

    @delete(
        "/{person_id:str}/mark", opt=OPERATOR, sync_to_thread=True, summary="Take the mark of a person away"
    )
    def unmark(
        self,
        request: AnyRequest,
        person_id: FromPath[str],
        store: TheStore,
        meaning: TheMeaning,
        access: TheAccess,
    ) -> None:
        take_away_mark(request, access, store, meaning, person_named(meaning, person_id))
