"""``/fleet/history``: jobs that fetch from histories, proposals, and what a terminal has of each day."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from litestar import Controller, get, post
from litestar.exceptions import ClientException
from litestar.params import FromPath, RawBody

from gatepost.console.desk import Desk, Html, TheDesk, local_path
from gatepost.console.input.forms import Form
from gatepost.errors import SettingsError
from gatepost.fleet.failures import FleetError
from gatepost.fleet.history.histories import Histories
from gatepost.fleet.managing import Fleet
from gatepost.receiver.api.access.authorization import ADMIN, EVERY_SITE, AnyRequest, TheAccess
from gatepost.receiver.api.fleet import TheFleet
from gatepost.receiver.api.fleet_history import TheHistories, audit_item, job_item
from gatepost.receiver.api.shapes import MAX_ID
from gatepost.store.local_days import zone
from gatepost.store.terminals.fleet_jobs import JobRow

__all__ = ["FleetHistoryPages"]

PLACE = "/fleet/history"

PAGE = 50

TAGS = {
    "proposed": "held",
    "waiting": "quiet",
    "running": "late",
    "paused": "quiet",
    "done": "online",
    "failed": "offline",
    "cancelled": "quiet",
}
"""How each state of a job looks."""


class FleetHistoryPages(Controller):
    """``/fleet/history``."""

    path = PLACE
    opt = ADMIN | EVERY_SITE

    @get(sync_to_thread=True)
    def show_jobs(self, request: AnyRequest, desk: TheDesk, fleet: TheFleet, histories: TheHistories) -> Html:
        return _page(desk, request, fleet, histories)

    @post()
    async def order(
        self,
        request: AnyRequest,
        body: RawBody,
        desk: TheDesk,
        fleet: TheFleet,
        histories: TheHistories,
        access: TheAccess,
    ) -> Html:
        """Fetch a span of a terminal's history; its times are those of the terminal's site."""
        form = Form(body)
        which = next(iter(form.numbers("terminal")), 0)
        try:
            row = await fleet.one(min(which, MAX_ID))
            terminal = await asyncio.to_thread(desk.whole.terminal, row.terminal_id)
            clock = "UTC" if terminal is None else terminal.timezone
            since = _second("since", form("since"), clock)
            until = _second("until", form("until"), clock) - 1 if form("until") else None
            job = await asyncio.to_thread(lambda: histories.ask(row, since, until, by=request.user.name))
        except (FleetError, SettingsError) as error:
            why = f"{error.setting}: {error.why}" if isinstance(error, SettingsError) else str(error)
            raise ClientException(why) from None
        detail = {"serial": row.serial, "since": form("since"), "until": form("until")}
        await asyncio.to_thread(access.note, request, "fleet.backfill_asked", str(job.id), **detail)
        histories.backfill.wake()
        return await _back(desk, request, f"{PLACE}?terminal={row.terminal_id}")

    @post("/count")
    async def count(
        self, request: AnyRequest, body: RawBody, desk: TheDesk, fleet: TheFleet, histories: TheHistories
    ) -> Html:
        """Ask a terminal how many records it has of each of the last days."""
        which = next(iter(Form(body).numbers("terminal")), 0)
        try:
            await histories.auditor.recount(await fleet.one(min(which, MAX_ID)))
        except FleetError as error:
            raise ClientException(str(error), status_code=409) from None
        return await _back(desk, request, f"{PLACE}?terminal={which}")

    @post("/{job_id:int}/{work:str}")
    async def turn(
        self,
        request: AnyRequest,
        job_id: FromPath[int],
        work: FromPath[str],
        body: RawBody,
        desk: TheDesk,
        histories: TheHistories,
        access: TheAccess,
    ) -> Html:
        """Pause a job, resume it or start a proposal, or cancel it."""
        number = min(job_id, MAX_ID)
        works: dict[str, tuple[str, Callable[[], JobRow | None]]] = {
            "pause": ("paused", lambda: histories.pause(number)),
            "resume": ("resumed", lambda: histories.resume(number, by=request.user.name)),
            "cancel": ("cancelled", lambda: histories.cancel(number)),
        }
        if work not in works:
            raise ClientException("a job is paused, resumed or cancelled")
        past, do = works[work]
        row = await asyncio.to_thread(do)
        if row is None:
            raise ClientException("this job is over already, or is what it was to become", status_code=409)
        await asyncio.to_thread(
            access.note, request, f"fleet.backfill_{past}", str(number), serial=row.serial
        )
        histories.backfill.wake()
        return await _back(desk, request, local_path(Form(body)("back"), PLACE))


def _page(desk: Desk, request: AnyRequest, fleet: Fleet, histories: Histories) -> Html:
    view = desk.view(request)
    before = view.query.get("cursor", "")
    rows = histories.jobs.page(before=int(before) if _is_number(before) else None, limit=PAGE + 1)
    asked = view.query.get("terminal", "")
    which = int(asked) if _is_number(asked) else None
    adopted = [
        (row.terminal_id, row.name or row.serial or f"#{row.terminal_id}") for row in fleet.adopted.all()
    ]
    return view.page(
        "fleet_history.html",
        active="terminals",
        jobs=[(job_item(row), row.timezone) for row in rows[:PAGE]],
        next=str(rows[PAGE - 1].id) if len(rows) > PAGE else None,
        is_busy=any(row.state in ("waiting", "running") for row in rows),
        adopted=sorted(adopted, key=lambda one: one[1].casefold()),
        chosen=which,
        days=[] if which is None else [audit_item(row) for row in histories.jobs.audits(which)],
        tags=TAGS,
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _second(name: str, text: str, clock: str) -> int:
    try:
        at = datetime.fromisoformat(text)
        return int((at if at.tzinfo else at.replace(tzinfo=zone(clock))).timestamp())
    except (ValueError, OverflowError):
        raise SettingsError(name, "is no time; choose a day and a time") from None


async def _back(desk: Desk, request: AnyRequest, place: str) -> Html:
    return await asyncio.to_thread(lambda: desk.view(request).go(place, done="saved"))
