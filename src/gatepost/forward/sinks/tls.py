"""Make the TLS context of a destination: trusted authorities, and the certificate to show."""

from __future__ import annotations

import os
import ssl
import tempfile
from pathlib import Path

from gatepost.errors import SettingsError
from gatepost.forward.options.destination import Destination
from gatepost.forward.options.secrets import Secrets

__all__ = ["context_for"]


def context_for(told: Destination, secrets: Secrets) -> ssl.SSLContext | None:
    """Return the TLS context of a destination, ``None`` for the usual one.

    Raises :class:`~gatepost.errors.SettingsError` for a file or a certificate that cannot be used.
    """
    if told.ca_file is None and not secrets.client_certificate:
        return None
    try:
        context = ssl.create_default_context(cafile=told.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError("ca_file", f"cannot be used: {error.strerror or error}") from None
    if secrets.client_certificate:
        _show(context, secrets.client_certificate)
    return context


def _show(context: ssl.SSLContext, pem: str) -> None:
    # The library reads certificates from files only; this one is ours alone and gone at once.
    handle, name = tempfile.mkstemp(prefix="gatepost-")
    try:
        os.write(handle, pem.encode())
        os.close(handle)
        context.load_cert_chain(name, password=_no_password)
    except (OSError, ssl.SSLError):
        raise SettingsError(
            "secrets.client_certificate", "must be a certificate and its key without a password, PEM"
        ) from None
    finally:
        Path(name).unlink()


def _no_password() -> str:
    return ""
