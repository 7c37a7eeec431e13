"""Real certificates for receivers, good and bad, made once a run by trustme."""

from __future__ import annotations

import datetime
import ssl
import warnings
from functools import cache
from pathlib import Path

import trustme


@cache
def authority() -> trustme.CA:
    return trustme.CA()


def ca_file(folder: Path) -> Path:
    path = folder / "ca.pem"
    authority().cert_pem.write_to_path(path)
    return path


def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@cache
def trusted() -> ssl.SSLContext:
    """For 127.0.0.1, issued by `authority`."""
    return _context(authority().issue_cert("127.0.0.1", "localhost"))


@cache
def with_many_names() -> ssl.SSLContext:
    """For 127.0.0.1 and so many other names that a handshake has several KB."""
    return _context(authority().issue_cert("127.0.0.1", *(f"gate-{n}.receiver.example" for n in range(100))))


@cache
def expired() -> ssl.SSLContext:
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    return _context(authority().issue_cert("127.0.0.1", not_after=yesterday))


@cache
def for_another_host() -> ssl.SSLContext:
    return _context(authority().issue_cert("receiver.example"))


@cache
def self_signed() -> tuple[ssl.SSLContext, bytes]:
    """A certificate that no authority of the terminal's has issued, and its DER."""
    certificate = trustme.CA().issue_cert("127.0.0.1")
    pem = certificate.cert_chain_pems[0].bytes().decode()
    return _context(certificate), ssl.PEM_cert_to_DER_cert(pem)


def tls_1_0_only() -> ssl.SSLContext:
    context = _context(authority().issue_cert("127.0.0.1"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it is deprecated, which is the point
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def asks_for_a_client() -> ssl.SSLContext:
    context = _context(authority().issue_cert("127.0.0.1"))
    authority().configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_files(folder: Path) -> tuple[Path, Path]:
    """Certificate and key by which a terminal identifies itself."""
    certificate = authority().issue_cert("terminal.example")
    certificate.cert_chain_pems[0].write_to_path(folder / "client.pem")
    certificate.private_key_pem.write_to_path(folder / "client.key")
    return folder / "client.pem", folder / "client.key"
