"""Define what a destination is told: kind, address, filter, shape, order and limits. Pure.

It is stored and shown as JSON with the names below. Secrets are apart: they are stored where no backup has them, and
are never shown. What does not fit raises :class:`~gatepost.errors.SettingsError`, which names the field.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from string import Formatter
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from gatepost.errors import SettingsError
from gatepost.store.interface import (
    NOTICE_KINDS,
    Forwarded,
    Notice,
    NoticeKind,
    NoticeQuery,
    RecordQuery,
    SiteRow,
    StepQuery,
)

__all__ = [
    "KINDS",
    "Destination",
    "Filter",
    "KafkaOptions",
    "Kind",
    "MqttOptions",
    "NatsOptions",
    "NotifyOptions",
    "Quiet",
    "RecordFilter",
    "Rule",
    "Secret",
    "Secrets",
    "Shape",
    "StepFilter",
    "decode",
    "decode_secrets",
    "encode",
    "filled",
    "hide",
    "queries",
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
"""The schemes that the address of each kind may have."""

FIELDS = ("terminal", "site", "kind", "id")
"""The names that a template of a topic or subject may have in braces."""

BURST = 64
"""Events of which people are told in one message."""

_OPTIONS = ("mqtt", "nats", "kafka", "notify")
"""Fields that only the kind with the same name has."""

_BATCHES = frozenset({"webhook", "notify"})
"""Kinds of which a request can have several events."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
"""The name of a header: RFC 9110, section 5.6.2."""

_OURS = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "te", "trailer", "upgrade"}
)

MAX_HEADERS = 20

Mailbox = Annotated[str, Meta(max_length=254, pattern=r"^[^@\s<>,;:()]+@[^@\s<>,;:()]+\Z")]
Word = Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[^\x00]*$")]
Code = Annotated[int, Meta(ge=-(1 << 31), le=1 << 31)]
Id = Annotated[int, Meta(ge=1, le=(1 << 63) - 1)]


