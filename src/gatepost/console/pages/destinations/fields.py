"""Define which fields the forms of a destination have, by the service it is at, and read them. Pure.

A field is named as what it sets: ``mqtt.topic`` of what the destination is told, ``secrets.password`` of its secrets. A
secret is never shown again: left empty, it stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args, get_type_hints

import msgspec
from msgspec import Struct

from gatepost.console.input.forms import Form
from gatepost.errors import SettingsError
from gatepost.forward.admin import secrets_of
from gatepost.forward.options.destination import Destination, KafkaOptions, MqttOptions, NatsOptions
from gatepost.forward.options.notify import NotifyOptions

__all__ = [
    "SERVICES",
    "Field",
    "address_fields",
    "address_of",
    "blank",
    "config_of",
    "first_secret",
    "how_fields",
    "secrets_in",
    "service_of",
    "typed",
    "values_of",
]

CHATS = ("dingtalk", "wecom", "feishu", "telegram", "slack", "teams", "discord")

SERVICES = ("webhook", "receiver", "mqtt", "nats", "kafka", "mail", *CHATS)
"""The choices for a new destination: its kind, or one of the services that tell people."""

Input = Literal["text", "password", "number", "check", "pick", "lines", "pem"]


class Field(Struct, frozen=True, kw_only=True):
    """Hold one field of a form."""

    name: str
    input: Input = "text"
    options: tuple[str, ...] = ()
    """Of ``pick``."""
    required: bool = False
    more: bool = False
    """It is folded away at first."""
    most: int = 256
    """Characters."""

    @property
    def is_secret(self) -> bool:
        return self.name.startswith("secrets.")


def _choices(told: type[Struct], name: str) -> tuple[str, ...]:
    """Return what a field can be, in the order in which its type has it."""
    return get_args(get_type_hints(told)[name])


_URL = Field(name="url", required=True, most=2048)
_HEADER = Field(name="secrets.header", input="password", most=4096, more=True)
_TLS = (
    Field(name="ca_file", most=1024, more=True),
    Field(name="secrets.client_certificate", input="pem", most=65536, more=True),
)
_USER = (
    Field(name="secrets.username", input="password", most=512),
    Field(name="secrets.password", input="password", most=512),
)
_TOKEN = Field(name="secrets.token", input="password", most=512)
_SIGNING = Field(name="secrets.signing", input="password", most=512)
_LANGUAGE = Field(name="notify.language", input="pick", options=_choices(NotifyOptions, "language"))


def _chat(service: str) -> tuple[Field, ...]:
    found = [msgspec.structs.replace(_TOKEN, required=True)]
    if service == "telegram":
        found.append(Field(name="notify.chat", required=True, most=64))
    if service in ("dingtalk", "feishu"):
        found.append(_SIGNING)
    return (*found, _LANGUAGE)


_ADDRESS: Mapping[str, tuple[Field, ...]] = {
    "webhook": (_URL, _SIGNING, _HEADER, Field(name="headers", input="lines", most=8192, more=True), *_TLS),
    "receiver": (_URL, _TOKEN, *_TLS),
    "mqtt": (
        _URL,
        *_USER,
        Field(name="mqtt.topic"),
        Field(name="mqtt.home_assistant", input="check"),
        Field(name="mqtt.discovery_prefix", most=64, more=True),
        *_TLS,
    ),
    "nats": (_URL, Field(name="nats.subject"), _TOKEN, *_USER, *_TLS),
    "kafka": (
        _URL,
        Field(name="kafka.topic", most=200),
        *_USER,
        Field(name="kafka.sasl", input="pick", options=_choices(KafkaOptions, "sasl"), more=True),
        *_TLS,
    ),
    "mail": (
        _URL,
        Field(name="notify.to", input="lines", required=True, most=16384),
        Field(name="notify.sender", required=True, most=254),
        *_USER,
        _LANGUAGE,
        Field(name="notify.plain", input="check", more=True),
        *_TLS,
    ),
    **{service: _chat(service) for service in CHATS},
}

_HOW = (
    Field(name="order", input="pick", options=_choices(Destination, "order")),
    Field(name="max_age_s", input="number"),
)


def address_fields(service: str, *, is_new: bool) -> tuple[Field, ...]:
    """Return the fields of address and secrets. The signing secret of a webhook is changed by rotation alone."""
    found = _ADDRESS[service]
    if is_new:
        return found
    found = tuple(
        msgspec.structs.replace(field, required=field.required and not field.is_secret) for field in found
    )
    return tuple(field for field in found if field.name != _SIGNING.name or service != "webhook")


def how_fields(kind: str) -> tuple[Field, ...]:
    """Return the fields of how events are sent; a receiver takes one shape, and people are told by rules."""
    if kind == "notify":
        return ()
    if kind == "receiver":
        return _HOW
    shape = Field(name="shape", input="pick", options=_choices(Destination, "shape"))
    images = Field(name="images", input="pick", options=_choices(Destination, "images"))
    link = Field(name="image_link_s", input="number", required=True)
    batch = (Field(name="batch", input="number", required=True),) if kind == "webhook" else ()
    return (shape, images, link, *batch, *_HOW)


def service_of(told: Destination) -> str:
    """Return at which service a destination is."""
    if told.kind != "notify":
        return told.kind
    scheme = told.url.partition(":")[0]
    return "mail" if scheme.startswith("smtp") else scheme


def address_of(service: str, form: Form) -> dict[str, Any]:
    """Return kind and address that a form for a new destination names."""
    if service in CHATS:
        return {"kind": "notify", "url": f"{service}:"}
    return {"kind": "notify" if service == "mail" else service, "url": form("url")}


_OPTIONS: Mapping[str, type[Struct]] = {
    "mqtt": MqttOptions,
    "nats": NatsOptions,
    "kafka": KafkaOptions,
    "notify": NotifyOptions,
}


def values_of(told: Destination) -> dict[str, Any]:
    """Return what the fields show of a destination: texts, and truths of boxes."""
    found: dict[str, Any] = {}
    for name, value in msgspec.to_builtins(told).items():
        if name in _OPTIONS:
            options = value or msgspec.to_builtins(_OPTIONS[name]())
            found |= {f"{name}.{one}": _shown(what) for one, what in options.items()}
        else:
            found[name] = _shown(value)
    return found


def blank(service: str) -> dict[str, Any]:
    """Return what the fields of a new destination show."""
    found: dict[str, Any] = {"url": ""}
    for name, options in _OPTIONS.items():
        values = msgspec.to_builtins(options())
        found |= {f"{name}.{one}": _shown(what) for one, what in values.items()}
    return found


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return "\n".join(f"{name}: {what}" for name, what in value.items())
    if isinstance(value, (list, tuple)):
        return "\n".join(map(str, value))
    if isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def typed(form: Form, fields: Iterable[Field]) -> dict[str, Any]:
    """Return what was typed, to be shown again; secrets are left out."""
    return {
        field.name: form.ticked(field.name) if field.input == "check" else form(field.name)
        for field in fields
        if not field.is_secret
    }


def config_of(before: Mapping[str, Any], form: Form, fields: Iterable[Field]) -> dict[str, Any]:
    """Return what a form says of a destination, with the options that it does not have.

    Raises :class:`~gatepost.errors.SettingsError`.
    """
    found: dict[str, Any] = {}
    for field in fields:
        if field.is_secret:
            continue
        group, _, name = field.name.rpartition(".")
        into = found
        if group:
            into = found.setdefault(group, dict(before.get(group) or {}))
        value = _value(field, form)
        if value is None and (group or field.input == "pick"):
            into.pop(name, None)  # its default
        else:
            into[name] = value
    return found


def _value(field: Field, form: Form) -> Any:
    if field.input == "check":
        return form.ticked(field.name)
    text = form(field.name)
    if field.name == "headers":
        return dict(_header(line) for line in text.splitlines() if line.strip())
    if field.input == "lines":
        return [one for one in re.split(r"[\s,;，；]+", text) if one]
    if field.input == "number" and (text or field.required):
        return _number(field.name, text)
    return text if text or field.required else None


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon:
        raise SettingsError("headers", "has a line without a colon; write each as Name: value")
    return name.strip(), value.strip()


def _number(name: str, text: str) -> int | float:
    try:
        found = float(text)
    except ValueError:
        raise SettingsError(name, "must be a number") from None
    return int(found) if found.is_integer() else found


def secrets_in(form: Form, fields: Iterable[Field], headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the secrets that were typed, and those that are to be forgotten as empty.

    ``headers``: the secret ones that there are.
    """
    found: dict[str, Any] = {}
    forgotten = form.many("forget")
    for field in fields:
        if not field.is_secret:
            continue
        name, value = field.name.removeprefix("secrets."), form.secret(field.name)
        if field.input == "pem":
            value = value.replace("\r\n", "\n").strip()
        if not value and field.name not in forgotten:
            continue
        if name == "header":
            kept = {one: what for one, what in headers.items() if one != "Authorization"}
            found["headers"] = kept | ({"Authorization": value} if value else {})
        else:
            found[name] = value or ([] if name == "signing" else "")
    return found


def first_secret(told: Destination) -> str:
    """Return the name of the field of the secret that rotation replaces."""
    return f"secrets.{secrets_of(told)[0]}"
