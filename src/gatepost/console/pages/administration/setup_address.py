"""Define what to set on a terminal, and whether a terminal can reach it."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from msgspec import Struct

from gatepost.receiver.api.access.authorization import Access, AnyRequest
from gatepost.receiver.terminals.admin import Registrar

__all__ = ["Setup", "plain_address"]


class Setup(Struct, frozen=True):
    """Hold the address that is to be set on a terminal."""

    address: str
    """``event_dest``."""
    secret: bool
    """It has a token in it, which is told this once."""

    @property
    def body(self) -> str:
        return f'{{"event_dest": "{self.address}", "enabled": true}}'

    @property
    def command(self) -> str:
        """For a shell. Terminals show certificates that they made themselves: ``-k``."""
        return (
            "curl -k -u USER:PASSWORD -H 'Content-Type: application/json' \\\n"
            f"  -d '{self.body}' \\\n"
            "  https://TERMINAL:8000/v1/event/subscribe"
        )

    @property
    def is_loopback(self) -> bool:
        """Only programs on this machine reach it."""
        host = urlsplit(self.address).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost" or host.endswith(".localhost")


def plain_address(registrar: Registrar, access: Access, request: AnyRequest) -> Setup:
    """Return the address that any terminal may push to."""
    return Setup(registrar.address("", asked_at=access.base_url(request)).rstrip("/"), secret=False)
