"""``/api/v1/misdirected``: pushes to a path that is not configured, or with a token that no terminal has: the commonest
mistakes in setting one up."""

from __future__ import annotations

from datetime import datetime

from litestar import Controller, get
from msgspec import Struct

from gatepost.receiver.api.access import VIEWER
from gatepost.receiver.api.shapes import Listing, TheStore, read

__all__ = ["MisdirectedController", "MisdirectedItem"]


class MisdirectedItem(Struct, frozen=True, kw_only=True):
    """From where, whereto, and whose, as far as it said."""

    peer: str
    path: str
    serial: str | None
    count: int
    first_at: datetime
    last_at: datetime


class MisdirectedController(Controller):
    path = "/api/v1/misdirected"
    opt = VIEWER
    tags = ("terminals",)

    @get(sync_to_thread=True, summary="List pushes that went to a wrong path, newest first")
    def list_misdirected(self, store: TheStore) -> Listing[MisdirectedItem]:
        names = MisdirectedItem.__struct_fields__
        rows = read(store.misdirected)
        return Listing(
            [MisdirectedItem(**{name: getattr(row, name) for name in names}) for row in rows], None
        )
