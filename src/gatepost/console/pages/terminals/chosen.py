"""``/terminals/chosen``: what is done to several terminals at once: approve, move, set the direction, retire, delete.

Rules:

* Approving is done at once, as is a direction; a retired terminal stays retired. The rest is asked first, with what it
  changes.
* Each terminal has its own line in the audit log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from litestar import Controller, post
from litestar.exceptions import ClientException
from litestar.params import RawBody
from msgspec import Struct

from gatepost.console.desk import Desk, Html, TheDesk, local_path
from gatepost.console.input.forms import Form
from gatepost.console.pages.terminals.page import direction_of
from gatepost.receiver.api.access.authorization import ADMIN, OPERATOR, AnyRequest, TheAccess
from gatepost.receiver.api.events.live import TheLive
from gatepost.receiver.api.shapes import MAX_ID, ThePreview, TheRegistrar, TheStore, answering
from gatepost.receiver.api.terminals.chosen import MOST, note_each
from gatepost.receiver.api.terminals.controller import delete_retired
from gatepost.receiver.terminals.admin import site_of
from gatepost.receiver.terminals.preview import Preview, WouldRefuse
from gatepost.store.interface import SiteRow, TerminalRow
from gatepost.store.questions import UserStore

__all__ = ["ChosenTerminals"]


class Ask(Struct, frozen=True, kw_only=True):
    """Hold what is asked before several terminals are changed."""

    work: str
    """``move``, ``retire`` or ``delete``."""
    rows: Sequence[TerminalRow]
    left: Sequence[TerminalRow] = ()
    """Those that were chosen and stay as they are."""
    refused: Sequence[WouldRefuse] = ()
    site: SiteRow | None = None
    people: int = 0
    """Who goes along to the other site."""
    different: int = 0
    """Whose number is another name's at the other site."""

    @property
    def sums(self) -> Mapping[str, int]:
        """How much goes with them when they are deleted."""
        names = ("records", "alarms", "quarantined")
        return {name: sum(getattr(row, name) for row in self.rows) for name in names}


