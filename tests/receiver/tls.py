"""Certificates to test with, and connections that trust them."""

import asyncio
import ssl
from pathlib import Path

import trustme
from tests.receiver.kit import Sender


def write(authority: trustme.CA, folder: Path, name: str = "127.0.0.1") -> tuple[Path, Path]:
    """Make a certificate, and its key."""
    leaf = authority.issue_cert(name)
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(b"".join(part.bytes() for part in leaf.cert_chain_pems))
    key.write_bytes(leaf.private_key_pem.bytes())
    return certificate, key


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def connect(port: int, context: ssl.SSLContext) -> Sender:
    """A connection whose handshake is done."""
    return Sender(*await asyncio.open_connection("127.0.0.1", port, ssl=context))
