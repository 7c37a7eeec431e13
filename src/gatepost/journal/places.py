"""Images of events: an image to write, and the place of a written one. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
from msgspec import Struct

__all__ = ["Image", "Place", "join_places", "split_places"]

_KIND = re.compile(r"[a-z]{1,32}")


class Image(Struct, frozen=True):
    """An image to write. Raises ``ValueError`` for a kind that cannot be part of a name."""

    kind: str
    """Images of one kind share packs: one to 32 letters from a to z."""
    data: bytes

    def __post_init__(self) -> None:
        if not _KIND.fullmatch(self.kind):
            raise ValueError(f"a kind of images is 1 to 32 letters from a to z, not {self.kind!r}")


class Place(Struct, frozen=True, array_like=True):
    """The place of an image in a pack, and its key."""

    pack: str
    """The name of the file."""
    offset: int
    length: int
    """Bytes in the pack: those of the image, and :data:`~gatepost.journal.format.TAG_BYTES`."""
    key: bytes
    """Key of the image. A caller may store it encrypted, and decrypts it before :meth:`Packs.read`."""


_Joined = tuple[tuple[Place, ...], msgspec.Raw]
_JOINING, _SPLITTING = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(_Joined)


def join_places(body: bytes, places: Sequence[Place]) -> bytes:
    """Return the body of a frame with images. ``body``: msgpack, of one value."""
    return _JOINING.encode((places, msgspec.Raw(body)))


def split_places(joined: bytes) -> tuple[bytes, tuple[Place, ...]]:
    """Return the body, and the places of its images. Raises ``ValueError`` for another form."""
    places, body = _SPLITTING.decode(joined)
    return bytes(body), places
