"""Manage real terminals: what the API, the console and the jobs share.

Every method may raise :class:`~gatepost.fleet.failures.FleetError`, :class:`~gatepost.errors.SettingsError` and
:class:`~gatepost.errors.StoreUnavailable`; each says what to do.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import UNSET

from gatepost.fleet.adoption import Order, adopt, shows_all
from gatepost.fleet.client import Seen, TerminalClient, checked_address
from gatepost.fleet.failures import FleetError, NotAdopted
from gatepost.fleet.many import Many
from gatepost.fleet.surroundings import Surroundings
from gatepost.fleet.tending.tender import Tender
from gatepost.fleet.tending.visit import Visitor
from gatepost.store.receivers.leases import Leases
from gatepost.store.terminals.adopted import AdoptedRow, Previous
from gatepost.store.terminals.adoptions import Adoptions

__all__ = ["Fleet"]

CLOSE_S = 1.0


class Fleet:
    """All adopted terminals of a receiver. Made and used on one event loop."""

    def __init__(self, around: Surroundings, adoptions: Adoptions, leases: Leases, *, owner: str) -> None:
        """``owner``: who has the leases."""
        self.around = around
        self.adopted = around.adopted
        self.visitor = Visitor(around)
        self.tender = Tender(around, self.visitor, leases, owner=owner)
        self.many = Many(around, adoptions, leases, owner=owner)

    async def look(self, address: str) -> Seen:
        """Return who is at an address. No password is sent, and nothing is stored."""
        async with self.around.client(checked_address(address), None, None) as client:
            return await client.look()

    async def adopt(self, order: Order) -> AdoptedRow:
        """Adopt a terminal; it is due at once, and its address is set by the first look: :meth:`verify`."""
        row = await adopt(order, self.around)
        self.visitor.forget(row.terminal_id)
        return row

    async def verify(self, terminal_id: int) -> AdoptedRow:
        """Look at a terminal now, and do what there is to do; return it as it is then.

        One that is stopped is not looked at: :meth:`resume` it.
        """
        return await self._look(await self.one(terminal_id))

    async def resume(self, terminal_id: int) -> AdoptedRow:
        """Look at a terminal again that was stopped or contested; return it as it is then."""
        now_ms = round(self.around.now() * 1000)
        row = await self.around.in_thread(lambda: self.adopted.resume(terminal_id, now_ms=now_ms))
        if row is None:
            raise NotAdopted
        self.visitor.forget(terminal_id)
        return await self._look(row)

    async def release(self, terminal_id: int, *, give_back: bool) -> AdoptedRow:
        """Manage a terminal no more, and forget its account; return it as it was.

        ``give_back``: have it push to where it pushed before; where that cannot be done, nothing is changed.
        """
        row = await self.one(terminal_id)
        token = await self._give_back(row) if give_back else UNSET
        await self.around.in_thread(lambda: self.adopted.release(terminal_id, token=token))
        self.visitor.forget(terminal_id)
        self.around.refresh()
        return row

    @asynccontextmanager
    async def talk(self, terminal_id: int) -> AsyncIterator[TerminalClient]:
        """Open a terminal's service, logged in, for one who talks to it at a time."""
        async with self.visitor.talk(await self.one(terminal_id)) as client:
            yield client

    async def one(self, terminal_id: int) -> AdoptedRow:
        """Return an adopted terminal. Raises :class:`NotAdopted`."""
        row = await self.around.in_thread(lambda: self.adopted.one(terminal_id))
        if row is None:
            raise NotAdopted
        return row

    async def run(self) -> None:
        """Run the jobs until it is cancelled."""
        await asyncio.gather(self.tender.run(), self.many.run())

    async def close(self) -> None:
        """Wait for what still asks the store, for :data:`CLOSE_S` at most. Idempotent."""
        threads = self.around.threads
        with contextlib.suppress(TimeoutError):  # a database that is away must not hold up a stop
            async with asyncio.timeout(CLOSE_S):
                await asyncio.to_thread(threads.shutdown, wait=True, cancel_futures=True)

    async def _look(self, row: AdoptedRow) -> AdoptedRow:
        await self.tender.look(row.terminal_id, now_due=True)
        return await self.one(row.terminal_id)

    async def _give_back(self, row: AdoptedRow) -> bytes | None:
        """Set the address that a terminal had; return the digest of the token in it, if it is one of ours."""
        previous = await self.around.in_thread(lambda: self.adopted.previous(row.terminal_id))
        if previous is None:
            previous = Previous("", False)
        elif not shows_all(previous.event_dest):
            raise FleetError(
                f"it pushed to {previous.event_dest}, and did not show what is secret in that address:"
                " release it without giving it back, and set its address by hand"
            )
        async with self.visitor.talk(row) as client:
            await client.subscribe(previous.event_dest, enabled=previous.enabled)
        start, found, token = previous.event_dest.partition(f"{row.ours}/")
        return self.around.digest(token) if found and not start and token else None
