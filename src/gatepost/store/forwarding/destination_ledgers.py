"""Sum up the ledgers of destinations: what is stored of each, and how much it has not read yet."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, func, or_, select

from gatepost.store.forwarding.destination_rows import (
    DestinationRow,
    Ledger,
    PlaceRow,
    Recount,
    aside_of,
    destination_of,
    places_of,
)
from gatepost.store.forwarding.feed_counts import count, left, received
from gatepost.store.interface import FeedKind
from gatepost.store.schema import tables as t

__all__ = ["Ledgers"]


class Ledgers:
    """The ledgers of all destinations. Any thread may call it."""

    def __init__(self, horizon: Callable[[Connection], int]) -> None:
        """``horizon``: below which id everything is settled."""
        self._horizon = horizon
        self._backlog: dict[tuple[int, FeedKind], tuple[int, int, int]] = {}
        self._lock = threading.Lock()

    def rows(self, db: Connection, *where: Any, counts_unread: bool = True) -> list[DestinationRow]:
        """Return destinations by name, with their ledgers; ``counts_unread``: with what was not read yet."""
        c, x, a = t.destinations.c, t.destination_exceptions.c, t.destination_asides.c
        rows = db.execute(select(t.destinations).where(*where).order_by(c.folded_name, c.id)).all()
        numbers = [row.id for row in rows]
        counted: dict[int, dict[int, int]] = {}
        for row in db.execute(
            select(x.destination_id, x.is_dead, func.count().label("events"))
            .where(x.destination_id.in_(numbers))
            .group_by(x.destination_id, x.is_dead)
        ):
            counted.setdefault(row.destination_id, {})[row.is_dead] = row.events
        aside = {
            row.destination_id: int(row.events)
            for row in db.execute(
                select(a.destination_id, func.sum(a.events).label("events"))
                .where(a.destination_id.in_(numbers))
                .group_by(a.destination_id)
            )
        }
        places, end = places_of(db, numbers), self._horizon(db) - 1
        found = []
        for row in rows:
            mine = places.get(row.id, ())
            unread = sum(self._unread(db, row.id, place, end) for place in mine) if counts_unread else 0
            waiting = counted.get(row.id, {}).get(0, 0) + aside.get(row.id, 0)
            ledger = Ledger(
                seen=row.seen + unread,
                filtered=row.filtered,
                delivered=row.delivered,
                waiting=waiting + unread,
                dead=counted.get(row.id, {}).get(1, 0),
                dropped=row.dropped,
            )
            found.append(destination_of(row, ledger, mine))
        with self._lock:
            if not where:
                self._backlog = {key: kept for key, kept in self._backlog.items() if key[0] in places}
        return found

    def _unread(self, db: Connection, which: int, row: PlaceRow, end: int) -> int:
        """Return how many events of a kind lie behind a place. What was counted once is not counted again."""
        if row.until is not None:
            end = min(end, row.until)
        if end <= row.place:
            return 0
        key = (which, row.kind)
        with self._lock:
            place, last, events = self._backlog.get(key, (row.place, row.place, 0))
        if not place <= row.place <= last <= end:
            place, last, events = row.place, row.place, 0
        events += count(db, row.kind, last, end) - count(db, row.kind, place, row.place)
        with self._lock:
            self._backlog[key] = (row.place, end, events)
        return events

    def oldest_waiting_ms(self, db: Connection, row: DestinationRow) -> int | None:
        """Return when the oldest event was received that a destination is still to be sent; ``None``: none waits.

        Of what the filter leaves out and was not read yet, it is not known that it does not wait.
        """
        if not row.ledger.waiting:
            return None
        x, a = t.destination_exceptions.c, t.destination_asides.c
        found: list[int | None] = []
        waiting = select(func.min(x.received_at_ms)).where(x.destination_id == row.id, x.is_dead == 0)
        found.append(db.execute(waiting).scalar())
        end = self._horizon(db) - 1
        for place in row.places:
            until = end if place.until is None else min(place.until, end)
            found.append(received(db, place.kind, place.place, until))
            first = select(t.destination_asides).where(a.destination_id == row.id, a.kind == place.kind)
            aside = db.execute(first.order_by(a.after_id).limit(1)).one_or_none()
            if aside is not None:
                found.append(received(db, place.kind, aside.after_id, aside.until_id, aside.terminal_id))
        return min((each for each in found if each is not None), default=None)

    def recount(self, db: Connection, which: int) -> Recount | None:
        """Count the events that a destination has seen; it reads all of them. ``None`` if there is none."""
        c, x, a = t.destinations.c, t.destination_exceptions.c, t.destination_asides.c
        rows = self.rows(db, c.id == which, counts_unread=False)
        if not rows:
            return None
        (row,) = rows
        asides = [
            aside_of(one) for one in db.execute(select(t.destination_asides).where(a.destination_id == which))
        ]
        beyond = or_(*((x.kind == place.kind) & (x.event_id > place.place) for place in row.places))
        ahead = select(func.count()).where(x.destination_id == which, beyond)
        return Recount(
            row=row,
            counted={place.kind: count(db, place.kind, place.begin, place.place) for place in row.places},
            asides=tuple((one, left(db, one)) for one in asides),
            ahead=int(db.execute(ahead).scalar_one()),
        )
