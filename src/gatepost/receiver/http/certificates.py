"""Load the certificates that the settings name, and take over new ones while they are in use."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import structlog

from gatepost.certificate import ensure
from gatepost.errors import SettingsError
from gatepost.journal.files import Files
from gatepost.receiver.http.server import Certificate
from gatepost.settings import ReceiverSettings

__all__ = ["load_certificates", "renew"]

log = structlog.get_logger(__name__)


def renew(certificates: Sequence[Certificate | None], *, is_told: bool = True) -> None:
    """Take over what stands in the files of the certificates now. ``is_told``: say in the log that it was done."""
    present = [certificate for certificate in certificates if certificate is not None]
    try:
        for certificate in present:
            certificate.reload()
    except SettingsError as error:
        log.error("receiver.certificate_kept", why=str(error))
    else:
        if present and is_told:
            log.info("receiver.certificate_renewed")


def load_certificates(
    settings: ReceiverSettings, data: Path
) -> tuple[Certificate | None, Certificate | None]:
    """Load the certificate of ``listen`` and that of ``ingest_listen``; clients show theirs where they push.

    With ``tls = "self"`` the first is made in the data folder.
    """
    client_ca = Path(settings.client_ca_file) if settings.client_ca_file else None
    apart = bool(settings.ingest_listen)
    if client_ca is not None and (
        not (settings.certificate_file or settings.key_file) or (apart and not settings.ingest_tls)
    ):
        raise SettingsError(
            "client_ca_file", "needs TLS where terminals push: set certificate_file, key_file and ingest_tls"
        )
    if settings.tls == "self":
        if settings.certificate_file or settings.key_file:
            raise SettingsError(
                "tls", "is self, and certificate_file or key_file is set; take one of them out"
            )
        return _own_certificate(settings, data), None
    if not apart:
        return _certificate(settings, client_ca), None
    return _certificate(settings, None), _certificate(settings, client_ca) if settings.ingest_tls else None


def _own_certificate(settings: ReceiverSettings, data: Path) -> Certificate:
    host = settings.listen.rpartition(":")[0].strip("[]")
    names = [socket.gethostname(), *settings.allowed_hosts]
    names += [host] if host not in ("", "0.0.0.0", "::") else []  # noqa: S104 - it says everywhere, and is no name
    try:
        Files().make_folder(data)
        pair = ensure(data, holder="gatepost", names=names, now=datetime.now(UTC))
    except OSError as error:
        raise SettingsError(
            "tls", f"is self, and no certificate can be kept in {data}: {error.strerror}"
        ) from None
    return Certificate(*pair)


def _certificate(settings: ReceiverSettings, client_ca: Path | None) -> Certificate | None:
    if not settings.certificate_file and not settings.key_file:
        return None
    if not settings.certificate_file or not settings.key_file:
        missing = "key_file" if settings.certificate_file else "certificate_file"
        raise SettingsError(missing, "is missing; TLS needs a certificate and its key")
    return Certificate(Path(settings.certificate_file), Path(settings.key_file), client_ca)
