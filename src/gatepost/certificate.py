"""Make a certificate for a service that has none: the terminal's own service, or a receiver with ``tls = "self"``.

Rules:

- A self-made certificate is made once, at the first start, and kept, so that a pinned fingerprint stays
  right. It is made again only when it has run out, when it is not valid yet (its maker's clock ran ahead), or
  when one of its two files is missing or damaged.
- The key is readable by its owner only, from its first byte; both files appear whole or not at all.
- TLS 1.2 and 1.3 (RFC 8446), nothing older (RFC 8996).

Flow: ``ensure`` → two files → ``server_context`` → the listener; ``fingerprint`` is what a person compares.
"""

import hashlib
import ipaddress
import os
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from gatepost.errors import SettingsError

if TYPE_CHECKING:  # cryptography is loaded when a certificate has to be made or looked at
    from cryptography.x509 import GeneralName

CERTIFICATE_FILE = "certificate.pem"
KEY_FILE = "certificate-key.pem"

# Ten years: renewing one takes a visit, and its holder is recognised by the fingerprint, not by the date.
_VALID_FOR = timedelta(days=3650)


_CLOCK_IS_SET = datetime(2000, 1, 1, tzinfo=UTC)
"""A clock before this was never set, as after a start without a battery. It decides nothing about a certificate."""


def ensure(folder: Path, *, holder: str, names: Sequence[str], now: datetime) -> tuple[Path, Path]:
    """Return the self-made certificate and its key in ``folder``, made now if there is none that is still good.

    ``holder``: whose it is, such as a serial number. ``names`` are host names and addresses that the service is reached
    by; ``localhost`` and the loopback addresses are always among them. ``now`` is aware. Raises OSError if the files
    cannot be written.
    """
    certificate, key = folder / CERTIFICATE_FILE, folder / KEY_FILE
    if not _are_still_good(certificate, key, now):
        certificate_pem, key_pem = _make(holder, names, now)
        _write(key, key_pem, 0o600)
        _write(certificate, certificate_pem, 0o644)
    return certificate, key


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the TLS settings of the listener. Raises SettingsError if the two files are no pair or cannot be read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            "certificate_file",
            f"cannot use {certificate} with {key} ({error}); give a PEM certificate and its key",
        ) from error
    return context


def fingerprint(certificate: Path) -> str:
    """Return the SHA-256 of the certificate, as 64 hexadecimal digits: the same that a client pins."""
    pem = certificate.read_text()
    first = pem[: pem.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n"
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first[first.index("-----BEGIN") :])).hexdigest()


def _are_still_good(certificate: Path, key: Path, now: datetime) -> bool:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        made = x509.load_pem_x509_certificate(certificate.read_bytes())
        if load_pem_private_key(key.read_bytes(), None).public_key() != made.public_key():
            return False
    except (FileNotFoundError, ValueError):
        return False
    return now < _CLOCK_IS_SET or made.not_valid_before_utc <= now < made.not_valid_after_utc


def _make(holder: str, names: Sequence[str], now: datetime) -> tuple[bytes, bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, holder[:64])])  # 64: RFC 5280, ub-common-name
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # a device's clock may be late when it is installed
        .not_valid_after(now + _VALID_FOR)
        .add_extension(x509.SubjectAlternativeName(_alternative_names(names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )


def _alternative_names(names: Sequence[str]) -> "list[GeneralName]":
    from cryptography import x509

    found: list[GeneralName] = []
    for name in dict.fromkeys(["localhost", "127.0.0.1", "::1", *names]):
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            if name.isascii():
                found.append(x509.DNSName(name))
    return found


def _write(path: Path, content: bytes, mode: int) -> None:
    """Put ``content`` at ``path`` whole or not at all, synced, with ``mode`` from the first byte."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        os.write(handle, content)
        os.fsync(handle)
    finally:
        os.close(handle)
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
