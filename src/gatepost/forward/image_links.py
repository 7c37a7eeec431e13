"""Make and read links to images that expire. Pure: no I/O, no clock.

A link names an event, its destination and its expiry time. A digest with a key of this receiver's store authenticates
it, and no login is needed. It ends earlier if the destination is deleted or no longer gets links, or if the image is
deleted.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from hashlib import sha256
from urllib.parse import urlsplit

from msgspec import Struct

from gatepost.errors import SettingsError

__all__ = ["PATH", "ImageLink", "ImageLinks"]

PATH = "/api/v1/image-links"

_LINK = re.compile(r"([1-9][0-9]{0,18})-([1-9][0-9]{0,18})-([1-9][0-9]{0,12})-([0-9a-f]{32})", re.ASCII)


class ImageLink(Struct, frozen=True):
    """The content of a link."""

    event_id: int
    destination_id: int
    until: int
    """Unix seconds."""


class ImageLinks:
    """Links to the images of one receiver."""

    def __init__(self, url: str, key: Callable[[], bytes]) -> None:
        """``url``: the address of the receiver, empty if unknown. ``key`` may block.

        Raises :class:`~gatepost.errors.SettingsError` for an invalid address.
        """
        self._url = _checked(url)
        self._key = key
        self._known: bytes | None = None

    def check(self) -> None:
        """Raise :class:`~gatepost.errors.SettingsError` if no link can be made."""
        if not self._url:
            raise SettingsError(
                "images",
                "cannot be link here: set public_url, so that a link says how this receiver is reached",
            )

    def make(self, link: ImageLink) -> str:
        """Return a link as an address. Raises as :meth:`check`."""
        self.check()
        words = f"{link.event_id}-{link.destination_id}-{link.until}"
        return f"{self._url}{PATH}/{words}-{self._digest(words)}"

    def read(self, text: str, now: float) -> ImageLink | None:
        """Return the content of the last part of a link; ``None`` if it is invalid or expired."""
        found = _LINK.fullmatch(text)
        if found is None or not hmac.compare_digest(self._digest(text.rpartition("-")[0]), found[4]):
            return None
        link = ImageLink(int(found[1]), int(found[2]), int(found[3]))
        return link if now < link.until else None

    def _digest(self, words: str) -> str:
        if self._known is None:
            self._known = self._key()
        return hmac.digest(self._known, words.encode(), sha256).hex()[:32]


def _checked(url: str) -> str:
    plain = url.rstrip("/")
    wrong = SettingsError("public_url", f"must be like https://gatepost.example.com, not {url!r}")
    try:
        parts = urlsplit(plain)
        port = parts.port
    except ValueError:
        raise wrong from None
    is_whole = parts.scheme in ("http", "https") and parts.hostname and port != 0
    has_more = parts.query or parts.fragment or "@" in parts.netloc
    if plain and (not is_whole or has_more or not plain.isprintable() or " " in plain):
        raise wrong
    return plain
