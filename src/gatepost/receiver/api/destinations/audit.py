"""Write into the audit log what is done about destinations: of an address its host alone, and no secret."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import msgspec

from gatepost.receiver.api.access.authorization import Access, AnyRequest
from gatepost.receiver.api.destinations.replies import told_by
from gatepost.receiver.auth.audit_changes import changes
from gatepost.store.forwarding.destinations import DestinationRow

__all__ = ["called", "host_of", "moved", "note"]

_PLAIN = (
    *("images", "image_link_s", "shape", "order", "batch", "in_flight", "timeout_s", "max_age_s"),
    *("max_refusals", "ca_file"),
)
"""Fields whose values the audit log tells: nothing secret, and of no person."""


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
    told = changes(old, new, _PLAIN) | changes(before, after, ("name",))
    was_enabled, enabled = (row.paused_at is None for row in (before, after))
    if was_enabled != enabled:
        told |= {"enabled": enabled, "was_enabled": was_enabled}
    if old.filter != new.filter:
        told |= {"filter": _text(new.filter), "was_filter": _text(old.filter)}
    if old.notify is not None and new.notify is not None:
        told |= changes(old.notify, new.notify, ("language", "repeat_s", "gather_s"))
        if old.notify.rules != new.notify.rules:
            told |= {"rules": _text(new.notify.rules), "was_rules": _text(old.notify.rules)}
    return found | told


def _text(told: object) -> str:
    return msgspec.json.encode(msgspec.to_builtins(told)).decode()
