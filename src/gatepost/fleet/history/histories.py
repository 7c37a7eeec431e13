"""Fetch and count the histories of adopted terminals: what the API, the console and the jobs share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from gatepost.errors import SettingsError
from gatepost.fleet.history.around import Around
from gatepost.fleet.history.audit import Auditor
from gatepost.fleet.history.backfill import Backfill
from gatepost.store.terminals.adopted import AdoptedRow
from gatepost.store.terminals.fleet_jobs import JobRow, JobState, NewJob

__all__ = ["Histories"]

DAY_S = 86_400

AGAIN: tuple[JobState, ...] = ("proposed", "paused", "failed")
"""From which states a person has a job go on."""


class Histories:
    """All histories of a receiver. Made and used on one event loop; what blocks says so."""

    def __init__(
        self,
        around: Around,
        timezones: Callable[[], Mapping[int, str]],
        *,
        starts: bool,
        keep_days: int,
    ) -> None:
        """Wire the jobs. ``starts``: what the audit misses is fetched without being asked for.

        ``keep_days``: for how long records are kept; what is older is not fetched. 0: for ever.
        """
        self._around = around
        self.keep_days = keep_days
        self.jobs = around.jobs
        self.backfill = Backfill(around)
        self.auditor = Auditor(around, timezones, starts=starts)

    def ask(self, row: AdoptedRow, since_s: int, until_s: int | None, *, by: str) -> JobRow:
        """Store a job, both seconds included; one of the same span that is not over is returned. Blocks.

        ``until_s``: ``None`` for what is the present by the terminal's clock. Raises
        :class:`~gatepost.errors.SettingsError` for a span in which nothing is to be had.
        """
        now = self._around.now()
        present = round(now + max(0, row.clock_error_ms or 0) / 1000)
        until_s = present if until_s is None else min(until_s, present)
        if self.keep_days:
            since_s = max(since_s, round(now) - self.keep_days * DAY_S)
        if since_s > until_s:
            raise SettingsError(
                "since", "must be before until, not in the future, and records are still kept"
            )
        new = NewJob(terminal_id=row.terminal_id, since_s=since_s, until_s=until_s, by=by)
        return self.jobs.make(new, now_ms=round(now * 1000))

    def pause(self, job_id: int) -> JobRow | None:
        """Have a job wait until it is resumed; ``None`` if it does not run or wait. Blocks."""
        return self.jobs.turn(job_id, "paused", of=("waiting", "running"), now_ms=self._now_ms())

    def resume(self, job_id: int, *, by: str) -> JobRow | None:
        """Have a job go on where it was, or begin a proposal; ``None`` if there is nothing to go on with. Blocks."""
        return self.jobs.turn(job_id, "waiting", of=AGAIN, now_ms=self._now_ms(), by=by)

    def cancel(self, job_id: int) -> JobRow | None:
        """End a job, or refuse a proposal; what is fetched stays. ``None`` if it is over. Blocks."""
        states: tuple[JobState, ...] = ("proposed", "waiting", "running", "paused", "failed")
        return self.jobs.turn(job_id, "cancelled", of=states, now_ms=self._now_ms())

    async def run(self) -> None:
        """Run the jobs until it is cancelled."""
        await asyncio.gather(self.backfill.run(), self.auditor.run())

    def _now_ms(self) -> int:
        return round(self._around.now() * 1000)
