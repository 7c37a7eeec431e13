"""Fetch what is left of one job, window by window: one page in flight, and windows stored while the next are fetched.

Rules:

* A terminal is let go of after :data:`TALK_S`, so that it can be looked at meanwhile.
* A terminal is not believed: totals may differ on each page, pages may repeat. A window is whole when a page brings
  nothing new; one whose pages repeat is cut into parts until a page holds each.
* A window is in the journal before the progress behind it is stored. The journal is listed after that, so that progress
  does not wait for a transaction with the same records.

Flow: :meth:`Fetching.run` → :func:`fetch` of each window → :class:`~gatepost.fleet.history.storing.Storing` → journal
→ progress.
"""

from __future__ import annotations

from collections.abc import Sequence

from gatepost.fleet.client import PAGE, TerminalClient
from gatepost.fleet.failures import FleetError, WrongAccount
from gatepost.fleet.history.around import Around
from gatepost.fleet.history.records import (
    FIRST_WINDOW_S,
    MAX_IN_WINDOW,
    Reading,
    Window,
    is_within,
    missing,
    read,
)
from gatepost.fleet.history.storing import Fetched, Storing
from gatepost.store.terminals.adopted import AdoptedRow
from gatepost.store.terminals.fleet_jobs import JobRow, Step
from gatepost.store.types.arrivals import Arrival
from gatepost.store.write.backfilled import Here
from gatepost.wire import Unknown

__all__ = ["Fetching", "NotReadable", "fetch"]

TALK_S = 5.0

MAX_PAGES = 200
"""Pages of one window: one that a terminal does not end is not read for ever."""

MAX_BYTES = 32 * 1024 * 1024
"""Bytes of the items of one window: one with more is cut into parts."""

MAX_PARTS = 24
"""Into so many parts a window is cut at once, at most: totals may be wrong."""


class NotReadable(FleetError):
    """The history does not keep to what was asked for."""


class Fetching:
    """Fetches what is left of one job."""

    def __init__(self, around: Around, job: JobRow, row: AdoptedRow, fence: int) -> None:
        """``row``: the terminal. ``fence``: of the lease of those who fetch."""
        self._around = around
        self._job = job
        self._row = row
        self._fence = fence
        self._next_s = job.done_s + 1
        self._span_s = FIRST_WINDOW_S
        """Seconds of the next window: fewer where records are dense, so that no page is read in vain."""
        self._parts: list[Window] = []
        """The parts of a window that are still to be fetched, the first one last."""
        self._storing = Storing(self._keep)
        self._has_expired = False
        """The last request was refused after a login, and nothing was read since."""

    async def run(self) -> bool:
        """Return whether everything is fetched; False: a person or another process stopped it."""
        try:
            while (window := self._window()) is not None:
                if not await self._talk(window):
                    return False
            return await self._storing.finish()
        finally:
            await self._storing.settle()

    def _window(self) -> Window | None:
        """Return the next window; it stays the next one until it is fetched."""
        if not self._parts and self._next_s <= self._job.until_s:
            end_s = min(self._next_s + self._span_s - 1, self._job.until_s)
            self._parts.append(Window(self._next_s, end_s))
            self._next_s = end_s + 1
        return self._parts[-1] if self._parts else None

    async def _talk(self, window: Window | None) -> bool:
        """Fetch windows for a while; False: the job is not to go on."""
        begun = self._around.monotonic()
        async with self._around.talk(self._row) as client:
            while window is not None and self._around.monotonic() - begun < TALK_S:
                try:
                    items = await fetch(client, window)
                except WrongAccount:
                    # The login was right: the token's time is over, or the terminal started again.
                    if self._has_expired:
                        raise
                    self._has_expired = True
                    return True
                self._has_expired = False
                self._parts.pop()
                if isinstance(items, int):
                    self._parts += reversed(window.parts(items))
                    self._span_s = max(1, (window.end_s - window.begin_s + 1) // items)
                elif not await self._storing.add(Fetched(window, items)):
                    return False
                elif len(items) < MAX_IN_WINDOW // 4:
                    self._span_s = min(2 * self._span_s, FIRST_WINDOW_S)
                window = self._window()
        return True

    def _keep(self, some: Sequence[Fetched]) -> bool:
        """Put what is not here of some windows into the journal, and store how far the job is. Blocks."""
        around = self._around
        reading = Reading(
            terminal_id=self._job.terminal_id,
            serial=self._row.serial,
            timezone=self._job.timezone,
            secret=around.secret,
            received_at_ms=round(around.now() * 1000),
        )
        fetched = 0
        lacking: list[Arrival] = []
        for one in some:
            there = read(one.items, reading)
            fetched += len(there)
            lacking += missing(there, self._here(one.window)) if there else ()
        unreadable = sum(isinstance(one.event, Unknown) for one in lacking)
        done_s = some[-1].window.end_s
        step = Step(done_s=done_s, fetched=fetched, added=len(lacking) - unreadable, unreadable=unreadable)
        if not lacking:
            return around.jobs.advance(self._job.id, step, fence=self._fence)
        around.take(lacking)
        try:
            return around.jobs.advance(self._job.id, step, fence=self._fence)
        finally:
            around.taken()

    def _here(self, window: Window) -> Sequence[Here]:
        return self._around.jobs.here(self._job.terminal_id, window.begin_s, window.end_s)


async def fetch(client: TerminalClient, window: Window) -> list[bytes] | int:
    """Return every item of a window, or into how many parts it has to be cut.

    Raises :class:`NotReadable` where even a second cannot be read, and :class:`~gatepost.fleet.failures.FleetError`.
    """
    is_second = window.begin_s == window.end_s
    items: dict[bytes, None] = {}
    offset = size = 0
    for _ in range(MAX_PAGES):
        page = await client.history(window.begin_s, window.end_s, offset=offset)
        is_full = len(page.items) >= PAGE
        if is_full and not is_second and (page.total or 0) > MAX_IN_WINDOW:
            return min(-(-(page.total or 0) * 5 // (MAX_IN_WINDOW * 4)), MAX_PARTS)
        before = len(items)
        found = [bytes(item) for item in page.items]
        items.update(dict.fromkeys(found))
        offset += len(found)
        size += sum(map(len, found))
        if len(items) > before and size > MAX_BYTES:
            if is_second:
                raise NotReadable(
                    f"a second of its history has more than {MAX_BYTES // 1024 // 1024} MB; it cannot be fetched"
                )
            return 2
        if len(items) == before:  # empty, or a page that was there before
            if is_full and not is_second:
                return 2
            break
        if not is_full and page.total is not None and offset >= page.total:
            break
    else:
        if not is_second:
            return MAX_PARTS
    found = list(items)
    if is_second and len(found) >= PAGE and not any(is_within(item, window) for item in found):
        raise NotReadable("its history does not keep to the span that is asked for; it cannot be fetched")
    return found
