"""``/api/v1/terminals``: who pushes here, and how they fare."""

from __future__ import annotations

from datetime import datetime

from litestar import Controller, get
from msgspec import Struct

from gatepost.receiver.api.shapes import Listing, TheStore, read
from gatepost.store.store import TerminalRow

__all__ = ["TerminalItem", "TerminalsController", "terminal_item"]


class TerminalItem(Struct, frozen=True, kw_only=True):
    """A terminal, and the counts of what it sent."""

    id: int
    serial: str | None
    anonymous_peer: str | None
    """The address that stands for it, where it never said its serial."""
    name: str | None
    site: str
    timezone: str
    state: str
    has_token: bool
    networks: list[str]
    model: str | None
    dialect: str | None
    created_at: datetime
    first_seen: datetime | None
    last_seen: datetime | None
    last_recorded_at: datetime | None
    clock_error_ms: int | None
    """How far its clock is ahead."""
    interval_ms: int | None
    peer: str | None
    records: int
    alarms: int
    quarantined: int
    duplicates: int
    with_problems: int
    late: int
    refused: int
    disagreements: int


def terminal_item(row: TerminalRow) -> TerminalItem:
    """Shape a terminal for an answer."""
    values = {name: getattr(row, name) for name in TerminalItem.__struct_fields__}
    values["networks"] = list(row.networks)
    return TerminalItem(**values)


class TerminalsController(Controller):
    path = "/api/v1/terminals"
    tags = ("terminals",)

    @get(sync_to_thread=True, summary="List every terminal")
    def list_terminals(self, store: TheStore) -> Listing[TerminalItem]:
        return Listing([terminal_item(row) for row in read(store.terminals)], None)
