"""The settings of a destination: kind, address, filter, shape, order and limits. Pure.

They are stored and shown as JSON with the names below. Secrets are separate: they are stored outside of backups, and
never shown. A wrong value raises :class:`~gatepost.errors.SettingsError`, which names the field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from gatepost.errors import SettingsError
from gatepost.forward.options.filters import Filter
from gatepost.forward.options.notify import NotifyOptions, check_notify, with_notices
from gatepost.forward.options.reading import MAX_HEADERS, check_headers, read_as
from gatepost.forward.options.secrets import Secrets
from gatepost.forward.options.templates import check_template

__all__ = [
    "KINDS",
    "Destination",
    "KafkaOptions",
    "Kind",
    "MqttOptions",
    "NatsOptions",
    "Shape",
    "decode",
    "encode",
]

Kind = Literal["webhook", "mqtt", "nats", "kafka", "receiver", "notify"]

Shape = Literal["cloudevents", "flat", "push"]

KINDS: Mapping[str, frozenset[str]] = {
    "webhook": frozenset({"http", "https"}),
    "receiver": frozenset({"http", "https"}),
    "mqtt": frozenset({"mqtt", "mqtts"}),
    "nats": frozenset({"nats", "tls"}),
    "kafka": frozenset({"kafka", "kafkas"}),
    "notify": frozenset(
        {"smtp", "smtps", "dingtalk", "wecom", "feishu", "telegram", "slack", "teams", "discord"}
    ),
}
"""Schemes of the address, by kind."""

BURST = 64
"""Events in one message to people, at most."""

_OPTIONS = ("mqtt", "nats", "kafka", "notify")
"""Fields that only the kind with the same name has."""

_BATCHES = frozenset({"webhook", "notify"})
"""Kinds with several events per request."""


class MqttOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hold the options of a destination of kind ``mqtt``."""

    topic: Annotated[str, Meta(min_length=1, max_length=256)] = "gatepost/{terminal}/{kind}"
    """``{terminal}``, ``{site}``, ``{kind}`` (``record`` or ``alarm``) and ``{id}`` are filled in."""
    home_assistant: bool = False
    """Make the terminals known to Home Assistant, by its discovery."""
    discovery_prefix: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_/-]+$")] = (
        "homeassistant"
    )
    """As it is set in Home Assistant."""


class NatsOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hold the options of a destination of kind ``nats``."""

    subject: Annotated[str, Meta(min_length=1, max_length=256)] = "gatepost.{terminal}.{kind}"
    """With the fields of the topic of MQTT. A stream has to take it."""


class KafkaOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where in Kafka events are published."""

    topic: Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._{}-]+$")] = "gatepost"
    """With the fields of the topic of MQTT; what a topic cannot have becomes ``_``."""
    sasl: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    """How user name and password are shown, where there are any."""


