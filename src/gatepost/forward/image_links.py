"""Make and read links to images that expire. Pure: no I/O, no clock.

A link names an event, the destination that was sent it, and until when it may be opened; a digest with a key of this
receiver's store shows that these are its own words. Who has the link needs no login. It is over earlier where the
destination is deleted or is sent links no more, and where the image leaves: :meth:`Forwarding.linked_image`.
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
    """Hold what a link says."""

    event_id: int
    destination_id: int
    until: int
    """Unix seconds."""


class ImageLinks:
    """Links to the images of one receiver."""

    def __init__(self, url: str, key: Callable[[], bytes]) -> None:
        """``url``: how the receiver is reached, empty where that was not said. ``key`` may block.

        Raises :class:`~gatepost.errors.SettingsError` for what is no such address.
        """
        self._url = _checked(url)
        self._key = key
        self._known: bytes | None = None

    def check(self) -> None:
        """Raise :class:`~gatepost.errors.SettingsError` where no link can be made."""
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
        """Return what the last part of a link says; ``None`` for one that is not ours, or is over."""
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
