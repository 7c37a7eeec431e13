"""Serve what is done to several terminals at once, under ``/api/v1/terminals``: approve, change, name, delete.

Rules:

* Everything is checked before the first terminal is changed: a terminal that is not there is 404 as a whole.
* Each terminal has its own line in the audit log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from litestar import Controller, patch, post
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import FromQuery, JSONBody, RawBody
from msgspec import UNSET, Meta, Struct

from gatepost.items import Listing, NameItem, RemovedItem, TerminalItem
from gatepost.receiver.api.access.authorization import ADMIN, OPERATOR, Access, AnyRequest, TheAccess
from gatepost.receiver.api.events.live import TheLive
from gatepost.receiver.api.shapes import MAX_ID, TheIngests, TheRegistrar, TheStore, answering
from gatepost.receiver.api.terminals.controller import delete_retired
from gatepost.receiver.api.terminals.values import TerminalChange, terminal_item
from gatepost.receiver.auth.audit_changes import changes
from gatepost.receiver.processes.ingests import Ingests
from gatepost.receiver.terminals.name_list import NameLine, names_of
from gatepost.store.interface import TerminalRow
from gatepost.store.questions import UserStore
from gatepost.store.terminals.registry import Conflict

__all__ = ["MOST", "ChosenTerminalsController", "note_each"]

MOST = 1000
"""Terminals that are chosen at once."""

MAX_LIST = 1 << 20
"""Bytes of a list of names."""

Id = Annotated[int, Meta(ge=1, le=MAX_ID)]


class Chosen(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    terminals: Annotated[list[Id], Meta(min_length=1, max_length=MOST)]
    """Their ids."""


class ChosenChange(TerminalChange, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A terminal and what is changed of it; what is left out stays."""

    id: Id


