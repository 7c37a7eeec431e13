"""Show one terminal: its page, what is asked before a change, and the address that is told once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args

from litestar.exceptions import ClientException, NotFoundException
from msgspec import Struct

from gatepost.console.desk import Desk, Html
from gatepost.console.pages.administration.setup_address import Setup, plain_address
from gatepost.errors import SettingsError
from gatepost.receiver.api.access.authorization import Access, AnyRequest
from gatepost.receiver.api.shapes import MAX_ID
from gatepost.receiver.api.terminals.controller import change_terminal
from gatepost.receiver.api.terminals.values import terminal_item
from gatepost.receiver.api.versions import ChangedByAnother
from gatepost.receiver.auth.audit_changes import changes
from gatepost.receiver.terminals.admin import Registrar, site_of
from gatepost.receiver.terminals.preview import Preview, WouldRefuse
from gatepost.store.interface import Direction, SiteRow, TerminalRow
from gatepost.store.people.move_preview import WouldMove
from gatepost.store.questions import UserStore
from gatepost.store.versions import Versions

__all__ = [
    "asked_page",
    "called",
    "change_terminal_page",
    "direction_of",
    "note_change",
    "question_of",
    "refused_page",
    "refused_by_retiring",
    "sites_of",
    "terminal_page",
    "told_page",
]


class Question(Struct, frozen=True):
    """Values of a terminal that wait to be saved, and what they would do."""

    terminal_id: int
    values: Mapping[str, Any]
    refused: WouldRefuse | None
    move: WouldMove
    site: SiteRow
    """The site after the move."""
    version: str
    """Of the terminal, as the form was opened."""


def direction_of(said: str) -> Direction:
    """Return the direction that a form says. Raises ``ClientException``."""
    found = next((one for one in get_args(Direction) if one == said), None)
    if found is None:
        raise ClientException("direction: people go in, out or both ways; nothing was changed")
    return cast(Direction, found)


def called(row: TerminalRow) -> str:
    """Return what a terminal is called on its page."""
    return (row.name or row.serial or row.anonymous_peer or f"#{row.id}").strip()


def sites_of(store: UserStore) -> list[tuple[int, str]]:
    return [(site.id, f"{site.name} · {site.timezone}") for site in store.sites()]


def terminal_page(
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


def refused_by_retiring(preview: Preview, row: TerminalRow | None) -> WouldRefuse | None:
    if row is None or row.state == "retired":
        return None
    return next(iter(preview.of_change(row.id, state="retired")), None)


def asked_page(
    desk: Desk,
    request: AnyRequest,
    access: Access,
    registrar: Registrar,
    question: Question,
) -> Html:
    """Show the terminal's page with a question before its values are saved."""
    setup = plain_address(registrar, access, request)
    row = desk.view(request).store.terminal(question.terminal_id)
    return terminal_page(desk, request, access, row, setup=setup, asked=question)


def question_of(
    store: UserStore, preview: Preview, terminal_id: int, values: Mapping[str, Any], version: str
) -> Question | None:
    """Return what has to be asked before a terminal is changed so; ``None`` if nothing."""
    refused: Sequence[WouldRefuse] = ()
    with contextlib.suppress(SettingsError):  # what is no network is said when it is to be saved
        refused = preview.of_change(terminal_id, networks=tuple(values["networks"]))
    site = site_of(store, values["site_id"])
    move = WouldMove() if site is None else preview.of_move(terminal_id, site.id)
    if site is None or not (refused or move.people):
        return None
    return Question(terminal_id, values, next(iter(refused), None), move, site, version)


def told_page(
    desk: Desk,
    request: AnyRequest,
    access: Access,
    registrar: Registrar,
    row: TerminalRow,
    token: str | None,
) -> Html:
    """Show the terminal's page, with the address that is shown this once."""
    setup = Setup(registrar.address(token or "", asked_at=access.base_url(request)), secret=True)
    return terminal_page(desk, request, access, row, setup=setup)


def refused_page(
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


async def change_terminal_page(
    desk: Desk,
    request: AnyRequest,
    access: Access,
    registrar: Registrar,
    store: UserStore,
    terminal_id: int,
    values: Mapping[str, Any],
    *,
    action: str,
    versions: Versions = None,
) -> Html:
    try:
        before, row = await change_terminal(
            access, registrar, store, min(terminal_id, MAX_ID), values, versions
        )
    except ChangedByAnother:
        raise  # the page that the form was sent from says so
    except ClientException as error:
        why = error.detail
        row = await asyncio.to_thread(store.terminal, min(terminal_id, MAX_ID))
        setup = plain_address(registrar, access, request)
        return await asyncio.to_thread(
            lambda: terminal_page(desk, request, access, row, setup=setup, problem=why)
        )
    await note_change(access, request, action, row, changed=sorted(values), **changes(before, row, values))
    desk.forget_counts()
    return await asyncio.to_thread(lambda: desk.view(request).go(f"/terminals/{terminal_id}", done="saved"))


async def note_change(
    access: Access, request: AnyRequest, action: str, row: TerminalRow | None, **detail: object
) -> None:
    if row is None:
        raise NotFoundException("there is no such terminal")
    await asyncio.to_thread(access.note, request, action, str(row.id), serial=row.serial, **detail)
