"""``/terminals``: who pushes here, how they fare; new ones to approve, and how to set one up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast, get_args

from litestar import Controller, get, post
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import FromPath, RawBody
from msgspec import Struct

from gatepost.console.desk import Desk, Html, TheDesk, local_path
from gatepost.console.forms import Form
from gatepost.console.pages.views import page_views
from gatepost.console.setup_address import Setup, plain_address
from gatepost.errors import SettingsError
from gatepost.receiver.api.authorization import ADMIN, OPERATOR, VIEWER, Access, AnyRequest, TheAccess
from gatepost.receiver.api.live import TheLive
from gatepost.receiver.api.shapes import MAX_ID, ThePreview, TheRegistrar, TheStore, answering
from gatepost.receiver.api.terminals import TerminalItem, delete_retired, networks_of, terminal_item
from gatepost.receiver.auth.audit_changes import changes
from gatepost.receiver.terminals.admin import Registrar, site_of
from gatepost.receiver.terminals.identify import MAX_SERIAL
from gatepost.receiver.terminals.preview import WEEK, Preview, WouldRefuse
from gatepost.store.fold import fold
from gatepost.store.interface import Direction, SiteRow, TerminalRow
from gatepost.store.people.move_preview import WouldMove
from gatepost.store.questions import UserStore

__all__ = ["TerminalPages", "direction_of", "sites_of"]

PAGE = 200

_TROUBLE = {"offline": 0, "late": 1, "online": 2, "never": 3}

TABS = ("all", "to_approve", "online", "late", "offline", "retired")


class Question(Struct, frozen=True):
    """Values of a terminal that wait to be saved, and what they would do."""

    terminal_id: int
    values: Mapping[str, Any]
    refused: WouldRefuse | None
    move: WouldMove
    site: SiteRow
    """The site after the move."""


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
            return await asyncio.to_thread(_again, desk, request, access, registrar, values, error.detail)
        await asyncio.to_thread(
            access.note, request, "terminal.created", str(row.id), serial=row.serial, token=True
        )
        return await asyncio.to_thread(_told, desk, request, access, registrar, row, token)

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
        return _page(desk, request, access, row, setup=setup, retiring=_retiring(preview, row))

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
            question = await asyncio.to_thread(_question, store, preview, min(terminal_id, MAX_ID), values)
            if question is not None:
                return await asyncio.to_thread(_asked, desk, request, access, registrar, question)
        return await _change(
            desk, request, access, registrar, store, terminal_id, values, action="terminal.changed"
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
        await _noted(access, request, "terminal.approved", row)
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
        return await _change(
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
                lambda: _page(desk, request, access, row, setup=setup, mistyped=True)
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
        await _noted(access, request, "terminal.token_rotated", row)
        return await asyncio.to_thread(_told, desk, request, access, registrar, row, token)

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
        await _noted(access, request, "terminal.token_removed", row)
        return await asyncio.to_thread(
            lambda: desk.view(request).go(f"/terminals/{terminal_id}", done="saved")
        )


def direction_of(said: str) -> Direction:
    """Return the direction that a form says. Raises ``ClientException``."""
    found = next((one for one in get_args(Direction) if one == said), None)
    if found is None:
        raise ClientException("direction: people go in, out or both ways; nothing was changed")
    return cast(Direction, found)


def called(row: TerminalRow) -> str:
    """Return what a terminal is called on its page."""
    return (row.name or row.serial or row.anonymous_peer or f"#{row.id}").strip()


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
    """What wants somebody first."""
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


def sites_of(store: UserStore) -> list[tuple[int, str]]:
    return [(site.id, f"{site.name} · {site.timezone}") for site in store.sites()]


def _page(
    desk: Desk,
    request: AnyRequest,
    access: Access,
    row: TerminalRow | None,
    *,
    setup: Setup,
    problem: str | None = None,
    retiring: WouldRefuse | None = None,
    asked: Question | None = None,
    mistyped: bool = False,
) -> Html:
    """``retiring``: what to retire it would refuse. ``asked``: what is asked before it is saved.

    ``mistyped``: it was to be deleted, and what was typed is not what it is called.
    """
    if row is None:
        raise NotFoundException("there is no such terminal")
    view = desk.view(request)
    refusals, disagreed = view.store.refusals(row.id), view.store.disagreements(row.id)
    return view.page(
        "terminal.html",
        status=200 if problem is None and not mistyped else 400,
        active="terminals",
        terminal=terminal_item(row, desk.heard, now_ms=access.doors.now_ms()),
        refusals=refusals,
        disagreed=disagreed,
        sites=sites_of(view.store),
        setup=setup,
        problem=problem,
        token=_token(row, desk.settings.require_token),
        retiring=retiring,
        asked=asked,
        mistyped=mistyped,
        called=called(row),
    )


def _token(row: TerminalRow, require: str) -> str:
    """Return the name of how the terminal stands to its token."""
    required = require == "always" or (require == "when-used" and row.token_required_since is not None)
    if not row.has_token:
        return "none_required" if required else "none"
    if row.token_used_at is None:
        return "unused" if required else "waiting"
    return "used" if required else "used_freely"


def _tokenless(items: Sequence[TerminalItem], now: float) -> int:
    """Count the terminals that pushed without their token in the last week."""
    since = datetime.fromtimestamp(now, UTC) - WEEK
    return sum(
        item.tokenless_at is not None and item.tokenless_at >= since and item.state != "retired"
        for item in items
    )


def _retiring(preview: Preview, row: TerminalRow | None) -> WouldRefuse | None:
    if row is None or row.state == "retired":
        return None
    return next(iter(preview.of_change(row.id, state="retired")), None)


def _asked(
    desk: Desk,
    request: AnyRequest,
    access: Access,
    registrar: Registrar,
    question: Question,
) -> Html:
    """Show the terminal's page with a question before its values are saved."""
    setup = plain_address(registrar, access, request)
    row = desk.view(request).store.terminal(question.terminal_id)
    return _page(desk, request, access, row, setup=setup, asked=question)


