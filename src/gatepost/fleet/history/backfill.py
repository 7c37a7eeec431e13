"""Fetch spans of terminals' histories: one job a terminal at a time, one page in flight, some terminals at once.

Rules:

* What is fetched goes into the journal, and so the way of every push: it is listed once, with the same people,
  attendance, retention and erasure. Progress is stored after that, so a kill at any point costs a window at most, whose
  records are here already when it is fetched again.
* While a window is stored, the next one is fetched. A terminal is let go of after :data:`TALK_S`, so that it can be
  looked at meanwhile.
* A terminal that is away is asked again later. A wrong account, another certificate or another serial ends a job: a
  person has to look. A token that expires is made again once.
* A terminal is not believed: totals may differ on each page, pages may repeat. A window is whole when a page brings
  nothing new; one whose pages repeat is cut into parts until a page holds each.
* Alarms are in no history. What was not pushed of them cannot be had again.

Flow: :meth:`Backfill.run` → :meth:`Backfill.once` → :meth:`Backfill.work` on each job that is due.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

import structlog
from msgspec import Struct

from gatepost.errors import StoreError
from gatepost.fleet.client import PAGE, TerminalClient
from gatepost.fleet.failures import AnotherCertificate, AnotherTerminal, FleetError, Stopped, WrongAccount
from gatepost.fleet.history.records import (
    FIRST_WINDOW_S,
    MAX_IN_WINDOW,
    Reading,
    Window,
    is_within,
    missing,
    read,
)
from gatepost.store.query.notices import NewNotice, Notices
from gatepost.store.receivers.leases import Leases
from gatepost.store.terminals.adopted import AdoptedRow
from gatepost.store.terminals.fleet import Adopted
from gatepost.store.terminals.fleet_jobs import LEASE, FleetJobs, JobRow, Step
from gatepost.store.types import Arrival
from gatepost.wire import Unknown

__all__ = ["AT_ONCE", "Around", "Backfill", "NotReadable", "Talk", "fetch"]

log = structlog.get_logger(__name__)

T = TypeVar("T")

Talk = Callable[[AdoptedRow], AbstractAsyncContextManager[TerminalClient]]
"""Open a terminal's service, logged in. Raises :class:`~gatepost.fleet.failures.FleetError`."""

AT_ONCE = 4
"""Terminals that are fetched from at the same time."""

TALK_S = 5.0

ROUND_S = 5.0
"""Between two looks for jobs, unless one is made here."""

LEASE_MS = 15_000

FIRST_AGAIN_S, LAST_AGAIN_S = 15.0, 900.0
"""Between two tries to reach a terminal that is away: the first pause and the longest."""

MAX_PAGES = 200
"""Pages of one window: one that a terminal does not end is not read for ever."""

MAX_BYTES = 32 * 1024 * 1024
"""Bytes of the items of one window: one with more is cut into parts."""

MAX_PARTS = 24
"""Into so many parts a window is cut at once, at most: totals may be wrong."""

_ENDS = (WrongAccount, AnotherTerminal, AnotherCertificate, Stopped)


class NotReadable(FleetError):
    """The history does not keep to what was asked for."""


class Around(Struct, frozen=True, kw_only=True):
    """Hold what is handed in."""

    jobs: FleetJobs
    adopted: Adopted
    leases: Leases
    notices: Notices
    talk: Talk
    take: Callable[[Sequence[Arrival]], None]
    """Append arrivals to the journal. Blocks."""
    catch_up: Callable[[], None]
    """Wait until the journal is listed. Blocks."""
    secret: bytes
    owner: str
    now: Callable[[], float]
    monotonic: Callable[[], float]
    told: Callable[[], None] = lambda: None
    """Called after notices were added. Any thread."""


