"""Delete destinations with all that is of them: one, or replays that are over."""

from collections.abc import Collection

from sqlalchemy import Connection, delete, select

from gatepost.store.schema import tables as t

__all__ = ["MAX_REPLAYS", "delete_destinations", "trim_replays"]

MAX_REPLAYS = 20
"""Replays to a destination that are kept when they are over, those with dead letters apart."""

_OF_ONE = (
    t.destination_places,
    t.destination_exceptions,
    t.destination_asides,
    t.destination_attempts,
)


def delete_destinations(db: Connection, gone: Collection[int]) -> int:
    """Delete destinations and all that is of them; return how many there were."""
    c = t.destinations.c
    for table in _OF_ONE:
        db.execute(delete(table).where(table.c.destination_id.in_(gone)))
    db.execute(delete(t.destinations).where(c.replay_of.in_(gone)))
    return db.execute(delete(t.destinations).where(c.id.in_(gone))).rowcount


def trim_replays(db: Connection, which: int) -> None:
    """Delete the oldest replays to a destination that are over, but none with dead letters to be decided about."""
    c, x = t.destinations.c, t.destination_exceptions.c
    dead = select(x.destination_id).where(x.is_dead == 1)
    over = select(c.id).where(c.replay_of == which, c.finished_at_ms.is_not(None), c.id.not_in(dead))
    oldest = over.order_by(c.id.desc()).offset(MAX_REPLAYS).with_for_update()
    delete_destinations(db, list(db.execute(oldest).scalars()))
