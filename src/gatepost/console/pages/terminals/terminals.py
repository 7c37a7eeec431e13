"""``/terminals``: who pushes here, how they fare; new ones to approve, and how to set one up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from litestar import Controller, get, post
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import FromPath, RawBody

from gatepost.console.desk import Html, TheDesk, local_path
from gatepost.console.input.forms import VERSION, Form
from gatepost.console.pages.administration.setup_address import plain_address
from gatepost.console.pages.events.views import page_views
from gatepost.console.pages.terminals.page import (
    asked_page,
    called,
    change_terminal_page,
    direction_of,
    note_change,
    question_of,
    refused_by_retiring,
    refused_page,
    sites_of,
    terminal_page,
    told_page,
)
from gatepost.items import TerminalItem
from gatepost.receiver.api.access.authorization import ADMIN, OPERATOR, VIEWER, AnyRequest, TheAccess
from gatepost.receiver.api.events.live import TheLive
from gatepost.receiver.api.shapes import MAX_ID, ThePreview, TheRegistrar, TheStore, answering
from gatepost.receiver.api.terminals.controller import delete_retired
from gatepost.receiver.api.terminals.values import networks_of, terminal_item
from gatepost.receiver.terminals.identify import MAX_SERIAL
from gatepost.receiver.terminals.preview import WEEK
from gatepost.store.fold import fold

__all__ = ["TerminalPages"]


PAGE = 200

_TROUBLE = {"offline": 0, "late": 1, "online": 2, "never": 3}

TABS = ("all", "to_approve", "online", "late", "offline", "retired")


class TerminalPages(Controller):
    """``/terminals``."""

    path = "/terminals"
    opt = VIEWER

    @get(sync_to_thread=True)
    def list_terminals(self, request: AnyRequest, desk: TheDesk, access: TheAccess) -> Html:
        view = desk.view(request)
        views = page_views(view, "terminals")
        if views.start is not None:
            return view.go(views.start)
        now_ms = access.doors.now_ms()
        items = [terminal_item(row, desk.heard, now_ms=now_ms) for row in view.store.terminals()]
        tab = view.query.get("show", "all")
        fitting = sorted((item for item in items if _fits(item, tab, view.query.get("q", ""))), key=_order)
        start = _start(view.query.get("cursor"))
        return view.page(
            "terminals.html",
            active="terminals",
            views=views,
            terminals=fitting[start : start + PAGE],
            next=str(start + PAGE) if len(fitting) > start + PAGE else None,
            found=len(fitting),
            tabs=[(name, name == tab, sum(_fits(item, name, "") for item in items)) for name in TABS],
            tokenless=_tokenless(items, desk.now()),
            sites=sites_of(view.store),
            refusals=view.store.refused()[:20],
        )

    @get("/new", opt=ADMIN, sync_to_thread=True)
    def new_terminal(
        self, request: AnyRequest, desk: TheDesk, access: TheAccess, registrar: TheRegistrar
    ) -> Html:
        view = desk.view(request)
        return view.page(
            "terminal_new.html",
            active="terminals",
            sites=sites_of(view.store),
            setup=plain_address(registrar, access, request),
            given={},
            problem=None,
        )

    @post(opt=ADMIN)
    async def create_terminal(
        self,
        request: AnyRequest,
        body: RawBody,
        desk: TheDesk,
        store: TheStore,
        access: TheAccess,
        registrar: TheRegistrar,
    ) -> Html:
        """Make a terminal and show its address, which nobody is told again: so this is no redirect."""
        form = Form(body)
        values = {
            "serial": form("serial")[:MAX_SERIAL] or None,
            "name": form("name")[:128] or None,
            "site_id": (form.numbers("site") or [1])[0],
            "timezone": form("timezone") or None,
        }
        if form("direction"):
            values["direction"] = direction_of(form("direction"))
        try:
            with answering():
                row, token = await registrar.create(
                    store, values, with_token=True, now_ms=access.doors.now_ms()
                )
        except ClientException as error:
            return await asyncio.to_thread(
                refused_page, desk, request, access, registrar, values, error.detail
            )
        await asyncio.to_thread(
            access.note, request, "terminal.created", str(row.id), serial=row.serial, token=True
        )
        return await asyncio.to_thread(told_page, desk, request, access, registrar, row, token)

    @get("/{terminal_id:int}", sync_to_thread=True)
    def show_terminal(
        self,
        request: AnyRequest,
        terminal_id: FromPath[int],
        desk: TheDesk,
        access: TheAccess,
        registrar: TheRegistrar,
        preview: ThePreview,
    ) -> Html:
        row = desk.view(request).store.terminal(terminal_id) if 0 < terminal_id <= MAX_ID else None
        setup = plain_address(registrar, access, request)
        return terminal_page(
            desk, request, access, row, setup=setup, retiring=refused_by_retiring(preview, row)
        )

    @post("/{terminal_id:int}", opt=ADMIN)
    async def change_terminal(
        self,
        request: AnyRequest,
        terminal_id: FromPath[int],
        body: RawBody,
        desk: TheDesk,
        store: TheStore,
        access: TheAccess,
        registrar: TheRegistrar,
        preview: ThePreview,
    ) -> Html:
        """Change it; ask first about pushes of the last week that it refuses, and about people who go along."""
        form = Form(body)
        values: dict[str, Any] = {
            "name": form("name")[:128] or None,
            "site_id": (form.numbers("site") or [1])[0],
            "timezone": form("timezone") or None,
            "networks": list(networks_of(form("networks"))),
        }
        if form("direction"):
            values["direction"] = direction_of(form("direction"))
        if form("serial"):
            values["serial"] = form("serial")[:MAX_SERIAL]
        if form("ask"):
            question = await asyncio.to_thread(
                question_of, store, preview, min(terminal_id, MAX_ID), values, form(VERSION)
            )
            if question is not None:
                return await asyncio.to_thread(asked_page, desk, request, access, registrar, question)
        return await change_terminal_page(
            desk,
            request,
            access,
            registrar,
            store,
            terminal_id,
            values,
            action="terminal.changed",
            versions=form.versions,
        )

    @post("/{terminal_id:int}/approve", opt=OPERATOR)
    async def approve_terminal(
        self,
        request: AnyRequest,
        terminal_id: FromPath[int],
        body: RawBody,
        desk: TheDesk,
        store: TheStore,
        access: TheAccess,
        registrar: TheRegistrar,
    ) -> Html:
        with answering():
            row = await registrar.approve(store, min(terminal_id, MAX_ID))
        await note_change(access, request, "terminal.approved", row)
        desk.forget_counts()
        back = local_path(Form(body)("back"), f"/terminals/{terminal_id}")
        return await asyncio.to_thread(lambda: desk.view(request).go(back, done="approved"))

    @post("/{terminal_id:int}/state", opt=ADMIN)
    async def set_state(
        self,
        request: AnyRequest,
        terminal_id: FromPath[int],
        body: RawBody,
        desk: TheDesk,
        store: TheStore,
        access: TheAccess,
        registrar: TheRegistrar,
    ) -> Html:
        state = Form(body)("state")
        actions = {"approved": "approved", "held": "held", "retired": "retired"}
        if state not in actions:
            raise ClientException("a terminal is approved, held or retired")
        return await change_terminal_page(
            desk, request, access, registrar, store, terminal_id, {"state": state}, action=f"terminal.{state}"
        )

    @post("/{terminal_id:int}/delete", opt=ADMIN)
    async def delete_terminal(
        self,
        request: AnyRequest,
        terminal_id: FromPath[int],
        body: RawBody,
        desk: TheDesk,
        access: TheAccess,
        registrar: TheRegistrar,
        live: TheLive,
        store: TheStore,
    ) -> Html:
        """Delete a retired terminal for good, once what it is called has been typed."""
        row = await asyncio.to_thread(store.terminal, min(terminal_id, MAX_ID))
        if row is not None and Form(body)("typed") != called(row):
            setup = plain_address(registrar, access, request)
            return await asyncio.to_thread(
                lambda: terminal_page(desk, request, access, row, setup=setup, mistyped=True)
            )
        await delete_retired(request, registrar, access, live, store, min(terminal_id, MAX_ID))
        desk.forget_counts()
        return await asyncio.to_thread(lambda: desk.view(request).go("/terminals", done="deleted"))

    @post("/{terminal_id:int}/token", opt=ADMIN)
    async def rotate_token(
        self,
        request: AnyRequest,
        terminal_id: FromPath[int],
        desk: TheDesk,
        store: TheStore,
        access: TheAccess,
        registrar: TheRegistrar,
    ) -> Html:
        """Give it another address, and show it, this once."""
        with answering():
            made = await registrar.rotate_token(store, min(terminal_id, MAX_ID))
        if made is None:
            raise NotFoundException("there is no such terminal")
        row, token = made
        await note_change(access, request, "terminal.token_rotated", row)
        return await asyncio.to_thread(told_page, desk, request, access, registrar, row, token)

    @post("/{terminal_id:int}/token/remove", opt=ADMIN)
    async def remove_token(
        self,
        request: AnyRequest,
        terminal_id: FromPath[int],
        desk: TheDesk,
        store: TheStore,
        access: TheAccess,
        registrar: TheRegistrar,
    ) -> Html:
        """Take its own address away."""
        with answering():
            row = await registrar.remove_token(store, min(terminal_id, MAX_ID))
        await note_change(access, request, "terminal.token_removed", row)
        return await asyncio.to_thread(
            lambda: desk.view(request).go(f"/terminals/{terminal_id}", done="saved")
        )


def _fits(item: TerminalItem, tab: str, q: str) -> bool:
    if q and not any(fold(q) in fold(text or "") for text in (item.name, item.serial, item.site)):
        return False
    if tab == "retired":
        return item.state == "retired"
    if tab == "to_approve":
        return item.state in ("new", "held")
    if tab in ("online", "late", "offline"):
        return item.state != "retired" and item.presence == tab
    return True


def _order(item: TerminalItem) -> tuple[Any, ...]:
    """Sort terminals: those that need attention first."""
    return (
        item.state == "retired",
        item.state not in ("held", "new"),
        _TROUBLE[item.presence],
        item.site_id,
        (item.name or item.serial or "").casefold(),
        item.id,
    )


def _start(cursor: str | None) -> int:
    return int(cursor) if cursor and cursor.isascii() and cursor.isdigit() and len(cursor) < 9 else 0


def _tokenless(items: Sequence[TerminalItem], now: float) -> int:
    """Count the terminals that pushed without their token in the last week."""
    since = datetime.fromtimestamp(now, UTC) - WEEK
    return sum(
        item.tokenless_at is not None and item.tokenless_at >= since and item.state != "retired"
        for item in items
    )
