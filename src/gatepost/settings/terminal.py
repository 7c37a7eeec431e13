"""The settings of a terminal, and of its own HTTP service."""

from typing import Annotated, Literal

from msgspec import Struct

from gatepost.settings.declare import setting

__all__ = ["TerminalServiceSettings", "TerminalSettings"]


class TerminalSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a terminal. Every one is a keyword argument of :class:`gatepost.terminal.Terminal`."""

    capacity: Annotated[int, setting("How many events may wait to be delivered.", unit="events", ge=1)] = (
        50_000
    )
    capacity_bytes: Annotated[
        int | None,
        setting(
            "How many bytes of events may be stored, JSON and images, history and dead letters included; files take up"
            " to 1.3 times as much. None for what the file system allows.",
            unit="bytes",
        ),
    ] = None
    overflow: Annotated[
        Literal["drop-oldest", "refuse-newest"],
        setting("At the cap: make room by dropping the oldest record, or refuse the new event."),
    ] = "drop-oldest"
    history_events: Annotated[
        int, setting("How many delivered events are kept for POST /v1/event/records.", unit="events", ge=0)
    ] = 10_000
    history_days: Annotated[
        float,
        setting("For how long delivered events are kept for POST /v1/event/records.", unit="days", ge=0),
    ] = 30.0
    max_in_flight: Annotated[
        int,
        setting(
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
        setting(
            "After how many refusals an event may move to the dead letters. It does once the receiver has accepted "
            "three events of its kind since the first refusal.",
            unit="refusals",
            ge=1,
        ),
    ] = 10
    retry_first_s: Annotated[float, setting("The first back-off after a failure.", unit="seconds", gt=0)] = (
        1.0
    )
    retry_cap_s: Annotated[float, setting("The longest back-off.", unit="seconds", gt=0)] = 60.0
    connect_timeout_s: Annotated[
        float,
        setting(
            "For reaching the receiver; then for each 128 bytes of the handshake of TLS. It may take longer than this"
            " as long as it moves.",
            unit="seconds",
            gt=0,
        ),
    ] = 10.0
    send_timeout_s: Annotated[
        float,
        setting(
            "While a push is sent: for each KB that the other end acknowledges. A push may take longer than this as"
            " long as it moves.",
            unit="seconds",
            gt=0,
        ),
    ] = 30.0
    reply_timeout_s: Annotated[
        float,
        setting(
            "For the reply, once all of a push is acknowledged, and again for each KB of a long one. Where pushes are"
            " slow or none has got a reply yet, up to a thirtieth more for each KB that is under way.",
            unit="seconds",
            gt=0,
        ),
    ] = 30.0
    drain_timeout_s: Annotated[
        float, setting("At a stop: how long pushes under way may take to end.", unit="seconds", ge=0)
    ] = 5.0
    model: Annotated[str, setting("What the terminal calls its model, in the header `model`.")] = "gatepost"
    account: Annotated[str, setting("What the terminal says in the header `account`.")] = ""
    proxy_from_environment: Annotated[
        bool, setting("Whether HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the environment are honoured.")
    ] = False
    verify: Annotated[
        bool,
        setting(
            "Whether the receiver's certificate is checked. If false, a warning is logged at each start."
        ),
    ] = True
    ca_file: Annotated[
        str | None, setting("A bundle of certificate authorities to trust instead of the system's.")
    ] = None
    client_certificate_file: Annotated[
        str | None, setting("The certificate that the terminal shows, PEM.")
    ] = None
    client_key_file: Annotated[str | None, setting("The key that belongs to it, PEM.")] = None
    fingerprint: Annotated[
        str | None,
        setting("SHA-256 of the receiver's certificate, in hexadecimal; nothing else is then accepted."),
    ] = None


class TerminalServiceSettings(TerminalSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of ``gatepost terminal run``: the terminal's, and those of its own HTTP service."""

    listen: Annotated[
        str,
        setting("Where the terminal's own service listens, HOST:PORT. Beyond loopback it wants an account."),
    ] = "127.0.0.1:8000"
    username: Annotated[
        str, setting("The account that may ask the terminal's own service; empty for none.", max_length=128)
    ] = ""
    password: Annotated[
        str, setting("The password of that account. Better in password_file.", secret=True, max_length=1024)
    ] = ""
    password_file: Annotated[str | None, setting("A file whose first line is the password.")] = None
    tls: Annotated[
        bool,
        setting("Whether the terminal's own service speaks TLS on loopback too; elsewhere it always does."),
    ] = False
    certificate_file: Annotated[
        str | None,
        setting("The certificate of the terminal's own service, PEM; none for one that it makes itself."),
    ] = None
    key_file: Annotated[str | None, setting("The key that belongs to it, PEM.")] = None
    log_format: Annotated[Literal["text", "json"], setting("How each line of the log is written.")] = "text"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], setting("From which level on something is logged.")
    ] = "info"
