"""Serve ``/api/v1/fleet``: real terminals, managed by their own HTTP service.

For administrators of every site. A password goes in and never comes out: no reply, log, audit line or backup has one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter, SkipValidation
from msgspec import Meta, Struct

from gatepost.fleet.adoption import Order
from gatepost.fleet.client import checked_address
from gatepost.fleet.managing import Fleet
from gatepost.fleet_items import AdoptionItem, AdoptionRowItem, ManagedItem, SeenItem
from gatepost.items import Listing
from gatepost.receiver.api.access.authorization import ADMIN, EVERY_SITE, Access, AnyRequest, TheAccess
from gatepost.receiver.api.shapes import MAX_ID, MAX_LIMIT, TheRegistrar, answering, read
from gatepost.receiver.terminals.admin import Registrar
from gatepost.receiver.terminals.presence import last_heard
from gatepost.store.page_bytes import paged, weight
from gatepost.store.terminals.adopted import AdoptedRow
from gatepost.store.terminals.adoptions import Adoption, AdoptionRow, ToAdopt

__all__ = ["FleetController", "TheFleet", "adopted_item", "managed_item", "ours_of"]

TheFleet = NamedDependency[SkipValidation[Fleet]]

Address = Annotated[str, Meta(min_length=1, max_length=300)]
Secret = Annotated[str, Meta(min_length=1, max_length=256)]
Name = Annotated[str, Meta(min_length=1, max_length=128)]
SiteId = Annotated[int, Meta(ge=1, le=MAX_ID)]


class LookOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    address: Address


class AdoptOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A terminal to be adopted, with the account of its own service."""

    address: Address
    """A host, ``HOST:PORT`` or an address; port 8000 and https unless they are given."""
    username: Secret
    password: Secret
    name: Name | None = None
    site_id: SiteId | None = None
    """Without it: where the terminal is, or the first site."""


class AdoptOne(AdoptOrder, frozen=True, kw_only=True, forbid_unknown_fields=True):
    serial: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    """Which terminal it has to be; without it: the one that is there."""
    certificate: Annotated[str, Meta(pattern="^[0-9a-fA-F]{64}$")] | None = None
    """SHA-256 that its certificate has to have; without it: that which it shows is pinned."""


