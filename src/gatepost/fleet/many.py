"""Adopt many terminals: the job that takes the rows of an adoption one after the other.

Rules:

* A row is marked before anything is sent to its terminal, and tried once. What was being tried when a receiver ended
  has failed, and says so: a password that may have been refused is not sent again.
* At most :data:`AT_ONCE` are tried at once, by the receiver that has the lease, and one is begun every :data:`PACE_S`
  seconds: many TLS handshakes at the same time would delay pushes.

Flow: :meth:`Many.run` → :meth:`Many.once` → :func:`~gatepost.fleet.adoption.adopt` for each.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Sequence

import structlog

from gatepost.errors import GatepostError, SettingsError, StoreError
from gatepost.fleet.adoption import Order, adopt, check_ours
from gatepost.fleet.client import checked_address
from gatepost.fleet.surroundings import Surroundings
from gatepost.store.receivers.leases import Leases
from gatepost.store.terminals.adopted import AdoptedRow
from gatepost.store.terminals.adoptions import Adoption, Adoptions, Ordered, ToAdopt

__all__ = ["AT_ONCE", "MAX_ROWS", "Many"]

log = structlog.get_logger(__name__)

LEASE = "adoptions"
LEASE_S = 15.0
TICK_S = 1.0

PACE_S = 0.085
"""Between the beginnings of two: 500 take less than a minute."""

AT_ONCE = 16

MAX_ROWS = 5_000
"""Terminals of one adoption."""

INTERRUPTED = (
    "the receiver ended while this terminal was asked, so it is not known whether it took the password;"
    " adopt it again"
)


class Many:
    """Adopts many terminals. Made and used on one event loop."""

    def __init__(self, around: Surroundings, adoptions: Adoptions, leases: Leases, *, owner: str) -> None:
        """``owner``: who has the lease."""
        self.adoptions = adoptions
        self._around = around
        self._leases = leases
        self._owner = owner
        self._fence: int | None = None
        self._renew_at = 0.0
        self._trying: set[asyncio.Task[None]] = set()
        self._over: list[tuple[Ordered, AdoptedRow | None, str]] = []
        """How it went with those of which that is not stored yet."""

    async def order(self, rows: Sequence[ToAdopt], *, ours: str, by: str) -> Adoption:
        """Have terminals adopted; what fits none is refused as a whole.

        Raises :class:`~gatepost.errors.SettingsError`.
        """
        if not 0 < len(rows) <= MAX_ROWS:
            raise SettingsError("terminals", f"must be from 1 to {MAX_ROWS}")
        for number, row in enumerate(rows):
            try:
                check_ours(checked_address(row.address), ours)
            except SettingsError as error:
                raise SettingsError(f"terminals.{number}.{error.setting}", error.why) from None
        around = self._around
        now_ms = round(around.now() * 1000)
        return await around.in_thread(lambda: self.adoptions.create(rows, ours=ours, by=by, now_ms=now_ms))

    async def run(self) -> None:
        """Run until it is cancelled."""
        try:
            while True:
                try:
                    await self.once(1)
                except StoreError as error:
                    log.debug("fleet.store_away", why=str(error))
                await asyncio.sleep(PACE_S if self._trying or self._over else TICK_S)
        finally:
            await self.close()

    async def once(self, most: int = AT_ONCE) -> int:
        """Begin what there is to do, ``most`` terminals at most; return how many are tried from now on."""
        await self._gather()
        if not await self._has_lease():
            return 0
        room = min(most, AT_ONCE - len(self._trying))
        rows = await self._around.in_thread(lambda: self.adoptions.begin(room)) if room > 0 else []
        for row in rows:
            task = asyncio.get_running_loop().create_task(self._try(row))
            self._trying.add(task)
            task.add_done_callback(self._trying.discard)
        return len(rows)

    async def settle(self) -> None:
        """Wait until everything that was begun is over and stored."""
        if self._trying:
            await asyncio.wait(set(self._trying))
        await self._gather()

    async def close(self) -> None:
        """End what is under way, and give the lease back. Idempotent."""
        tasks = list(self._trying)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._fence is not None:
            self._fence = None
            # A database that is away must not hold up a stop: then the lease ends by itself.
            with contextlib.suppress(StoreError, RuntimeError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._around.in_thread(lambda: self._leases.let_go(self._owner))

    async def _has_lease(self) -> bool:
        around, had = self._around, self._fence
        now = around.now()
        if self._fence is None or not self._renew_at - LEASE_S <= now < self._renew_at:
            now_ms = round(now * 1000)
            self._fence = await around.in_thread(
                lambda: self._leases.take(LEASE, self._owner, now_ms=now_ms, for_ms=round(LEASE_S * 1000))
            )
            self._renew_at = now + LEASE_S / 3
            if self._fence is not None and self._fence != had:
                # What another process, or this one before its restart, was trying is over.
                await around.in_thread(lambda: self.adoptions.fail_interrupted(INTERRUPTED, now_ms=now_ms))
        return self._fence is not None

    async def _try(self, row: Ordered) -> None:
        around, what = self._around, row.what
        order = Order(
            address=what.address,
            username=what.username,
            password=what.password,
            ours=row.ours,
            by=row.by,
            name=what.name,
            site_id=what.site_id,
        )
        made, reason = None, ""
        try:
            made = await adopt(order, around)
        except SettingsError as error:
            reason = f"{error.setting}: {error.why}"
        except (GatepostError, ValueError) as error:
            reason = str(error)
        except Exception:
            log.exception("fleet.adoption_broke", address=what.address)
            reason = "a defect of gatepost; see its log"
        self._over.append((row, made, reason))

    async def _gather(self) -> None:
        """Store how it went with those that are over."""
        around = self._around
        while self._over:
            row, made, reason = self._over.pop(0)
            try:
                await around.in_thread(functools.partial(self._end, row, made, reason))
            except BaseException:  # it is stored in the next round
                self._over.insert(0, (row, made, reason))
                raise

    def _end(self, row: Ordered, made: AdoptedRow | None, reason: str) -> None:
        serial, terminal_id = (None, None) if made is None else (made.serial, made.terminal_id)
        now_ms = round(self._around.now() * 1000)
        self.adoptions.end(row, now_ms=now_ms, serial=serial, terminal_id=terminal_id, reason=reason)
        if made is not None:
            detail = {"serial": made.serial, "adoption": row.adoption_id, "by": row.by}
            self._around.note("fleet.adopted", made, detail)
