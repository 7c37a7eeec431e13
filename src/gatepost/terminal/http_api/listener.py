"""Where the terminal's HTTP service listens, and the conditions for it.

Rules:

- On loopback it needs neither an account nor TLS. Anywhere else it needs an account and always uses TLS, because a
  client that may post a subscription decides where the images go.
- ``HOST:PORT``; an IPv6 address in brackets; port 0 for any free one. A name other than ``localhost`` counts as not
  loopback, whatever it resolves to.
"""

import ipaddress
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from gatepost import certificate
from gatepost.errors import SettingsError
from gatepost.settings import TerminalServiceSettings


@dataclass(frozen=True, slots=True)
class Listener:
    """The checked settings of the service."""

    host: str
    port: int
    passwords: dict[str, str]
    tls: ssl.SSLContext | None
    fingerprint: str
    """SHA-256 of the certificate, hexadecimal; empty without TLS."""

    def url(self, port: int) -> str:
        """Return the address for people, with the port that was bound."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self.tls is None else 'https'}://{host}:{port}"


def prepare(settings: TerminalServiceSettings, *, folder: Path, serial: str, now: float) -> Listener:
    """Check the settings of the service; make a certificate in ``folder`` if one is needed. ``now``: Unix seconds.

    Raises SettingsError if the service may not listen like this.
    """
    host, port = split(settings.listen)
    passwords = passwords_of(settings)
    loopback = is_loopback(host)
    if not loopback and not passwords:
        raise SettingsError(
            "username",
            f"must be set, with password_file, to listen on {host}: beyond this machine an account is needed",
        )
    if loopback and not (settings.tls or settings.certificate_file or settings.key_file):
        return Listener(host, port, passwords, None, "")
    pair = _pair(settings, folder=folder, serial=serial, host=host, now=now)
    context = certificate.server_context(*pair)
    return Listener(host, port, passwords, context, certificate.fingerprint(pair[0]))


def split(listen: str) -> tuple[str, int]:
    """Take ``HOST:PORT`` apart. Raises SettingsError."""
    try:
        parts = urlsplit(f"//{listen}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port is None or parts.netloc != listen or "@" in listen:
        raise SettingsError(
            "listen", f"must be HOST:PORT, such as 127.0.0.1:8000 or [::1]:8000, not {listen!r}"
        )
    return host, port


def is_loopback(host: str) -> bool:
    """Return whether only programs on this machine reach ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def passwords_of(settings: TerminalServiceSettings) -> dict[str, str]:
    """Return the password by the name of the account; empty without an account. Raises SettingsError."""
    password = settings.password
    if settings.password_file is not None:
        try:
            lines = Path(settings.password_file).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                "password_file", f"cannot be read: {settings.password_file}: {error}"
            ) from None
        password = lines[0] if lines else ""
    if not settings.username:
        if password:
            raise SettingsError("username", "must be set when there is a password")
        return {}
    name = settings.username
    if not (name.isascii() and name.isprintable() and ":" not in name):
        raise SettingsError("username", "must be printable ASCII without a colon: it travels in HTTP headers")
    if not password:
        raise SettingsError(
            "password_file", "must name a file whose first line is the password of the account"
        )
    return {settings.username: password}


def _pair(
    settings: TerminalServiceSettings, *, folder: Path, serial: str, host: str, now: float
) -> tuple[Path, Path]:
    if settings.certificate_file is not None:
        # A PEM file may hold both.
        return Path(settings.certificate_file), Path(settings.key_file or settings.certificate_file)
    if settings.key_file is not None:
        raise SettingsError("certificate_file", "must be set when key_file is")
    wildcard = host in ("0.0.0.0", "::")  # noqa: S104 (compared, not bound)
    names = [socket.gethostname(), *([] if wildcard else [host])]
    return certificate.ensure(folder, holder=serial, names=names, now=datetime.fromtimestamp(now, UTC))
