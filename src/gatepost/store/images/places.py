"""Places of images, as events have them: parts, kinds of packs, and keys. Pure: no database.

Rules of them are in :mod:`gatepost.store.images.images`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec.structs import replace

from gatepost.journal.format import KEY_BYTES
from gatepost.journal.packs.files import parse_name
from gatepost.journal.places import Place
from gatepost.store.images.encryption import ImageKeys
from gatepost.store.types.arrivals import Arrival

__all__ = [
    "ALARMS", "IMAGE", "KINDS", "PEOPLE", "QUARANTINE", "STRANGERS", "TEXTS", "open_place", "pack_names", "pack_row",
    "parts_of", "rows_of", "seal_place",
]  # fmt: skip

PEOPLE, STRANGERS, ALARMS, QUARANTINE = KINDS = ("people", "strangers", "alarms", "quarantine")
"""Kinds of images: each has packs of its own, which are kept for a time of their own."""

IMAGE, TEXTS = 0, 1
"""Parts of an event."""


def key_place(place: Place) -> bytes:
    """Return what binds an encrypted key to the place of its image."""
    return f"key {place.pack} {place.offset}".encode()


def seal_place(place: Place, keys: ImageKeys) -> Place:
    """Return a place whose key is encrypted; the same where it is already, or there are no ``image_keys``."""
    if not keys or len(place.key) != KEY_BYTES:
        return place
    return replace(place, key=keys.seal(place.key, key_place(place)))


def open_place(place: Place, keys: ImageKeys) -> Place:
    """Return a place whose key opens the image.

    Raises :class:`~gatepost.errors.StoreError` where the key that it is encrypted with is not given.
    """
    if len(place.key) == KEY_BYTES:
        return place
    return replace(place, key=keys.open(place.key, key_place(place)))


def parts_of(arrival: Arrival) -> Iterator[tuple[int, Place]]:
    """Yield part and place of what an event has in packs."""
    if arrival.image is not None:
        yield IMAGE, arrival.image
    if arrival.texts is not None:
        yield TEXTS, arrival.texts


def pack_names(batch: Iterable[Arrival]) -> list[str]:
    """Return the names of the packs that a batch refers to, sorted."""
    return sorted({place.pack for arrival in batch for _, place in parts_of(arrival)})


def pack_row(name: str) -> tuple[str, str, int]:
    """Return name, kind and day of a pack. Raises ``ValueError`` for what is no name of a pack."""
    kind, day = parse_name(name)
    return name, kind, day.toordinal() - _EPOCH


_EPOCH = 719_163
"""The ordinal of 1970-01-01."""


def rows_of(
    number: int, arrival: Arrival, packs: dict[str, int], keys: ImageKeys
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of an event with this id. ``packs``: their ids, by name."""
    for part, at in parts_of(arrival):
        sealed = seal_place(at, keys)
        yield number, part, packs[at.pack], at.offset, at.length, sealed.key
