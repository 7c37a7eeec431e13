"""Look every few seconds after changes by other processes, erased people, and the announcement of this receiver."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from gatepost.errors import GatepostError, StoreError
from gatepost.receiver.auth.audit_groups import AuditGroups
from gatepost.receiver.desk.erased_people import ErasedPeople
from gatepost.receiver.desk.terminal_table import TerminalTable
from gatepost.receiver.jobs.projector.projector import Projector
from gatepost.store.interface import Store

__all__ = ["FRESH_S", "Housekeeping"]

log = structlog.get_logger(__name__)

FRESH_S = 5.0
"""How soon a change of a terminal by another process is seen here, at most."""

ANALYZED_EVERY_S = 3600.0
"""How often it is looked whether the database has counted its tables lately."""

SAID_EVERY_S = 60.0
"""How often it is logged that the store is away."""


class Housekeeping:
    """Runs its steps one after another; one that fails is tried again the next time."""

    def __init__(
        self,
        store: Store,
        table: TerminalTable,
        erased: ErasedPeople,
        projector: Projector,
        groups: AuditGroups,
        *,
        journal_id: bytes | None,
        host: str,
        now: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        """``journal_id`` and ``host`` are announced to other receivers; ``None`` where the database has no others."""
        self._store = store
        self._table = table
        self._erased = erased
        self._projector = projector
        self._groups = groups
        self._journal_id = journal_id
        self._host = host
        self._now = now
        self._monotonic = monotonic
        self._said_at = -SAID_EVERY_S
        self._analyzed_at = -ANALYZED_EVERY_S

    async def begin(self) -> None:
        """Do once what has to be done before anything is served. Raises :class:`~gatepost.errors.StoreError`."""
        await self._table.refresh()
        await self._erased.forget()
        await self.announce()

    async def run(self) -> None:
        """Keep house for ever."""
        while True:
            await asyncio.sleep(FRESH_S)
            await self.keep()

    async def keep(self) -> None:
        """Refresh, forget, announce, note and analyze once; what fails is tried again the next time."""
        for step in (
            self._table.refresh,
            self._erased.forget,
            self.announce,
            self.note_groups,
            self.analyze,
        ):
            try:
                await step()
            except Exception as error:
                why = str(error) if isinstance(error, GatepostError) else type(error).__name__
                if self._projector.is_away:  # it says so itself
                    log.debug("desk.housekeeping_failed", step=step.__name__, why=why)
                elif self._monotonic() - self._said_at >= SAID_EVERY_S:
                    self._said_at = self._monotonic()
                    log.warning("desk.housekeeping_failed", step=step.__name__, why=why)

    async def announce(self) -> None:
        """Tell the other receivers of this database that this one is there."""
        if self._journal_id is not None:
            events, now_ms = self._projector.lag().events, int(self._now() * 1000)
            await asyncio.to_thread(
                self._store.note_receiver, self._journal_id, host=self._host, events=events, now_ms=now_ms
            )

    async def note_groups(self) -> None:
        """Write the lines of the audit log whose minute is over."""
        await asyncio.to_thread(self._groups.flush)

    async def analyze(self) -> None:
        """Have the database count how its tables are filled: looked at each hour, done once a day."""
        if self._monotonic() - self._analyzed_at >= ANALYZED_EVERY_S:
            self._analyzed_at = self._monotonic()
            await asyncio.to_thread(self._store.analyze)

    async def note_all_groups(self) -> None:
        """Write every line of the audit log that waits, at a stop, if the store is there."""
        with contextlib.suppress(StoreError):
            await asyncio.to_thread(self._groups.flush, all_of_them=True)

    async def take_leave(self) -> None:
        """Tell the other receivers that this one has ended and listed its journal, if the store is there."""
        if self._journal_id is not None:
            with contextlib.suppress(StoreError):
                await asyncio.to_thread(self._store.forget_receiver, self._journal_id)
