"""Ask for a destination on a thread, and do what the API and the console both do about one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import SkipValidation

from gatepost.forward.forwarding import Forwarding
from gatepost.forward.trial import Trial
from gatepost.receiver.api.access.authorization import Access, AnyRequest
from gatepost.receiver.api.destinations.audit import called, host_of, note
from gatepost.receiver.api.shapes import MAX_ID, read
from gatepost.receiver.api.versions import naming_who
from gatepost.store.forwarding.destinations import DestinationRow
from gatepost.store.versions import Versions

__all__ = ["TheForwarding", "asked", "change_destination", "no_such", "one", "tested"]

TheForwarding = NamedDependency[SkipValidation[Forwarding]]

T = TypeVar("T")


def one(forwarding: Forwarding, which: int) -> DestinationRow:
    """Return a destination, or 404. Blocks."""
    row = forwarding.destinations.one(which) if 0 < which <= MAX_ID else None
    if row is None:
        raise no_such()
    return row


def no_such() -> NotFoundException:
    return NotFoundException("there is no such destination")


async def asked(what: Callable[[], T]) -> T:
    """Ask the store on a thread, :func:`~gatepost.receiver.api.shapes.answering`."""
    return await asyncio.to_thread(read, what)


def change_destination(
    access: Access,
    forwarding: Forwarding,
    row: DestinationRow,
    config: Mapping[str, Any],
    *,
    name: str | None = None,
    others: Mapping[str, Any] | None = None,
    enabled: bool | None = None,
    versions: Versions = None,
) -> DestinationRow | None:
    """Change a destination as :meth:`gatepost.forward.admin.Admin.change` does. Raises 412 as well. Blocks."""
    with naming_who(access, ["destination.changed"], called(row)):
        return forwarding.admin.change(
            row, config, name=name, others=others, enabled=enabled, versions=versions
        )


async def tested(request: AnyRequest, access: Access, forwarding: Forwarding, row: DestinationRow) -> Trial:
    """Send a test event, and note that in the audit log."""
    found = await forwarding.test(row)
    await note(
        access,
        request,
        "destination.tested",
        row,
        host=host_of(row),
        outcome=found.outcome,
        status=found.status,
    )
    return found
