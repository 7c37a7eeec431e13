"""Cursors: where the next page of a list begins.

Pages are cut by *keyset*: a cursor says after which row the page begins, so nothing is skipped or repeated while
events arrive, and the thousandth page costs what the first one does.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec

from gatepost.errors import StoreError

__all__ = ["BadCursor", "encode_cursor", "decode_cursor"]


class BadCursor(StoreError):
    """The cursor is none that this list gave out."""

    def __str__(self) -> str:
        return "cursor is not one that this list gave out; start again without it"


def encode_cursor(order: str, *place: int) -> str:
    return urlsafe_b64encode(msgspec.msgpack.encode([order, *place])).decode().rstrip("=")


def decode_cursor(cursor: str, order: str) -> tuple[int, ...]:
    try:
        raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        said, *place = msgspec.msgpack.decode(raw, type=tuple[str, int, int])
    except (ValueError, msgspec.MsgspecError):
        raise BadCursor from None
    if said != order:
        raise BadCursor
    return tuple(place)