class Destination(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hold what a destination is told."""

    kind: Kind
    url: Annotated[str, Meta(min_length=1, max_length=2048)]
    filter: Filter = Filter()
    shape: Shape = "cloudevents"
    order: Literal["none", "terminal"] = "none"
    """``terminal``: events of one terminal leave one after the other, also where one is refused."""
    images: Literal["none", "inline", "link"] = "none"
    """``inline``: in base64; ``link``: an address of this receiver, which needs no login."""
    image_link_s: Annotated[float, Meta(ge=60, le=7 * 86400)] = 86400.0
    """Seconds for which a link to an image may be opened, from when it is sent."""
    max_age_s: Annotated[float, Meta(gt=0, le=10 * 366 * 86400)] | None = None
    """An event that happened longer ago is dropped and not sent, also where it was received only now."""
    in_flight: Annotated[int, Meta(ge=1, le=64)] = 8
    """How many requests may be under way at once."""
    batch: Annotated[int, Meta(ge=1, le=64)] = 1
    """How many events a request may have."""
    timeout_s: Annotated[float, Meta(ge=1, le=300)] = 30.0
    """For an attempt in all."""
    max_refusals: Annotated[int, Meta(ge=1, le=1000)] = 10
    """After how many refusals an event may become a dead letter."""
    headers: Annotated[dict[str, str], Meta(max_length=MAX_HEADERS)] = {}
    """Further headers of each request; what is secret belongs to the secrets."""
    ca_file: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None
    """Certificate authorities, PEM, that are trusted instead of the system's; a file on the receiver's machine."""
    mqtt: MqttOptions | None = None
    nats: NatsOptions | None = None
    kafka: KafkaOptions | None = None
    notify: NotifyOptions | None = None


def decode(text: bytes | Mapping[str, object]) -> Destination:
    """Read what a destination is told, as JSON or as values. Raises :class:`~gatepost.errors.SettingsError`."""
    found = read_as(text, Destination)
    if found.kind == "receiver":  # the push protocol has one shape
        found = replace(found, shape="push", images="inline")
    if found.kind == "notify":  # one message for a burst, and no two at once
        chosen = with_notices(found.filter, found.notify or NotifyOptions())
        found = replace(found, filter=chosen, shape="flat", images="none", in_flight=1, batch=BURST)
    _check_url(found)
    _check_options(found)
    check_headers("headers", found.headers)
    if found.batch > 1 and found.order == "terminal" and found.kind != "notify":
        raise SettingsError("batch", "must be 1 with order: terminal, where events leave one by one")
    if found.images == "link" and found.shape == "push":
        raise SettingsError("images", "cannot be link with the shape push, which has no place for it")
    if found.batch > 1 and found.shape == "push":
        raise SettingsError("batch", "must be 1 with the shape push, which is one event a request")
    return found


def encode(value: Destination | Secrets) -> bytes:
    """Return what is stored."""
    return msgspec.json.encode(value)


def _check_url(found: Destination) -> None:
    schemes = KINDS.get(found.kind)
    if schemes is None:
        raise SettingsError("kind", f"cannot be {found.kind} here; there are {', '.join(KINDS)}")
    try:
        parts = urlsplit(found.url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise SettingsError("url", "is no address") from None
    if parts.scheme not in schemes:
        raise SettingsError("url", f"must begin with {' or '.join(f'{one}://' for one in sorted(schemes))}")
    if found.kind == "notify" and not parts.scheme.startswith("smtp"):
        if found.url.rstrip("/") != f"{parts.scheme}:":
            raise SettingsError(
                "url", f"must be {parts.scheme}: alone; the service's address is the secret token"
            )
        return
    if not host or port == 0:
        raise SettingsError("url", "names no host; write it like https://HOST/PATH")
    if parts.username is not None or parts.password is not None:
        raise SettingsError("url", "has a user name or a password; give them as secrets")
    if parts.fragment or not found.url.isprintable() or " " in found.url:
        raise SettingsError("url", "must have neither a fragment nor blanks")


def _check_options(found: Destination) -> None:
    for kind in _OPTIONS:
        if kind != found.kind and getattr(found, kind) is not None:
            raise SettingsError(kind, f"is for destinations of kind {kind}; this one is of kind {found.kind}")
    if found.batch > 1 and found.kind not in _BATCHES:
        raise SettingsError("batch", f"must be 1 for destinations of kind {found.kind}")
    if found.kind == "mqtt":
        check_template("mqtt.topic", (found.mqtt or MqttOptions()).topic, "+#\0")
    if found.kind == "notify":
        check_notify(found.url, found.notify or NotifyOptions())
    if found.kind == "kafka":
        check_template("kafka.topic", (found.kafka or KafkaOptions()).topic, "/")
    if found.kind == "nats":
        subject = (found.nats or NatsOptions()).subject
        check_template("nats.subject", subject, "*> \t\r\n")
        if "" in subject.split("."):
            raise SettingsError("nats.subject", "has a dot without a name before or behind it")
