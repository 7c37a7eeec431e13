"""Every setting once: its name, unit, default, and what it does.

Rules:

* A setting is a field of a class below; its type, bounds and help stand beside it and nowhere else. The
  reference page, the commented example file and ``gatepost config show`` are drawn from here.
* The same name everywhere: ``max_body_bytes`` in the TOML file is ``GATEPOST_MAX_BODY_BYTES`` in the
  environment and ``max_body_bytes=`` in Python. A command line's option is the name with dashes.
* The command line wins over the environment, the environment over the file, the file over what was changed while the
  receiver ran (:data:`CHANGEABLE`), and that over the default.
* Checked once, at start. What does not fit raises :class:`~gatepost.errors.SettingsError`, which names it.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from gatepost.errors import SettingsError

__all__ = [
    "PREFIX",
    "TerminalSettings",
    "TerminalServiceSettings",
    "ReceiverSettings",
    "CHANGEABLE",
    "Origin",
    "load",
    "load_with_origins",
    "changed",
    "shown",
    "described",
]

PREFIX = "GATEPOST_"

SettingsT = TypeVar("SettingsT", bound=Struct)

HIDDEN = "********"


def _is(help: str, *, unit: str = "", secret: bool = False, **bounds: Any) -> Meta:
    return Meta(description=help, extra={"unit": unit, "secret": secret}, **bounds)


class TerminalSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a terminal can be told. Every one is a keyword argument of :class:`gatepost.terminal.Terminal`."""

    capacity: Annotated[int, _is("How many events may wait to be delivered.", unit="events", ge=1)] = 50_000
    capacity_bytes: Annotated[
        int | None,
        _is(
            "How many bytes of events may be stored, JSON and images, history and dead letters included; files take up"
            " to 1.3 times as much. None for what the file system allows.",
            unit="bytes",
        ),
    ] = None
    overflow: Annotated[
        Literal["drop-oldest", "refuse-newest"],
        _is("At the cap: make room by dropping the oldest record, or refuse the new event."),
    ] = "drop-oldest"
    history_events: Annotated[
        int, _is("How many delivered events are kept for POST /v1/event/records.", unit="events", ge=0)
    ] = 10_000
    history_days: Annotated[
        float, _is("For how long delivered events are kept for POST /v1/event/records.", unit="days", ge=0)
    ] = 30.0
    max_in_flight: Annotated[
        int,
        _is(
            "How many pushes may be under way at once, at most. It begins with one, has one more with each reply within"
            " 5 s, one less with a slower one, and half as many after a time-out. Events without an image open it to"
            " two, unless an image would be there in 5 s as well. 1 keeps strict order, except of what fails once"
            " connected.",
            unit="pushes",
            ge=1,
            le=256,
        ),
    ] = 8
    max_refusals: Annotated[
        int,
        _is(
            "After how many refusals an event may move to the dead letters. It does once the receiver has accepted "
            "three events of its kind since the first refusal.",
            unit="refusals",
            ge=1,
        ),
    ] = 10
    retry_first_s: Annotated[float, _is("The first back-off after a failure.", unit="seconds", gt=0)] = 1.0
    retry_cap_s: Annotated[float, _is("The longest back-off.", unit="seconds", gt=0)] = 60.0
    connect_timeout_s: Annotated[
        float,
        _is(
            "For reaching the receiver; then for each 128 bytes of the handshake of TLS. It may take longer than this"
            " as long as it moves.",
            unit="seconds",
            gt=0,
        ),
    ] = 10.0
    send_timeout_s: Annotated[
        float,
        _is(
            "While a push is sent: for each KB that the other end acknowledges. A push may take longer than this as"
            " long as it moves.",
            unit="seconds",
            gt=0,
        ),
    ] = 30.0
    reply_timeout_s: Annotated[
        float,
        _is(
            "For the reply, once all of a push is acknowledged, and again for each KB of a long one. Where pushes are"
            " slow or none has got a reply yet, up to a thirtieth more for each KB that is under way.",
            unit="seconds",
            gt=0,
        ),
    ] = 30.0
    drain_timeout_s: Annotated[
        float, _is("At a stop: how long pushes under way may take to end.", unit="seconds", ge=0)
    ] = 5.0
    model: Annotated[str, _is("What the terminal calls its model, in the header `model`.")] = "gatepost"
    account: Annotated[str, _is("What the terminal says in the header `account`.")] = ""
    proxy_from_environment: Annotated[
        bool, _is("Whether HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the environment are honoured.")
    ] = False
    verify: Annotated[
        bool,
        _is("Whether the receiver's certificate is checked. If false, a warning is logged at each start."),
    ] = True
    ca_file: Annotated[
        str | None, _is("A bundle of certificate authorities to trust instead of the system's.")
    ] = None
    client_certificate_file: Annotated[str | None, _is("The certificate that the terminal shows, PEM.")] = (
        None
    )
    client_key_file: Annotated[str | None, _is("The key that belongs to it, PEM.")] = None
    fingerprint: Annotated[
        str | None,
        _is("SHA-256 of the receiver's certificate, in hexadecimal; nothing else is then accepted."),
    ] = None


