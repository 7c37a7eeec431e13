"""Serve what is fetched from terminals' histories, under ``/api/v1/fleet``: jobs, proposals and the daily audit.

For administrators of every site, as the rest of ``/api/v1/fleet``. Alarms are in no history, and are not fetched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter, SkipValidation
from msgspec import Struct

from gatepost.fleet.history.histories import Histories
from gatepost.fleet_items import AuditItem, JobItem
from gatepost.items import Listing
from gatepost.receiver.api.access.authorization import ADMIN, EVERY_SITE, AnyRequest, TheAccess
from gatepost.receiver.api.fleet import TheFleet
from gatepost.receiver.api.shapes import MAX_ID, MAX_LIMIT, moment, read
from gatepost.store.cursor import decode_cursor, encode_cursor
from gatepost.store.terminals.fleet_jobs import AuditRow, JobRow

__all__ = ["FleetHistoryController", "TheHistories", "audit_item", "job_item"]

TheHistories = NamedDependency[SkipValidation[Histories]]

_ORDER = "fleet jobs"


class BackfillOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A span of a terminal's history, by the terminal's clock, as its records are listed."""

    since: str
    until: str | None = None
    """Exclusive; without it: now."""


def job_item(row: JobRow) -> JobItem:
    """Shape a job for a reply."""
    whole = row.until_s - row.since_s + 1
    return JobItem(
        **{name: getattr(row, name) for name in _SAME},
        name=row.terminal_name,
        since=_at(row.since_s),
        until=_at(row.until_s + 1),
        done_until=_at(row.done_s + 1),
        progress=1.0 if row.state == "done" else round((row.done_s - row.since_s + 1) / whole, 4),
    )


_SAME = set(JobItem.__struct_fields__) & set(JobRow.__struct_fields__)


def audit_item(row: AuditRow) -> AuditItem:
    """Shape a counted day for a reply."""
    missing = 0 if row.there is None else max(0, row.there - row.here)
    return AuditItem(
        day=row.day, there=row.there, here=row.here, missing=missing, at=row.at, reason=row.reason
    )


