"""Tokens, and programs that push for several terminals. Pure.

Flow: ``source_tokens`` → :func:`sources_of` → :class:`Source`, by the digest of its token.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b

from msgspec import Struct

from gatepost.errors import SettingsError

__all__ = ["APART", "BETWEEN", "Source", "sources_of", "token_digest"]


DIGEST_BYTES = 32
"""Of a token."""


def token_digest(token: str) -> bytes:
    """Return what the store keeps of a token. Nobody can push with it."""
    return blake2b(token.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest()


APART = "apart"
"""In ``source_tokens``: what the source names is its own."""

BETWEEN = "/"
"""Between the name of such a source and what it names."""

_SITE = re.compile(r"site:([1-9][0-9]{0,17})", re.ASCII)
"""A site in ``source_tokens``, by its id."""


class Source(Struct, frozen=True):
    """A program that pushes for several terminals, such as a receiver that forwards."""

    name: str
    serials: frozenset[str]
    prefixes: tuple[str, ...]
    sites: frozenset[int] = frozenset()
    """It may push for every terminal that stands there."""
    apart: bool = False
    """Its terminals and sites are its own, also where another one has terminals or sites of the same name."""

    def own(self, name: str | None) -> str | None:
        """Return what a serial or a site of this source is called here."""
        return f"{self.name}{BETWEEN}{name}" if self.apart and name else name

    def speaks_for(self, serial: str, site_id: int | None = None) -> bool:
        """Return whether it may push for a serial. ``site_id``: where its terminal stands, if it is known."""
        return serial in self.serials or serial.startswith(self.prefixes) or site_id in self.sites


def sources_of(entries: Iterable[str]) -> dict[bytes, Source]:
    """Return the sources of ``source_tokens`` by the digest of each token.

    Raises :class:`~gatepost.errors.SettingsError`.
    """
    found: dict[bytes, Source] = {}
    for entry in entries:
        name, _, rest = entry.strip().partition(" ")
        digest, *serials = rest.split() or [""]
        try:
            key = bytes.fromhex(digest)
        except ValueError:
            key = b""
        if len(key) != DIGEST_BYTES or not serials:
            raise SettingsError(
                "source_tokens",
                f"has {name!r} without a digest and serials or sites behind it;"
                " gatepost tokens source writes such a line",
            )
        if key in found:
            raise SettingsError("source_tokens", f"has the token of {name!r} twice")
        is_apart = APART in serials
        serials = [one for one in serials if one != APART]
        if not serials:
            raise SettingsError("source_tokens", f"has {name!r} without serials; * stands for all")
        sites = frozenset(int(site[1]) for one in serials if (site := _SITE.fullmatch(one)))
        serials = [one for one in serials if not _SITE.fullmatch(one)]
        exact = frozenset(one for one in serials if not one.endswith("*"))
        prefixes = tuple(one[:-1] for one in serials if one.endswith("*"))
        found[key] = Source(name, exact, prefixes, sites, is_apart)
    return found
