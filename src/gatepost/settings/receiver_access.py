"""The settings of a receiver for logins, addresses and the database."""

from typing import Annotated, Literal

from msgspec import Struct

from gatepost.settings.declare import setting

__all__ = ["ReceiverAccessSettings"]


class ReceiverAccessSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first part of :class:`~gatepost.settings.ReceiverSettings`: logins, addresses, database."""

    admin_password: Annotated[
        str,
        setting(
            "The password of the account admin, which the first start makes; empty: a random one, printed once.",
            secret=True,
        ),
    ] = ""
    session_hours: Annotated[
        float, setting("Time after a login at which a user has to log in again.", unit="hours", gt=0, le=8760)
    ] = 12.0
    session_idle_hours: Annotated[
        float,
        setting("Time without use after which a user has to log in again.", unit="hours", gt=0, le=8760),
    ] = 2.0

    oidc_issuer: Annotated[
        str,
        setting(
            "Address of the identity provider for logins to the console (OpenID Connect), such as"
            " https://id.example.com/realms/company; empty: logins with a password only."
        ),
    ] = ""
    oidc_client_id: Annotated[str, setting("The client id of this receiver at the identity provider.")] = ""
    oidc_client_secret: Annotated[
        str,
        setting(
            "The secret of that client; empty for a public client. Better in oidc_client_secret_file.",
            secret=True,
        ),
    ] = ""
    oidc_client_secret_file: Annotated[str | None, setting("A file whose first line is that secret.")] = None
    oidc_label: Annotated[
        str, setting("Name of the provider on the login page; empty: single sign-on.", max_length=64)
    ] = ""
    oidc_scopes: Annotated[str, setting("The scopes to request from the provider, separated by blanks.")] = (
        "openid profile email groups"
    )
    oidc_groups_claim: Annotated[str, setting("The claim of the ID token with the groups.")] = "groups"
    oidc_name_claim: Annotated[
        str, setting("The claim of the ID token that becomes the account name at the first login.")
    ] = "preferred_username"
    oidc_roles: Annotated[
        tuple[str, ...],
        setting(
            "Roles of the provider's groups: GROUP=ROLE for every site, or GROUP=ROLE@SITE. The highest role"
            " wins, with the sites of the groups that have it. A user without a listed group cannot log in."
        ),
    ] = ()
    oidc_ca_file: Annotated[
        str | None,
        setting("File with certificate authorities, PEM, to trust for the provider instead of the system's."),
    ] = None

    role: Annotated[
        Literal["all", "ingest", "desk"],
        setting(
            "Role of this receiver among those of one PostgreSQL database. all: everything; ingest: takes pushes and"
            " lists events; desk: console, API, forwarding and managed terminals, no pushes."
        ),
    ] = "all"
    listen: Annotated[str, setting("Address to listen at, HOST:PORT.")] = "127.0.0.1:8080"
    ingest_listen: Annotated[
        str,
        setting(
            "A separate address for pushes, HOST:PORT, without console and API; empty: pushes use listen."
        ),
    ] = ""
    ingest_processes: Annotated[
        int,
        setting(
            "Number of processes that take pushes. Each has its own limits of connections and memory.",
            unit="processes",
            ge=1,
            le=64,
        ),
    ] = 1
    certificate_file: Annotated[
        str | None, setting("File with the TLS certificate and its chain, PEM. SIGHUP loads a new one.")
    ] = None
    key_file: Annotated[
        str | None, setting("File with the key of that certificate, PEM, without a password.")
    ] = None
    tls: Annotated[
        Literal["off", "self"],
        setting(
            "Without certificate_file. off: plain HTTP; self: TLS at listen with a self-signed certificate, which is"
            " kept in the data folder. A browser asks once whether to trust it. ingest_listen stays plain HTTP."
        ),
    ] = "off"
    allowed_hosts: Annotated[
        tuple[str, ...],
        setting(
            "Host names of console and API, such as gatepost.example.com; empty: any. IP addresses and localhost"
            " are always allowed. Does not apply to pushes."
        ),
    ] = ()
    console_networks: Annotated[
        tuple[str, ...],
        setting("Networks from which console and API may be used; empty: all. Does not apply to pushes."),
    ] = ()
    console_label: Annotated[
        str,
        setting(
            "What the console shows under its name, also on the login page, to tell several receivers apart;"
            " empty: nothing.",
            max_length=64,
        ),
    ] = ""
    client_ca_file: Annotated[
        str | None,
        setting(
            "File with certificate authorities, PEM. Pushes then need a client certificate that one of them signed;"
            " the console needs none. SIGHUP loads new ones."
        ),
    ] = None
    ingest_tls: Annotated[
        bool, setting("Whether ingest_listen uses TLS, too, if there is a certificate.")
    ] = True
    path_prefix: Annotated[
        str, setting("Path at which a proxy serves the receiver, such as /gatepost; empty: none.")
    ] = ""
    database: Annotated[
        str,
        setting(
            "postgresql://… to store in PostgreSQL, several hosts separated by commas; empty: SQLite in the"
            " data folder.",
            secret=True,
        ),
    ] = ""
    database_connections: Annotated[
        int,
        setting(
            "Most connections of a receiver to PostgreSQL, without the one that stores events.",
            unit="connections",
            ge=2,
            le=1000,
        ),
    ] = 16
