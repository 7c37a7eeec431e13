"""``/fleet``: adopted terminals, each with one colour, one sentence of what is wrong, and what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from litestar import Controller, get, post
from litestar.params import FromPath, RawBody
from msgspec import Struct

from gatepost.console.desk import Desk, Html, TheDesk
from gatepost.console.forms import Form
from gatepost.console.pages.why import TAGS, writer
from gatepost.fleet.client import FleetError
from gatepost.fleet.managing import Fleet
from gatepost.fleet.why import Finding
from gatepost.receiver.api.authorization import ADMIN, EVERY_SITE, Access, AnyRequest, TheAccess
from gatepost.receiver.api.fleet import TheFleet, adopted_item
from gatepost.receiver.api.shapes import MAX_ID
from gatepost.receiver.api.why import TheDiagnosis
from gatepost.receiver.observability.diagnosis import Diagnosis, Told
from gatepost.store.interface import TerminalRow
from gatepost.store.query.fleet import AdoptedRow
from gatepost.store.questions import UserStore

__all__ = ["FleetPages"]

PAGE = 200

_WORST = {"bad": 0, "look": 1, "good": 2}


class Line(Struct, frozen=True):
    """One adopted terminal, and what is to be said of it."""

    row: AdoptedRow
    told: Told

    @property
    def next(self) -> Finding | None:
        return self.told.next

    @property
    def level(self) -> str:
        return "good" if self.next is None else self.next.level

    @property
    def is_stopped(self) -> bool:
        """A person has to have it tried again."""
        return self.row.state in ("stopped", "contested")


class FleetPages(Controller):
    """``/fleet``."""

    path = "/fleet"
    opt = ADMIN | EVERY_SITE

    @get(sync_to_thread=True)
    def list_adopted(
        self, request: AnyRequest, desk: TheDesk, fleet: TheFleet, diagnosis: TheDiagnosis
    ) -> Html:
        return _page(desk, request, fleet, diagnosis)

    @post("/{terminal_id:int}/verify")
    async def verify(
        self,
        request: AnyRequest,
        terminal_id: FromPath[int],
        desk: TheDesk,
        fleet: TheFleet,
        diagnosis: TheDiagnosis,
        access: TheAccess,
    ) -> Html:
        """Look at a terminal now, and do what there is to do."""
        return await _done(
            desk, request, fleet, diagnosis, access, "fleet.verified", fleet.verify, terminal_id
        )

    @post("/{terminal_id:int}/resume")
    async def resume(
        self,
        request: AnyRequest,
        terminal_id: FromPath[int],
        desk: TheDesk,
        fleet: TheFleet,
        diagnosis: TheDiagnosis,
        access: TheAccess,
    ) -> Html:
        """Look at a terminal again that was stopped or contested."""
        return await _done(
            desk, request, fleet, diagnosis, access, "fleet.resumed", fleet.resume, terminal_id
        )

    @post("/{terminal_id:int}/release")
    async def release(
        self,
        request: AnyRequest,
        terminal_id: FromPath[int],
        body: RawBody,
        desk: TheDesk,
        fleet: TheFleet,
        diagnosis: TheDiagnosis,
        access: TheAccess,
    ) -> Html:
        """Manage a terminal no more; give it back the address that it had, if that is wanted."""
        give_back = Form(body).ticked("give_back")

        async def let_go(which: int) -> AdoptedRow:
            return await fleet.release(which, give_back=give_back)

        return await _done(desk, request, fleet, diagnosis, access, "fleet.released", let_go, terminal_id)


def _lines(store: UserStore, fleet: Fleet, diagnosis: Diagnosis) -> list[Line]:
    rows = {row.id: row for row in store.terminals()}
    adopted = [row for row in fleet.adopted.all() if row.terminal_id in rows]
    told = diagnosis.of_each(store, [rows[row.terminal_id] for row in adopted])
    return sorted((Line(row, told[row.terminal_id]) for row in adopted), key=_order)


def _order(line: Line) -> tuple[Any, ...]:
    terminal: TerminalRow | None = line.told.terminal
    name = "" if terminal is None else (terminal.name or terminal.serial or "")
    return (_WORST.get(line.level, 1), line.row.site_id, name.casefold(), line.row.terminal_id)


def _page(
    desk: Desk, request: AnyRequest, fleet: Fleet, diagnosis: Diagnosis, *, problem: str | None = None
) -> Html:
    view = desk.view(request)
    lines = _lines(view.store, fleet, diagnosis)
    level = view.query.get("show", "")
    fitting = [line for line in lines if level in ("", line.level)]
    start = int(at) if (at := view.query.get("cursor", "")).isascii() and at.isdigit() and len(at) < 9 else 0
    return view.page(
        "fleet.html",
        status=200 if problem is None else 409,
        active="terminals",
        lines=fitting[start : start + PAGE],
        found=len(fitting),
        next=str(start + PAGE) if len(fitting) > start + PAGE else None,
        tabs=[
            (name, name == level, sum(name in ("", line.level) for line in lines)) for name in ("", *_WORST)
        ],
        running=[adopted_item(one) for one in fleet.many.adoptions.latest() if one.finished_at is None],
        writer=writer(view),
        tags=TAGS,
        problem=problem,
    )


async def _done(
    desk: Desk,
    request: AnyRequest,
    fleet: Fleet,
    diagnosis: Diagnosis,
    access: Access,
    action: str,
    work: Callable[[int], Coroutine[Any, Any, AdoptedRow]],
    terminal_id: int,
) -> Html:
    """Do something with an adopted terminal, and return to the list; say there what went wrong."""
    try:
        row = await work(min(terminal_id, MAX_ID))
    except FleetError as error:
        why = str(error)
        return await asyncio.to_thread(lambda: _page(desk, request, fleet, diagnosis, problem=why))
    detail = {"serial": row.serial, "address": row.address, "found": row.found}
    await asyncio.to_thread(access.note, request, action, str(row.terminal_id), **detail)
    desk.forget_counts()
    done = action.partition(".")[2]
    return await asyncio.to_thread(lambda: desk.view(request).go("/fleet", done=done))
