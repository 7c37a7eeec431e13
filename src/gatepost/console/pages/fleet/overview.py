"""``/fleet``: adopted terminals, each with one colour, one sentence of what is wrong, and what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from litestar import Controller, get, post
from litestar.exceptions import ClientException
from litestar.params import FromPath, RawBody
from msgspec import Struct

from gatepost.console.desk import Desk, Html, TheDesk, local_path
from gatepost.console.input.forms import Form
from gatepost.console.pages.terminals.why import TAGS, writer
from gatepost.fleet.failures import FleetError
from gatepost.fleet.managing import Fleet
from gatepost.fleet.why import Finding
from gatepost.receiver.api.access.authorization import ADMIN, EVERY_SITE, Access, AnyRequest, TheAccess
from gatepost.receiver.api.fleet import TheFleet, adopted_item
from gatepost.receiver.api.shapes import MAX_ID
from gatepost.receiver.api.why import TheDiagnosis
from gatepost.receiver.observability.diagnosis import Diagnosis, Told
from gatepost.store.interface import TerminalRow
from gatepost.store.questions import UserStore
from gatepost.store.terminals.adopted import AdoptedRow

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
        body: RawBody,
        desk: TheDesk,
        fleet: TheFleet,
        access: TheAccess,
    ) -> Html:
        """Look at a terminal now, and do what there is to do."""
        row = await _done(fleet.verify, terminal_id)
        return await _back(desk, request, access, "fleet.verified", row, Form(body))

    @post("/{terminal_id:int}/resume")
    async def resume(
        self,
        request: AnyRequest,
        terminal_id: FromPath[int],
        body: RawBody,
        desk: TheDesk,
        fleet: TheFleet,
        access: TheAccess,
    ) -> Html:
        """Look at a terminal again that was stopped or contested."""
        row = await _done(fleet.resume, terminal_id)
        return await _back(desk, request, access, "fleet.resumed", row, Form(body))

    @post("/{terminal_id:int}/release")
    async def release(
        self,
        request: AnyRequest,
        terminal_id: FromPath[int],
        body: RawBody,
        desk: TheDesk,
        fleet: TheFleet,
        access: TheAccess,
    ) -> Html:
        """Manage a terminal no more; give it back the address that it had, if that is wanted."""
        form = Form(body)
        row = await _done(partial(fleet.release, give_back=form.ticked("give_back")), terminal_id)
        return await _back(desk, request, access, "fleet.released", row, form)


def _lines(store: UserStore, fleet: Fleet, diagnosis: Diagnosis) -> list[Line]:
    rows = {row.id: row for row in store.terminals()}
    adopted = [row for row in fleet.adopted.all() if row.terminal_id in rows]
    told = diagnosis.of_each(store, [rows[row.terminal_id] for row in adopted])
    return sorted((Line(row, told[row.terminal_id]) for row in adopted), key=_order)


def _order(line: Line) -> tuple[Any, ...]:
    terminal: TerminalRow | None = line.told.terminal
    name = "" if terminal is None else (terminal.name or terminal.serial or "")
    return (_WORST.get(line.level, 1), line.row.site_id, name.casefold(), line.row.terminal_id)


def _page(desk: Desk, request: AnyRequest, fleet: Fleet, diagnosis: Diagnosis) -> Html:
    view = desk.view(request)
    lines = _lines(view.store, fleet, diagnosis)
    level = view.query.get("show", "")
    fitting = [line for line in lines if level in ("", line.level)]
    start = int(at) if (at := view.query.get("cursor", "")).isascii() and at.isdigit() and len(at) < 9 else 0
    return view.page(
        "fleet.html",
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
    )


async def _done(work: Callable[[int], Coroutine[Any, Any, AdoptedRow]], terminal_id: int) -> AdoptedRow:
    """Do something with an adopted terminal. What goes wrong is said above the form."""
    try:
        return await work(min(terminal_id, MAX_ID))
    except FleetError as error:
        raise ClientException(str(error), status_code=409) from None


async def _back(
    desk: Desk, request: AnyRequest, access: Access, action: str, row: AdoptedRow, form: Form
) -> Html:
    """Note what was done, and return to the place in the list where it was asked for."""
    detail = {"serial": row.serial, "address": row.address, "found": row.found}
    await asyncio.to_thread(access.note, request, action, str(row.terminal_id), **detail)
    desk.forget_counts()
    place, done = local_path(form("back"), "/fleet"), action.partition(".")[2]
    return await asyncio.to_thread(lambda: desk.view(request).go(place, done=done))
