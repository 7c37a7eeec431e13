"""The settings of a terminal, and of its own HTTP service."""

from typing import Annotated, Literal

from msgspec import Struct

from gatepost.settings.declare import setting

__all__ = ["TerminalServiceSettings", "TerminalSettings"]


class TerminalSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a terminal. Every one is a keyword argument of :class:`gatepost.terminal.Terminal`."""

    capacity: Annotated[int, setting("Most events that wait to be delivered.", unit="events", ge=1)] = 50_000
    capacity_bytes: Annotated[
        int | None,
        setting(
            "Most bytes of stored events, JSON and images, history and dead letters included; files take up"
            " to 1.3 times as much. None: as the file system allows.",
            unit="bytes",
        ),
    ] = None
    overflow: Annotated[
        Literal["drop-oldest", "refuse-newest"],
        setting("At these limits: drop the oldest record to make room, or refuse the new event."),
    ] = "drop-oldest"
    history_events: Annotated[
        int, setting("Most delivered records that are kept for POST /v1/event/records.", unit="events", ge=0)
    ] = 10_000
    history_days: Annotated[
        float,
        setting("Time for which delivered records are kept for POST /v1/event/records.", unit="days", ge=0),
    ] = 30.0
    max_in_flight: Annotated[
        int,
        setting(
            "Most pushes under way at once. The number begins with one, grows by one with each reply within"
            " 5 s, shrinks by one with a slower one, and halves after a time-out. Events without an image open it to"
            " two, unless an image would also arrive within 5 s. 1 keeps strict order, except for events that fail"
            " once connected.",
            unit="pushes",
            ge=1,
            le=256,
        ),
    ] = 8
    max_refusals: Annotated[
        int,
        setting(
            "Refusals after which an event may become a dead letter. It does once the receiver has accepted "
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
            "Time to reach the receiver; then for each 128 bytes of the TLS handshake, which may take longer in total.",
            unit="seconds",
            gt=0,
        ),
    ] = 10.0
    send_timeout_s: Annotated[
        float,
        setting(
            "While a push is sent: time for each KB that the other end acknowledges. A push may take longer in total.",
            unit="seconds",
            gt=0,
        ),
    ] = 30.0
    reply_timeout_s: Annotated[
        float,
        setting(
            "Time for the reply, once all of a push is acknowledged, and again for each KB of a long one. If pushes are"
            " slow or none has got a reply yet, up to a thirtieth more for each KB under way.",
            unit="seconds",
            gt=0,
        ),
    ] = 30.0
    drain_timeout_s: Annotated[
        float, setting("At a stop: time for pushes under way to end.", unit="seconds", ge=0)
    ] = 5.0
    model: Annotated[str, setting("The header `model` of every push.")] = "gatepost"
    account: Annotated[str, setting("The header `account` of every push.")] = ""
    proxy_from_environment: Annotated[
        bool, setting("Whether HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the environment are used.")
    ] = False
    verify: Annotated[
        bool,
        setting(
            "Whether the receiver's certificate is checked. If false, a warning is logged at each start."
        ),
    ] = True
    ca_file: Annotated[
        str | None, setting("File with certificate authorities, PEM, to trust instead of the system's.")
    ] = None
    client_certificate_file: Annotated[
        str | None, setting("File with the terminal's client certificate, PEM.")
    ] = None
    client_key_file: Annotated[str | None, setting("File with the key of that certificate, PEM.")] = None
    fingerprint: Annotated[
        str | None,
        setting(
            "SHA-256 of the receiver's certificate, in hexadecimal. No other certificate is accepted then."
        ),
    ] = None


class TerminalServiceSettings(TerminalSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of ``gatepost terminal run``: the terminal's, and those of its own HTTP service."""

    listen: Annotated[
        str,
        setting(
            "Address of the terminal's own service, HOST:PORT. Any address but loopback needs an account."
        ),
    ] = "127.0.0.1:8000"
    username: Annotated[
        str, setting("Account that the terminal's own service asks for; empty: none.", max_length=128)
    ] = ""
    password: Annotated[
        str, setting("The password of that account. Better in password_file.", secret=True, max_length=1024)
    ] = ""
    password_file: Annotated[str | None, setting("File whose first line is the password.")] = None
    tls: Annotated[
        bool,
        setting("Whether the terminal's own service uses TLS on loopback, too; elsewhere it always does."),
    ] = False
    certificate_file: Annotated[
        str | None,
        setting("File with the certificate of the terminal's own service, PEM; empty: a self-signed one."),
    ] = None
    key_file: Annotated[str | None, setting("File with the key of that certificate, PEM.")] = None
    log_format: Annotated[Literal["text", "json"], setting("Format of the log's lines.")] = "text"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], setting("Lowest level that is logged.")
    ] = "info"
