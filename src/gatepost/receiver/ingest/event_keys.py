"""Keys by which an event that is pushed again is known, of one terminal."""

from __future__ import annotations

from hashlib import blake2b

from msgspec.structs import replace

from gatepost.store.types.arrivals import Arrival
from gatepost.wire import Decoded, Problem, Unknown, key, key_digest
from gatepost.wire.decoding.json.repair import trimmed

__all__ = ["kept_raw", "key_of"]


def key_of(decoded: Decoded, secret: bytes) -> bytes:
    """Return what makes two pushes of one terminal the same; of what is no event, a digest of its text.

    ``secret``: the store's, so that nobody else can find out whom a stored key stands for.
    """
    event = decoded.event
    if isinstance(event, Unknown):
        return _digest(trimmed(decoded.original)[0], secret)  # what is around its JSON does not matter
    return key_digest(key(event, decoded), secret)


def _digest(text: bytes, secret: bytes) -> bytes:
    return blake2b(text, digest_size=16, key=secret).digest()


def kept_raw(arrival: Arrival, why: str, secret: bytes) -> Arrival:
    """Return the same push for the quarantine: the store took every other event, but not this one.

    It is the text as it came, never a new encoding of the event: what is broken in it no encoding has, and of some
    events there is none. Its image stays where it is.
    """
    return replace(
        arrival,
        key=_digest(arrival.key + trimmed(arrival.original)[0], secret),
        event=Unknown({}),
        problems=(*arrival.problems, Problem("", why)),
    )
