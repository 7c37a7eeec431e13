"""``/api/v1/refusals``: pushes that were refused, by whom and why, and samples of what could not be read."""

from __future__ import annotations

from litestar import Controller, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery

from gatepost.items import Listing, RefusalItem, SampleItem
from gatepost.receiver.api.access.authorization import ADMIN, EVERY_SITE, VIEWER
from gatepost.receiver.api.shapes import MAX_ID, TheStore, read
from gatepost.store.interface import RefusedRow, SampleRow
from gatepost.store.questions import UserStore

__all__ = ["RefusalsController", "refusals", "sample", "sample_text"]


def refusals(
    store: UserStore, *, status: int | None = None, peer: str | None = None, serial: str | None = None
) -> list[RefusedRow]:
    """Return the refused pushes that fit, the latest first."""
    return [
        row
        for row in store.refused()
        if (status is None or row.status == status)
        and (not peer or row.peer == peer)
        and (not serial or row.serial == serial)
    ]


def sample(store: UserStore, number: int) -> SampleRow:
    """Return a sample. 404 if there is none of this number."""
    found = read(lambda: store.refusal_sample(number)) if 0 < number <= MAX_ID else None
    if found is None:
        raise NotFoundException("there is no such sample; it is kept for 7 days, or until a person is erased")
    return found


def sample_text(content: bytes) -> str:
    """Return a sample as text that any screen can show."""
    text = content.decode("utf-8", "replace")
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text if c != "\r"
    )


class RefusalsController(Controller):
    path = "/api/v1/refusals"
    tags = ("refusals",)

    @get(opt=VIEWER, sync_to_thread=True, summary="List refused pushes, newest first")
    def list_refusals(
        self,
        store: TheStore,
        status: FromQuery[int | None] = None,
        peer: FromQuery[str | None] = None,
        serial: FromQuery[str | None] = None,
    ) -> Listing[RefusalItem]:
        """At most 1,000, and 200 of one peer; beyond that the longest unseen ones are dropped."""
        rows = read(lambda: refusals(store, status=status, peer=peer, serial=serial))
        items = [
            RefusalItem(
                peer=row.peer,
                status=row.status,
                reason=row.reason,
                detail=row.detail,
                path=row.path,
                serial=row.serial,
                count=row.count,
                first_at=row.first_at,
                last_at=row.last_at,
                sample=row.sample_id,
            )
            for row in rows
        ]
        return Listing(items, None)

    @get(
        "/samples/{number:int}",
        opt=ADMIN | EVERY_SITE,
        sync_to_thread=True,
        summary="The beginning of a refused body",
    )
    def one_sample(self, store: TheStore, number: FromPath[int]) -> SampleItem:
        """Without pins, tokens and pictures. Kept for 7 days, or until a person is erased."""
        row = sample(store, number)
        return SampleItem(
            id=row.id,
            peer=row.peer,
            status=row.status,
            reason=row.reason,
            at=row.at,
            content=sample_text(row.content),
        )