class Backfill:
    """Works on jobs. Made and used on one event loop."""

    def __init__(self, around: Around) -> None:
        self._around = around
        self._woken = asyncio.Event()
        self._working: dict[int, asyncio.Task[None]] = {}
        """By terminal."""
        self._fence = 0

    def wake(self) -> None:
        """Look for jobs now. Call it on the event loop."""
        self._woken.set()

    async def run(self) -> None:
        """Work until it is cancelled; what is begun is given up then, and fetched again later."""
        try:
            while True:
                self._woken.clear()
                try:
                    await self.once()
                except StoreError as error:
                    log.debug("backfill.store_away", why=str(error))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), ROUND_S)
        finally:
            await self.close()

    async def close(self) -> None:
        """Give up what is begun, and the lease."""
        for task in self._working.values():
            task.cancel()
        await asyncio.gather(*self._working.values(), return_exceptions=True)
        with contextlib.suppress(StoreError):
            await asyncio.to_thread(self._around.leases.let_go, self._around.owner)

    async def once(self) -> int:
        """Take the lease, and begin jobs that are due; return how many are being worked on."""
        around = self._around
        fence = await asyncio.to_thread(
            lambda: around.leases.take(LEASE, around.owner, now_ms=self._now_ms(), for_ms=LEASE_MS)
        )
        if fence is None:
            for task in self._working.values():
                task.cancel()
            return 0
        self._fence = fence
        room = AT_ONCE - len(self._working)
        if room > 0:
            busy = list(self._working)
            due = await asyncio.to_thread(
                lambda: around.jobs.due(room, now_ms=self._now_ms(), leave_out=busy)
            )
            for job in due:
                task = asyncio.create_task(self._work(job))
                self._working[job.terminal_id] = task
                task.add_done_callback(lambda _, which=job.terminal_id: self._ended(which))  # type: ignore[misc]  # mypy infers no lambda with a default
        return len(self._working)

    async def idle(self) -> None:
        """Wait until nothing is being worked on."""
        while self._working:
            await asyncio.wait(list(self._working.values()))

    def _ended(self, terminal_id: int) -> None:
        self._working.pop(terminal_id, None)
        self.wake()

    def _now_ms(self) -> int:
        return round(self._around.now() * 1000)

    async def _work(self, job: JobRow) -> None:
        try:
            await self.work(job)
        except StoreError as error:
            log.warning("backfill.store_away", why=str(error))
            await asyncio.sleep(ROUND_S)
        except Exception as defect:
            log.error("backfill.failed", kind=type(defect).__name__, job=job.id)
            with contextlib.suppress(StoreError):
                await self._fail(job, f"it failed in the receiver ({type(defect).__name__}); see the log")

    async def work(self, job: JobRow) -> None:
        """Work on a job until it ends, waits or is stopped. Raises :class:`~gatepost.errors.StoreError`."""
        around = self._around
        row = await asyncio.to_thread(around.adopted.one, job.terminal_id)
        if row is None:
            await self._fail(job, "the terminal is not adopted; adopt it, and start this again")
            return
        try:
            finished = await _Fetching(around, job, row, self._fence).run()
        except _ENDS as error:
            await self._fail(job, str(error))
        except NotReadable as error:
            await self._fail(job, str(error))
        except FleetError as error:
            await self._later(job, str(error))
        else:
            if finished:
                await asyncio.to_thread(self._finish, job)

    def _finish(self, job: JobRow) -> None:
        around = self._around
        around.catch_up()
        if not around.jobs.finish(job.id, now_ms=self._now_ms(), fence=self._fence):
            return
        done = around.jobs.one(job.id)
        if done is None:
            return
        detail: dict[str, str | float] = {"added": done.added, "fetched": done.fetched}
        notice = NewNotice(
            kind="terminal.backfilled", subject=str(job.id), terminal_id=job.terminal_id, detail=detail
        )
        if around.notices.tell([notice], now_ms=self._now_ms()):
            around.told()

    async def _fail(self, job: JobRow, reason: str) -> None:
        now_ms, fence = self._now_ms(), self._fence
        await asyncio.to_thread(lambda: self._around.jobs.fail(job.id, reason, now_ms=now_ms, fence=fence))

    async def _later(self, job: JobRow, reason: str) -> None:
        latest = await asyncio.to_thread(self._around.jobs.one, job.id)
        failures = 0 if latest is None else latest.failures
        pause_ms = round(1000 * min(LAST_AGAIN_S, FIRST_AGAIN_S * 2.0 ** min(failures, 10)))
        due_ms, fence = self._now_ms() + pause_ms, self._fence
        await asyncio.to_thread(lambda: self._around.jobs.later(job.id, reason, due_ms=due_ms, fence=fence))


class _Fetching:
    """Fetches what is left of one job."""

    def __init__(self, around: Around, job: JobRow, row: AdoptedRow, fence: int) -> None:
        self._around = around
        self._job = job
        self._row = row
        self._fence = fence
        self._next_s = job.done_s + 1
        self._span_s = FIRST_WINDOW_S
        """Seconds of the next window: fewer where records are dense, so that no page is read in vain."""
        self._parts: list[Window] = []
        """The parts of a window that are still to be fetched, the first one last."""
        self._storing: asyncio.Task[bool] | None = None
        self._has_expired = False
        """The last request was refused after a login, and nothing was read since."""

    async def run(self) -> bool:
        """Return whether everything is fetched; False: a person or another process stopped it."""
        try:
            while (window := self._window()) is not None:
                if not await self._talk(window):
                    return False
            return await self._stored()
        finally:
            if self._storing is not None:
                await asyncio.gather(self._storing, return_exceptions=True)

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
                elif not await self._store(window, items):
                    return False
                elif len(items) < MAX_IN_WINDOW // 4:
                    self._span_s = min(2 * self._span_s, FIRST_WINDOW_S)
                window = self._window()
        return True

    async def _store(self, window: Window, items: Sequence[bytes]) -> bool:
        """Begin to store a window once the one before is stored; False: the job is not to go on."""
        goes_on = await self._stored()
        if goes_on:
            self._storing = asyncio.create_task(asyncio.to_thread(self._keep, window, items))
        return goes_on

    async def _stored(self) -> bool:
        storing, self._storing = self._storing, None
        return True if storing is None else await storing

    def _keep(self, window: Window, items: Sequence[bytes]) -> bool:
        """Put what is not here into the journal, and store how far the job is. Blocks."""
        around = self._around
        reading = Reading(
            terminal_id=self._job.terminal_id,
            serial=self._row.serial,
            timezone=self._job.timezone,
            secret=around.secret,
            received_at_ms=round(around.now() * 1000),
        )
        there = read(items, reading)
        here = around.jobs.here(self._job.terminal_id, window.begin_s, window.end_s) if there else []
        lacking = missing(there, here)
        if lacking:
            around.take(lacking)
        unreadable = sum(isinstance(one.event, Unknown) for one in lacking)
        step = Step(
            done_s=window.end_s, fetched=len(there), added=len(lacking) - unreadable, unreadable=unreadable
        )
        return around.jobs.advance(self._job.id, step, fence=self._fence)


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
