"""``/api/v1/receivers``: the receivers that share this database, and which of them are silent."""

from __future__ import annotations

from datetime import UTC, datetime

from litestar import Controller, delete, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from msgspec import Struct

from gatepost.receiver.api.access.authorization import ADMIN, EVERY_SITE, VIEWER, AnyRequest, TheAccess
from gatepost.receiver.api.shapes import Listing, TheStore, read
from gatepost.receiver.observability.silent_receivers import silent

__all__ = ["ReceiversController"]


class ReceiverItem(Struct, frozen=True):
    """A receiver. ``events``: how many it had acknowledged at ``seen_at`` that were not listed yet."""

    id: str
    """Of its journal."""
    host: str
    seen_at: datetime
    events: int
    silent: bool
    """It said nothing for 30 s; events that it acknowledged may wait in its journal."""


class ReceiversController(Controller):
    path = "/api/v1/receivers"
    tags = ("receivers",)

    @get(opt=VIEWER | EVERY_SITE, sync_to_thread=True, summary="List the receivers of this database")
    def list_receivers(self, store: TheStore, access: TheAccess) -> Listing[ReceiverItem]:
        """Of those that use PostgreSQL; a receiver that uses SQLite is alone, and the list is empty."""
        rows = read(store.receivers)
        quiet = silent(rows, now=datetime.fromtimestamp(access.doors.now_ms() / 1000, UTC))
        return Listing(
            [
                ReceiverItem(row.journal.hex(), row.host, row.seen_at, row.events, row in quiet)
                for row in rows
            ],
            None,
        )

    @delete(
        "/{receiver_id:str}",
        opt=ADMIN | EVERY_SITE,
        sync_to_thread=True,
        summary="Forget a receiver that is gone",
    )
    def forget_receiver(
        self, request: AnyRequest, receiver_id: FromPath[str], store: TheStore, access: TheAccess
    ) -> None:
        """Forget a receiver; what waits in its journal stays there.

        One that is running is listed again within seconds.
        """
        try:
            journal = bytes.fromhex(receiver_id)
        except ValueError:
            journal = b""
        if not read(lambda: store.forget_receiver(journal)):
            raise NotFoundException("there is no such receiver; see /api/v1/receivers")
        access.note(request, "receiver.forgotten", receiver_id)