def _at(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def _known(terminal_id: int) -> int:
    if not 0 < terminal_id <= MAX_ID:
        raise NotFoundException("there is no such terminal")
    return terminal_id


def _seconds(name: str, value: str) -> float:
    at = moment(name, value)
    if at is None:
        raise ClientException(f"{name} is empty; write 2024-05-01T08:00:00+08:00")
    return at.timestamp()


class FleetHistoryController(Controller):
    path = "/api/v1/fleet"
    opt = ADMIN | EVERY_SITE
    tags = ("fleet",)

    @post("/{terminal_id:int}/backfill", summary="Fetch a span of a terminal's history")
    async def backfill(
        self,
        request: AnyRequest,
        terminal_id: FromPath[int],
        data: JSONBody[BackfillOrder],
        fleet: TheFleet,
        histories: TheHistories,
        access: TheAccess,
    ) -> JobItem:
        """Fetch the records that the terminal has and that are not here. None is listed twice; alarms cannot be had.

        What is older than records are kept is not fetched: ``since`` of the reply is where it begins.
        """
        row = await fleet.one(_known(terminal_id))
        since = _seconds("since", data.since)
        # Whole seconds that begin in the span.
        until = None if data.until is None else int(-(-_seconds("until", data.until) // 1)) - 1
        job = await asyncio.to_thread(
            lambda: histories.ask(row, int(-(-since // 1)), until, by=request.user.name)
        )
        histories.backfill.wake()
        item = job_item(job)
        detail = {"serial": row.serial, "since": item.since.isoformat(), "until": item.until.isoformat()}
        await asyncio.to_thread(access.note, request, "fleet.backfill_asked", str(job.id), **detail)
        return item

    @get("/{terminal_id:int}/audit", summary="List what a terminal has of each day")
    async def audit(
        self, terminal_id: FromPath[int], fleet: TheFleet, histories: TheHistories
    ) -> Listing[AuditItem]:
        """List the days that were counted, the latest first: its records against those that are here. 60 are kept."""
        await fleet.one(_known(terminal_id))
        rows = await asyncio.to_thread(histories.jobs.audits, terminal_id)
        return Listing([audit_item(row) for row in rows], None)

    @post("/{terminal_id:int}/audit", status_code=200, summary="Count a terminal's days now")
    async def count(
        self, terminal_id: FromPath[int], fleet: TheFleet, histories: TheHistories
    ) -> Listing[AuditItem]:
        """Ask the terminal for the number of its records of each of the last 14 days, and propose what is missing."""
        await histories.auditor.recount(await fleet.one(_known(terminal_id)))
        rows = await asyncio.to_thread(histories.jobs.audits, terminal_id)
        return Listing([audit_item(row) for row in rows], None)

    @get("/jobs", sync_to_thread=True, summary="List what is fetched, and what is proposed")
    def list_jobs(
        self,
        histories: TheHistories,
        terminal_id: Annotated[int | None, QueryParameter(name="terminal", ge=1, le=MAX_ID)] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT)] = 100,
        cursor: FromQuery[str | None] = None,
    ) -> Listing[JobItem]:
        """List jobs, the latest first. ``terminal``: its number."""

        def ask() -> Listing[JobItem]:
            before = None if cursor is None else decode_cursor(cursor, _ORDER)[0]
            rows = histories.jobs.page(terminal_id=terminal_id, before=before, limit=limit + 1)
            more = encode_cursor(_ORDER, rows[limit - 1].id, 0) if len(rows) > limit else None
            return Listing([job_item(row) for row in rows[:limit]], more)

        return read(ask)

    @get("/jobs/{job_id:int}", sync_to_thread=True, summary="Show how far a job is")
    def show_job(self, job_id: FromPath[int], histories: TheHistories) -> JobItem:
        return job_item(_one(histories, job_id))

    @post("/jobs/{job_id:int}/pause", status_code=200, summary="Have a job wait")
    async def pause(
        self, request: AnyRequest, job_id: FromPath[int], histories: TheHistories, access: TheAccess
    ) -> JobItem:
        return await _turn(
            request, job_id, histories, access, "fleet.backfill_paused", lambda: histories.pause(job_id)
        )

    @post("/jobs/{job_id:int}/resume", status_code=200, summary="Have a job go on, or start a proposal")
    async def resume(
        self, request: AnyRequest, job_id: FromPath[int], histories: TheHistories, access: TheAccess
    ) -> JobItem:
        """Go on where the job was, also where it had failed."""
        found = await _turn(
            request,
            job_id,
            histories,
            access,
            "fleet.backfill_resumed",
            lambda: histories.resume(job_id, by=request.user.name),
        )
        histories.backfill.wake()
        return found

    @post("/jobs/{job_id:int}/cancel", status_code=200, summary="End a job, or refuse a proposal")
    async def cancel(
        self, request: AnyRequest, job_id: FromPath[int], histories: TheHistories, access: TheAccess
    ) -> JobItem:
        """Keep what is fetched, and fetch no more. The audit does not propose this span again."""
        return await _turn(
            request, job_id, histories, access, "fleet.backfill_cancelled", lambda: histories.cancel(job_id)
        )


def _one(histories: Histories, job_id: int) -> JobRow:
    row = read(lambda: histories.jobs.one(job_id)) if 0 < job_id <= MAX_ID else None
    if row is None:
        raise NotFoundException("there is no such job")
    return row


async def _turn(
    request: AnyRequest,
    job_id: int,
    histories: Histories,
    access: TheAccess,
    action: str,
    turn: Callable[[], JobRow | None],
) -> JobItem:
    before = await asyncio.to_thread(_one, histories, job_id)
    row = await asyncio.to_thread(turn)
    if row is None:
        raise ClientException(f"this job is {before.state}", status_code=409)
    await asyncio.to_thread(access.note, request, action, str(job_id), serial=row.serial)
    return job_item(row)
