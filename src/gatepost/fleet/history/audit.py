"""Compare, each day, how many records a terminal has of a local day with how many are here.

Rules:

* One request a day and terminal: the ``total`` of a page of one record. Nothing of it is stored but the number.
* Days are those of the place where the terminal is, by the terminal's own clock, as the list has them. A day is counted
  from half an hour after its end. Those of the last :data:`BACK_DAYS` are made up for, also after an adoption.
* What is here is counted once everything is listed that was acknowledged when the terminal had told its number. Where
  that takes too long, nothing is kept, and the day is counted in the next round.
* Where the terminal has more, it is proposed to fetch that day. It is fetched without being asked for only if the
  settings say so.
* A terminal that was silent for so long that its cache may have run over is proposed at once: :func:`ran_over`.
* :data:`AT_ONCE` terminals are asked at the same time; one that is away is asked again in the next round.

Flow: :meth:`Auditor.run` → :meth:`Auditor.once` → :func:`due_days` of each terminal → count → proposals.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import structlog

from gatepost.errors import StoreError
from gatepost.fleet.failures import FleetError
from gatepost.fleet.history.around import LEASE_MS, Around
from gatepost.store.local_days import zone
from gatepost.store.terminals.adopted import AdoptedRow
from gatepost.store.terminals.fleet_jobs import AuditRow, JobRow, NewJob

__all__ = ["AT_ONCE", "CACHE", "Auditor", "day_span", "due_days", "proposals", "ran_over"]

log = structlog.get_logger(__name__)

LEASE = "audit"

AT_ONCE = 16

ROUND_S = 600.0

BACK_DAYS = 14

SETTLED_S = 1800
"""After the end of a day it is counted: what waits is pushed by then."""

CACHE = 50_000
"""Records that a terminal keeps for a receiver that is away."""

NEAR = 0.8
"""Of the cache: from so many expected records on some may be lost."""


def day_span(day: date, timezone: str) -> tuple[int, int]:
    """Return the first and the last second of a local day, in Unix seconds."""
    where = zone(timezone)
    begin, end = (datetime(at.year, at.month, at.day, tzinfo=where) for at in (day, day + timedelta(days=1)))
    return round(begin.timestamp()), round(end.timestamp()) - 1


def due_days(row: AdoptedRow, timezone: str, audited: Collection[str], *, now: float) -> list[date]:
    """Return the days of a terminal that are over and not counted, the oldest first. Pure."""
    by_its_clock = now + (row.clock_error_ms or 0) / 1000 - SETTLED_S
    today = datetime.fromtimestamp(min(by_its_clock, now - SETTLED_S), zone(timezone)).date()
    days = (today - timedelta(days=back) for back in range(BACK_DAYS, 0, -1))
    return [day for day in days if day.isoformat() not in audited]


def proposals(found: Sequence[AuditRow], timezone: str, *, is_proposal: bool) -> list[NewJob]:
    """Return the days that the terminal has more of. Pure."""
    made = []
    for one in found:
        if one.there is not None and one.there > one.here:
            since_s, until_s = day_span(date.fromisoformat(one.day), timezone)
            job = NewJob(
                terminal_id=one.terminal_id,
                since_s=since_s,
                until_s=until_s,
                origin="audit",
                is_proposal=is_proposal,
                there=one.there,
                here=one.here,
            )
            made.append(job)
    return made


def ran_over(silent_s: float, per_day: float, *, cache: int = CACHE) -> bool:
    """Return whether a terminal may have lost records while nothing of it arrived. Pure.

    ``per_day``: how many it usually has.
    """
    return silent_s / 86_400 * per_day >= NEAR * cache


class Auditor:
    """Counts days. Made and used on one event loop."""

    def __init__(
        self,
        around: Around,
        timezones: Callable[[], Mapping[int, str]],
        *,
        starts: bool = False,
        cache: int = CACHE,
    ) -> None:
        """``timezones``: of terminals, by id. ``starts``: what is missing is fetched without being asked for.

        ``cache``: records that a terminal keeps.
        """
        self._around = around
        self._timezones = timezones
        self._starts = starts
        self._cache = cache

    async def run(self) -> None:
        """Count every :data:`ROUND_S` seconds, until it is cancelled."""
        while True:
            try:
                await self.once()
            except StoreError as error:
                log.debug("audit.store_away", why=str(error))
            await asyncio.sleep(ROUND_S)

    async def once(self) -> int:
        """Count what is due; return of how many terminals."""
        around = self._around
        now_ms = round(around.now() * 1000)
        owner = f"{around.owner} audit"
        fence = await asyncio.to_thread(
            lambda: around.leases.take(LEASE, owner, now_ms=now_ms, for_ms=LEASE_MS)
        )
        if fence is None:
            return 0
        rows, zones, audited = await asyncio.to_thread(self._read)
        await asyncio.to_thread(self._note_silences, rows)
        turns = asyncio.Semaphore(AT_ONCE)

        async def counted(row: AdoptedRow) -> bool:
            timezone = zones.get(row.terminal_id, "UTC")
            days = due_days(row, timezone, audited.get(row.terminal_id, ()), now=around.now())
            if not days:
                return False
            async with turns:
                try:
                    return await self._count(row, timezone, days) is None
                except StoreError as error:
                    log.debug("audit.store_away", why=str(error))
                    return False

        usable = [row for row in rows if row.state != "stopped" and row.terminal_state != "retired"]
        return sum(await asyncio.gather(*map(counted, usable)))

    async def recount(self, row: AdoptedRow) -> None:
        """Count every day of a terminal that is over, also those that were counted.

        Raises :class:`~gatepost.fleet.failures.FleetError` if it cannot be asked, and
        :class:`~gatepost.errors.StoreUnavailable` if what was pushed before is not listed yet.
        """
        timezones = await asyncio.to_thread(self._timezones)
        timezone = timezones.get(row.terminal_id, "UTC")
        error = await self._count(row, timezone, due_days(row, timezone, (), now=self._around.now()))
        if error is not None:
            raise error

    async def _count(self, row: AdoptedRow, timezone: str, days: Sequence[date]) -> FleetError | None:
        """Count days, and return why the terminal could not be asked."""
        around = self._around
        totals: list[tuple[date, int | None, str]] = []
        why_not: FleetError | None = None
        try:
            async with around.talk(row) as client:
                for day in days:
                    page = await client.history(*day_span(day, timezone), limit=1)
                    why = "" if page.total is not None else "it does not say how many records it has"
                    totals.append((day, page.total, why))
        except FleetError as error:
            why_not = error
            if len(totals) < len(days):
                totals.append((days[len(totals)], None, str(error)))
        await asyncio.to_thread(self._keep, row, timezone, totals)
        return why_not

    def _keep(self, row: AdoptedRow, timezone: str, totals: Sequence[tuple[date, int | None, str]]) -> None:
        self._around.catch_up()
        jobs, now = self._around.jobs, self._around.now()
        found = [
            AuditRow(
                terminal_id=row.terminal_id,
                day=day.isoformat(),
                there=there,
                here=jobs.count(row.terminal_id, *day_span(day, timezone)),
                at=datetime.fromtimestamp(now, UTC),
                reason=why,
            )
            for day, there, why in totals
        ]
        jobs.keep_audits(found)
        self._propose(proposals(found, timezone, is_proposal=not self._starts))

    def _propose(self, new: Sequence[NewJob]) -> list[JobRow]:
        return self._around.jobs.propose(new, now_ms=round(self._around.now() * 1000)) if new else []

    def _note_silences(self, rows: Sequence[AdoptedRow]) -> None:
        """Propose the silences that were too long, and note when each terminal pushed last. Blocks."""
        self._propose(list(self._outages(rows)))
        pushed = {
            row.terminal_id: row.last_seen for row in rows if row.last_seen not in (None, row.pushed_at)
        }
        self._around.adopted.note_pushed({which: at for which, at in pushed.items() if at is not None})

    def _outages(self, rows: Sequence[AdoptedRow]) -> Iterator[NewJob]:
        """Yield the silences that ended since the last look and were too long for a terminal's cache."""
        for row in rows:
            before, last = row.pushed_at, row.last_seen
            if before is None or last is None or last <= before:
                continue
            silent_s = (last - before).total_seconds()
            if silent_s < ROUND_S * 2:
                continue
            ahead_s = (row.clock_error_ms or 0) / 1000
            begin_s, end_s = (round(at.timestamp() + ahead_s) for at in (before, last))
            usual = (
                self._around.jobs.count(row.terminal_id, begin_s - BACK_DAYS * 86_400, begin_s) / BACK_DAYS
            )
            if ran_over(silent_s, usual, cache=self._cache):
                yield NewJob(
                    terminal_id=row.terminal_id,
                    since_s=begin_s,
                    until_s=end_s,
                    origin="outage",
                    is_proposal=not self._starts,
                )

    def _read(self) -> tuple[list[AdoptedRow], Mapping[int, str], Mapping[int, Collection[str]]]:
        around = self._around
        first = datetime.fromtimestamp(around.now(), UTC).date() - timedelta(days=BACK_DAYS + 1)
        return around.adopted.all(), self._timezones(), around.jobs.audited(first.isoformat())
