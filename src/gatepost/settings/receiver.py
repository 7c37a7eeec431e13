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
            "For a terminal that was never seen before. accept: list its events; hold: store them, and list them after"
            " its approval; refuse. hold and refuse also apply to a known serial from an address that it never used."
        ),
    ] = "accept"
    require_token: Annotated[
        Literal["when-used", "always", "never"],
        setting(
            "Which terminals need their token: those that have used it once, all, or none. always: a push without a"
            " terminal's token is refused."
        ),
    ] = "when-used"  # noqa: S105 - it says which terminals need one
    source_tokens: Annotated[
        tuple[str, ...],
        setting(
            "Tokens with which another program, such as a receiver that forwards, may push for several terminals: each "
            "a name, the token's digest, and the serials, separated by blanks. SN-2* stands for all serials with this "
            "prefix, site:2 for the terminals of the site with this id. With the word apart, terminals and sites of "
            "the program are its own, named NAME/SERIAL and NAME/SITE here. gatepost tokens source makes a token."
        ),
    ] = ()
    on_invalid: Annotated[
        Literal["quarantine", "refuse"],
        setting(
            "For a JSON object that is no known event: keep it in the quarantine and acknowledge it, or refuse it."
        ),
    ] = "quarantine"
    allowed_networks: Annotated[
        tuple[str, ...], setting("Networks from which pushes are taken, such as 10.1.0.0/16; empty: all.")
    ] = ()
    trusted_proxies: Annotated[
        tuple[str, ...],
        setting("Networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted."),
    ] = ()
    max_body_bytes: Annotated[int, setting("Largest push.", unit="bytes", ge=1024)] = 8 * 1024 * 1024
    max_bodies_bytes: Annotated[
        int,
        setting(
            "Limit of all pushes in memory, until they are stored; beyond it pushes get 503.",
            unit="bytes",
            ge=1024 * 1024,
        ),
    ] = 24 * 1024 * 1024
    max_json_depth: Annotated[
        int, setting("Deepest nesting of a push. Terminals need four levels.", unit="levels", ge=4, le=512)
    ] = 64
    max_terminals: Annotated[
        int,
        setting(
            "Most terminals that are registered by their pushes. Retired ones do not count.",
            unit="terminals",
            ge=1,
        ),
    ] = 20_000
    max_new_terminals_per_hour: Annotated[
        int,
        setting(
            "Most terminals that are registered by their pushes in one hour; beyond it unknown ones get 503.",
            unit="terminals",
            ge=1,
        ),
    ] = 5_000
    unapproved_events_per_minute: Annotated[
        int,
        setting(
            "Most events that a terminal pushes in a minute before its approval; beyond it pushes get 503. A tenth of"
            " them may go to the quarantine.",
            unit="events",
            ge=1,
        ),
    ] = 30_000
    unapproved_bytes_per_minute: Annotated[
        int, setting("The same limit in bytes.", unit="bytes", ge=1024)
    ] = 1024 * 1024 * 1024
    unapproved_events_per_day: Annotated[
        int, setting("The same limit for a day (UTC).", unit="events", ge=1)
    ] = 100_000
    unapproved_bytes_per_day: Annotated[
        int, setting("The same limit for a day (UTC), in bytes.", unit="bytes", ge=1024)
    ] = 8 * 1024 * 1024 * 1024
    unapproved_terminals_per_address: Annotated[
        int,
        setting(
            "Limit of all unapproved terminals of one address together, as a multiple of the limit of one.",
            unit="terminals",
            ge=1,
        ),
    ] = 20
    max_connections: Annotated[
        int,
        setting(
            "Most open connections; beyond it the one that was idle longest is closed.",
            unit="connections",
            ge=1,
        ),
    ] = 8192
    max_connections_per_address: Annotated[
        int,
        setting(
            "Most open connections of one address, unless it is a trusted proxy.", unit="connections", ge=1
        ),
    ] = 4096
    head_timeout_s: Annotated[
        float, setting("Time for the head of a request, and for the first byte.", unit="seconds", gt=0)
    ] = 10.0
    body_timeout_s: Annotated[float, setting("Time for the body of a request.", unit="seconds", gt=0)] = 60.0
    idle_timeout_s: Annotated[
        float, setting("Time between two requests of one connection.", unit="seconds", gt=0)
    ] = 120.0
    max_queue_events: Annotated[
        int,
        setting(
            "Most events that wait for a sync, or with acknowledge_after = store to be listed; beyond it 503.",
            unit="events",
            ge=1,
        ),
    ] = 8192
    max_batch_events: Annotated[int, setting("Most events of one sync.", unit="events", ge=1, le=4096)] = 512
    acknowledge_after: Annotated[
        Literal["journal", "store"],
        setting(
            "When a push gets 200. journal: its events are on the receiver's disk; store: they are also in the"
            " database, and their images in the bucket if packs names one. Without either, pushes get 503."
        ),
    ] = "journal"
    journal_max_bytes: Annotated[
        int,
        setting(
            "Limit of the journal's backlog; beyond it pushes get 503. 0: a tenth of the disk, at most 16 GB.",
            unit="bytes",
            ge=0,
        ),
    ] = 0
    min_free_bytes: Annotated[
        int,
        setting(
            "Space of the disk that stays free, plus the space to list the backlog; below it pushes get 503."
            " 0: a twentieth of the disk, from 64 MB to 1 GB.",
            unit="bytes",
            ge=0,
        ),
    ] = 0
    retry_after_s: Annotated[
        int, setting("Time that a 503 asks a terminal to wait.", unit="seconds", ge=1, le=3600)
    ] = 5
    stop_timeout_s: Annotated[
        float, setting("At a stop: time to store accepted events.", unit="seconds", gt=0)
    ] = 10.0
    people_scope: Annotated[
        Literal["site", "terminal", "everywhere"],
        setting("Scope in which a user_id is one person: a site, a single terminal, or everywhere."),
    ] = "site"
    repeat_s: Annotated[
        float,
        setting(
            "Passages of a person at one terminal within this time of each other count once; 0: each one counts.",
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
            "Whether /metrics has the numbers of each terminal. Receivers of one database have the same ones, so on is"
            " enough at one of them."
        ),
    ] = "on"
    log_format: Annotated[Literal["text", "json"], setting("Format of the log's lines.")] = "text"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], setting("Lowest level that is logged.")
    ] = "info"
    images: Annotated[
        Literal["store", "off"],
        setting("Whether images are stored; off: they are discarded on arrival."),
    ] = "store"
    packs: Annotated[
        str,
        setting(
            "Where images are kept. file: in the data folder; file:///FOLDER or s3://BUCKET/PREFIX: they are moved"
            " there when their pack is closed, within an hour. Receivers of one database may share it, and then show"
            " each other's images. Endpoint, region and keys of the bucket come from the variables AWS_ENDPOINT_URL,"
            " AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        ),
    ] = "file"
    image_keys: Annotated[
        tuple[str, ...],
        setting(
            "Keys that encrypt the keys of images (AES-256-GCM), each 32 bytes in base64; the first one encrypts, all"
            " decrypt. None: a copy of database and images can be read. Better in image_key_file.",
            secret=True,
        ),
    ] = ()
    image_key_file: Annotated[
        str | None, setting("File with these keys, one per line; # begins a comment.")
    ] = None
    retention_images_days: Annotated[
        int,
        setting(
            "Time for which images are kept after the day of receipt (UTC); 0: for ever.",
            unit="days",
            ge=0,
            le=36500,
        ),
    ] = 90
    retention_stranger_images_days: Annotated[
        int,
        setting("The same for images of strangers.", unit="days", ge=0, le=36500),
    ] = 30
    retention_records_days: Annotated[
        int,
        setting(
            "The same for records and alarms. Their images are deleted with them at the latest.",
            unit="days",
            ge=0,
            le=36500,
        ),
    ] = 1095
    retention_quarantine_days: Annotated[
        int,
        setting(
            "The same for the quarantine. Images in it are deleted with the other images.",
            unit="days",
            ge=0,
            le=36500,
        ),
    ] = 90
    retention_audit_days: Annotated[
        int, setting("The same for the audit log.", unit="days", ge=0, le=36500)
    ] = 1095
    forward_networks: Annotated[
        tuple[str, ...],
        setting(
            "Networks of destinations, in addition to public addresses. Loopback has to be listed; link-local "
            "addresses and those at which clouds serve their credentials are never allowed."
        ),
    ] = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
    public_url: Annotated[
        str,
        setting(
            "Address of this receiver for destinations, such as https://gatepost.example.com, with any path_prefix."
            " Links to images begin with it. Empty: no destination can be sent links."
        ),
    ] = ""
    fleet_networks: Annotated[
        tuple[str, ...],
        setting(
            "Networks of terminals whose own HTTP service the receiver manages, in addition to public addresses. "
            "Loopback has to be listed; link-local addresses are never allowed."
        ),
    ] = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
    fleet_backfill: Annotated[
        Literal["propose", "start"],
        setting(
            "What happens if an adopted terminal has more records of a day than are here, or was silent too long "
            "for its cache. propose: a job is listed, and a person starts it; start: the job is started."
        ),
    ] = "propose"
    ingest_url: Annotated[
        str,
        setting(
            "Address of this receiver for terminals, such as https://gatepost.example.com; empty: that of the console."
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
"""Settings that can be changed while the receiver runs, in the console or by the API."""
