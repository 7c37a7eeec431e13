"""Write into the audit log what is done about destinations: of an address its host alone, and no secret."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import msgspec

from gatepost.forward.options.filters import Filter
from gatepost.receiver.api.access.authorization import Access, AnyRequest
from gatepost.receiver.api.destinations.replies import told_by
from gatepost.receiver.auth.audit_changes import changes
from gatepost.store.forwarding.destinations import DestinationRow

__all__ = ["called", "host_of", "moved", "note"]


def called(row: DestinationRow) -> str:
    """Return what the audit log calls a destination."""
    return f"{row.id} {row.name}"


async def note(
    access: Access, request: AnyRequest, action: str, row: DestinationRow, **detail: object
) -> None:
    """Write into the audit log what was done about a destination."""
    await asyncio.to_thread(access.note, request, action, called(row), **detail)


def host_of(row: DestinationRow) -> str:
    """Return the host that a destination is at: the rest of an address may be a secret."""
    return urlsplit(told_by(row).url).hostname or ""


def moved(before: DestinationRow, after: DestinationRow | None) -> dict[str, object]:
    """Return what the audit log says of a changed destination: its address by the hosts, and nothing secret."""
    if after is None:
        return {}
    old, new = told_by(before), told_by(after)
    found: dict[str, object] = (
        {} if old.url == new.url else {"host_before": host_of(before), "host": host_of(after)}
    )
    told = changes(old, new, ("images", "shape", "order", "batch", "in_flight", "max_age_s", "max_refusals"))
    told |= changes(before, after, ("name", "enabled"))
    if old.filter != new.filter:
        told |= {"filter": _text(new.filter), "was_filter": _text(old.filter)}
    return found | told


def _text(filter: Filter) -> str:
    return msgspec.json.encode(msgspec.to_builtins(filter)).decode()