class TerminalServiceSettings(TerminalSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``gatepost terminal run`` can be told: the terminal's settings, and those of its own HTTP service."""

    listen: Annotated[
        str, _is("Where the terminal's own service listens, HOST:PORT. Beyond loopback it wants an account.")
    ] = "127.0.0.1:8000"
    username: Annotated[
        str, _is("The account that may ask the terminal's own service; empty for none.", max_length=128)
    ] = ""
    password: Annotated[
        str, _is("The password of that account. Better in password_file.", secret=True, max_length=1024)
    ] = ""
    password_file: Annotated[str | None, _is("A file whose first line is the password.")] = None
    tls: Annotated[
        bool, _is("Whether the terminal's own service speaks TLS on loopback too; elsewhere it always does.")
    ] = False
    certificate_file: Annotated[
        str | None,
        _is("The certificate of the terminal's own service, PEM; none for one that it makes itself."),
    ] = None
    key_file: Annotated[str | None, _is("The key that belongs to it, PEM.")] = None
    log_format: Annotated[Literal["text", "json"], _is("How each line of the log is written.")] = "text"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], _is("From which level on something is logged.")
    ] = "info"


class ReceiverSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a receiver can be told, by ``gatepost.toml``, the environment or the command line."""

    admin_password: Annotated[
        str,
        _is(
            "The password of the account admin, which the first start makes; empty: one is made up and printed once.",
            secret=True,
        ),
    ] = ""
    session_hours: Annotated[
        float, _is("After how long one has to log in again.", unit="hours", gt=0, le=8760)
    ] = 12.0
    session_idle_hours: Annotated[
        float, _is("After how long without use one has to log in again.", unit="hours", gt=0, le=8760)
    ] = 2.0

    oidc_issuer: Annotated[
        str,
        _is(
            "The identity provider at which people log in to the console (OpenID Connect), such as"
            " https://id.example.com/realms/company; empty: with a password only."
        ),
    ] = ""
    oidc_client_id: Annotated[str, _is("The client that this receiver is there.")] = ""
    oidc_client_secret: Annotated[
        str,
        _is(
            "The secret of that client; empty for a public client. Better in oidc_client_secret_file.",
            secret=True,
        ),
    ] = ""
    oidc_client_secret_file: Annotated[str | None, _is("A file whose first line is that secret.")] = None
    oidc_label: Annotated[
        str, _is("What the login page calls the provider; empty: single sign-on.", max_length=64)
    ] = ""
    oidc_scopes: Annotated[str, _is("The scopes that the provider is asked for, with blanks between.")] = (
        "openid profile email groups"
    )
    oidc_groups_claim: Annotated[str, _is("The claim of the ID token that has the groups.")] = "groups"
    oidc_name_claim: Annotated[
        str, _is("The claim of the ID token that becomes the name of the account, at the first login.")
    ] = "preferred_username"
    oidc_roles: Annotated[
        tuple[str, ...],
        _is(
            "What a group of the provider may do: GROUP=ROLE for every site, or GROUP=ROLE@SITE. The highest role"
            " wins, with the sites of the groups that have it. Whose groups are not here may not log in."
        ),
    ] = ()
    oidc_ca_file: Annotated[
        str | None, _is("Certificate authorities, PEM, to trust for the provider instead of the system's.")
    ] = None

    role: Annotated[
        Literal["all", "ingest", "desk"],
        _is(
            "What this receiver does of one database of PostgreSQL: all; ingest, takes pushes and lists them; desk,"
            " console, API, forwarding and managed terminals, and no pushes."
        ),
    ] = "all"
    listen: Annotated[str, _is("Where to listen, HOST:PORT.")] = "127.0.0.1:8080"
    ingest_listen: Annotated[
        str,
        _is(
            "Where terminals push, HOST:PORT, if not to the address of console and API; nothing else is there."
        ),
    ] = ""
    ingest_processes: Annotated[
        int,
        _is(
            "How many processes take pushes; each has limits of its own for connections and memory.",
            unit="processes",
            ge=1,
            le=64,
        ),
    ] = 1
    certificate_file: Annotated[
        str | None, _is("The certificate for TLS, PEM, with its chain. SIGHUP takes over a new one.")
    ] = None
    key_file: Annotated[str | None, _is("The key that belongs to it, PEM, without a password.")] = None
    tls: Annotated[
        Literal["off", "self"],
        _is(
            "Without certificate_file: off, plain HTTP; self, TLS at listen with a certificate that is made in the data"
            " folder and kept. A browser asks once whether to trust it. ingest_listen stays plain HTTP then."
        ),
    ] = "off"
    allowed_hosts: Annotated[
        tuple[str, ...],
        _is(
            "Names under which console and API may be reached, such as gatepost.example.com; empty for any. An IP"
            " address and localhost always may. Pushes are not concerned."
        ),
    ] = ()
    console_networks: Annotated[
        tuple[str, ...],
        _is("Networks from which console and API may be used; empty for all. Pushes are not concerned."),
    ] = ()
    client_ca_file: Annotated[
        str | None,
        _is(
            "Certificate authorities, PEM. A push is then taken only over a connection whose client certificate one of"
            " them signed; the console asks for none. SIGHUP takes over new ones."
        ),
    ] = None
    ingest_tls: Annotated[
        bool, _is("Whether ingest_listen speaks TLS too, where there is a certificate.")
    ] = True
    path_prefix: Annotated[
        str, _is("Under which path a proxy shows the receiver, such as /gatepost; empty for none.")
    ] = ""
    database: Annotated[
        str,
        _is(
            "postgresql://… to store in PostgreSQL, several hosts with commas between them; empty for SQLite in the"
            " data folder.",
            secret=True,
        ),
    ] = ""
    database_connections: Annotated[
        int,
        _is(
            "How many connections to PostgreSQL a receiver opens at most, in addition to the one that stores events.",
            unit="connections",
            ge=2,
            le=1000,
        ),
    ] = 16
    ingest_paths: Annotated[tuple[str, ...], _is("The paths to which terminals push.", min_length=1)] = (
        "/Record",
    )
    unknown_terminals: Annotated[
        Literal["accept", "hold", "refuse"],
        _is(
            "A terminal never seen before: list its events, store but hide them until it is approved, or refuse."
            " hold and refuse also apply to a known serial number from an address where its terminal never was."
        ),
    ] = "accept"
    require_token: Annotated[
        Literal["when-used", "always", "never"],
        _is(
            "Which terminals are taken only with their token: those that have used it once, all, or none."
            " Where it is always, a push without the token of a terminal is refused."
        ),
    ] = "when-used"  # noqa: S105 - it says which terminals need one
    source_tokens: Annotated[
        tuple[str, ...],
        _is(
            "Tokens with which another program, such as a receiver that forwards, may push for several terminals: each "
            "a name, the token's digest, and the serials, with blanks between; SN-2* stands for all that begin so, and "
            "site:2 for the terminals of the site with this id. With the word apart the terminals and sites of the "
            "program are its own, and are called NAME/SERIAL and NAME/SITE here. gatepost tokens source makes one."
        ),
    ] = ()
    on_invalid: Annotated[
        Literal["quarantine", "refuse"],
        _is(
            "A JSON object that is no known event: keep it in the quarantine and acknowledge it, or refuse it."
        ),
    ] = "quarantine"
    allowed_networks: Annotated[
        tuple[str, ...], _is("Networks from which events are taken, such as 10.1.0.0/16; empty for all.")
    ] = ()
    trusted_proxies: Annotated[
        tuple[str, ...], _is("Networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.")
    ] = ()
    max_body_bytes: Annotated[int, _is("The largest push.", unit="bytes", ge=1024)] = 8 * 1024 * 1024
    max_bodies_bytes: Annotated[
        int,
        _is(
            "All pushes in memory together, until they are stored; beyond it 503.",
            unit="bytes",
            ge=1024 * 1024,
        ),
    ] = 24 * 1024 * 1024
    max_json_depth: Annotated[
        int, _is("How deep a push may nest; a terminal's nests four.", unit="levels", ge=4, le=512)
    ] = 64
    max_terminals: Annotated[
        int,
        _is(
            "How many terminals may introduce themselves. Retired ones do not count.", unit="terminals", ge=1
        ),
    ] = 20_000
    max_new_terminals_per_hour: Annotated[
        int,
        _is(
            "How many terminals may introduce themselves in one hour; beyond it those that are unknown get 503.",
            unit="terminals",
            ge=1,
        ),
    ] = 5_000
    unapproved_events_per_minute: Annotated[
        int,
        _is(
            "How many events a terminal may push in a minute before it is approved; beyond it 503. A tenth of it"
            " may go to the quarantine.",
            unit="events",
            ge=1,
        ),
    ] = 30_000
    unapproved_bytes_per_minute: Annotated[int, _is("The same in bytes.", unit="bytes", ge=1024)] = (
        1024 * 1024 * 1024
    )
    unapproved_events_per_day: Annotated[int, _is("The same in a day (UTC).", unit="events", ge=1)] = 100_000
    unapproved_bytes_per_day: Annotated[
        int, _is("The same in a day (UTC), in bytes.", unit="bytes", ge=1024)
    ] = 8 * 1024 * 1024 * 1024
    unapproved_terminals_per_address: Annotated[
        int,
        _is(
            "What the terminals of one address that are not approved may push together, as a multiple of what one may.",
            unit="terminals",
            ge=1,
        ),
    ] = 20
    max_connections: Annotated[
        int, _is("Open connections; beyond it the longest silent one gives way.", unit="connections", ge=1)
    ] = 8192
    max_connections_per_address: Annotated[
        int, _is("The same for one address, unless it is a trusted proxy.", unit="connections", ge=1)
    ] = 4096
    head_timeout_s: Annotated[
        float, _is("For the head of a request, and for the first byte.", unit="seconds", gt=0)
    ] = 10.0
    body_timeout_s: Annotated[float, _is("For the body of a request.", unit="seconds", gt=0)] = 60.0
    idle_timeout_s: Annotated[float, _is("Between two requests of one connection.", unit="seconds", gt=0)] = (
        120.0
    )
    max_queue_events: Annotated[
        int,
        _is(
            "How many events may wait for a sync, or with acknowledge_after = store to be listed; beyond it 503.",
            unit="events",
            ge=1,
        ),
    ] = 8192
    max_batch_events: Annotated[
        int, _is("How many events one sync may take.", unit="events", ge=1, le=4096)
    ] = 512
    acknowledge_after: Annotated[
        Literal["journal", "store"],
        _is(
            "When a push gets 200: journal, its events are on the receiver's disk; store, they are in the database"
            " as well, and their images in the bucket where packs names one; while either is away pushes get 503."
        ),
    ] = "journal"
    journal_max_bytes: Annotated[
        int,
        _is(
            "How much may wait in the journal to be listed; beyond it 503. 0: a tenth of the disk, at most 16 GB.",
            unit="bytes",
            ge=0,
        ),
    ] = 0
    min_free_bytes: Annotated[
        int,
        _is(
            "How much of the disk stays free, and as well room to list what waits; below it 503. 0: a twentieth of the"
            " disk, from 64 MB to 1 GB.",
            unit="bytes",
            ge=0,
        ),
    ] = 0
    retry_after_s: Annotated[
        int, _is("What a 503 asks a terminal to wait.", unit="seconds", ge=1, le=3600)
    ] = 5
    stop_timeout_s: Annotated[
        float, _is("At a stop: how long what was accepted may take to be stored.", unit="seconds", gt=0)
    ] = 10.0
    people_scope: Annotated[
        Literal["site", "terminal", "everywhere"],
        _is("Within what a user_id is one person: a site, a single terminal, or everywhere."),
    ] = "site"
    repeat_s: Annotated[
        float,
        _is(
            "Passages of a person at one terminal that follow each other within this time count once; 0 for never.",
            unit="seconds",
            ge=0,
            le=3600,
        ),
    ] = 10.0
    metrics_networks: Annotated[
        tuple[str, ...],
        _is("Networks from which /metrics may be read without a token."),
    ] = ("127.0.0.0/8", "::1/128")
    log_format: Annotated[Literal["text", "json"], _is("How each line of the log is written.")] = "text"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], _is("From which level on something is logged.")
    ] = "info"
    images: Annotated[
        Literal["store", "off"], _is("Whether images are stored; off: they are thrown away as they arrive.")
    ] = "store"
    packs: Annotated[
        str,
        _is(
            "Where images are kept: file, in the data folder; or file:///FOLDER or s3://BUCKET/PREFIX, where they are"
            " moved when their pack is closed, within an hour. Receivers of one database may share it, and then show"
            " each other's images. Endpoint, region and keys of the bucket come from the variables AWS_ENDPOINT_URL,"
            " AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        ),
    ] = "file"
    image_keys: Annotated[
        tuple[str, ...],
        _is(
            "Keys that the keys of images are encrypted with (AES-256-GCM), each 32 bytes in base64; the first one"
            " writes, all read. None: who has both database and images can read them. Better in image_key_file.",
            secret=True,
        ),
    ] = ()
    image_key_file: Annotated[str | None, _is("A file with these keys, one a line; # begins a comment.")] = (
        None
    )
    retention_images_days: Annotated[
        int,
        _is(
            "For how long images are kept after the day of receipt (UTC); 0 for ever.",
            unit="days",
            ge=0,
            le=36500,
        ),
    ] = 90
    retention_stranger_images_days: Annotated[
        int, _is("The same for images of people whom the terminal did not know.", unit="days", ge=0, le=36500)
    ] = 30
    retention_records_days: Annotated[
        int,
        _is(
            "The same for records and alarms. Nothing that belongs to one outlives it.",
            unit="days",
            ge=0,
            le=36500,
        ),
    ] = 1095
    retention_quarantine_days: Annotated[
        int,
        _is("The same for the quarantine. Images in it leave with the images.", unit="days", ge=0, le=36500),
    ] = 90
    retention_audit_days: Annotated[int, _is("The same for the audit log.", unit="days", ge=0, le=36500)] = (
        1095
    )
    forward_networks: Annotated[
        tuple[str, ...],
        _is(
            "The networks in which destinations may be, public addresses apart. Loopback has to be named; link-local "
            "addresses and those at which clouds serve their credentials are never allowed."
        ),
    ] = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
    public_url: Annotated[
        str,
        _is(
            "How destinations reach this receiver, such as https://gatepost.example.com, with any path_prefix: links to"
            " images begin with it. Empty: no destination can be sent links."
        ),
    ] = ""
    fleet_networks: Annotated[
        tuple[str, ...],
        _is(
            "The networks in which terminals may be whose own HTTP service the receiver manages, public addresses "
            "apart. Loopback has to be named; link-local addresses are never allowed."
        ),
    ] = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
    fleet_backfill: Annotated[
        Literal["propose", "start"],
        _is(
            "What is done where an adopted terminal has more records of a day than are here, or was silent too long "
            "for its cache. propose: a job is listed, and a person starts it; start: it is started."
        ),
    ] = "propose"
    ingest_url: Annotated[
        str,
        _is(
            "How terminals reach this receiver, such as https://gatepost.example.com; empty: as the console is reached."
        ),
    ] = ""

    @property
    def has_bucket(self) -> bool:
        """Return whether images are kept in a bucket."""
        return self.packs.startswith("s3://")


CHANGEABLE: tuple[str, ...] = (
    "retention_images_days",
    "retention_stranger_images_days",
    "retention_records_days",
    "retention_quarantine_days",
    "retention_audit_days",
    "unknown_terminals",
    "repeat_s",
    "max_terminals",
    "max_new_terminals_per_hour",
    "unapproved_events_per_minute",
    "unapproved_bytes_per_minute",
    "unapproved_events_per_day",
    "unapproved_bytes_per_day",
    "unapproved_terminals_per_address",
)
"""Settings of the receiver that can be changed while it runs, in the console or over the API."""


class Origin(Struct, frozen=True):
    """Where the value of a setting comes from, if it is not the default."""

    kind: Literal["file", "environment", "command line"]
    place: str
    """The path of the file, the variable, or the option."""


_GONE = {"day_starts_at": "is gone, because attendance is by shifts; take it out"}
"""Settings that earlier versions had."""


def load(
    kind: type[SettingsT],
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    given: Mapping[str, Any] | None = None,
) -> SettingsT:
    """Put the settings of ``kind`` together and check them.

    ``file`` is TOML; ``environ`` the process's environment; ``given`` what the command line or the caller said,
    where ``None`` means "not given". Raises :class:`~gatepost.errors.SettingsError`.
    """
    return load_with_origins(kind, file=file, environ=environ, given=given)[0]


def load_with_origins(
    kind: type[SettingsT],
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    given: Mapping[str, Any] | None = None,
) -> tuple[SettingsT, dict[str, Origin]]:
    """Do as :func:`load`, and return as well where each setting is set that is not the default, by name."""
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    values: dict[str, Any] = _read(file, fields) if file is not None else {}
    origins = {name: Origin("file", str(file)) for name in values}
    for name in fields:
        text = (environ or {}).get(PREFIX + name.upper())
        if text is not None:
            values[name] = _split(text) if "tuple" in str(fields[name].type) else text
            origins[name] = Origin("environment", PREFIX + name.upper())
    for name, value in (given or {}).items():
        if value is not None:
            values[name] = value
            origins[name] = Origin("command line", "--" + name.replace("_", "-"))
    unknown = values.keys() - fields.keys()
    if unknown:
        name = min(unknown)
        raise SettingsError(name, _GONE.get(name, "is not known; see the reference of settings"))
    return _checked(kind, fields, values), origins


def changed(settings: SettingsT, values: Mapping[str, Any]) -> SettingsT:
    """Return the settings with some values changed. Raises :class:`~gatepost.errors.SettingsError`."""
    fields = {field.name: field for field in msgspec.structs.fields(type(settings))}
    if unknown := values.keys() - fields.keys():
        raise SettingsError(min(unknown), "is not known; see the reference of settings")
    return _checked(type(settings), fields, {**msgspec.structs.asdict(settings), **values})


def _checked(kind: type[SettingsT], fields: Mapping[str, Any], values: Mapping[str, Any]) -> SettingsT:
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        why, _, place = str(error).partition(" - at `$.")
        name = re.split(r"[.\[`]", place)[0]
        raise SettingsError(
            name, f"cannot be {HIDDEN if _secret(fields[name]) else values[name]!r}: {why}"
        ) from None


def _read(file: Path, fields: Mapping[str, Any]) -> dict[str, Any]:
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError("config", f"cannot be read: {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError("config", f"is no TOML: {file}: {error}") from None
    unknown = values.keys() - fields.keys()
    if unknown:
        name = min(unknown)
        if name in _GONE:
            raise SettingsError(name, f"{_GONE[name]} of {file}")
        raise SettingsError(name, f"is not known; {file} has it, see the reference of settings")
    return values


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _meta(field: Any) -> Meta:
    found: Meta = field.type.__metadata__[0]
    return found


def _secret(field: Any) -> bool:
    return bool((_meta(field).extra or {}).get("secret"))


def shown(settings: Struct) -> dict[str, Any]:
    """Answer every setting's value by name, with the secret ones hidden."""
    return {
        field.name: HIDDEN
        if _secret(field) and getattr(settings, field.name)
        else getattr(settings, field.name)
        for field in msgspec.structs.fields(type(settings))
    }


def described(kind: type[Struct]) -> list[dict[str, Any]]:
    """Return name, default, unit, secrecy, help and bounds of every setting of ``kind``, in order."""
    return [
        {
            "name": field.name,
            "default": field.default,
            "unit": (_meta(field).extra or {}).get("unit", ""),
            "secret": _secret(field),
            "help": _meta(field).description,
            "least": _meta(field).ge,
            "most": _meta(field).le,
            "choices": get_args(field.type.__origin__)
            if get_origin(field.type.__origin__) is Literal
            else (),
        }
        for field in msgspec.structs.fields(kind)
    ]