def _question(
    store: UserStore, preview: Preview, terminal_id: int, values: Mapping[str, Any]
) -> Question | None:
    """Return what has to be asked before a terminal is changed so; ``None`` if nothing."""
    refused: Sequence[WouldRefuse] = ()
    with contextlib.suppress(SettingsError):  # what is no network is said when it is to be saved
        refused = preview.of_change(terminal_id, networks=tuple(values["networks"]))
    site = site_of(store, values["site_id"])
    move = WouldMove() if site is None else preview.of_move(terminal_id, site.id)
    if site is None or not (refused or move.people):
        return None
    return Question(terminal_id, values, next(iter(refused), None), move, site)


def _told(
    desk: Desk,
    request: AnyRequest,
    access: Access,
    registrar: Registrar,
    row: TerminalRow,
    token: str | None,
) -> Html:
    """The terminal's page, with the address that is shown this once."""
    setup = Setup(registrar.address(token or "", asked_at=access.base_url(request)), secret=True)
    return _page(desk, request, access, row, setup=setup)


def _again(
    desk: Desk,
    request: AnyRequest,
    access: Access,
    registrar: Registrar,
    given: Mapping[str, Any],
    problem: str,
) -> Html:
    view = desk.view(request)
    return view.page(
        "terminal_new.html",
        status=400,
        active="terminals",
        sites=sites_of(view.store),
        setup=plain_address(registrar, access, request),
        given=given,
        problem=problem,
    )


async def _change(
    desk: Desk,
    request: AnyRequest,
    access: Access,
    registrar: Registrar,
    store: UserStore,
    terminal_id: int,
    values: Mapping[str, Any],
    *,
    action: str,
) -> Html:
    try:
        with answering():
            before = await asyncio.to_thread(store.terminal, min(terminal_id, MAX_ID))
            row = await registrar.change(store, min(terminal_id, MAX_ID), values)
    except ClientException as error:
        why = error.detail
        row = await asyncio.to_thread(store.terminal, min(terminal_id, MAX_ID))
        setup = plain_address(registrar, access, request)
        return await asyncio.to_thread(lambda: _page(desk, request, access, row, setup=setup, problem=why))
    await _noted(access, request, action, row, changed=sorted(values), **changes(before, row, values))
    desk.forget_counts()
    return await asyncio.to_thread(lambda: desk.view(request).go(f"/terminals/{terminal_id}", done="saved"))


async def _noted(
    access: Access, request: AnyRequest, action: str, row: TerminalRow | None, **detail: object
) -> None:
    if row is None:
        raise NotFoundException("there is no such terminal")
    await asyncio.to_thread(access.note, request, action, str(row.id), serial=row.serial, **detail)