class _AtTerminal(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    terminal: Word | None = None
    """A serial, a name, or an id, as in the lists."""
    terminal_id: Id | None = None
    without_serial: bool = False
    site: Word | None = None
    site_id: Id | None = None


class RecordFilter(_AtTerminal, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which records: the filters of ``GET /api/v1/records``."""

    person: Word | None = None
    name: Word | None = None
    job_number: Word | None = None
    recognition_type: Code | None = None
    passed: bool | None = None
    abnormal_type: Code | None = None
    entry_mode: Code | None = None
    has_image: bool | None = None
    strangers: bool = False
    outside_time: bool = False
    q: Word | None = None


class StepFilter(_AtTerminal, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which steps of alarms: the filters of ``GET /api/v1/alarms``, asked of what each step reported."""

    code: Code | None = None
    state: Literal["open", "clear_failed", "cleared"] | None = None


class Filter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events a destination is sent; of a kind that is ``null`` none."""

    records: RecordFilter | None = RecordFilter()
    alarms: StepFilter | None = StepFilter()
    notices: tuple[NoticeKind, ...] | None = None
    """Notices, by kind: see ``GET /api/v1/notices``."""


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


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events people are told of. What is left empty chooses all."""

    event: Literal["alarm", "passage", "notice"]
    kinds: Annotated[tuple[NoticeKind, ...], Meta(max_length=100)] = ()
    """Of notices."""
    codes: Annotated[tuple[Code, ...], Meta(max_length=100)] = ()
    """Of alarms their code, of passages ``abnormal_type``."""
    states: tuple[Literal["open", "clear_failed", "cleared"], ...] = ()
    """Of alarms: what the step reported."""
    recognition_types: Annotated[tuple[Code, ...], Meta(max_length=20)] = ()
    passed: bool | None = None
    users: Annotated[tuple[Word, ...], Meta(max_length=1000)] = ()
    """A watch list: ``user_id`` of persons."""
    marked: bool = False
    """Only records of a person who is marked when the message is made."""
    terminals: Annotated[tuple[Word, ...], Meta(max_length=1000)] = ()
    """Serials, names or ids."""
    sites: Annotated[tuple[Word, ...], Meta(max_length=100)] = ()
    """Names."""
    person: Literal["none", "name", "all"] = "none"
    """How much the text says of a person: nothing, the name, or the numbers too."""


Hour = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class Quiet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hours in which people are told nothing, by the time at the terminal."""

    begin: Hour
    end: Hour
    alarms: bool = False
    """Of alarms and notices neither."""


class NotifyOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of what people are told, and how."""

    rules: Annotated[tuple[Rule, ...], Meta(min_length=1, max_length=100)] = (Rule(event="alarm"),)
    """The first that fits counts."""
    language: Literal["en", "zh"] = "en"
    quiet: Quiet | None = None
    repeat_s: Annotated[float, Meta(ge=0, le=86400)] = 300.0
    """The same is not told again within this time, unless it was over meanwhile."""
    gather_s: Annotated[float, Meta(ge=0, le=60)] = 2.0
    """For so long further events are waited for, which the same message tells of."""
    chat: Annotated[str, Meta(max_length=64)] = ""
    """The id of the chat, for Telegram."""
    to: Annotated[tuple[Mailbox, ...], Meta(max_length=50)] = ()
    sender: Mailbox | None = None
    plain: bool = False
    """Mail without TLS, to a server of your own that has none; then without a password too."""


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


HIDDEN = "***"
"""Stands for a secret in what a destination said."""

LEAST_SECRET = 4
"""Characters: what is shorter is no secret, and is not looked for in what a destination said."""


class Secret(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One signing secret."""

    value: Annotated[str, Meta(min_length=1, max_length=512)]
    until_ms: int | None = None
    """Until when it is valid, Unix milliseconds; ``None``: until it is replaced."""


class Secrets(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Hold what of a destination is not shown again."""

    signing: tuple[Secret, ...] = ()
    """The latest first."""
    headers: Annotated[dict[str, str], Meta(max_length=MAX_HEADERS)] = {}
    """Further headers, such as ``Authorization``."""
    username: str = ""
    password: str = ""
    token: str = ""
    client_certificate: str = ""
    """The certificate that is shown to the destination, with its key: PEM."""

    def signing_at(self, now_ms: int) -> list[str]:
        """Return the signing secrets that are valid, the latest first."""
        return [each.value for each in self.signing if each.until_ms is None or now_ms < each.until_ms]

    def values(self) -> list[str]:
        """Return what is hidden wherever it is said: every secret and its parts, the longest first."""
        values = {*self.headers.values(), self.password, self.token, self.client_certificate}
        values |= {each.value for each in self.signing}
        values |= {part for value in values for part in (*value.split(), value.removeprefix("whsec_"))}
        return sorted((value for value in values if len(value) >= LEAST_SECRET), key=len, reverse=True)


def hide(values: Sequence[str], text: str) -> str:
    """Return a text without these secrets, also where the last one is cut off."""
    for value in values if text else ():
        text = text.replace(value, HIDDEN)
        cut = next((n for n in range(len(value), LEAST_SECRET - 1, -1) if text.endswith(value[:n])), 0)
        text = text[: len(text) - cut] + HIDDEN * (cut > 0)
    return text


def decode(text: bytes | Mapping[str, Any]) -> Destination:
    """Read what a destination is told, as JSON or as values. Raises :class:`~gatepost.errors.SettingsError`."""
    found: Destination = _read(text, Destination)
    if found.kind == "receiver":  # the push protocol has one shape
        found = replace(found, shape="push", images="inline")
    if found.kind == "notify":  # one message for a burst, and no two at once
        chosen = _with_notices(found.filter, found.notify or NotifyOptions())
        found = replace(found, filter=chosen, shape="flat", images="none", in_flight=1, batch=BURST)
    _check_url(found)
    _check_options(found)
    _check_headers("headers", found.headers)
    if found.batch > 1 and found.order == "terminal" and found.kind != "notify":
        raise SettingsError("batch", "must be 1 with order: terminal, where events leave one by one")
    if found.images == "link" and found.shape == "push":
        raise SettingsError("images", "cannot be link with the shape push, which has no place for it")
    if found.batch > 1 and found.shape == "push":
        raise SettingsError("batch", "must be 1 with the shape push, which is one event a request")
    return found


def decode_secrets(text: bytes | Mapping[str, Any]) -> Secrets:
    """Read secrets; empty text stands for none. Raises :class:`~gatepost.errors.SettingsError`, which shows none."""
    found: Secrets = _read(text, Secrets) if text else Secrets()
    _check_headers("secrets.headers", found.headers)
    return found


def encode(value: Destination | Secrets) -> bytes:
    """Return what is stored."""
    return msgspec.json.encode(value)


def queries(
    chosen: Filter, sites: Iterable[SiteRow]
) -> tuple[RecordQuery | None, StepQuery | None, NoticeQuery]:
    """Return the questions to the store that choose as a filter does.

    Raises :class:`~gatepost.errors.SettingsError` where there is no such site.
    """
    known = list(sites)
    records, alarms = chosen.records, chosen.alarms
    of_records = None
    if records is not None:
        of_records = RecordQuery(
            **_place("filter.records", records, known),
            person=records.person,
            name=records.name,
            job_number=records.job_number,
            recognition_type=records.recognition_type,
            passed=records.passed,
            abnormal_type=records.abnormal_type,
            entry_mode=records.entry_mode,
            has_image=records.has_image,
            strangers=records.strangers,
            outside_time=records.outside_time,
            q=records.q,
        )
    of_alarms = None
    if alarms is not None:
        of_alarms = StepQuery(**_place("filter.alarms", alarms, known), code=alarms.code, state=alarms.state)
    return of_records, of_alarms, NoticeQuery(kinds=chosen.notices or ())


def _place(where: str, chosen: _AtTerminal, sites: list[SiteRow]) -> dict[str, Any]:
    if chosen.terminal is not None and chosen.terminal_id is not None:
        raise SettingsError(f"{where}.terminal", "and terminal_id say the same; give one of them")
    site_id = chosen.site_id
    if chosen.site is not None:
        if site_id is not None:
            raise SettingsError(f"{where}.site", "and site_id say the same; give one of them")
        named = [site.id for site in sites if site.name == chosen.site]
        named += [site.id for site in sites if str(site.id) == chosen.site]
        if not named:
            raise SettingsError(f"{where}.site", f"cannot be {chosen.site}: there is no such site")
        site_id = named[0]
    return {
        "terminal": chosen.terminal_id if chosen.terminal is None else chosen.terminal,
        "without_serial": chosen.without_serial,
        "site_id": site_id,
    }


def _read(text: bytes | Mapping[str, Any], kind: Any) -> Any:
    try:
        if isinstance(text, bytes):
            return msgspec.json.decode(text, type=kind)
        return msgspec.convert(text, kind)
    except msgspec.ValidationError as error:
        # Such as "Expected `int` >= 1 - at `$.filter.records.site_id`": of a value it says nothing but its type.
        why, _, where = str(error).partition(" - at `$")
        raise SettingsError(where.strip("`").lstrip(".") or "the destination", f"is wrong: {why}") from None


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
        _check_template("mqtt.topic", (found.mqtt or MqttOptions()).topic, "+#\0")
    if found.kind == "notify":
        _check_notify(found.url, found.notify or NotifyOptions())
    if found.kind == "kafka":
        _check_template("kafka.topic", (found.kafka or KafkaOptions()).topic, "/")
    if found.kind == "nats":
        subject = (found.nats or NatsOptions()).subject
        _check_template("nats.subject", subject, "*> \t\r\n")
        if "" in subject.split("."):
            raise SettingsError("nats.subject", "has a dot without a name before or behind it")


def _with_notices(chosen: Filter, options: NotifyOptions) -> Filter:
    """Return a filter with the notices that rules tell of, where it says nothing of notices itself."""
    told = [rule.kinds or NOTICE_KINDS for rule in options.rules if rule.event == "notice"]
    if chosen.notices is not None or not told:
        return chosen
    return replace(chosen, notices=tuple(kind for kind in NOTICE_KINDS if any(kind in each for each in told)))


def _check_notify(url: str, options: NotifyOptions) -> None:
    if url.startswith("smtp"):
        for name in ("to", "sender"):
            if not getattr(options, name):
                raise SettingsError(f"notify.{name}", "is missing; mail needs an address there")
    if url.startswith("telegram") and not options.chat:
        raise SettingsError("notify.chat", "is missing; Telegram needs the id of the chat")


def _check_template(where: str, template: str, forbidden: str) -> None:
    try:
        fields = [each[1:] for each in Formatter().parse(template) if each[1] is not None]
    except ValueError:
        raise SettingsError(where, "has a brace without its other one") from None
    for name, spec, conversion in fields:
        if name not in FIELDS or spec or conversion:
            shown = " ".join(f"{{{field}}}" for field in FIELDS)
            raise SettingsError(where, f"can have {shown} and no other field; it has {{{name}}}")
    if any(letter in forbidden for letter in template) or not template.isprintable():
        raise SettingsError(
            where, f"cannot have {' '.join(filter(str.isprintable, forbidden.replace(' ', '')))} or blanks"
        )
    if template.startswith("$"):
        raise SettingsError(where, "cannot begin with $, which is the broker's own")


def place_of(row: Forwarded) -> str:
    """Return what stands for the terminal of an event where one name is wanted; of a notice about none its subject."""
    if row.serial is not None:
        return row.serial
    if isinstance(row, Notice) and row.terminal_id is None:
        return row.subject
    return f"terminal-{row.terminal_id}"


def filled(template: str, row: Forwarded, id: str, separators: str) -> str:
    """Fill in a template; ``separators`` in values, blanks, and what cannot be printed become ``_``."""

    def plain(value: str) -> str:
        kept = (letter if letter.isprintable() and letter not in separators else "_" for letter in value)
        return "".join(kept).replace(" ", "_")[:128] or "_"

    return template.format(
        terminal=plain(place_of(row)),
        site=plain(row.site or ""),
        kind=id.partition("-")[0],
        id=plain(id),
    )


def _check_headers(where: str, headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise SettingsError(where, f"has a name that is no header's: {name!r}")
        if name.lower() in _OURS or name.lower().startswith("webhook-"):
            raise SettingsError(where, f"cannot set {name}, which each request has already")
        if len(value) > 4096 or not value.isascii() or not value.isprintable():
            raise SettingsError(f"{where}.{name}", "must be of at most 4,096 printable ASCII characters")
