"""Serve ``/destinations``: where events are passed on to, how far each one is, and what to do about it.

A destination is made paused, so that what is sent to it can be chosen and tried before anything goes out. A secret that
was made is on the page that replies to the form, and on no other: so that is no redirect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Controller, get, post
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import FromPath, RawBody

from gatepost.console.desk import Desk, Html, TheDesk, zone_of
from gatepost.console.filters import Filters
from gatepost.console.forms import Form
from gatepost.errors import SettingsError
from gatepost.forward.admin import dead_letters, secret_names
from gatepost.forward.destination import KINDS, Destination, decode, decode_secrets
from gatepost.forward.forwarding import Forwarding
from gatepost.forward.trial import Example, Trial
from gatepost.receiver.api.authorization import ADMIN, EVERY_SITE, AnyRequest, TheAccess
from gatepost.receiver.api.destinations import TheForwarding, asked, host_of, ledger, moved, note, tested
from gatepost.receiver.api.images import note_original
from gatepost.receiver.api.shapes import MAX_ID, answering, read
from gatepost.store.local_days import zone
from gatepost.store.query.destinations import DestinationRow

__all__ = ["DestinationPages"]

PAGE = 50
"""Dead letters on a page."""

ATTEMPTS = 20

SHAPES = ("cloudevents", "flat", "push")

REASONS = ("deleted by retention", "older than max_age_s", "by a person")
"""Why events are dropped, in the order of the words ``destinations.why_0`` and so on."""

_TAGS = {
    "running": "online",
    "waiting": "late",
    "paused": "held",
    "closed": "offline",
    "broken": "offline",
    "finished": "passed",
}
"""How each state is coloured: as something else is that is as good or bad."""


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
            destinations=[(row, _ledger(forwarding, row, now), forwarding.rates.of(row.id)) for row in rows],
            tags=_TAGS,
        )

    @get("/new", sync_to_thread=True)
    def new_destination(self, request: AnyRequest, desk: TheDesk) -> Html:
        return _new(desk, request)

    @post()
    async def create_destination(
        self, request: AnyRequest, body: RawBody, desk: TheDesk, access: TheAccess, forwarding: TheForwarding
    ) -> Html:
        form = Form(body)
        others = {"headers": {"Authorization": form.secret("header")}} if form.secret("header") else None
        try:
            row, made = await asked(
                lambda: forwarding.admin.create(
                    _name(form),
                    {"kind": form("kind") or "webhook", "url": form("url")},
                    secret=form.secret("secret") or None,
                    others=others,
                    enabled=False,
                )
            )
        except (SettingsError, ClientException) as error:
            why = _why(error)
            return await asyncio.to_thread(lambda: _new(desk, request, form=form, problem=why))
        await note(access, request, "destination.created", row, kind=row.kind, host=host_of(row))
        await forwarding.refresh()
        return await asyncio.to_thread(
            lambda: _page(desk, request, forwarding, row.id, secret=made, is_new=True)
        )

    @get("/{destination_id:int}", sync_to_thread=True)
    def show_destination(
        self, request: AnyRequest, destination_id: FromPath[int], desk: TheDesk, forwarding: TheForwarding
    ) -> Html:
        return _page(desk, request, forwarding, destination_id)

    @post("/{destination_id:int}/sent")
    async def choose_sent(
        self,
        request: AnyRequest,
        destination_id: FromPath[int],
        body: RawBody,
        desk: TheDesk,
        access: TheAccess,
        forwarding: TheForwarding,
    ) -> Html:
        """Save what is sent, or show the latest event so."""
        form = Form(body)
        row = await asked(lambda: _one(forwarding, destination_id))
        try:
            config = _chosen(decode(row.config), form)
            if form("preview"):
                return await asyncio.to_thread(_preview, desk, request, forwarding, row, config)
            await asked(lambda: forwarding.admin.change(row, config))
        except (SettingsError, ClientException) as error:
            return await _again(desk, request, forwarding, row, error)
        await note(access, request, "destination.changed", row, fields=sorted(config))
        await forwarding.refresh()
        return await _go(desk, request, row, "#sent")

    @post("/{destination_id:int}/address")
    async def change_address(
        self,
        request: AnyRequest,
        destination_id: FromPath[int],
        body: RawBody,
        desk: TheDesk,
        access: TheAccess,
        forwarding: TheForwarding,
    ) -> Html:
        form = Form(body)
        row = await asked(lambda: _one(forwarding, destination_id))
        others = None
        if form.secret("header"):
            kept = decode_secrets(row.secrets).headers
            others = {"headers": {**kept, "Authorization": form.secret("header")}}
        try:
            changed = await asked(
                lambda: forwarding.admin.change(row, {"url": form("url")}, name=_name(form), others=others)
            )
        except (SettingsError, ClientException) as error:
            return await _again(desk, request, forwarding, row, error)
        fields = ["name", "url", *(["secrets"] if others else [])]
        await note(access, request, "destination.changed", row, fields=fields, **moved(row, changed))
        await forwarding.refresh()
        return await _go(desk, request, row)

    @post("/{destination_id:int}/test")
    async def test(
        self,
        request: AnyRequest,
        destination_id: FromPath[int],
        desk: TheDesk,
        access: TheAccess,
        forwarding: TheForwarding,
    ) -> Html:
        row = await asked(lambda: _one(forwarding, destination_id))
        try:
            trial = await tested(request, access, forwarding, row)
        except SettingsError as error:
            return await _again(desk, request, forwarding, row, error)
        return await asyncio.to_thread(lambda: _page(desk, request, forwarding, row.id, trial=trial))

    @post("/{destination_id:int}/pause")
    async def pause(
        self,
        request: AnyRequest,
        destination_id: FromPath[int],
        desk: TheDesk,
        access: TheAccess,
        forwarding: TheForwarding,
    ) -> Html:
        row = await asked(lambda: _one(forwarding, destination_id))
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
        row = await asked(lambda: _one(forwarding, destination_id))
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
        row = await asked(lambda: _one(forwarding, destination_id))
        try:
            _, made = await asked(lambda: forwarding.admin.rotate(row, secret))
        except (SettingsError, ClientException) as error:
            return await _again(desk, request, forwarding, row, error)
        await note(access, request, "destination.rotated", row)
        await forwarding.refresh()
        if made is None:
            return await _go(desk, request, row)
        return await asyncio.to_thread(lambda: _page(desk, request, forwarding, row.id, secret=made))

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
        row = await asked(lambda: _one(forwarding, destination_id))
        try:
            since, until = await asyncio.to_thread(_span, desk, request, form)
            rate = float(form("rate")) if form("rate") else None
            made = await asked(lambda: forwarding.admin.replay(row, since, until, rate=rate))
        except (SettingsError, ClientException, ValueError) as error:
            return await _again(desk, request, forwarding, row, error)
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
        row = await asked(lambda: _one(forwarding, destination_id))
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
        row = await asked(lambda: _one(forwarding, destination_id))
        if row.replay_of is None and Form(body)("typed") != row.name:
            return await asyncio.to_thread(lambda: _page(desk, request, forwarding, row.id, mistyped=True))
        await asked(lambda: forwarding.destinations.delete(row.id))
        await note(access, request, "destination.deleted", row, **msgspec.structs.asdict(row.ledger))
        await forwarding.refresh()
        where = "/destinations" if row.replay_of is None else f"/destinations/{row.replay_of}"
        return await asyncio.to_thread(lambda: desk.view(request).go(where, done="deleted"))


def _one(forwarding: Forwarding, which: int) -> DestinationRow:
    row = forwarding.destinations.one(which) if 0 < which <= MAX_ID else None
    if row is None:
        raise NotFoundException("there is no such destination")
    return row


def _ledger(forwarding: Forwarding, row: DestinationRow, now: datetime) -> dict[str, Any]:
    return ledger(forwarding.destinations, row, forwarding.standing(row), now=now)


def _new(desk: Desk, request: AnyRequest, *, form: Form | None = None, problem: str | None = None) -> Html:
    given: Callable[[str], str] = form or (lambda _: "")
    return desk.view(request).page(
        "destination_new.html",
        status=200 if problem is None else 400,
        active="destinations",
        kinds=[(kind, kind) for kind in KINDS],
        given={name: given(name) for name in ("name", "kind", "url")},
        problem=problem,
    )


def _page(
    desk: Desk,
    request: AnyRequest,
    forwarding: Forwarding,
    which: int,
    *,
    problem: str | None = None,
    secret: str | None = None,
    is_new: bool = False,
    trial: Trial | None = None,
    shown: tuple[Destination, Example | None] | None = None,
    mistyped: bool = False,
) -> Html:
    """Return the page of a destination; ``shown``: what would be sent, and the latest event so."""
    view, row = desk.view(request), _one(forwarding, which)
    if row.replay_of is not None:
        return view.go(f"/destinations/{row.replay_of}")
    now, destinations = datetime.fromtimestamp(desk.now(), UTC), forwarding.destinations
    item = _ledger(forwarding, row, now)
    try:
        told = decode(row.config)
    except SettingsError:
        told = Destination(kind=row.kind, url=str(msgspec.json.decode(row.config).get("url", "")))  # type: ignore[arg-type]  # as it is stored
    dead = read(
        lambda: destinations.exceptions_page(row.id, dead=True, limit=PAGE, cursor=view.query.get("cursor"))
    )
    replays = [each for each in destinations.all() if each.replay_of == row.id]
    terminals = Filters(view, ("terminal",)).terminal_options()
    return view.page(
        "destination.html",
        status=200 if problem is None else 400,
        active="destinations",
        row=row,
        ledger=item,
        tags=_TAGS,
        told=shown[0] if shown else told,
        example=shown[1] if shown else None,
        is_shown=shown is not None,
        shapes=[(shape, view.words(f"destinations.shape_{shape}")) for shape in SHAPES],
        terminals=terminals,
        known={value for _, options in terminals for value, _ in options},
        sites=[("", view.words("frame.any")), *((site.id, site.name) for site in view.store.sites())],
        secrets=secret_names(decode_secrets(row.secrets)),
        attempts=[
            (datetime.fromtimestamp(one.at_ms / 1000, UTC), one)
            for one in destinations.attempts(row.id, ATTEMPTS)
        ],
        dead=[(one, _at(one.dead_at_ms)) for one in dead.items],
        next=dead.next_cursor,
        replays=[(each, _ledger(forwarding, each, now)) for each in replays],
        zone=zone_of(view.store),
        reasons=[(_reason(view.words, why), events) for why, events in row.dropped_why.items()],
        problem=problem,
        secret=secret,
        is_new=is_new,
        trial=trial,
        mistyped=mistyped,
    )


def _reason(words: Any, why: str) -> str:
    return words(f"destinations.why_{REASONS.index(why)}") if why in REASONS else why


def _at(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)


def _preview(
    desk: Desk, request: AnyRequest, forwarding: Forwarding, row: DestinationRow, config: dict[str, Any]
) -> Html:
    told = decode({**msgspec.json.decode(row.config), **config})
    with answering():
        found = forwarding.example(told)
    if found is not None and told.shape == "push":
        note_original(request, found.event_id)
    return _page(desk, request, forwarding, row.id, shown=(told, found))


def _chosen(before: Destination, form: Form) -> dict[str, Any]:
    """Return what a form says about what is sent; filters that it does not have stay."""
    place = {
        "terminal": form("terminal") or None,
        "terminal_id": None,
        "site_id": int(form("site")) if form.numbers("site") else None,
        "site": None,
    }
    records = alarms = None
    if form.ticked("records"):
        passed = {"yes": True, "no": False}.get(form("passed"))
        kept = msgspec.to_builtins(before.filter.records) if before.filter.records else {}
        records = {**kept, **place, "passed": passed}
    if form.ticked("alarms"):
        kept = msgspec.to_builtins(before.filter.alarms) if before.filter.alarms else {}
        alarms = {**kept, **place}
    return {
        "filter": {"records": records, "alarms": alarms, "notices": before.filter.notices},
        "shape": form("shape") or before.shape,
        "images": form("images") or before.images,
    }


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


def _name(form: Form) -> str:
    name = form("name")[:64]
    if not name:
        raise ClientException("a name is needed")
    return name


def _why(error: Exception) -> str:
    if isinstance(error, SettingsError):
        return f"{error.setting}: {error.why}"
    return error.detail if isinstance(error, ClientException) else str(error)


async def _again(
    desk: Desk, request: AnyRequest, forwarding: Forwarding, row: DestinationRow, error: Exception
) -> Html:
    why = _why(error)
    return await asyncio.to_thread(lambda: _page(desk, request, forwarding, row.id, problem=why))


async def _go(desk: Desk, request: AnyRequest, row: DestinationRow, part: str = "") -> Html:
    which = row.replay_of or row.id
    return await asyncio.to_thread(lambda: desk.view(request).go(f"/destinations/{which}?done=saved{part}"))
