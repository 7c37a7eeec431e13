"""``/api/v1/corrections``: passages that are added or struck by hand, each with a note."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, delete, get, post
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from gatepost.receiver.api.access.authorization import OPERATOR, VIEWER, AnyRequest, TheAccess
from gatepost.receiver.api.people.attended import CorrectionItem, correction_item
from gatepost.receiver.api.people.people import Limit, person_meant
from gatepost.receiver.api.shapes import MAX_ID, Listing, TheMeaning, TheStore, moment, read, word
from gatepost.receiver.people_rules import Meaning
from gatepost.store.attendance.corrections import MAX_NOTE, Correction, CorrectionQuery, Corrections
from gatepost.store.questions import UserStore

__all__ = ["CorrectionsController", "NewCorrection", "correct", "items_of", "note_correction"]


class NewCorrection(Struct, frozen=True, kw_only=True):
    """``at`` adds a passage; ``record_id`` strikes the one that the record belongs to, with its repeats."""

    person_id: Annotated[str, Meta(min_length=1, max_length=64)]
    note: Annotated[str, Meta(min_length=1, max_length=MAX_NOTE)]
    """Why."""
    at: str | None = None
    """A time with its offset, such as 2024-05-01T17:00:00+08:00."""
    record_id: Annotated[int, Meta(ge=1, le=MAX_ID)] | None = None


def items_of(meaning: Meaning, found: tuple[Correction, ...]) -> list[CorrectionItem]:
    """Shape corrections for a reply."""
    ids = meaning.people.ids((one.identity_id, one.terminal_id or 0) for one in found)
    return [correction_item(one, ids[one.identity_id, one.terminal_id or 0]) for one in found]


def correct(
    store: UserStore, meaning: Meaning, data: NewCorrection, *, by: str, now_ms: int
) -> CorrectionItem:
    """Store a correction. Raises 400 and 409."""
    if (data.at is None) == (data.record_id is None):
        raise ClientException("give at to add a passage, or record_id to strike one, and not both")
    person = person_meant(meaning, data.person_id)
    corrections = Corrections(store, meaning.rules)
    at = moment("at", data.at)
    record_id = data.record_id
    if at is not None:
        made = read(lambda: corrections.add(person, at, note=data.note, by=by, now_ms=now_ms))
    elif record_id is not None:
        made = read(lambda: corrections.strike(person, record_id, note=data.note, by=by, now_ms=now_ms))
    else:
        raise ClientException(
            "at is no time; write 2024-05-01T08:00:00+08:00, or Unix seconds or milliseconds"
        )
    return correction_item(made, person.id)


class CorrectionsController(Controller):
    path = "/api/v1/corrections"
    tags = ("attendance",)

    @get(opt=VIEWER, sync_to_thread=True, summary="List corrections, the latest made first")
    def list_corrections(
        self,
        store: TheStore,
        meaning: TheMeaning,
        person_id: FromQuery[str | None] = None,
        since: FromQuery[str | None] = None,
        until: FromQuery[str | None] = None,
        limit: Limit = 100,
        cursor: FromQuery[str | None] = None,
    ) -> Listing[CorrectionItem]:
        """``since`` and ``until`` are about when the passages were. Withdrawn ones are listed, too."""
        named = word("person_id", person_id)
        query = CorrectionQuery(
            identities=None if named is None else person_meant(meaning, named).identities,
            since=moment("since", since),
            until=moment("until", until),
            limit=limit,
            cursor=cursor,
        )
        page = read(lambda: Corrections(store, meaning.rules).page(query))
        return Listing(items_of(meaning, page.items), page.next_cursor)

    @post(opt=OPERATOR, sync_to_thread=True, summary="Add or strike a passage of a person")
    def create_correction(
        self,
        request: AnyRequest,
        data: JSONBody[NewCorrection],
        store: TheStore,
        meaning: TheMeaning,
        access: TheAccess,
    ) -> CorrectionItem:
        """Attendance counts with it; records, exports of them and statistics stay as they are."""
        item = correct(store, meaning, data, by=request.user.name, now_ms=access.doors.now_ms())
        note_correction(access, request, "correction.made", item)
        return item

    @delete(
        "/{correction_id:int}",
        opt=OPERATOR,
        status_code=200,
        sync_to_thread=True,
        summary="Withdraw a correction",
    )
    def withdraw_correction(
        self,
        request: AnyRequest,
        correction_id: FromPath[int],
        store: TheStore,
        meaning: TheMeaning,
        access: TheAccess,
    ) -> CorrectionItem:
        """Let it count no more; it stays listed with who withdrew it."""
        by, now_ms = request.user.name, access.doors.now_ms()
        found = read(lambda: Corrections(store, meaning.rules).withdraw(correction_id, by=by, now_ms=now_ms))
        if found is None:
            raise NotFoundException("there is no such correction")
        (item,) = items_of(meaning, (found,))
        note_correction(access, request, "correction.withdrawn", item)
        return item


def note_correction(access: TheAccess, request: AnyRequest, action: str, item: CorrectionItem) -> None:
    """Write into the audit log that a correction was made or withdrawn; the note itself may be about a person."""
    access.note(request, action, str(item.id), person=item.person_id, kind=item.kind, at=item.at.isoformat())
