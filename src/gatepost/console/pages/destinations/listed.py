"""Serve ``/destinations``: where events are passed on to, how far each one is, and what to do about it.

How one is made and changed is in :mod:`gatepost.console.pages.destinations.setup`. A secret that was made is on the
page that replies to the form, and on no other: so that is no redirect.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec
from litestar import Controller, get, post
from litestar.exceptions import ClientException
from litestar.params import FromPath, RawBody

from gatepost.console.desk import Desk, Html, TheDesk, zone_of
from gatepost.console.input.forms import Form
from gatepost.console.pages.destinations.fields import service_of
from gatepost.console.pages.destinations.page import (
    STEPS,
    Shown,
    asked_one,
    ledger_of,
    page,
    problem_of,
    setup_page,
    tag_of,
)
from gatepost.errors import SettingsError
from gatepost.forward.admin import dead_letters
from gatepost.forward.forwarding import Forwarding
from gatepost.receiver.api.access.authorization import ADMIN, EVERY_SITE, AnyRequest, TheAccess
from gatepost.receiver.api.destinations.asking import TheForwarding, asked, tested
from gatepost.receiver.api.destinations.audit import note
from gatepost.receiver.api.destinations.replies import told_by
from gatepost.store.forwarding.destinations import DestinationRow
from gatepost.store.local_days import zone

__all__ = ["DestinationPages"]


class DestinationPages(Controller):
    """``/destinations``."""

    path = "/destinations"
    opt = ADMIN | EVERY_SITE

    @get(sync_to_thread=True)
    def list_destinations(self, request: AnyRequest, desk: TheDesk, forwarding: TheForwarding) -> Html:
        now = datetime.fromtimestamp(desk.now(), UTC)
        rows = forwarding.destinations.all(with_replays=False)
        return desk.view(request).page(
            "destinations.html",
            active="destinations",
            destinations=[
                (row, service_of(told_by(row)), ledger_of(forwarding, row, now), forwarding.rates.of(row.id))
                for row in rows
            ],
            tag_of=tag_of,
        )

    @get("/{destination_id:int}", sync_to_thread=True)
    def show_destination(
        self, request: AnyRequest, destination_id: FromPath[int], desk: TheDesk, forwarding: TheForwarding
    ) -> Html:
        return page(desk, request, forwarding, destination_id)

    @post("/{destination_id:int}/test")
    async def test(
        self,
        request: AnyRequest,
        destination_id: FromPath[int],
        body: RawBody,
        desk: TheDesk,
        access: TheAccess,
        forwarding: TheForwarding,
    ) -> Html:
        """Send a test event, and show what came of it where it was asked for: on the page, or in the last step."""
        row = await asked_one(forwarding, destination_id)
        step = Form(body)("step")
        try:
            shown = Shown(trial=await tested(request, access, forwarding, row))
        except SettingsError as error:
            words = desk.view(request).words
            shown = Shown(problem=problem_of(words, error, service_of(told_by(row))))
        if step in STEPS:
            return await asyncio.to_thread(setup_page, desk, request, forwarding, row.id, step, shown)
        return await asyncio.to_thread(page, desk, request, forwarding, row.id, shown)

    @post("/{destination_id:int}/pause")
    async def pause(
        self,
        request: AnyRequest,
        destination_id: FromPath[int],
        desk: TheDesk,
        access: TheAccess,
        forwarding: TheForwarding,
    ) -> Html:
        row = await asked_one(forwarding, destination_id)
        await asked(lambda: forwarding.admin.pause(row.id))
        await note(access, request, "destination.paused", row)
        await forwarding.refresh()
        return await _go(desk, request, row)

    @post("/{destination_id:int}/resume")
    async def resume(
        self,
        request: AnyRequest,
        destination_id: FromPath[int],
        desk: TheDesk,
        access: TheAccess,
        forwarding: TheForwarding,
    ) -> Html:
        row = await asked_one(forwarding, destination_id)
        await asked(lambda: forwarding.admin.resume(row.id))
        await note(access, request, "destination.resumed", row)
        await forwarding.refresh()
        return await _go(desk, request, row)

    @post("/{destination_id:int}/rotate")
    async def rotate(
        self,
        request: AnyRequest,
        destination_id: FromPath[int],
        body: RawBody,
        desk: TheDesk,
        access: TheAccess,
        forwarding: TheForwarding,
    ) -> Html:
        secret = Form(body).secret("secret") or None
        row = await asked_one(forwarding, destination_id)
        try:
            _, made = await asked(lambda: forwarding.admin.rotate(row, secret))
        except (SettingsError, ClientException) as error:
            return await _again(desk, request, forwarding, row, error)
        await note(access, request, "destination.rotated", row)
        await forwarding.refresh()
        if made is None:
            return await _go(desk, request, row)
        return await asyncio.to_thread(lambda: page(desk, request, forwarding, row.id, Shown(secret=made)))

    @post("/{destination_id:int}/replay")
    async def replay(
        self,
        request: AnyRequest,
        destination_id: FromPath[int],
        body: RawBody,
        desk: TheDesk,
        access: TheAccess,
        forwarding: TheForwarding,
    ) -> Html:
        form = Form(body)
        row = await asked_one(forwarding, destination_id)
        try:
            since, until = await asyncio.to_thread(_span, desk, request, form)
            rate = float(form("rate")) if form("rate") else None
            made = await asked(lambda: forwarding.admin.replay(row, since, until, rate=rate))
        except (SettingsError, ClientException, ValueError) as error:
            asked_for = {name: form(name) for name in ("since", "until", "rate")}
            return await _again(desk, request, forwarding, row, error, **asked_for)
        await note(
            access,
            request,
            "destination.replayed",
            row,
            since=since.isoformat(),
            until=until.isoformat(),
            events=made.ledger.waiting,
        )
        await forwarding.refresh()
        return await _go(desk, request, row, "#replays")

    @post("/{destination_id:int}/dead")
    async def decide_dead(
        self,
        request: AnyRequest,
        destination_id: FromPath[int],
        body: RawBody,
        desk: TheDesk,
        access: TheAccess,
        forwarding: TheForwarding,
    ) -> Html:
        """Retry or drop dead letters: those that were ticked, or all."""
        form = Form(body)
        row = await asked_one(forwarding, destination_id)
        what = form("do")
        if what not in ("retry", "drop", "retry_all", "drop_all"):
            raise ClientException("a dead letter is retried or dropped")
        is_all, events = what.endswith("_all"), form.numbers("events")
        if not is_all and not events:
            words = desk.view(request).words
            return await _again(
                desk, request, forwarding, row, ClientException(words("destinations.nothing_chosen"))
            )
        which = dead_letters(None if is_all else events, all_of_them=is_all)
        destinations = forwarding.destinations
        if what.startswith("retry"):
            done = await asked(lambda: destinations.retry_dead(row.id, which))
            await note(access, request, "destination.retried", row, events=done)
        else:
            done = await asked(lambda: destinations.drop_dead(row.id, which))
            await note(access, request, "destination.dropped", row, events=done)
        await forwarding.refresh()
        return await _go(desk, request, row, "#dead")

    @post("/{destination_id:int}/delete")
    async def delete_destination(
        self,
        request: AnyRequest,
        destination_id: FromPath[int],
        body: RawBody,
        desk: TheDesk,
        access: TheAccess,
        forwarding: TheForwarding,
    ) -> Html:
        """Delete a destination once its name has been typed; a replay is ended at once."""
        row = await asked_one(forwarding, destination_id)
        if row.replay_of is None and Form(body)("typed") != row.name:
            return await asyncio.to_thread(
                lambda: page(desk, request, forwarding, row.id, Shown(mistyped=True))
            )
        await asked(lambda: forwarding.destinations.delete(row.id))
        await note(access, request, "destination.deleted", row, **msgspec.structs.asdict(row.ledger))
        await forwarding.refresh()
        where = "/destinations" if row.replay_of is None else f"/destinations/{row.replay_of}"
        return await asyncio.to_thread(lambda: desk.view(request).go(where, done="deleted"))


def _span(desk: Desk, request: AnyRequest, form: Form) -> tuple[datetime, datetime]:
    view = desk.view(request)
    if not form("since"):
        raise ClientException(view.words("destinations.no_span"))
    here = zone(zone_of(view.store))
    now = datetime.fromtimestamp(desk.now(), UTC)
    since, until = (
        datetime.fromisoformat(text).replace(tzinfo=here) if text else now
        for text in (form("since"), form("until"))
    )
    return since, until


async def _again(
    desk: Desk,
    request: AnyRequest,
    forwarding: Forwarding,
    row: DestinationRow,
    error: Exception,
    **typed: str,
) -> Html:
    """Show the page again with what is wrong; ``typed``: what was typed, by the names of fields."""
    words = desk.view(request).words
    shown = Shown(problem=problem_of(words, error, service_of(told_by(row))), values=typed)
    return await asyncio.to_thread(page, desk, request, forwarding, row.id, shown)


async def _go(desk: Desk, request: AnyRequest, row: DestinationRow, part: str = "") -> Html:
    which = row.replay_of or row.id
    return await asyncio.to_thread(lambda: desk.view(request).go(f"/destinations/{which}?done=saved{part}"))
