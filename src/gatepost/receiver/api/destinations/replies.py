"""Make replies of what is stored about destinations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import asdict

from gatepost.errors import SettingsError
from gatepost.forward.admin import secret_names
from gatepost.forward.forwarding import Forwarding
from gatepost.forward.options.destination import Destination, decode
from gatepost.forward.options.secrets import decode_secrets
from gatepost.forward.state import Standing
from gatepost.items import AttemptItem, DeadLetterItem, Listing, ReplayItem
from gatepost.receiver.api.access.authorization import Access
from gatepost.receiver.api.destinations.bodies import ToldDestination, ToldDetail
from gatepost.store.forwarding.destinations import AttemptRow, DestinationRow, Destinations, ExceptionRow
from gatepost.store.interface import Page
from gatepost.store.page_bytes import paged, weight

__all__ = [
    "attempt_item",
    "attempts_page",
    "dead_letter_item",
    "destinations_page",
    "detail",
    "ledger",
    "replay_item",
    "told_by",
    "values",
]


def ledger(
    destinations: Destinations, row: DestinationRow, standing: Standing, *, now: datetime
) -> dict[str, Any]:
    """Return the fields of a :class:`~gatepost.items.LedgerItem`. Blocks."""
    oldest = destinations.oldest_waiting_ms(row)
    next_at = None if standing.wait_s is None else now + timedelta(seconds=standing.wait_s)
    return {
        **asdict(row.ledger),
        "dropped_why": dict(row.dropped_why),
        "left_out_why": dict(row.left_out_why),
        "attempts": row.attempts,
        "lag_s": None if oldest is None else max(0.0, now.timestamp() - oldest / 1000),
        "state": standing.state,
        "next_attempt_at": next_at,
        "last_error": standing.why or row.failure,
        "last_error_at": row.failed_at,
        "last_delivered_at": row.delivered_at,
    }


def told_by(row: DestinationRow) -> Destination:
    """Return what a destination is told; of one that is broken what there is."""
    try:
        return decode(row.config)
    except SettingsError:  # its state is broken and says why
        found = msgspec.json.decode(row.config)
        return Destination(kind=row.kind, url=str(found.get("url", "")))  # type: ignore[arg-type]  # as it is stored


def values(
    destinations: Destinations, row: DestinationRow, standing: Standing, *, now: datetime
) -> dict[str, Any]:
    """Return the fields of a :class:`~gatepost.items.DestinationItem`, and the options of its kind. Blocks."""
    told = told_by(row)
    return {
        **{name: getattr(told, name) for name in Destination.__struct_fields__},
        **ledger(destinations, row, standing, now=now),
        "id": row.id,
        "name": row.name,
        "enabled": row.paused_at is None,
        "created_at": row.created_at,
        "version": row.version,
        "secrets_set": secret_names(decode_secrets(row.secrets)),
    }


def _values(forwarding: Forwarding, row: DestinationRow, now: datetime) -> dict[str, Any]:
    return values(forwarding.destinations, row, forwarding.standing(row), now=now)


def replay_item(forwarding: Forwarding, row: DestinationRow, now: datetime) -> ReplayItem:
    return ReplayItem(
        **ledger(forwarding.destinations, row, forwarding.standing(row), now=now),
        id=row.id,
        created_at=row.created_at,
        filter=msgspec.to_builtins(told_by(row).filter),
        rate=row.rate,
    )


def detail(
    forwarding: Forwarding, row: DestinationRow, access: Access, secret: str | None = None
) -> ToldDetail:
    now = datetime.fromtimestamp(access.doors.now_ms() / 1000, UTC)
    replays = [each for each in forwarding.destinations.all() if each.replay_of == row.id]
    return ToldDetail(
        **_values(forwarding, row, now),
        secret=secret,
        replays=[replay_item(forwarding, each, now) for each in replays],
    )


def destinations_page(forwarding: Forwarding, access: Access, cursor: str | None) -> Listing[ToldDestination]:
    now = datetime.fromtimestamp(access.doors.now_ms() / 1000, UTC)
    page = paged(
        forwarding.destinations.all(with_replays=False),
        lambda row: weight(row.name, row.config.decode(), row.failure, row.closed_why),
        order="destinations",
        place=lambda row: row.id,
        cursor=cursor,
    )
    return Listing([ToldDestination(**_values(forwarding, row, now)) for row in page.items], page.next_cursor)


def attempts_page(rows: Sequence[AttemptRow], cursor: str | None) -> Page[AttemptRow]:
    return paged(
        rows,
        lambda row: weight(row.status, row.reply, row=256),
        order="attempts",
        place=lambda row: (row.at_ms, row.event_id, row.took_ms, row.outcome),
        cursor=cursor,
    )


def attempt_item(row: AttemptRow) -> AttemptItem:
    return AttemptItem(
        at=datetime.fromtimestamp(row.at_ms / 1000, UTC),
        took_ms=row.took_ms,
        event=row.event_id,
        events=row.events,
        outcome=row.outcome,
        status=row.status,
        reply=row.reply,
    )


def dead_letter_item(row: ExceptionRow) -> DeadLetterItem:
    dead_at = None if row.dead_at_ms is None else datetime.fromtimestamp(row.dead_at_ms / 1000, UTC)
    return DeadLetterItem(
        event=row.event_id,
        kind=row.kind,
        terminal_id=row.terminal_id,
        received_at=datetime.fromtimestamp(row.received_at_ms / 1000, UTC),
        dead_at=dead_at,
        attempts=row.attempts,
        refusals=row.refusals,
        reason=row.reason,
    )