class ChosenTerminals(Controller):
    """``/terminals/chosen``."""

    path = "/terminals/chosen"
    opt = ADMIN

    @post("/approve", opt=OPERATOR)
    async def approve(
        self,
        request: AnyRequest,
        body: RawBody,
        desk: TheDesk,
        store: TheStore,
        access: TheAccess,
        registrar: TheRegistrar,
    ) -> Html:
        """List what they sent while they were held. A retired one stays retired."""
        form = Form(body)
        chosen = await asyncio.to_thread(_chosen, store, form)
        waiting = [row for row in chosen if row.state in ("new", "held")]
        changes = {row.id: {"state": "approved"} for row in waiting}
        with answering():
            rows = await registrar.change_each(store, changes)
        await asyncio.to_thread(note_each, access, request, "terminal.approved", rows)
        return await _back(desk, request, form, "approved")

    @post("/move")
    async def move(
        self,
        request: AnyRequest,
        body: RawBody,
        desk: TheDesk,
        store: TheStore,
        access: TheAccess,
        registrar: TheRegistrar,
        preview: ThePreview,
    ) -> Html:
        """Put them at another site, once it is confirmed; people's passages go along."""
        form = Form(body)
        chosen = await asyncio.to_thread(_chosen, store, form)
        site = await asyncio.to_thread(site_of, store, next(iter(form.numbers("site")), 0))
        if site is None:
            raise ClientException("choose a site; nothing was changed")
        rows = [row for row in chosen if row.site_id != site.id]
        if not form.ticked("sure"):
            left = [row for row in chosen if row.site_id == site.id]
            return await asyncio.to_thread(
                lambda: _asked(desk, request, form, _move(preview, rows, left, site))
            )
        with answering():
            moved = await registrar.change_each(store, {row.id: {"site_id": site.id} for row in rows})
        await asyncio.to_thread(note_each, access, request, "terminal.changed", moved, rows, "site_id")
        return await _back(desk, request, form, "saved")

    @post("/direct")
    async def direct(
        self,
        request: AnyRequest,
        body: RawBody,
        desk: TheDesk,
        store: TheStore,
        access: TheAccess,
        registrar: TheRegistrar,
    ) -> Html:
        """Say which way people go who pass there; it is taken back as easily, so nothing is asked."""
        form = Form(body)
        direction = direction_of(form("direction"))
        chosen = await asyncio.to_thread(_chosen, store, form)
        changes = {row.id: {"direction": direction} for row in chosen if row.direction != direction}
        with answering():
            rows = await registrar.change_each(store, changes)
        await asyncio.to_thread(note_each, access, request, "terminal.changed", rows, chosen, "direction")
        return await _back(desk, request, form, "saved")

    @post("/retire")
    async def retire(
        self,
        request: AnyRequest,
        body: RawBody,
        desk: TheDesk,
        store: TheStore,
        access: TheAccess,
        registrar: TheRegistrar,
        preview: ThePreview,
    ) -> Html:
        """Refuse what they push from now on, once it is confirmed."""
        form = Form(body)
        chosen = await asyncio.to_thread(_chosen, store, form)
        rows = [row for row in chosen if row.state != "retired"]
        if not form.ticked("sure"):
            left = [row for row in chosen if row.state == "retired"]
            return await asyncio.to_thread(lambda: _asked(desk, request, form, _retire(preview, rows, left)))
        with answering():
            retired = await registrar.change_each(store, {row.id: {"state": "retired"} for row in rows})
        await asyncio.to_thread(note_each, access, request, "terminal.retired", retired, rows, "state")
        return await _back(desk, request, form, "saved")

    @post("/delete")
    async def delete(
        self,
        request: AnyRequest,
        body: RawBody,
        desk: TheDesk,
        store: TheStore,
        access: TheAccess,
        registrar: TheRegistrar,
        live: TheLive,
    ) -> Html:
        """Delete those that are retired, with everything that they sent, once their number has been typed."""
        form = Form(body)
        chosen = await asyncio.to_thread(_chosen, store, form)
        rows = [row for row in chosen if row.state == "retired"]
        left = [row for row in chosen if row.state != "retired"]
        if not rows or form("typed") != str(len(rows)):
            ask = Ask(work="delete", rows=rows, left=left)
            mistyped = bool(rows) and form.ticked("typed")
            return await asyncio.to_thread(lambda: _asked(desk, request, form, ask, mistyped=mistyped))
        for row in rows:
            await delete_retired(request, registrar, access, live, store, row.id)
        return await _back(desk, request, form, "deleted")


def _chosen(store: UserStore, form: Form) -> list[TerminalRow]:
    ids = [number for number in form.numbers("ids") if 0 < number <= MAX_ID][:MOST]
    rows = [row for row in map(store.terminal, dict.fromkeys(ids)) if row is not None]
    if not rows:
        raise ClientException("choose at least one; nothing was changed")
    return rows


def _move(preview: Preview, rows: Sequence[TerminalRow], left: Sequence[TerminalRow], site: SiteRow) -> Ask:
    moves = [preview.of_move(row.id, site.id) for row in rows]
    return Ask(
        work="move",
        rows=rows,
        left=left,
        site=site,
        people=sum(move.people for move in moves),
        different=sum(move.different for move in moves),
    )


def _retire(preview: Preview, rows: Sequence[TerminalRow], left: Sequence[TerminalRow]) -> Ask:
    refused = [one for row in rows for one in preview.of_change(row.id, state="retired")]
    return Ask(work="retire", rows=rows, left=left, refused=refused)


def _asked(desk: Desk, request: AnyRequest, form: Form, ask: Ask, *, mistyped: bool = False) -> Html:
    """Show what is asked. ``mistyped``: what was typed to confirm it is something else."""
    return desk.view(request).page(
        "terminals_chosen.html",
        status=400 if mistyped else 200,
        active="terminals",
        ask=ask,
        back=local_path(form("back"), "/terminals"),
        mistyped=mistyped,
    )


async def _back(desk: Desk, request: AnyRequest, form: Form, done: str) -> Html:
    desk.forget_counts()
    back = local_path(form("back"), "/terminals")
    return await asyncio.to_thread(lambda: desk.view(request).go(back, done=done))
