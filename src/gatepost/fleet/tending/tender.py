"""Tend all adopted terminals: the job that looks at those that are due.

Rules:

* On a server with several receivers one of them looks: the one with the lease, for :data:`LEASE_S` after it was last
  heard of. What it finds after that counts no more.
* At most :data:`AT_ONCE` looks are under way, and :data:`PER_PACE` begin every :data:`PACE_S` seconds, one after the
  other: many TLS handshakes at the same time would delay pushes. A look that fails is a result, too.
* A terminal that pushes again after a silence is looked at now. Every receiver sees its own pushes, and says so.
* What a person has to know is a notice, once: an address that another tool sets, a terminal that is stopped.

Flow: :meth:`Tender.run` → :meth:`Tender.once`: the lease → who came back → who is due → looks → what they found.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Collection, Mapping

import structlog

from gatepost.errors import StoreError
from gatepost.fleet.surroundings import Surroundings
from gatepost.fleet.tending.visit import Visitor
from gatepost.store.receivers.leases import Leases
from gatepost.store.terminals.adopted import AdoptedRow, Looked
from gatepost.store.terminals.fleet import LEASE

__all__ = ["AT_ONCE", "LEASE_S", "SILENCE_MS", "Tender", "returned"]

log = structlog.get_logger(__name__)

LEASE_S = 15.0

TICK_S = 1.0

PACE_S, PER_PACE = 0.17, 2
"""So many looks are begun each time, and so soon again if more are due: 500 take three quarters of a minute."""

AT_ONCE = 32

HAND_BACK_S = 30.0
"""After so long with looks, each with a handshake, memory is handed back: it lies in pieces."""

AWAY_S = 5.0
"""After so long it is read again which terminals are away: another receiver may have looked at them."""

SILENCE_MS = 10 * 60_000
"""A terminal that pushes after so long came back."""


def returned(before: Mapping[int, int], now: Mapping[int, int], away: Collection[int]) -> list[int]:
    """Return the terminals that pushed again: after a silence, or since they could not be reached. Pure.

    ``before`` and ``now``: when terminals were heard last, in Unix milliseconds.
    """
    pushed = {which: at - before.get(which, at) for which, at in now.items() if before.get(which) != at}
    return [which for which, silent_ms in pushed.items() if silent_ms > SILENCE_MS or which in away]


class Tender:
    """Looks at terminals, one job for all. Made and used on one event loop."""

    def __init__(self, around: Surroundings, visitor: Visitor, leases: Leases, *, owner: str) -> None:
        """``owner``: who has the lease."""
        self._around = around
        self._visitor = visitor
        self._leases = leases
        self._owner = owner
        self._fence: int | None = None
        self._renew_at = 0.0
        self._one_at_a_time = asyncio.Lock()
        self._looking: dict[int, asyncio.Task[None]] = {}
        self._heard: dict[int, int] = {}
        self._away: set[int] = set()
        self._away_until = 0.0
        self._hand_back_at = 0.0
        self.looks: dict[str, int] = {}
        """How many looks had each result, since the start."""

    async def run(self) -> None:
        """Run until it is cancelled."""
        try:
            while True:
                begun = 0
                try:
                    begun = await self.once(PER_PACE, apart_s=PACE_S / PER_PACE)
                except StoreError as error:
                    log.debug("fleet.store_away", why=str(error))
                if begun:
                    await self._hand_back()
                await asyncio.sleep(PACE_S if begun == PER_PACE else TICK_S)
        finally:
            await self.close()

    async def once(self, most: int = AT_ONCE, *, apart_s: float = 0.0) -> int:
        """Do what there is to do now, ``most`` looks at most; return how many were begun.

        ``apart_s``: how long after one look the next one begins.
        """
        async with self._one_at_a_time:
            await self._note_returned()
            if not await self._has_lease():
                return 0
            around, busy = self._around, list(self._looking)
            room = min(most, AT_ONCE - len(busy))
            if room <= 0:
                return 0
            now_ms = round(around.now() * 1000)
            rows = await around.in_thread(lambda: around.adopted.due(room, now_ms=now_ms, leave_out=busy))
            for place, row in enumerate(rows):
                task = asyncio.get_running_loop().create_task(self._look(row, after_s=place * apart_s))
                self._looking[row.terminal_id] = task
                task.add_done_callback(functools.partial(self._over, row.terminal_id))
            return len(rows)

    async def _hand_back(self) -> None:
        around, now = self._around, self._around.now()
        if not self._hand_back_at - HAND_BACK_S <= now < self._hand_back_at:
            self._hand_back_at = now + HAND_BACK_S
            await around.in_thread(around.hand_back)

    async def settle(self) -> None:
        """Wait until every look that was begun is over."""
        if self._looking:
            await asyncio.wait(list(self._looking.values()))

    async def close(self) -> None:
        """End what is under way, and give the lease back. Idempotent."""
        tasks = list(self._looking.values())
        self._looking = {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._fence is not None:
            self._fence = None
            # A database that is away must not hold up a stop: then the lease ends by itself.
            with contextlib.suppress(StoreError, RuntimeError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._around.in_thread(lambda: self._leases.let_go(self._owner))

    async def look(self, terminal_id: int, *, now_due: bool, fence: int | None = None) -> None:
        """Look at a terminal, store what is found, and tell what a person has to know.

        ``now_due``: also if it is not due. ``fence``: of the lease, if one is asked for. Raises
        :class:`~gatepost.errors.StoreUnavailable`.
        """
        around = self._around
        async with self._visitor.turn(terminal_id):
            # As it is now: it may have been looked at, changed or released a moment ago.
            row, credentials = await around.in_thread(lambda: self._visitor.known(terminal_id))
            if row is None or row.state == "stopped" or row.terminal_state == "retired":
                return
            if not now_due and row.due_ms > around.now() * 1000:
                return
            looked = await self._visitor.look(row, credentials, now_due=now_due)
            await self._visitor.keep(row, looked, fence=fence)
        self.looks[looked.found] = self.looks.get(looked.found, 0) + 1
        (self._away.add if looked.state == "away" else self._away.discard)(terminal_id)

    async def _has_lease(self) -> bool:
        around = self._around
        now = around.now()
        if self._fence is None or not self._renew_at - LEASE_S <= now < self._renew_at:
            self._fence = await around.in_thread(
                lambda: self._leases.take(
                    LEASE, self._owner, now_ms=round(now * 1000), for_ms=round(LEASE_S * 1000)
                )
            )
            self._renew_at = now + LEASE_S / 3
        return self._fence is not None

    async def _note_returned(self) -> None:
        around = self._around
        if not self._away_until - AWAY_S <= around.now() < self._away_until:
            self._away = await around.in_thread(around.adopted.away)
            self._away_until = around.now() + AWAY_S
        now = dict(around.heard)
        back = returned(self._heard, now, self._away)
        if back:
            now_ms = round(around.now() * 1000)
            await around.in_thread(lambda: around.adopted.came_back(back, now_ms=now_ms))
            self._away.difference_update(back)
        self._heard = now

    def _over(self, terminal_id: int, task: asyncio.Task[None]) -> None:
        if self._looking.get(terminal_id) is task:
            del self._looking[terminal_id]

    async def _look(self, row: AdoptedRow, *, after_s: float) -> None:
        """Look at one terminal; what goes wrong concerns no other one."""
        try:
            if after_s:
                await asyncio.sleep(after_s)
            await self.look(row.terminal_id, now_due=False, fence=self._fence)
        except StoreError as error:
            log.debug("fleet.store_away", why=str(error))
        except Exception:
            log.exception("fleet.look_broke", terminal=row.terminal_id)
            # Due again in a minute: a defect of ours must not ask a terminal again and again.
            later = _again_later(row, self._around.now())
            with contextlib.suppress(StoreError):
                await self._around.in_thread(lambda: self._around.adopted.keep([later]))


def _again_later(row: AdoptedRow, now: float) -> Looked:
    return Looked(
        terminal_id=row.terminal_id,
        revision=row.revision,
        state=row.state,
        reason=row.reason,
        due_ms=round((now + 60) * 1000),
        failures=row.failures,
        sets=row.sets,
        must_set=row.must_set,
        shows=row.shows,
        looked_at_ms=round(now * 1000),
        found=row.found or "away",
        shown=row.shown,
        said="a defect of gatepost; see its log",
    )
