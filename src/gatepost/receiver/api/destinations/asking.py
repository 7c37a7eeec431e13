"""Ask for a destination on a thread, and do what the API and the console both do about one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import SkipValidation

from gatepost.forward.forwarding import Forwarding
from gatepost.forward.trial import Trial
from gatepost.receiver.api.access.authorization import Access, AnyRequest
from gatepost.receiver.api.destinations.audit import host_of, note
from gatepost.receiver.api.shapes import MAX_ID, read
from gatepost.store.forwarding.destinations import DestinationRow

__all__ = ["TheForwarding", "asked", "no_such", "one", "tested"]

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
