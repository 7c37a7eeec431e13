"""Hold what requests about terminals bring, and shape what responses tell of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from litestar.exceptions import ClientException, NotFoundException
from msgspec import UNSET, Meta, Struct, UnsetType

from gatepost.errors import SettingsError
from gatepost.items import (
    DisagreementItem,
    TerminalDetail,
    TerminalItem,
    WouldRefuseItem,
)
from gatepost.receiver.api.shapes import (
    MAX_ID,
    Listing,
    read,
)
from gatepost.receiver.terminals.identify import MAX_SERIAL
from gatepost.receiver.terminals.presence import backlog_arriving, last_heard, presence
from gatepost.receiver.terminals.preview import WouldRefuse
from gatepost.store.interface import Direction, Page, TerminalRow
from gatepost.store.page_bytes import paged, weight
from gatepost.store.questions import UserStore

__all__ = [
    "NewTerminal",
    "TerminalChange",
    "known_id",
    "networks_of",
    "no_such_terminal",
    "terminal_detail",
    "terminal_item",
    "would_refuse",
]


Serial = Annotated[str, Meta(min_length=1, max_length=MAX_SERIAL, pattern=r"^\S(.*\S)?$")]

Name = Annotated[str, Meta(max_length=128)]


class NewTerminal(Struct, frozen=True, kw_only=True):
    """A terminal that has not pushed yet. With a token it gets an address of its own."""

    serial: Serial | None = None
    name: Name | None = None
    site_id: Annotated[int, Meta(ge=1, le=MAX_ID)] = 1
    timezone: str | None = None
    networks: list[str] = []
    direction: Direction = "both"
    token: bool = True


class TerminalChange(Struct, frozen=True, kw_only=True):
    """Change a terminal: what is left out stays; ``null`` deletes a value."""

    serial: Serial | UnsetType = UNSET
    name: Name | UnsetType | None = UNSET
    site_id: Annotated[int, Meta(ge=1, le=MAX_ID)] | UnsetType = UNSET
    timezone: str | UnsetType | None = UNSET
    networks: list[str] | UnsetType = UNSET
    direction: Direction | UnsetType = UNSET
    """Which way people go who pass there; ``both`` where the terminal does not tell."""
    state: Literal["approved", "held", "retired"] | UnsetType = UNSET


def terminal_item(
    row: TerminalRow, heard: Mapping[int, int], *, now_ms: int, address: str | None = None
) -> TerminalItem:
    """Shape a terminal for a response. ``heard``: when terminals last pushed, in milliseconds."""
    return TerminalItem(**_values(row, heard, now_ms=now_ms), address=address)


_DERIVED = ("last_seen", "presence", "backlog", "networks", "address")


def _values(row: TerminalRow, heard: Mapping[int, int], *, now_ms: int) -> dict[str, Any]:
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    last_seen = last_heard(row.last_seen, heard.get(row.id))
    values = {name: getattr(row, name) for name in TerminalItem.__struct_fields__ if name not in _DERIVED}
    return {
        **values,
        "networks": list(row.networks),
        "last_seen": last_seen,
        "presence": presence(last_seen, row.interval_ms, now=now),
        "backlog": backlog_arriving(row.late_at, now=now),
    }


def terminal_detail(
    store: UserStore, terminal_id: int, heard: Mapping[int, int], *, now_ms: int
) -> TerminalDetail:
    row = store.terminal(terminal_id) if 0 < terminal_id <= MAX_ID else None
    if row is None:
        raise no_such_terminal()
    refusals, disagreed = store.refusals(terminal_id), store.disagreements(terminal_id)
    return TerminalDetail(
        **_values(row, heard, now_ms=now_ms),
        refusals=refusals,
        disagreed=[
            DisagreementItem(
                source=one.source,
                said=one.said,
                count=one.count,
                first_at=one.first_at,
                last_at=one.last_at,
            )
            for one in disagreed
        ],
    )


def no_such_terminal() -> NotFoundException:
    return NotFoundException("there is no such terminal")


def networks_of(text: str) -> tuple[str, ...]:
    """Return the networks in a text that separates them by commas or blanks."""
    return tuple(text.replace(",", " ").split())


def would_refuse(ask: Callable[[], list[WouldRefuse]], cursor: str | None = None) -> Listing[WouldRefuseItem]:
    """Shape a preview for a reply. Raises ``ClientException`` for what is no network, and for a cursor of elsewhere."""

    def page() -> Page[WouldRefuse]:
        return paged(ask(), _bytes, order="would refuse", place=lambda one: one.terminal.id, cursor=cursor)

    try:
        found = read(page)
    except SettingsError as error:
        raise ClientException(str(error)) from None
    return Listing(
        [
            WouldRefuseItem(
                terminal_id=one.terminal.id,
                serial=one.terminal.serial,
                name=one.terminal.name,
                reason=one.reason,
                message=one.message,
                peer=one.peer,
                last_at=one.last_at,
            )
            for one in found.items
        ],
        found.next_cursor,
    )


def _bytes(one: WouldRefuse) -> int:
    return weight(one.terminal.serial, one.terminal.name, one.message, one.peer, row=256)


def known_id(terminal_id: int) -> int:
    if terminal_id > MAX_ID:
        raise no_such_terminal()
    return terminal_id
