"""Work on the jobs that fetch spans of terminals' histories: one job a terminal at a time, some terminals at once.

Rules:

* What is fetched goes into the journal, and so the way of every push: it is listed once, with the same people,
  attendance, retention and erasure. Progress is stored after that, so a kill at any point costs some windows at most,
  whose records are here already when they are fetched again.
* A terminal that is away is asked again later. A wrong account, another certificate or another serial ends a job: a
  person has to look. A token that expires is made again once.
* Alarms are in no history. What was not pushed of them cannot be had again.

Flow: :meth:`Backfill.run` → :meth:`Backfill.once` → :meth:`Backfill.work` on each job that is due →
:class:`~gatepost.fleet.history.fetching.Fetching`.
"""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from gatepost.errors import StoreError
from gatepost.fleet.failures import AnotherCertificate, AnotherTerminal, FleetError, Stopped, WrongAccount
from gatepost.fleet.history.around import LEASE_MS, Around
from gatepost.fleet.history.fetching import Fetching, NotReadable
from gatepost.store.query.notices import NewNotice
from gatepost.store.terminals.fleet_jobs import LEASE, JobRow

__all__ = ["AT_ONCE", "Backfill"]

log = structlog.get_logger(__name__)

AT_ONCE = 4
"""Terminals that are fetched from at the same time."""

ROUND_S = 5.0
"""Between two looks for jobs, unless one is made here."""

FIRST_AGAIN_S, LAST_AGAIN_S = 15.0, 900.0
"""Between two tries to reach a terminal that is away: the first pause and the longest."""

_ENDS = (WrongAccount, AnotherTerminal, AnotherCertificate, Stopped, NotReadable)
"""Failures that end a job until a person resumes it."""


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
            finished = await Fetching(around, job, row, self._fence).run()
        except _ENDS as error:
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
