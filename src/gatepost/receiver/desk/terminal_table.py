"""The table of terminals by which every ingest decides, kept the same as the store's.

Rules:

* What an ingest has to know of terminals it is told before a change of one is answered.
* The desk has the same knowledge itself: the projector asks it whose an event may be.

Flow of a change: store → :meth:`TerminalTable.refresh` → every ingest.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import structlog
from msgspec import structs

from gatepost.errors import StoreError
from gatepost.receiver.jobs.errands import Errands
from gatepost.receiver.processes.ingests import Ingests
from gatepost.receiver.processes.link import (
    Changed,
    Counted,
    Holder,
    Listed,
    Made,
    Refused,
    Table,
    Use,
    Welcome,
)
from gatepost.receiver.settings_in_force import SettingsInForce
from gatepost.receiver.terminals.claims import Claim, Known, Policy
from gatepost.receiver.terminals.directory import Directory
from gatepost.settings import ReceiverSettings
from gatepost.store.interface import Store, TerminalRow

__all__ = ["SOON_S", "TerminalTable"]

log = structlog.get_logger(__name__)

SOON_S = 0.5
"""How soon it counts what is changed about terminals that are adopted."""


class TerminalTable:
    """The table of terminals, and the line to every ingest. Made and used on one event loop, but where it says so."""

    def __init__(
        self,
        store: Store,
        in_force: SettingsInForce,
        *,
        progress: Callable[[], Listed],
        paths: Callable[[], list[str]],
        on_settings: Callable[[ReceiverSettings], None],
        now: Callable[[], float],
    ) -> None:
        """``progress`` returns how far the journal is listed, and ``paths`` those of console and API.

        ``on_settings`` is called with settings that were changed. ``now`` returns Unix seconds.
        """
        self._store = store
        self._in_force = in_force
        self._progress = progress
        self._paths = paths
        self._on_settings = on_settings
        self._policy = Policy.of(in_force.current)
        self._directory = Directory(now=now)
        self._table = Table((), (), {}, "UTC")
        self._changes = 0
        """How often what the ingests know of terminals has changed."""
        self._loop = asyncio.get_running_loop()
        self._refreshing = asyncio.Lock()
        self._refreshing_soon: asyncio.Task[None] | None = None
        self._telling: set[asyncio.Task[None]] = set()
        self.errands = Errands()
        self.ingests = Ingests(
            {
                Holder: self._holder,
                Use: self._use,
                Counted: self._count,
                Refused: self._note_refused,
            },
            welcome=self.welcome,
            listed=progress,
        )

    def welcome(self) -> Welcome:
        """Return what an ingest is told first."""
        return Welcome(self._store.secret, self._table, self._progress(), self._paths())

    async def refresh(self) -> None:
        """Hand what the store knows of terminals to every ingest: call it after a change of one.

        Raises :class:`~gatepost.errors.StoreUnavailable`.
        """
        async with self._refreshing:
            store = self._store
            changes = -1
            while changes != self._changes:  # a token was used meanwhile: this may be from before
                changes = self._changes
                is_new, terminals, peers, tokens, sites = await asyncio.to_thread(
                    lambda: (
                        self._in_force.refresh(),
                        store.terminals(),
                        store.peers(),
                        store.tokens(),
                        store.sites(),
                    )
                )
                if is_new:
                    self._policy = Policy.of(self._in_force.current)
                    self._on_settings(self._in_force.current)
                    log.info("settings.changed", **self._in_force.changes)
            known = [Known.of(row) for row in terminals]
            seen = [(address, terminal_id, at_ms) for (address, terminal_id), at_ms in peers.items()]
            table = Table(known, seen, tokens, sites[0].timezone, self._in_force.changes)
            if table == self._table:
                return
            self._changes += 1
            self._table = table
            self._directory.feed(known, peers, tokens, new_timezone=table.new_timezone)
            await self.ingests.call(table)

    def refresh_soon(self) -> None:
        """Refresh within :data:`SOON_S`, once however often this is called: for what is changed many times in a row.

        Until then an ingest asks the store for a token that it does not know, and takes one that was replaced.
        """
        if self._refreshing_soon is None or self._refreshing_soon.done():
            self._refreshing_soon = self._loop.create_task(self._refresh_later())

    def learn(self, terminals: Sequence[TerminalRow]) -> None:
        """Tell every ingest of terminals that the projector made. Any thread."""
        known = [Known.of(row) for row in terminals]

        def learn() -> None:
            self._directory.learn_new(known)
            task = self._loop.create_task(self.ingests.tell(Made(known)))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(learn)

    def may_hold(self, candidates: Sequence[int], peer: str) -> int | None:
        """Return the first of some terminals that an event may be of which names none, by its address. Any thread."""
        return self._directory.holder(candidates, Claim(None, None, None, peer), self._policy)

    async def stop_refreshing(self) -> None:
        """Refresh no more. Idempotent."""
        if self._refreshing_soon is not None:
            self._refreshing_soon.cancel()
            await asyncio.gather(self._refreshing_soon, return_exceptions=True)

    async def _refresh_later(self) -> None:
        await asyncio.sleep(SOON_S)
        with contextlib.suppress(StoreError):  # it is refreshed every few seconds all the same
            await self.refresh()

    async def _holder(self, asked: Holder) -> Known | None:
        while True:
            changes = self._changes
            row = await self.errands.call(lambda: self._store.terminal_by_token(asked.digest))
            if changes == self._changes:  # else what was read may be older than what the ingest was told
                return None if row is None else Known.of(row)

    async def _use(self, asked: Use) -> Known | None:
        row = await self.errands.call(lambda: self._store.use_token(asked.digest, now_ms=asked.at_ms))
        if row is None:
            return None
        known = Known.of(row)
        # From here on this terminal is taken only with its token, by every ingest, also by one that is only starting.
        self._changes += 1
        others = [one for one in self._table.terminals if one.id != known.id]
        self._table = structs.replace(self._table, terminals=[*others, known])
        self._directory.learn([known])
        await self.ingests.call(Changed([known]))
        return known

    async def _count(self, told: Counted) -> None:
        counts = {(terminal_id, reason): count for terminal_id, reason, count in told.counts}
        await self.errands.call(lambda: self._store.count_refused(counts, now_ms=told.at_ms))

    async def _note_refused(self, told: Refused) -> None:
        samples = {(peer, reason): sample for peer, reason, sample in told.samples}
        await self.errands.call(lambda: self._store.note_refused(dict(told.pushes), samples))
