"""Images of events: where each one is, and its key.

Rules:

* The bytes are in packs beside the journal (:mod:`gatepost.journal.packs`), written once, by the ingest. A row has the
  place of one *part* of an event: its image, or the long texts of its original.
* Who deletes the row deletes the image: no other copy of its key is left once the journal's segment is deleted. The
  bytes that nobody can read any more are holes afterwards, or leave with their pack.
* The packs of one kind and day are due on the same day.
* With ``image_keys`` the keys are encrypted, each for its place. A new one encrypts them anew, and no image.

Functions on a connection, in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, or_, select, tuple_, update

from gatepost.journal.places import Place
from gatepost.store.images.places import (
    ALARMS,
    IMAGE,
    KINDS,
    PEOPLE,
    QUARANTINE,
    STRANGERS,
    TEXTS,
    open_place,
    pack_names,
    pack_row,
    parts_of,
    rows_of,
    seal_place,
)
from gatepost.store.schema import tables as t
from gatepost.store.write.code_combinations import take_images_from

__all__ = [
    "ALARMS", "IMAGE", "KINDS", "PEOPLE", "QUARANTINE", "STRANGERS", "TEXTS", "by_pack", "delete_of", "forget",
    "forget_parts", "open_place", "pack_names", "pack_row", "parts_of", "place", "rows_of", "seal_place", "used",
    "with_texts",
]  # fmt: skip

_AT_ONCE = 500
"""Ids that one statement names."""


def _places() -> Any:
    c = t.images.c
    return select(c.event_id, c.part, t.packs.c.name, c.byte_offset, c.length, c.key).join(
        t.packs, t.packs.c.id == c.pack_id
    )


def by_pack() -> Any:
    """Return the query of all places with their events, in the order of their packs and of the places in them."""
    return _places().order_by(t.packs.c.name, t.images.c.byte_offset)


def place(db: Connection, event_id: int, part: int = IMAGE) -> Place | None:
    """Return the place of a part of an event."""
    c = t.images.c
    row = db.execute(_places().where(c.event_id == event_id, c.part == part)).one_or_none()
    return None if row is None else Place(row.name, row.byte_offset, row.length, row.key)


def with_texts(db: Connection, first: int, last: int) -> set[int]:
    """Return the events with long texts, of those above one id and up to another."""
    c = t.images.c
    ids = select(c.event_id).where(c.event_id > first, c.event_id <= last, c.part == TEXTS)
    return set(db.execute(ids).scalars())


def used(db: Connection, places: Sequence[Place]) -> set[tuple[str, int]]:
    """Return pack and offset of those places that an event has."""
    found: set[tuple[str, int]] = set()
    for start in range(0, len(places), _AT_ONCE):
        some = places[start : start + _AT_ONCE]
        named = select(t.packs.c.name, t.images.c.byte_offset).join(
            t.packs, t.packs.c.id == t.images.c.pack_id
        )
        any_of = or_(*((t.packs.c.name == at.pack) & (t.images.c.byte_offset == at.offset) for at in some))
        found.update((row.name, row.byte_offset) for row in db.execute(named.where(any_of)))
    return found


def delete_of(db: Connection, event_ids: Sequence[int]) -> list[Place]:
    """Delete the images and long texts of events that leave themselves; return where they were.

    The bytes are for :meth:`~gatepost.journal.packs.packs.Packs.punch`, once this is committed.
    """
    c = t.images.c
    found: list[Place] = []
    for start in range(0, len(event_ids), _AT_ONCE):
        some = event_ids[start : start + _AT_ONCE]
        found += (
            Place(row.name, row.byte_offset, row.length, b"")
            for row in db.execute(_places().where(c.event_id.in_(some)))
        )
        db.execute(delete(t.images).where(c.event_id.in_(some)))
    return found


def forget(db: Connection, event_ids: Sequence[int]) -> list[Place]:
    """Delete the images and long texts of events, and list the events without. Returns as :func:`delete_of`."""
    _list_without(db, event_ids)
    return delete_of(db, event_ids)


def forget_parts(db: Connection, parts: Sequence[tuple[int, int]]) -> None:
    """Delete these parts of events, by event and part, and list the events without the images among them."""
    c = t.images.c
    for start in range(0, len(parts), _AT_ONCE):
        some = parts[start : start + _AT_ONCE]
        _list_without(db, [event_id for event_id, part in some if part == IMAGE])
        db.execute(delete(t.images).where(tuple_(c.event_id, c.part).in_(some)))


def _list_without(db: Connection, event_ids: Sequence[int]) -> None:
    take_images_from(db, event_ids)
    c = t.alarm_events.c
    db.execute(update(t.alarm_events).where(c.id.in_(event_ids), c.has_image == 1).values(has_image=0))
