"""``/api/v1/quarantine``: pushes that were taken but not understood; look, process again, discard."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter, SkipValidation
from msgspec import Meta, Struct

from gatepost.errors import ImageUnavailable
from gatepost.items import ProblemItem
from gatepost.receiver.api.access.authorization import ADMIN, OPERATOR, VIEWER, AnyRequest, TheAccess
from gatepost.receiver.api.events.filters import AtSite, AtTerminal
from gatepost.receiver.api.events.images import note_original
from gatepost.receiver.api.shapes import (
    MAX_ID,
    MAX_LIMIT,
    Listing,
    TheStore,
    read,
    text,
)
from gatepost.receiver.jobs.reprocessing import Reprocessing
from gatepost.store.as_items import problem_items
from gatepost.store.interface import QuarantineQuery, QuarantineRow
from gatepost.store.questions import UserStore

__all__ = ["QuarantineController", "TheReprocessing"]

TheReprocessing = NamedDependency[SkipValidation[Reprocessing]]

Ids = Annotated[list[Annotated[int, Meta(ge=1, le=MAX_ID)]], Meta(min_length=1, max_length=1000)]


class QuarantinedItem(Struct, frozen=True, kw_only=True):
    """A push that was a JSON object but no event that this version knows."""

    id: int
    terminal_id: int
    terminal: str | None
    """The serial."""
    received_at: datetime
    peer: str
    problems: list[ProblemItem]
    tries: int
    """How often it was processed again without success."""
    size: int
    """Of what was pushed, in bytes, about."""
    original: str | None = None
    """What was pushed, without any pin; only where a single one is asked for."""


class Chosen(Struct, frozen=True):
    """Which ones, at most 1,000."""

    ids: Ids


class ProcessedItem(Struct, frozen=True):
    """Count what became of them."""

    stored: int
    duplicates: int
    """The terminal had pushed it again in the meantime."""
    still_unknown: int


class DiscardedItem(Struct, frozen=True):
    """How many there were."""

    discarded: int


def _item(row: QuarantineRow, original: bytes | None = None) -> QuarantinedItem:
    return QuarantinedItem(
        id=row.id,
        terminal_id=row.terminal_id,
        terminal=row.serial,
        received_at=row.received_at,
        peer=row.peer,
        problems=problem_items(row.problems),
        tries=row.tries,
        size=row.size,
        original=text(original),
    )


def _one(store: UserStore, number: int) -> QuarantineRow:
    found = read(lambda: store.quarantined_by_id([number])) if 0 < number <= MAX_ID else []
    if not found:
        raise NotFoundException("it is not in the quarantine (any more)")
    return found[0]


class QuarantineController(Controller):
    path = "/api/v1/quarantine"
    tags = ("quarantine",)

    @get(opt=VIEWER, sync_to_thread=True, summary="List the quarantine, newest first")
    def list_quarantine(
        self,
        store: TheStore,
        at_terminal: AtTerminal,
        at_site: AtSite,
        limit: Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT)] = 100,
        cursor: FromQuery[str | None] = None,
    ) -> Listing[QuarantinedItem]:
        """``terminal`` and ``site`` as for records."""
        query = QuarantineQuery(
            terminal=at_terminal.terminal,
            without_serial=at_terminal.without_serial,
            site_id=at_site,
            limit=limit,
            cursor=cursor,
        )
        page = read(lambda: store.quarantined(query))
        return Listing([_item(row) for row in page.items], page.next_cursor)

    @get("/{number:int}", opt=VIEWER, sync_to_thread=True, summary="One quarantined push, as it came in")
    def one_quarantined(self, request: AnyRequest, store: TheStore, number: FromPath[int]) -> QuarantinedItem:
        row = _one(store, number)
        note_original(request, row.id)
        try:
            whole = read(lambda: store.pushed(row))
        except ImageUnavailable:
            whole = row.original  # its long texts are not here
        return _item(row, whole)

    @post("/process", opt=OPERATOR, sync_to_thread=True, status_code=200, summary="Process pushes again")
    def process(
        self,
        request: AnyRequest,
        data: JSONBody[Chosen],
        reprocessing: TheReprocessing,
        store: TheStore,
        access: TheAccess,
    ) -> ProcessedItem:
        """Decode them with this version; what is understood now is listed and leaves the quarantine."""
        done = read(lambda: reprocessing.process(store, data.ids))
        counted = ProcessedItem(done.stored, done.duplicates, done.still_unknown)
        access.note(
            request,
            "quarantine.processed",
            _named(data.ids),
            stored=counted.stored,
            duplicates=counted.duplicates,
            still_unknown=counted.still_unknown,
        )
        return counted

    @post("/discard", opt=ADMIN, sync_to_thread=True, status_code=200, summary="Discard pushes for good")
    def discard(
        self, request: AnyRequest, data: JSONBody[Chosen], store: TheStore, access: TheAccess
    ) -> DiscardedItem:
        count = read(lambda: store.discard_quarantined(data.ids))
        access.note(request, "quarantine.discarded", _named(data.ids), count=count)
        return DiscardedItem(count)

    @delete("/{number:int}", opt=ADMIN, sync_to_thread=True, summary="Discard one push for good")
    def discard_one(
        self, request: AnyRequest, number: FromPath[int], store: TheStore, access: TheAccess
    ) -> None:
        _one(store, number)
        count = read(lambda: store.discard_quarantined([number]))
        access.note(request, "quarantine.discarded", str(number), count=count)


def _named(ids: list[int]) -> str:
    return ", ".join(map(str, ids[:20])) + (", …" if len(ids) > 20 else "")