class AdoptMany(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    terminals: Annotated[list[AdoptOrder], Meta(min_length=1, max_length=5000)]


class ReleaseOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    give_back: bool = True
    """Have it push to where it pushed before. ``false``: write nothing to it, also where it cannot be reached."""


def managed_item(row: AdoptedRow, heard: Mapping[int, int]) -> ManagedItem:
    """Shape an adopted terminal for a reply. ``heard``: when terminals last pushed, in milliseconds."""
    last = last_heard(row.last_seen, heard.get(row.terminal_id))
    values: dict[str, Any] = {name: getattr(row, name) for name in _SAME}
    is_looked_at = row.state != "stopped" and row.terminal_state != "retired"
    return ManagedItem(
        **values,
        event_dest=f"{row.ours}/***",
        certificate=None if row.certificate is None else row.certificate.hex(),
        previous=row.previous_shown,
        has_account=row.secrets is not None,
        clock_error_s=None if row.clock_error_ms is None else row.clock_error_ms / 1000,
        next_look_at=datetime.fromtimestamp(row.due_ms / 1000, UTC) if is_looked_at else None,
        last_event_at=last,
        has_arrived=row.set_at is not None and last is not None and last > row.set_at,
    )


_SAME = set(ManagedItem.__struct_fields__) & set(AdoptedRow.__struct_fields__) - {"certificate"}


def ours_of(registrar: Registrar, access: Access, request: AnyRequest) -> str:
    """Return our address that terminals are given, up to the token."""
    return registrar.base(asked_at=access.base_url(request))


def adopted_item(row: Adoption) -> AdoptionItem:
    """Shape an adoption of many for a reply."""
    return AdoptionItem(
        id=row.id,
        created_at=row.created_at,
        created_by=row.created_by,
        finished_at=row.finished_at,
        total=sum(row.counts.values()),
        waiting=row.counts.get("waiting", 0) + row.counts.get("trying", 0),
        adopted=row.counts.get("adopted", 0),
        failed=row.counts.get("failed", 0),
    )


def _row_item(row: AdoptionRow) -> AdoptionRowItem:
    return AdoptionRowItem(**{name: getattr(row, name) for name in AdoptionRowItem.__struct_fields__})


def _known(terminal_id: int) -> int:
    if not 0 < terminal_id <= MAX_ID:
        raise NotFoundException("there is no such terminal")
    return terminal_id


async def _note(access: Access, request: AnyRequest, action: str, row: AdoptedRow, **detail: object) -> None:
    detail = {"serial": row.serial, "address": row.address, **detail}
    await asyncio.to_thread(access.note, request, action, str(row.terminal_id), **detail)


class FleetController(Controller):
    path = "/api/v1/fleet"
    tags = ("fleet",)

    @get(opt=ADMIN | EVERY_SITE, sync_to_thread=True, summary="List adopted terminals")
    def list_managed(self, fleet: TheFleet, cursor: FromQuery[str | None] = None) -> Listing[ManagedItem]:
        page = read(
            lambda: paged(
                fleet.adopted.all(),
                lambda row: weight(row.name, row.site, row.reason, row.said, row.shown, row=1024),
                order="fleet",
                place=lambda row: row.terminal_id,
                cursor=cursor,
            )
        )
        heard = fleet.around.heard
        return Listing([managed_item(row, heard) for row in page.items], page.next_cursor)

    @post("/look", opt=ADMIN | EVERY_SITE, status_code=200, summary="Look who is at an address")
    async def look(self, data: JSONBody[LookOrder], fleet: TheFleet) -> SeenItem:
        """Ask a terminal who it is. No password is sent, and nothing is stored."""
        seen = await fleet.look(data.address)
        return SeenItem(
            address=checked_address(data.address),
            serial=seen.serial,
            model=seen.model,
            certificate=None if seen.pin is None else seen.pin.hex(),
            clock_error_s=seen.clock_error_s,
        )

    @post("/adopt", opt=ADMIN | EVERY_SITE, summary="Adopt a terminal")
    async def adopt(
        self,
        request: AnyRequest,
        data: JSONBody[AdoptOne],
        fleet: TheFleet,
        access: TheAccess,
        registrar: TheRegistrar,
    ) -> ManagedItem:
        """Log in to its service, keep where it pushes to, and give it an address of its own here.

        The password is sent once, and only to the terminal that was looked at. The terminal is approved.
        """
        order = Order(
            address=data.address,
            username=data.username,
            password=data.password,
            ours=ours_of(registrar, access, request),
            by=request.user.name,
            serial=data.serial,
            certificate=None if data.certificate is None else bytes.fromhex(data.certificate),
            name=data.name,
            site_id=data.site_id,
        )
        with answering():
            row = await fleet.adopt(order)
        await _note(access, request, "fleet.adopted", row)
        return managed_item(await fleet.verify(row.terminal_id), fleet.around.heard)

    @get("/{terminal_id:int}", opt=ADMIN | EVERY_SITE, summary="Show an adopted terminal")
    async def show(self, terminal_id: FromPath[int], fleet: TheFleet) -> ManagedItem:
        return managed_item(await fleet.one(_known(terminal_id)), fleet.around.heard)

    @post(
        "/{terminal_id:int}/verify",
        opt=ADMIN | EVERY_SITE,
        status_code=200,
        summary="Look at a terminal now",
    )
    async def verify(
        self, request: AnyRequest, terminal_id: FromPath[int], fleet: TheFleet, access: TheAccess
    ) -> ManagedItem:
        """Read where it pushes to, and set that again if it differs. One that is stopped is resumed, not verified."""
        row = await fleet.verify(_known(terminal_id))
        await _note(access, request, "fleet.verified", row, found=row.found)
        return managed_item(row, fleet.around.heard)

    @post(
        "/{terminal_id:int}/resume",
        opt=ADMIN | EVERY_SITE,
        status_code=200,
        summary="Look at a stopped or contested terminal again",
    )
    async def resume(
        self, request: AnyRequest, terminal_id: FromPath[int], fleet: TheFleet, access: TheAccess
    ) -> ManagedItem:
        """Try the account that is kept once more. For another account or certificate adopt the terminal again."""
        row = await fleet.resume(_known(terminal_id))
        await _note(access, request, "fleet.resumed", row, found=row.found)
        return managed_item(row, fleet.around.heard)

    @post(
        "/{terminal_id:int}/release",
        opt=ADMIN | EVERY_SITE,
        status_code=200,
        summary="Manage a terminal no more",
    )
    async def release(
        self,
        request: AnyRequest,
        terminal_id: FromPath[int],
        data: JSONBody[ReleaseOrder],
        fleet: TheFleet,
        access: TheAccess,
    ) -> ManagedItem:
        """Forget its account. What it sent stays, and so does the terminal in the list."""
        row = await fleet.release(_known(terminal_id), give_back=data.give_back)
        await _note(access, request, "fleet.released", row, given_back=data.give_back)
        return managed_item(row, fleet.around.heard)

    @post("/adoptions", opt=ADMIN | EVERY_SITE, summary="Adopt many terminals")
    async def adopt_many(
        self,
        request: AnyRequest,
        data: JSONBody[AdoptMany],
        fleet: TheFleet,
        access: TheAccess,
        registrar: TheRegistrar,
    ) -> AdoptionItem:
        """Adopt them one after the other; each account is tried once, and forgotten if it fails."""
        rows = [
            ToAdopt(**{name: getattr(one, name) for name in ToAdopt.__struct_fields__})
            for one in data.terminals
        ]
        ours = ours_of(registrar, access, request)
        made = await fleet.many.order(rows, ours=ours, by=request.user.name)
        await asyncio.to_thread(
            access.note, request, "fleet.adoption_ordered", str(made.id), terminals=len(rows)
        )
        return adopted_item(made)

    @get("/adoptions", opt=ADMIN | EVERY_SITE, sync_to_thread=True, summary="List adoptions of many")
    def list_adoptions(self, fleet: TheFleet, cursor: FromQuery[str | None] = None) -> Listing[AdoptionItem]:
        """Return those that are kept, the latest first."""
        page = read(
            lambda: paged(
                fleet.many.adoptions.latest(),
                lambda row: weight(row.created_by, row=256),
                order="adoptions",
                place=lambda row: row.id,
                cursor=cursor,
            )
        )
        return Listing([adopted_item(row) for row in page.items], page.next_cursor)

    @get(
        "/adoptions/{adoption_id:int}",
        opt=ADMIN | EVERY_SITE,
        sync_to_thread=True,
        summary="Show an adoption",
    )
    def show_adoption(self, adoption_id: FromPath[int], fleet: TheFleet) -> AdoptionItem:
        return adopted_item(_one(fleet, adoption_id))

    @get(
        "/adoptions/{adoption_id:int}/rows",
        opt=ADMIN | EVERY_SITE,
        sync_to_thread=True,
        summary="List the terminals of an adoption",
    )
    def list_rows(
        self,
        adoption_id: FromPath[int],
        fleet: TheFleet,
        after: Annotated[int, QueryParameter(ge=0, le=1_000_000)] = 0,
        limit: Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT)] = 100,
    ) -> Listing[AdoptionRowItem]:
        """In the order in which they were given, those behind the number ``after``."""
        _one(fleet, adoption_id)
        rows = read(lambda: fleet.many.adoptions.rows(adoption_id, after=after, limit=limit))
        return Listing([_row_item(row) for row in rows], None)


def _one(fleet: Fleet, adoption_id: int) -> Adoption:
    row = fleet.many.adoptions.one(adoption_id) if 0 < adoption_id <= MAX_ID else None
    if row is None:
        raise NotFoundException("there is no such adoption")
    return row
