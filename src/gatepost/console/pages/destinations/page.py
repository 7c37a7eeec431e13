"""Show a destination: its page, and each step of setting it up. Shared by the pages that change it.

A form that cannot be is shown again with what was typed and with what is wrong, by the label of its field.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar.exceptions import ClientException, NotFoundException
from msgspec import Struct

from gatepost.console.desk import Desk, Html, View, zone_of
from gatepost.console.input.filters import Filters
from gatepost.console.pages.destinations.choices import Options, shown_filter, shown_rules
from gatepost.console.pages.destinations.fields import (
    Field,
    address_fields,
    first_secret,
    how_fields,
    service_of,
    values_of,
)
from gatepost.console.words import Words
from gatepost.errors import SettingsError
from gatepost.forward.admin import secret_names
from gatepost.forward.forwarder.renderer import mark_of
from gatepost.forward.forwarding import Forwarding
from gatepost.forward.options.destination import Destination, decode
from gatepost.forward.options.notify import NotifyOptions
from gatepost.forward.options.secrets import decode_secrets
from gatepost.forward.sinks.notify.rules import Rules
from gatepost.forward.trial import Example, Trial
from gatepost.receiver.api.access.authorization import AnyRequest
from gatepost.receiver.api.destinations.asking import asked, one
from gatepost.receiver.api.destinations.replies import ledger, told_by
from gatepost.receiver.api.events.images import note_original
from gatepost.receiver.api.shapes import answering, read
from gatepost.receiver.people_rules import rules_of
from gatepost.store.forwarding.destinations import DestinationRow
from gatepost.store.people.marked import who_is_marked

__all__ = ["STEPS", "Shown", "ledger_of", "page", "problem_of", "setup_page", "steps_of", "tag_of"]

PAGE = 50
"""Dead letters on a page."""

ATTEMPTS = 20

REASONS = ("deleted by retention", "older than max_age_s", "by a person")
"""Why events are dropped, in the order of the words ``destinations.why_0`` and so on."""

_UNREADABLE = "is wrong: Expected `str`"
"""How the decoder begins to say that a text is not as it has to be."""

STEPS = ("filter", "rules", "how", "test")
"""The steps after a destination was made; each kind has its own of them."""

_TAGS = {
    "running": "online",
    "waiting": "late",
    "paused": "held",
    "closed": "offline",
    "broken": "offline",
    "finished": "passed",
}
"""How each state is coloured: as something else is that is as good or bad."""


class Shown(Struct, frozen=True, kw_only=True):
    """Hold what a page of a destination shows besides what is stored."""

    problem: str | None = None
    wrong: str | None = None
    """The field that is wrong."""
    version: str = ""
    """Of what the form was opened with; empty: of what is stored."""
    values: Mapping[str, Any] = {}
    """The typed values, by the names of fields."""
    filter: Mapping[str, Any] | None = None
    rules: Mapping[str, Any] | None = None
    more_rules: int = 0
    """Empty rules to fill in, besides the first one where there is none."""
    example: Example | None = None
    is_preview: bool = False
    secret: str | None = None
    trial: Trial | None = None
    mistyped: bool = False


AS_STORED = Shown()


def tag_of(state: str) -> str:
    """Return the class of the tag of a state."""
    return _TAGS[state]


def ledger_of(forwarding: Forwarding, row: DestinationRow, now: datetime) -> dict[str, Any]:
    """Return the ledger of a destination, and how it stands. Blocks."""
    return ledger(forwarding.destinations, row, forwarding.standing(row), now=now)


def steps_of(kind: str) -> tuple[str, ...]:
    """Return the steps of setting up a destination once it was made."""
    return ("rules", "test") if kind == "notify" else ("filter", "how", "test")


def problem_of(words: Words, error: Exception, service: str, fields: Iterable[Field] = ()) -> str:
    """Return what is wrong in words, with the label of the field where there is one."""
    if not isinstance(error, SettingsError):
        return words.why(error.detail if isinstance(error, ClientException) else str(error))
    name, known = field_of(error), {field.name for field in fields}
    while "." in name and not words.has(key_of(name)) and name not in known:
        name = name.rpartition(".")[0]  # a part of what the form shows as one
    plain = f"destinations.{name}"
    label = words(plain) if words.has(plain) else error.setting
    if name in known or words.has(key_of(name)):
        label = label_of(words, name, service)
    why = error.why
    if why.startswith(_UNREADABLE):  # a pattern is no help to a person
        why = words("destinations.wrong_form")
    return words("destinations.wrong", field=label, why=words.why(why))


def field_of(error: Exception) -> str:
    """Return the name of the field that an error is about."""
    name = error.setting.partition("[")[0] if isinstance(error, SettingsError) else ""
    if name.startswith("secrets.headers"):
        return "secrets.header"
    return "secrets.signing" if name == "secret" else name


def key_of(name: str) -> str:
    """Return the key of the label of a field."""
    return f"destinations.field_{name.replace('.', '_')}"


def label_of(words: Words, name: str, service: str) -> str:
    """Return the label of a field: what it is at this service."""
    key = key_of(name)
    own = f"{key}_{service}"
    return words(own if words.has(own) else key)


def hint_of(words: Words, name: str, service: str) -> str | None:
    """Return what else there is to say of a field."""
    stem = f"destinations.hint_{name.replace('.', '_')}"
    key = next((key for key in (f"{stem}_{service}", stem) if words.has(key)), None)
    return words(key) if key else None


def form_frame(view: View, service: str) -> dict[str, Any]:
    """Return what the fields of a form are shown with."""
    terminals = Filters(view, ("terminal",)).terminal_options()
    return {
        "service": service,
        "label_of": lambda name: label_of(view.words, name, service),
        "hint_of": lambda name: hint_of(view.words, name, service),
        "options": Options(view.words.language, view.store.sites(), terminals),
    }


def page(
    desk: Desk, request: AnyRequest, forwarding: Forwarding, which: int, shown: Shown = AS_STORED
) -> Html:
    """Return the page of a destination. Blocks."""
    view, row = desk.view(request), one(forwarding, which)
    if row.replay_of is not None:
        return view.go(f"/destinations/{row.replay_of}")
    now, destinations = datetime.fromtimestamp(desk.now(), UTC), forwarding.destinations
    dead = read(
        lambda: destinations.exceptions_page(row.id, dead=True, limit=PAGE, cursor=view.query.get("cursor"))
    )
    replays = [each for each in destinations.all() if each.replay_of == row.id]
    return view.page(
        "destination.html",
        status=200 if shown.problem is None else 400,
        **_common(view, row, shown),
        ledger=ledger_of(forwarding, row, now),
        minutes=forwarding.rates.of(row.id),
        tag_of=tag_of,
        attempts=[
            (datetime.fromtimestamp(each.at_ms / 1000, UTC), each)
            for each in destinations.attempts(row.id, ATTEMPTS)
        ],
        dead=[(each, _at(each.dead_at_ms)) for each in dead.items],
        next=dead.next_cursor,
        replays=[(each, ledger_of(forwarding, each, now)) for each in replays],
        zone=zone_of(view.store),
        reasons={
            "filtered": [(view.words.why(why), events) for why, events in sorted(row.left_out_why.items())],
            "dropped": [(_reason(view.words, why), events) for why, events in row.dropped_why.items()],
        },
    )


def setup_page(
    desk: Desk, request: AnyRequest, forwarding: Forwarding, which: int, step: str, shown: Shown = AS_STORED
) -> Html:
    """Return a step of setting up a destination. Blocks."""
    view, row = desk.view(request), one(forwarding, which)
    steps = steps_of(row.kind)
    if row.replay_of is not None or step not in steps:
        raise NotFoundException("there is no such step")
    if step == "test":
        shown = _with_latest(desk, request, forwarding, row, shown)
    return view.page(
        "destination_setup.html",
        status=200 if shown.problem is None else 400,
        **_common(view, row, shown),
        step=step,
        steps=("kind", "address", *steps),
        before=steps[steps.index(step) - 1] if steps.index(step) else None,
    )


def _common(view: View, row: DestinationRow, shown: Shown) -> dict[str, Any]:
    told, kept = told_by(row), decode_secrets(row.secrets)
    service = service_of(told)
    return {
        **form_frame(view, service),
        "active": "destinations",
        "row": row,
        "told": told,
        "shown": shown,
        "values": {**values_of(told), "name": row.name, **shown.values},
        "chosen": shown.filter or shown_filter(told),
        "telling": shown.rules or shown_rules(told),
        "address": address_fields(service, is_new=False),
        "how": how_fields(told.kind),
        "secrets": _set(secret_names(kept)),
        "first_secret": first_secret(told),
    }


def _set(names: Iterable[str]) -> set[str]:
    """Return the names of the fields of secrets that there are."""
    return {f"secrets.{'header' if name == 'headers.Authorization' else name}" for name in names}


def _reason(words: Words, why: str) -> str:
    return words(f"destinations.why_{REASONS.index(why)}") if why in REASONS else why


def _at(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)


def _latest(desk: Desk, request: AnyRequest, forwarding: Forwarding, told: Destination) -> Example | None:
    """Return the latest event as it would be sent. That an original is looked at, the audit log says."""
    with answering():
        found = forwarding.example(told)
    if found is not None and told.kind == "notify":
        return _message(desk, told, found)
    if found is not None and told.shape == "push":
        note_original(request, found.event_id)
    return found


def _message(desk: Desk, told: Destination, found: Example) -> Example | None:
    """Return what people would be told of an event, or why they would not."""
    kind: Any = found.id.partition("-")[0]
    row = desk.whole.forwarded_again(kind, [found.event_id]).get(found.event_id)
    if row is None:  # it was deleted meanwhile
        return None
    marked = who_is_marked(desk.whole, rules_of(desk.settings), int(desk.now() * 1000))
    decision = Rules(told.notify or NotifyOptions()).decide([row], 0, [mark_of(row, marked)])
    said = "\n".join((decision.title, *decision.lines)) if decision.lines else f"({decision.left_out[0]})"
    return msgspec.structs.replace(found, body=said, content_type="text/plain")


def _with_latest(
    desk: Desk, request: AnyRequest, forwarding: Forwarding, row: DestinationRow, shown: Shown
) -> Shown:
    try:
        found = _latest(desk, request, forwarding, told_by(row))
    except SettingsError as error:
        why = shown.problem or problem_of(desk.view(request).words, error, row.kind)
        return msgspec.structs.replace(shown, problem=why)
    return msgspec.structs.replace(shown, example=found, is_preview=True)


async def preview(
    desk: Desk, request: AnyRequest, forwarding: Forwarding, row: DestinationRow, config: Mapping[str, Any]
) -> Example | None:
    """Return the latest event as it would be sent with what was typed.

    Raises :class:`~gatepost.errors.SettingsError`.
    """
    told = decode({**msgspec.json.decode(row.config), **config})
    return await asyncio.to_thread(_latest, desk, request, forwarding, told)


async def asked_one(forwarding: Forwarding, which: int) -> DestinationRow:
    """Return a destination, or 404."""
    return await asked(lambda: one(forwarding, which))
