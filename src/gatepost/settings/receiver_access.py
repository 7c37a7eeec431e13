"""The settings of a receiver that say who logs in, where it listens, and which database it uses."""

from typing import Annotated, Literal

from msgspec import Struct

from gatepost.settings.declare import setting

__all__ = ["ReceiverAccessSettings"]


class ReceiverAccessSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first part of :class:`~gatepost.settings.ReceiverSettings`: logins, addresses, database."""

    admin_password: Annotated[
        str,
        setting(
            "The password of the account admin, which the first start makes; empty: one is made up and printed once.",
            secret=True,
        ),
    ] = ""
    session_hours: Annotated[
        float, setting("After how long one has to log in again.", unit="hours", gt=0, le=8760)
    ] = 12.0
    session_idle_hours: Annotated[
        float, setting("After how long without use one has to log in again.", unit="hours", gt=0, le=8760)
    ] = 2.0

    oidc_issuer: Annotated[
        str,
        setting(
            "The identity provider at which people log in to the console (OpenID Connect), such as"
            " https://id.example.com/realms/company; empty: with a password only."
        ),
    ] = ""
    oidc_client_id: Annotated[str, setting("The client that this receiver is there.")] = ""
    oidc_client_secret: Annotated[
        str,
        setting(
            "The secret of that client; empty for a public client. Better in oidc_client_secret_file.",
            secret=True,
        ),
    ] = ""
    oidc_client_secret_file: Annotated[str | None, setting("A file whose first line is that secret.")] = None
    oidc_label: Annotated[
        str, setting("What the login page calls the provider; empty: single sign-on.", max_length=64)
    ] = ""
    oidc_scopes: Annotated[
        str, setting("The scopes that the provider is asked for, with blanks between.")
    ] = "openid profile email groups"
    oidc_groups_claim: Annotated[str, setting("The claim of the ID token that has the groups.")] = "groups"
    oidc_name_claim: Annotated[
        str, setting("The claim of the ID token that becomes the name of the account, at the first login.")
    ] = "preferred_username"
    oidc_roles: Annotated[
        tuple[str, ...],
        setting(
            "What a group of the provider may do: GROUP=ROLE for every site, or GROUP=ROLE@SITE. The highest role"
            " wins, with the sites of the groups that have it. Whose groups are not here may not log in."
        ),
    ] = ()
    oidc_ca_file: Annotated[
        str | None,
        setting("Certificate authorities, PEM, to trust for the provider instead of the system's."),
    ] = None

    role: Annotated[
        Literal["all", "ingest", "desk"],
        setting(
            "What this receiver does of one database of PostgreSQL: all; ingest, takes pushes and lists them; desk,"
            " console, API, forwarding and managed terminals, and no pushes."
        ),
    ] = "all"
    listen: Annotated[str, setting("Where to listen, HOST:PORT.")] = "127.0.0.1:8080"
    ingest_listen: Annotated[
        str,
        setting(
            "Where terminals push, HOST:PORT, if not to the address of console and API; nothing else is there."
        ),
    ] = ""
    ingest_processes: Annotated[
        int,
        setting(
            "How many processes take pushes; each has limits of its own for connections and memory.",
            unit="processes",
            ge=1,
            le=64,
        ),
    ] = 1
    certificate_file: Annotated[
        str | None, setting("The certificate for TLS, PEM, with its chain. SIGHUP takes over a new one.")
    ] = None
    key_file: Annotated[str | None, setting("The key that belongs to it, PEM, without a password.")] = None
    tls: Annotated[
        Literal["off", "self"],
        setting(
            "Without certificate_file: off, plain HTTP; self, TLS at listen with a certificate that is made in the data"
            " folder and kept. A browser asks once whether to trust it. ingest_listen stays plain HTTP then."
        ),
    ] = "off"
    allowed_hosts: Annotated[
        tuple[str, ...],
        setting(
            "Names under which console and API may be reached, such as gatepost.example.com; empty for any. An IP"
            " address and localhost always may. Pushes are not concerned."
        ),
    ] = ()
    console_networks: Annotated[
        tuple[str, ...],
        setting("Networks from which console and API may be used; empty for all. Pushes are not concerned."),
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
            "Certificate authorities, PEM. A push is then taken only over a connection whose client certificate one of"
            " them signed; the console asks for none. SIGHUP takes over new ones."
        ),
    ] = None
    ingest_tls: Annotated[
        bool, setting("Whether ingest_listen speaks TLS too, where there is a certificate.")
    ] = True
    path_prefix: Annotated[
        str, setting("Under which path a proxy shows the receiver, such as /gatepost; empty for none.")
    ] = ""
    database: Annotated[
        str,
        setting(
            "postgresql://… to store in PostgreSQL, several hosts with commas between them; empty for SQLite in the"
            " data folder.",
            secret=True,
        ),
    ] = ""
    database_connections: Annotated[
        int,
        setting(
            "How many connections to PostgreSQL a receiver opens at most, in addition to the one that stores events.",
            unit="connections",
            ge=2,
            le=1000,
        ),
    ] = 16
