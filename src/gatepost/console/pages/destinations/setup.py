"""Serve ``/destinations/new`` and what follows it: a destination is made step by step, and changed in the same fields.

Kind → address and secrets → which events → how they are sent, or of what people are told → a test and the latest event
as it would be sent. It is made with its address, paused: nothing goes out before the last step, and a secret is in one
request alone. Each step is a page and a form, so that none needs a script.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Controller, get, post
from litestar.exceptions import ClientException
from litestar.params import FromPath, RawBody

from gatepost.console.desk import Desk, Html, TheDesk
from gatepost.console.input.forms import VERSION, Form
from gatepost.console.pages.destinations.choices import filter_of, rules_of, telling_of
from gatepost.console.pages.destinations.fields import (
    SERVICES,
    Field,
    address_fields,
    address_of,
    blank,
    config_of,
    how_fields,
    secrets_in,
    service_of,
    typed,
)
from gatepost.console.pages.destinations.page import (
    STEPS,
    Shown,
    asked_one,
    field_of,
    form_frame,
    page,
    preview,
    problem_of,
    setup_page,
    steps_of,
)
from gatepost.errors import SettingsError
from gatepost.forward.forwarding import Forwarding
from gatepost.forward.options.secrets import decode_secrets
from gatepost.receiver.api.access.authorization import ADMIN, EVERY_SITE, AnyRequest, TheAccess
from gatepost.receiver.api.destinations.asking import TheForwarding, asked, change_destination
from gatepost.receiver.api.destinations.audit import host_of, moved, note
from gatepost.receiver.api.destinations.replies import told_by
from gatepost.receiver.api.versions import ChangedByAnother
from gatepost.store.forwarding.destinations import DestinationRow

__all__ = ["DestinationSetup"]

_NAME = Field(name="name", required=True, most=64)


class DestinationSetup(Controller):
    """``/destinations/new``, the steps after it, and the forms of what a destination is told."""

    path = "/destinations"
    opt = ADMIN | EVERY_SITE

    @get("/new", sync_to_thread=True)
    def new_destination(self, request: AnyRequest, desk: TheDesk) -> Html:
        """Let a kind be chosen, and ask for what it needs."""
        return _new(desk, request, request.query_params.get("kind", ""))

    @post()
    async def create_destination(
        self, request: AnyRequest, body: RawBody, desk: TheDesk, access: TheAccess, forwarding: TheForwarding
    ) -> Html:
        form = Form(body)
        service = form("kind")
        if service not in SERVICES:
            return await asyncio.to_thread(_new, desk, request, "")
        fields = address_fields(service, is_new=True)
        try:
            config = {**config_of({}, form, fields), **address_of(service, form)}
            others = secrets_in(form, fields, {})
            secret = others.pop("signing", None) if service == "webhook" else None
            row, made = await asked(
                lambda: forwarding.admin.create(
                    _name(form), config, secret=secret, others=others, enabled=False
                )
            )
        except (SettingsError, ClientException) as error:
            return await asyncio.to_thread(_new, desk, request, service, form, error)
        await note(access, request, "destination.created", row, kind=row.kind, host=host_of(row))
        await forwarding.refresh()
        step = steps_of(row.kind)[0]
        if made is None:
            return await asyncio.to_thread(
                lambda: desk.view(request).go(f"/destinations/{row.id}/setup/{step}")
            )
        return await asyncio.to_thread(
            setup_page, desk, request, forwarding, row.id, step, Shown(secret=made)
        )

    @get("/{destination_id:int}/setup/{step:str}", sync_to_thread=True)
    def show_step(
        self,
        request: AnyRequest,
        destination_id: FromPath[int],
        step: FromPath[str],
        desk: TheDesk,
        forwarding: TheForwarding,
    ) -> Html:
        return setup_page(desk, request, forwarding, destination_id, step)

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
        """Save the parts of what is sent that the form has, show the latest event so, or add an empty rule."""
        form = Form(body)
        row = await asked_one(forwarding, destination_id)
        if form("more"):
            return await _shown(desk, request, forwarding, row, form, Shown(more_rules=1))
        try:
            config = _chosen(row, form)
            if form("preview"):
                found = await preview(desk, request, forwarding, row, config)
                return await _shown(
                    desk, request, forwarding, row, form, Shown(example=found, is_preview=True)
                )
            new = await asked(
                lambda: change_destination(access, forwarding, row, config, versions=form.versions)
            )
        except (SettingsError, ClientException) as error:
            return await _wrong(desk, request, forwarding, row, form, error, how_fields(row.kind))
        await note(
            access, request, "destination.changed", new or row, fields=sorted(config), **moved(row, new)
        )
        await forwarding.refresh()
        return await _go(desk, request, row, form, "#sent")

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
        """Save name, address, and the secrets that were typed; those that were not stay."""
        form = Form(body)
        row = await asked_one(forwarding, destination_id)
        fields = address_fields(service_of(told_by(row)), is_new=False)
        try:
            config = config_of(msgspec.json.decode(row.config), form, fields)
            others = secrets_in(form, fields, decode_secrets(row.secrets).headers)
            name = _name(form)
            new = await asked(
                lambda: change_destination(
                    access,
                    forwarding,
                    row,
                    config,
                    name=name,
                    others=others or None,
                    versions=form.versions,
                )
            )
        except (SettingsError, ClientException) as error:
            return await _wrong(desk, request, forwarding, row, form, error, fields)
        changed = sorted(["name", *config, *(["secrets"] if others else [])])
        await note(access, request, "destination.changed", new or row, fields=changed, **moved(row, new))
        await forwarding.refresh()
        return await _go(desk, request, row, form, "#address")


def _new(
    desk: Desk, request: AnyRequest, service: str, form: Form | None = None, error: Exception | None = None
) -> Html:
    """Return the kinds to choose from, or the form of one."""
    view = desk.view(request)
    if service not in SERVICES:
        return view.page(
            "destination_new.html",
            active="destinations",
            service=None,
            services=SERVICES,
            steps=("kind", "address", *steps_of("webhook")),
            step="kind",
        )
    fields = address_fields(service, is_new=True)
    values = {**blank(service), "name": ""}
    if form is not None:
        values |= typed(form, (_NAME, *fields))
    kind = address_of(service, Form(b""))["kind"]
    return view.page(
        "destination_new.html",
        status=200 if error is None else 400,
        active="destinations",
        **form_frame(view, service),
        fields=fields,
        values=values,
        secrets=frozenset(),
        problem=None if error is None else problem_of(view.words, error, service, (_NAME, *fields)),
        wrong=None if error is None else field_of(error),
        steps=("kind", "address", *steps_of(kind)),
        step="address",
    )


def _chosen(row: DestinationRow, form: Form) -> dict[str, Any]:
    """Return what a form says about what is sent; of parts that it does not have nothing."""
    told, parts = told_by(row), form.many("part")
    found: dict[str, Any] = {}
    if "filter" in parts:
        found["filter"] = filter_of(told, form)
    if "rules" in parts:
        found |= telling_of(told, form)
    if "how" in parts:
        found |= config_of({}, form, how_fields(row.kind))
    return found


async def _shown(
    desk: Desk, request: AnyRequest, forwarding: Forwarding, row: DestinationRow, form: Form, shown: Shown
) -> Html:
    """Show a form again with what was typed: the step that it is of, or the page."""
    parts = form.many("part")
    values: Mapping[str, Any] = {**shown.values}
    if "how" in parts:
        values = {**values, **typed(form, how_fields(row.kind))}
    shown = msgspec.structs.replace(
        shown,
        version=shown.version or form(VERSION),
        values=values,
        filter=filter_of(told_by(row), form) if "filter" in parts else None,
        rules=rules_of(form) if "rules" in parts else None,
    )
    step = form("step")
    if step in STEPS:
        return await asyncio.to_thread(setup_page, desk, request, forwarding, row.id, step, shown)
    return await asyncio.to_thread(page, desk, request, forwarding, row.id, shown)


async def _wrong(
    desk: Desk,
    request: AnyRequest,
    forwarding: Forwarding,
    row: DestinationRow,
    form: Form,
    error: Exception,
    fields: tuple[Field, ...],
) -> Html:
    view = desk.view(request)
    is_changed = isinstance(error, ChangedByAnother)
    problem = view.why(error, "") if is_changed else ""
    shown = Shown(
        problem=problem or problem_of(view.words, error, service_of(told_by(row)), (_NAME, *fields)),
        version=row.version if is_changed else "",
        wrong=field_of(error),
        values=typed(form, (_NAME, *fields)) if not form.many("part") else {},
    )
    return await _shown(desk, request, forwarding, row, form, shown)


async def _go(desk: Desk, request: AnyRequest, row: DestinationRow, form: Form, part: str) -> Html:
    """Go to the next step, or back to the page."""
    steps, step = steps_of(row.kind), form("step")
    where = f"/destinations/{row.id}?done=saved{part}"
    if step in steps[:-1]:
        where = f"/destinations/{row.id}/setup/{steps[steps.index(step) + 1]}"
    return await asyncio.to_thread(lambda: desk.view(request).go(where))


def _name(form: Form) -> str:
    name = form("name")[:64]
    if not name:
        raise ClientException("a name is needed")
    return name
