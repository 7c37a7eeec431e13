"""``/api/v1/terminals``: who pushes here, how they fare, and who may."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from litestar import Controller, Response, delete, get, patch, post
from litestar.exceptions import ClientException
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import UNSET
from msgspec.structs import replace

from gatepost.items import (
    NameThereItem,
    RemovedItem,
    TerminalDetail,
    TerminalItem,
    WouldMoveItem,
    WouldRefuseItem,
)
from gatepost.receiver.api.access.authorization import (
    ADMIN,
    EVERY_SITE,
    OPERATOR,
    PARTS,
    VIEWER,
    Access,
    AnyRequest,
    TheAccess,
)
from gatepost.receiver.api.events.filters import AtSite
from gatepost.receiver.api.events.live import TheLive
from gatepost.receiver.api.shapes import (
    MAX_ID,
    MAX_LIMIT,
    Listing,
    TheIngests,
    ThePreview,
    TheRegistrar,
    TheStore,
    answering,
    read,
)
from gatepost.receiver.api.terminals.values import (
    NewTerminal,
    TerminalChange,
    known_id,
    networks_of,
    no_such_terminal,
    terminal_detail,
    terminal_item,
    would_refuse,
)
from gatepost.receiver.api.versions import (
    ChangedByAnother,
    IfMatch,
    changed_by_another,
    tagged,
    wanted_versions,
)
from gatepost.receiver.auth.audit_changes import changes
from gatepost.receiver.live_stream import Live
from gatepost.receiver.processes.ingests import Ingests
from gatepost.receiver.terminals.admin import Registrar, site_of
from gatepost.store.interface import TerminalRow, TerminalState
from gatepost.store.privacy.terminal_removal import Removed
from gatepost.store.questions import UserStore
from gatepost.store.versions import ChangedMeanwhile, Versions

__all__ = ["TerminalsController", "change_terminal", "delete_retired"]

CHANGED = tuple(f"terminal.{what}" for what in ("changed", "approved", "held", "retired"))
"""Actions of the audit log that change what a person says of a terminal."""


class TerminalsController(Controller):
    path = "/api/v1/terminals"
    tags = ("terminals",)

    @get(opt=VIEWER, sync_to_thread=True, summary="List terminals")
    def list_terminals(
        self,
        store: TheStore,
        access: TheAccess,
        ingests: TheIngests,
        at_site: AtSite,
        terminal_state: Annotated[TerminalState | None, QueryParameter(name="state")] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT)] = MAX_LIMIT,
        cursor: FromQuery[str | None] = None,
    ) -> Listing[TerminalItem]:
        """In the order in which they appeared."""

        def ask() -> Listing[TerminalItem]:
            page = store.terminals_page(state=terminal_state, site_id=at_site, limit=limit, cursor=cursor)
            now_ms = access.doors.now_ms()
            return Listing(
                [terminal_item(row, ingests.heard, now_ms=now_ms) for row in page.items], page.next_cursor
            )

        return read(ask)

    @get("/{terminal_id:int}", opt=VIEWER, sync_to_thread=True, summary="One terminal")
    def one_terminal(
        self, store: TheStore, terminal_id: FromPath[int], access: TheAccess, ingests: TheIngests
    ) -> TerminalDetail:
        return terminal_detail(store, terminal_id, ingests.heard, now_ms=access.doors.now_ms())

    @get("/would-refuse", opt=VIEWER | EVERY_SITE, sync_to_thread=True, summary="Preview stricter settings")
    def preview_settings(
        self,
        preview: ThePreview,
        require_token: FromQuery[Literal["when-used", "always", "never"] | None] = None,
        unknown_terminals: FromQuery[Literal["accept", "hold", "refuse"] | None] = None,
        allowed_networks: FromQuery[str | None] = None,
        cursor: FromQuery[str | None] = None,
    ) -> Listing[WouldRefuseItem]:
        """List the terminals that pushed in the last week, are taken now, and would be refused with these settings.

        What is left out stays as it is. ``allowed_networks``: separated by commas; empty for all.
        """
        changed: dict[str, Any] = {
            "require_token": require_token,
            "unknown_terminals": unknown_terminals,
            "allowed_networks": None if allowed_networks is None else networks_of(allowed_networks),
        }
        given = {name: value for name, value in changed.items() if value is not None}
        return would_refuse(lambda: preview.of_settings(**given), cursor)

    @get(
        "/{terminal_id:int}/would-refuse",
        opt=VIEWER,
        sync_to_thread=True,
        summary="Preview a change of a terminal",
    )
    def preview_change(
        self,
        store: TheStore,
        preview: ThePreview,
        terminal_id: FromPath[int],
        terminal_state: Annotated[
            Literal["approved", "held", "retired"] | None, QueryParameter(name="state")
        ] = None,
        networks: FromQuery[str | None] = None,
    ) -> Listing[WouldRefuseItem]:
        """List the terminal, if it pushed in the last week and would be refused after the change; else nothing.

        ``networks``: separated by commas; empty for all.
        """
        if terminal_id > MAX_ID or store.terminal(terminal_id) is None:
            raise no_such_terminal()
        changed: dict[str, Any] = {
            "state": terminal_state,
            "networks": None if networks is None else networks_of(networks),
        }
        given = {name: value for name, value in changed.items() if value is not None}
        return would_refuse(lambda: preview.of_change(terminal_id, **given))

    @get(
        "/{terminal_id:int}/would-move",
        opt=VIEWER,
        sync_to_thread=True,
        summary="Preview a move of a terminal",
    )
    def preview_move(
        self,
        store: TheStore,
        preview: ThePreview,
        terminal_id: FromPath[int],
        site_id: Annotated[int, QueryParameter(ge=1, le=MAX_ID)],
    ) -> WouldMoveItem:
        """Tell what moving the terminal to a site changes about people: who goes along, is divided, becomes one."""
        if terminal_id > MAX_ID or store.terminal(terminal_id) is None:
            raise no_such_terminal()
        site = site_of(store, site_id)
        if site is None:
            raise ClientException(f"site_id: there is no site {site_id}; see /api/v1/sites")
        would = preview.of_move(terminal_id, site_id)
        names = [
            NameThereItem(user_id=one.user_id, name=one.name, name_there=one.name_there)
            for one in would.names
        ]
        return WouldMoveItem(
            terminal_id=terminal_id,
            site_id=site_id,
            site=site.name,
            timezone=site.timezone,
            records=would.records,
            people=would.people,
            divided=would.divided,
            joining=would.joining,
            different=would.different,
            names=names,
        )

    @post(opt=ADMIN, summary="Make a terminal before it pushes")
    async def create_terminal(
        self,
        request: AnyRequest,
        data: JSONBody[NewTerminal],
        access: TheAccess,
        registrar: TheRegistrar,
        store: TheStore,
    ) -> TerminalItem:
        """Create an approved terminal. ``address`` in the reply is what to set as ``event_dest``; told only once."""
        now_ms = access.doors.now_ms()
        names = ("serial", "name", "site_id", "timezone", "networks", "direction")
        values = {name: getattr(data, name) for name in names}
        with answering():
            row, token = await registrar.create(store, values, with_token=data.token, now_ms=now_ms)
        await _note(access, request, "terminal.created", row, token=data.token)
        return terminal_item(row, {}, now_ms=now_ms, address=_address(registrar, access, request, token))

    @patch(
        "/{terminal_id:int}",
        opt=ADMIN,
        summary="Rename, move, restrict, hold or retire a terminal",
        raises=[ChangedByAnother],
    )
    async def change_terminal(
        self,
        request: AnyRequest,
        terminal_id: FromPath[int],
        data: JSONBody[TerminalChange],
        access: TheAccess,
        registrar: TheRegistrar,
        store: TheStore,
        if_match: IfMatch = None,
    ) -> Response[TerminalItem]:
        """Change what is given, from the next push on.

        With another ``site_id`` people's passages go along, within moments.
        """
        names = TerminalChange.__struct_fields__
        values = {name: getattr(data, name) for name in names if getattr(data, name) is not UNSET}
        before, row = await change_terminal(
            access, registrar, store, known_id(terminal_id), values, wanted_versions(if_match)
        )
        told = changes(before, row, values)
        item = await _changed(access, request, "terminal.changed", row, changed=sorted(values), **told)
        return tagged(item, item.version)

    @post("/{terminal_id:int}/approve", opt=OPERATOR, status_code=200, summary="Approve a terminal")
    async def approve_terminal(
        self,
        request: AnyRequest,
        terminal_id: FromPath[int],
        access: TheAccess,
        registrar: TheRegistrar,
        store: TheStore,
    ) -> TerminalItem:
        """Approve a terminal: what it sent while held is listed from now on.

        Only an administrator takes a retired one back."""
        with answering():
            row = await registrar.approve(store, known_id(terminal_id))
        return await _changed(access, request, "terminal.approved", row)

    @post("/{terminal_id:int}/retire", opt=ADMIN, status_code=200, summary="Retire a terminal")
    async def retire_terminal(
        self,
        request: AnyRequest,
        terminal_id: FromPath[int],
        access: TheAccess,
        registrar: TheRegistrar,
        store: TheStore,
    ) -> TerminalItem:
        """Retire a terminal: what it sent stays, what it pushes from now on is refused, and its token is deleted."""
        with answering():
            row = await registrar.change(store, known_id(terminal_id), {"state": "retired"})
        return await _changed(access, request, "terminal.retired", row)

    @delete("/{terminal_id:int}", opt=ADMIN, status_code=200, summary="Delete a retired terminal")
    async def delete_terminal(
        self,
        request: AnyRequest,
        terminal_id: FromPath[int],
        access: TheAccess,
        registrar: TheRegistrar,
        live: TheLive,
        store: TheStore,
    ) -> RemovedItem:
        """With everything that it sent, for good: records, images, alarms, quarantined pushes. Retire it before."""
        removed = await delete_retired(request, registrar, access, live, store, known_id(terminal_id))
        return RemovedItem(**{name: getattr(removed, name) for name in RemovedItem.__struct_fields__})

    @post("/{terminal_id:int}/token", opt=ADMIN, status_code=200, summary="Give a terminal another address")
    async def rotate_token(
        self,
        request: AnyRequest,
        terminal_id: FromPath[int],
        access: TheAccess,
        registrar: TheRegistrar,
        store: TheStore,
    ) -> TerminalItem:
        """``address`` in the answer is the new ``event_dest``, told once; the one before counts no more."""
        with answering():
            made = await registrar.rotate_token(store, known_id(terminal_id))
        row, token = made if made is not None else (None, None)
        item = await _changed(access, request, "terminal.token_rotated", row)
        return replace(item, address=_address(registrar, access, request, token))

    @delete("/{terminal_id:int}/token", opt=ADMIN, status_code=200, summary="Take a terminal's address away")
    async def remove_token(
        self,
        request: AnyRequest,
        terminal_id: FromPath[int],
        access: TheAccess,
        registrar: TheRegistrar,
        store: TheStore,
    ) -> TerminalItem:
        """Its token counts no more, and it is taken by its serial again, as the settings say."""
        with answering():
            row = await registrar.remove_token(store, known_id(terminal_id))
        return await _changed(access, request, "terminal.token_removed", row)


async def delete_retired(
    request: AnyRequest, registrar: Registrar, access: Access, live: Live, store: UserStore, terminal_id: int
) -> Removed:
    """Delete a retired terminal, with a line in the audit log. 404 if there is none, 409 if it is not retired."""
    with answering():
        removed = await registrar.delete(store, terminal_id)
    if removed is None:
        raise no_such_terminal()
    live.forget()
    counts = {name: getattr(removed, name) for name in Removed.__struct_fields__}
    await asyncio.to_thread(access.note, request, "terminal.deleted", str(terminal_id), **counts)
    return removed


def _address(registrar: Registrar, access: Access, request: AnyRequest, token: str | None) -> str | None:
    return None if token is None else registrar.address(token, asked_at=access.base_url(request))


async def change_terminal(
    access: Access,
    registrar: Registrar,
    store: UserStore,
    terminal_id: int,
    values: Mapping[str, Any],
    versions: Versions,
) -> tuple[TerminalRow | None, TerminalRow | None]:
    """Change a terminal, and return what it was and what it is. Raises 400, 409 and 412."""
    before = await asyncio.to_thread(store.terminal, terminal_id)
    try:
        with answering():
            return before, await registrar.change(store, terminal_id, values, versions=versions)
    except ChangedMeanwhile as error:
        raise await asyncio.to_thread(changed_by_another, access, error, CHANGED, str(terminal_id)) from None


async def _changed(
    access: Access, request: AnyRequest, action: str, row: TerminalRow | None, **detail: object
) -> TerminalItem:
    if row is None:
        raise no_such_terminal()
    await _note(access, request, action, row, **detail)
    ingests: Ingests = request.scope[PARTS]["ingests"]  # type: ignore[literal-required]  # a key of ours
    return terminal_item(row, ingests.heard, now_ms=access.doors.now_ms())


async def _note(access: Access, request: AnyRequest, action: str, row: TerminalRow, **detail: object) -> None:
    await asyncio.to_thread(access.note, request, action, str(row.id), serial=row.serial, **detail)
