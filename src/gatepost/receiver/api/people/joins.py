"""``/api/v1/people/{id}/joined``: several numbers that are one person."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, delete, get, post
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from gatepost.items import JoinedNumberItem, SomeoneItem
from gatepost.receiver.api.access.authorization import OPERATOR, VIEWER, AnyRequest, TheAccess
from gatepost.receiver.api.people.people import person_named, someone_item
from gatepost.receiver.api.shapes import Listing, TheMeaning, TheStore, read
from gatepost.receiver.people_rules import Meaning
from gatepost.store.people.joined import JoinedNumber, Joins
from gatepost.store.people.person import Person
from gatepost.store.questions import UserStore

__all__ = ["JoinsController", "join_people", "part_number"]


class NewJoin(Struct, frozen=True, kw_only=True):
    """The other person, by id."""

    other_id: Annotated[str, Meta(min_length=1, max_length=64)]


def _item(one: JoinedNumber) -> JoinedNumberItem:
    return JoinedNumberItem(
        number_id=one.identity_id,
        user_id=one.user_id,
        name=one.name,
        site_id=one.site_id,
        site=one.site,
        made_by=one.made_by,
        made_at=one.made_at,
    )


def join_people(
    request: AnyRequest, access: TheAccess, store: UserStore, meaning: Meaning, person: Person, other_id: str
) -> Person:
    """Join two people, with a line in the audit log; return the one that they are. Raises 400 and 409."""
    other = read(lambda: meaning.people.person(other_id))
    if other is None:
        raise ClientException("other_id: there is no such person; /api/v1/people lists them")
    by, now_ms = request.user.name, access.doors.now_ms()
    read(lambda: Joins(store, meaning.rules).join(person, other, by=by, now_ms=now_ms))
    access.note(request, "person.joined", person.id, other=other.id)
    return read(lambda: meaning.people.person(person.id)) or person


def part_number(
    request: AnyRequest, access: TheAccess, store: UserStore, meaning: Meaning, person: Person, number_id: int
) -> JoinedNumber:
    """Take a number out of a joined person, with a line in the audit log. Raises 404."""
    found = read(lambda: Joins(store, meaning.rules).part(person, number_id))
    if found is None:
        raise NotFoundException("this person has no such joined number")
    access.note(request, "person.parted", person.id, other=str(found.identity_id))
    return found


class JoinsController(Controller):
    path = "/api/v1/people/{person_id:str}/joined"
    tags = ("people",)

    @get(opt=VIEWER, sync_to_thread=True, summary="The numbers of a joined person")
    def list_numbers(
        self, store: TheStore, meaning: TheMeaning, person_id: FromPath[str]
    ) -> Listing[JoinedNumberItem]:
        """Those at the sites that you see, the first joined first; nothing for a person who is not joined."""
        person = person_named(meaning, person_id)
        return Listing(
            [_item(one) for one in read(lambda: Joins(store, meaning.rules).numbers(person))], None
        )

    @post(opt=OPERATOR, sync_to_thread=True, status_code=200, summary="Join two people")
    def join(
        self,
        request: AnyRequest,
        person_id: FromPath[str],
        data: JSONBody[NewJoin],
        store: TheStore,
        meaning: TheMeaning,
        access: TheAccess,
    ) -> SomeoneItem:
        """Say that two people, at one site or at two, are one; return that one.

        Attendance, schedules, marks, who is inside, exports and erasure are about both from now on. Nothing of their
        records changes, so that parting restores what was.
        """
        person = person_named(meaning, person_id)
        return someone_item(join_people(request, access, store, meaning, person, data.other_id))

    @delete("/{number_id:int}", opt=OPERATOR, sync_to_thread=True, summary="Part a number from a person")
    def part(
        self,
        request: AnyRequest,
        person_id: FromPath[str],
        number_id: FromPath[int],
        store: TheStore,
        meaning: TheMeaning,
        access: TheAccess,
    ) -> None:
        """Let it be a person of its own again, as it was."""
        part_number(request, access, store, meaning, person_named(meaning, person_id), number_id)
