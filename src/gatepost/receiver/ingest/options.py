"""The settings that the ingest looks at."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from gatepost.errors import SettingsError
from gatepost.receiver.ingest.quotas import Amounts
from gatepost.receiver.terminals.claims import Policy
from gatepost.receiver.terminals.networks import Networks
from gatepost.settings import ReceiverSettings

__all__ = ["Options"]


class Options(Struct, frozen=True, kw_only=True):
    """Hold what of the settings concerns pushes."""

    paths: tuple[str, ...] = ("/Record",)
    max_body_bytes: int = 8 * 1024 * 1024
    max_depth: int = 64
    on_invalid: Literal["quarantine", "refuse"] = "quarantine"
    retry_after_s: int = 5
    images: Literal["store", "off"] = "store"
    trusted_proxies: Networks = Networks((), setting="trusted_proxies")
    client_certificates: bool = False
    """Only connections with a client certificate may push."""
    policy: Policy = Policy()
    amounts: Amounts = Amounts()

    @classmethod
    def of(cls, settings: ReceiverSettings, proxies: Networks) -> Options:
        """Return the options of these settings. Raises :class:`~gatepost.errors.SettingsError`."""
        for path in settings.ingest_paths:
            if not path.startswith("/") or not path.isascii() or not path.strip("/"):
                raise SettingsError("ingest_paths", f"has {path!r}; a path is like /Record")
        return cls(
            paths=settings.ingest_paths,
            max_body_bytes=settings.max_body_bytes,
            max_depth=settings.max_json_depth,
            on_invalid=settings.on_invalid,
            retry_after_s=settings.retry_after_s,
            images=settings.images,
            trusted_proxies=proxies,
            client_certificates=bool(settings.client_ca_file),
            policy=Policy.of(settings),
            amounts=Amounts.of(settings),
        )
