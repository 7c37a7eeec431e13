"""Which receivers the pusher trusts when ``event_dest`` begins with https, and the TLS context for it.

Rules:

- TLS 1.2 or later, always.
- Without settings: the system's trust store, and the certificate must have the host's name.
- ``ca_file`` replaces the trust store. ``fingerprint`` (SHA-256 of the certificate, DER) is checked before a byte of
  the request is written. Alone it is sufficient, which a self-signed receiver needs. With ``ca_file`` both must match.
- ``verify = False`` accepts any certificate; :meth:`Trust.warning` is then logged at every start.

The private key and the certificates are read once, at the start, so that a missing file is an error then.
"""

from __future__ import annotations

import hashlib
import hmac
import ssl
from pathlib import Path

from msgspec import Struct

from gatepost.errors import SettingsError

__all__ = ["Trust", "fingerprint_of"]


class Trust(Struct, frozen=True, kw_only=True):
    """The client's settings of TLS.

    ``ca_file``: PEM bundle that replaces the system's trust store. ``client_cert`` and ``client_key``: PEM
    files by which the terminal identifies itself (the key may be in the certificate's file). ``fingerprint``:
    SHA-256 of the receiver's certificate in hexadecimal, colons allowed. ``verify``: False accepts any
    certificate.
    """

    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    fingerprint: str | None = None
    verify: bool = True

    def pin(self) -> bytes | None:
        """Return the pinned fingerprint as 32 bytes. Raise `SettingsError` if it is not one."""
        if self.fingerprint is None:
            return None
        try:
            pin = bytes.fromhex(self.fingerprint.replace(":", ""))
        except ValueError:
            pin = b""
        if len(pin) != 32:
            raise SettingsError(
                "fingerprint",
                "must be the SHA-256 of the receiver's certificate: 64 hexadecimal digits, as "
                "`openssl x509 -noout -fingerprint -sha256` prints them",
            )
        return pin

    def warning(self) -> str | None:
        """Return what to log at each start when any certificate is accepted, else None."""
        if self.verify or self.fingerprint is not None:
            return None
        return "the receiver's certificate is not verified: any program at event_dest gets the faces"

    def context(self) -> ssl.SSLContext:
        """Return the context. Raise `SettingsError` that names the setting whose file cannot be used."""
        self.pin()
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                "ca_file", f"cannot be read as PEM certificates: {self.ca_file}: {error}"
            ) from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if not self.verify or (self.fingerprint is not None and self.ca_file is None):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.client_cert is not None:
            try:
                context.load_cert_chain(self.client_cert, self.client_key, password=_no_password)
            except (OSError, ssl.SSLError, ValueError) as error:
                raise SettingsError(
                    "client_cert", f"and client_key are no matching PEM pair without a password: {error}"
                ) from None
        elif self.client_key is not None:
            raise SettingsError("client_key", "is of no use without client_cert")
        return context


def fingerprint_of(der: bytes) -> str:
    """Return the SHA-256 of a certificate in DER, in hexadecimal."""
    return hashlib.sha256(der).hexdigest()


def matches(pin: bytes, der: bytes | None) -> bool:
    """Return whether this certificate is the pinned one."""
    return der is not None and hmac.compare_digest(hashlib.sha256(der).digest(), pin)


def _no_password() -> str:
    # Otherwise OpenSSL asks on the terminal, and a service hangs at its first start
    raise ValueError("the key is encrypted; give one without a password")
