"""The settings of a receiver, and which of them can be changed while it runs."""

from typing import Annotated, Literal

from gatepost.settings.declare import setting
from gatepost.settings.receiver_access import ReceiverAccessSettings

__all__ = ["CHANGEABLE", "ReceiverSettings"]


class ReceiverSettings(ReceiverAccessSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a receiver, from ``gatepost.toml``, the environment or the command line."""

    ingest_paths: Annotated[tuple[str, ...], setting("The paths to which terminals push.", min_length=1)] = (
        "/Record",
    )
    unknown_terminals: Annotated[
        Literal["accept", "hold", "refuse"],
        setting(
            "A terminal never seen before: list its events, store but hide them until it is approved, or refuse."
            " hold and refuse also apply to a known serial number from an address where its terminal never was."
        ),
    ] = "accept"
    require_token: Annotated[
        Literal["when-used", "always", "never"],
        setting(
            "Which terminals are taken only with their token: those that have used it once, all, or none."
            " Where it is always, a push without the token of a terminal is refused."
        ),
    ] = "when-used"  # noqa: S105 - it says which terminals need one
    source_tokens: Annotated[
        tuple[str, ...],
        setting(
            "Tokens with which another program, such as a receiver that forwards, may push for several terminals: each "
            "a name, the token's digest, and the serials, with blanks between; SN-2* stands for all that begin so, and "
            "site:2 for the terminals of the site with this id. With the word apart the terminals and sites of the "
            "program are its own, and are called NAME/SERIAL and NAME/SITE here. gatepost tokens source makes one."
        ),
    ] = ()
    on_invalid: Annotated[
        Literal["quarantine", "refuse"],
        setting(
            "A JSON object that is no known event: keep it in the quarantine and acknowledge it, or refuse it."
        ),
    ] = "quarantine"
    allowed_networks: Annotated[
        tuple[str, ...], setting("Networks from which events are taken, such as 10.1.0.0/16; empty for all.")
    ] = ()
    trusted_proxies: Annotated[
        tuple[str, ...],
        setting("Networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed."),
    ] = ()
    max_body_bytes: Annotated[int, setting("The largest push.", unit="bytes", ge=1024)] = 8 * 1024 * 1024
    max_bodies_bytes: Annotated[
        int,
        setting(
            "All pushes in memory together, until they are stored; beyond it 503.",
            unit="bytes",
            ge=1024 * 1024,
        ),
    ] = 24 * 1024 * 1024
    max_json_depth: Annotated[
        int, setting("How deep a push may nest; a terminal's nests four.", unit="levels", ge=4, le=512)
    ] = 64
    max_terminals: Annotated[
        int,
        setting(
            "How many terminals may introduce themselves. Retired ones do not count.", unit="terminals", ge=1
        ),
    ] = 20_000
    max_new_terminals_per_hour: Annotated[
        int,
        setting(
            "How many terminals may introduce themselves in one hour; beyond it those that are unknown get 503.",
            unit="terminals",
            ge=1,
        ),
    ] = 5_000
    unapproved_events_per_minute: Annotated[
        int,
        setting(
            "How many events a terminal may push in a minute before it is approved; beyond it 503. A tenth of it"
            " may go to the quarantine.",
            unit="events",
            ge=1,
        ),
    ] = 30_000
    unapproved_bytes_per_minute: Annotated[int, setting("The same in bytes.", unit="bytes", ge=1024)] = (
        1024 * 1024 * 1024
    )
    unapproved_events_per_day: Annotated[int, setting("The same in a day (UTC).", unit="events", ge=1)] = (
        100_000
    )
    unapproved_bytes_per_day: Annotated[
        int, setting("The same in a day (UTC), in bytes.", unit="bytes", ge=1024)
    ] = 8 * 1024 * 1024 * 1024
    unapproved_terminals_per_address: Annotated[
        int,
        setting(
            "What the terminals of one address that are not approved may push together, as a multiple of what one may.",
            unit="terminals",
            ge=1,
        ),
    ] = 20
    max_connections: Annotated[
        int,
        setting("Open connections; beyond it the longest silent one gives way.", unit="connections", ge=1),
    ] = 8192
    max_connections_per_address: Annotated[
        int, setting("The same for one address, unless it is a trusted proxy.", unit="connections", ge=1)
    ] = 4096
    head_timeout_s: Annotated[
        float, setting("For the head of a request, and for the first byte.", unit="seconds", gt=0)
    ] = 10.0
    body_timeout_s: Annotated[float, setting("For the body of a request.", unit="seconds", gt=0)] = 60.0
    idle_timeout_s: Annotated[
        float, setting("Between two requests of one connection.", unit="seconds", gt=0)
    ] = 120.0
    max_queue_events: Annotated[
        int,
        setting(
            "How many events may wait for a sync, or with acknowledge_after = store to be listed; beyond it 503.",
            unit="events",
            ge=1,
        ),
    ] = 8192
    max_batch_events: Annotated[
        int, setting("How many events one sync may take.", unit="events", ge=1, le=4096)
    ] = 512
    acknowledge_after: Annotated[
        Literal["journal", "store"],
        setting(
            "When a push gets 200: journal, its events are on the receiver's disk; store, they are in the database"
            " as well, and their images in the bucket where packs names one; while either is away pushes get 503."
        ),
    ] = "journal"
    journal_max_bytes: Annotated[
        int,
        setting(
            "How much may wait in the journal to be listed; beyond it 503. 0: a tenth of the disk, at most 16 GB.",
            unit="bytes",
            ge=0,
        ),
    ] = 0
    min_free_bytes: Annotated[
        int,
        setting(
            "How much of the disk stays free, and as well room to list what waits; below it 503. 0: a twentieth of the"
            " disk, from 64 MB to 1 GB.",
            unit="bytes",
            ge=0,
        ),
    ] = 0
    retry_after_s: Annotated[
        int, setting("What a 503 asks a terminal to wait.", unit="seconds", ge=1, le=3600)
    ] = 5
    stop_timeout_s: Annotated[
        float, setting("At a stop: how long what was accepted may take to be stored.", unit="seconds", gt=0)
    ] = 10.0
    people_scope: Annotated[
        Literal["site", "terminal", "everywhere"],
        setting("Within what a user_id is one person: a site, a single terminal, or everywhere."),
    ] = "site"
    repeat_s: Annotated[
        float,
        setting(
            "Passages of a person at one terminal that follow each other within this time count once; 0 for never.",
            unit="seconds",
            ge=0,
            le=3600,
        ),
    ] = 10.0
    metrics_networks: Annotated[
        tuple[str, ...],
        setting("Networks from which /metrics may be read without a token."),
    ] = ("127.0.0.0/8", "::1/128")
    metrics_per_terminal: Annotated[
        Literal["on", "off"],
        setting(
            "Whether /metrics has numbers of each terminal. Receivers of one database have the same ones: on at one"
            " of them is enough."
        ),
    ] = "on"
    log_format: Annotated[Literal["text", "json"], setting("How each line of the log is written.")] = "text"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], setting("From which level on something is logged.")
    ] = "info"
    images: Annotated[
        Literal["store", "off"],
        setting("Whether images are stored; off: they are thrown away as they arrive."),
    ] = "store"
    packs: Annotated[
        str,
        setting(
            "Where images are kept: file, in the data folder; or file:///FOLDER or s3://BUCKET/PREFIX, where they are"
            " moved when their pack is closed, within an hour. Receivers of one database may share it, and then show"
            " each other's images. Endpoint, region and keys of the bucket come from the variables AWS_ENDPOINT_URL,"
            " AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        ),
    ] = "file"
    image_keys: Annotated[
        tuple[str, ...],
        setting(
            "Keys that the keys of images are encrypted with (AES-256-GCM), each 32 bytes in base64; the first one"
            " writes, all read. None: who has both database and images can read them. Better in image_key_file.",
            secret=True,
        ),
    ] = ()
    image_key_file: Annotated[
        str | None, setting("A file with these keys, one a line; # begins a comment.")
    ] = None
    retention_images_days: Annotated[
        int,
        setting(
            "For how long images are kept after the day of receipt (UTC); 0 for ever.",
            unit="days",
            ge=0,
            le=36500,
        ),
    ] = 90
    retention_stranger_images_days: Annotated[
        int,
        setting("The same for images of people whom the terminal did not know.", unit="days", ge=0, le=36500),
    ] = 30
    retention_records_days: Annotated[
        int,
        setting(
            "The same for records and alarms. Nothing that belongs to one outlives it.",
            unit="days",
            ge=0,
            le=36500,
        ),
    ] = 1095
    retention_quarantine_days: Annotated[
        int,
        setting(
            "The same for the quarantine. Images in it leave with the images.", unit="days", ge=0, le=36500
        ),
    ] = 90
    retention_audit_days: Annotated[
        int, setting("The same for the audit log.", unit="days", ge=0, le=36500)
    ] = 1095
    forward_networks: Annotated[
        tuple[str, ...],
        setting(
            "The networks in which destinations may be, public addresses apart. Loopback has to be named; link-local "
            "addresses and those at which clouds serve their credentials are never allowed."
        ),
    ] = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
    public_url: Annotated[
        str,
        setting(
            "How destinations reach this receiver, such as https://gatepost.example.com, with any path_prefix: links to"
            " images begin with it. Empty: no destination can be sent links."
        ),
    ] = ""
    fleet_networks: Annotated[
        tuple[str, ...],
        setting(
            "The networks in which terminals may be whose own HTTP service the receiver manages, public addresses "
            "apart. Loopback has to be named; link-local addresses are never allowed."
        ),
    ] = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
    fleet_backfill: Annotated[
        Literal["propose", "start"],
        setting(
            "What is done where an adopted terminal has more records of a day than are here, or was silent too long "
            "for its cache. propose: a job is listed, and a person starts it; start: it is started."
        ),
    ] = "propose"
    ingest_url: Annotated[
        str,
        setting(
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