class Changes(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    terminals: Annotated[list[ChosenChange], Meta(min_length=1, max_length=MOST)]


class ChosenTerminalsController(Controller):
    path = "/api/v1/terminals"
    tags = ("terminals",)

    @post(
        "/approve",
        opt=OPERATOR,
        status_code=200,
        raises=[NotFoundException],
        summary="Approve several terminals",
    )
    async def approve_terminals(
        self,
        request: AnyRequest,
        data: JSONBody[Chosen],
        access: TheAccess,
        ingests: TheIngests,
        registrar: TheRegistrar,
        store: TheStore,
    ) -> Listing[TerminalItem]:
        """List what they sent while they were held. A retired one among them is 409 as a whole."""
        chosen = await asyncio.to_thread(_there, store, data.terminals)
        with answering():
            if retired := [row for row in chosen if row.state == "retired"]:
                raise Conflict(
                    f"{_called(retired)} is retired; an administrator can set its state to approved"
                )
            rows = await registrar.change_each(store, {row.id: {"state": "approved"} for row in chosen})
        await asyncio.to_thread(note_each, access, request, "terminal.approved", rows)
        return _listed(access, ingests, rows)

    @patch(
        opt=ADMIN,
        raises=[NotFoundException],
        summary="Rename, move, restrict, hold or retire several terminals",
    )
    async def change_terminals(
        self,
        request: AnyRequest,
        data: JSONBody[Changes],
        access: TheAccess,
        ingests: TheIngests,
        registrar: TheRegistrar,
        store: TheStore,
    ) -> Listing[TerminalItem]:
        """Change each by its own values, from the next push on; a terminal that is not there is 404 as a whole."""
        ids = [one.id for one in data.terminals]
        if len(set(ids)) < len(ids):
            raise ClientException("a terminal is in the list twice; nothing was changed")
        before = await asyncio.to_thread(_there, store, ids)
        wanted = {one.id: _given(one) for one in data.terminals}
        with answering():
            rows = await registrar.change_each(store, wanted)
        for row in rows:
            changed = sorted(wanted[row.id])
            await asyncio.to_thread(note_each, access, request, "terminal.changed", [row], before, *changed)
        return _listed(access, ingests, rows)

    @post("/names", opt=ADMIN, status_code=200, summary="Name several terminals from a CSV file")
    async def name_terminals(
        self,
        request: AnyRequest,
        body: RawBody,
        access: TheAccess,
        registrar: TheRegistrar,
        store: TheStore,
        save: FromQuery[bool] = False,
    ) -> Listing[NameItem]:
        """Check a list of serials and names; with ``save=true`` name the terminals of the lines that can be used.

        The request's body is the list: CSV in UTF-8 or GB 18030, at most 2,000 lines.
        """
        if len(body) > MAX_LIST:
            raise ClientException(f"the list has more than {MAX_LIST // 1024} KB; give it in parts")
        text = _text(body)
        lines = await asyncio.to_thread(lambda: names_of(text, store.terminals()))
        if not lines:
            raise ClientException("the list has no line; nothing was changed")
        if save:
            before = [one.terminal for one in lines if one.terminal]
            wanted = {one.terminal.id: one.values for one in lines if one.changes and one.terminal}
            with answering():
                rows = await registrar.change_each(store, wanted)
            for row in rows:
                changed = sorted(wanted[row.id])
                await asyncio.to_thread(
                    note_each, access, request, "terminal.changed", [row], before, *changed
                )
        return Listing([_name_item(one) for one in lines], None)

    @post(
        "/delete",
        opt=ADMIN,
        status_code=200,
        raises=[NotFoundException],
        summary="Delete several retired terminals",
    )
    async def delete_terminals(
        self,
        request: AnyRequest,
        data: JSONBody[Chosen],
        access: TheAccess,
        registrar: TheRegistrar,
        live: TheLive,
        store: TheStore,
    ) -> RemovedItem:
        """With everything that they sent, for good. One that is not retired is 409 as a whole."""
        chosen = await asyncio.to_thread(_there, store, data.terminals)
        with answering():
            if used := [row for row in chosen if row.state != "retired"]:
                raise Conflict(f"{_called(used)} is not retired; retire it before, nothing was deleted")
        names = RemovedItem.__struct_fields__
        sums = dict.fromkeys(names, 0)
        for row in chosen:
            removed = await delete_retired(request, registrar, access, live, store, row.id)
            sums = {name: sums[name] + getattr(removed, name) for name in names}
        return RemovedItem(**sums)


def note_each(
    access: Access,
    request: AnyRequest,
    action: str,
    rows: Sequence[TerminalRow],
    before: Sequence[TerminalRow] = (),
    *changed: str,
) -> None:
    """Write a line about each terminal into the audit log, with what was changed. Blocks."""
    old = {row.id: row for row in before}
    for row in rows:
        detail: dict[str, Any] = {"changed": list(changed)} if changed else {}
        detail |= changes(old.get(row.id), row, changed)
        access.note(request, action, str(row.id), serial=row.serial, **detail)


def _there(store: UserStore, ids: Iterable[int]) -> list[TerminalRow]:
    """Return these terminals, each once. Blocks. 404 if one of them is not there."""
    rows = {number: store.terminal(number) for number in dict.fromkeys(ids)}
    if gone := [number for number, row in rows.items() if row is None]:
        raise NotFoundException(f"there is no terminal {gone[0]}; nothing was changed")
    return [row for row in rows.values() if row is not None]


def _given(change: ChosenChange) -> dict[str, Any]:
    names = TerminalChange.__struct_fields__
    return {name: getattr(change, name) for name in names if getattr(change, name) is not UNSET}


def _called(rows: Sequence[TerminalRow]) -> str:
    return rows[0].serial or rows[0].name or f"#{rows[0].id}"


def _listed(access: Access, ingests: Ingests, rows: Sequence[TerminalRow]) -> Listing[TerminalItem]:
    now_ms = access.doors.now_ms()
    return Listing([terminal_item(row, ingests.heard, now_ms=now_ms) for row in rows], None)


def _name_item(one: NameLine) -> NameItem:
    return NameItem(
        line=one.number,
        serial=one.serial,
        name=one.name,
        terminal_id=None if one.terminal is None else one.terminal.id,
        direction=one.direction,
        problem=one.problem,
        changes=one.changes,
    )


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("gb18030", "replace")
