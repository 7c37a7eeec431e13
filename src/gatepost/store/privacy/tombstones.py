"""Keep whoever was erased out of events that were received before and are listed later.

An event may wait in the journal of a receiver that is stopped, or in a part of a journal that cannot be read now, while
somebody is erased. So an erasure leaves *tombstones*: digests of the person's numbers and names, keyed with the store's
secret, and the moment. What was received before that moment and bears one of them is listed without the person.

Rules:

* They are read in the transaction that lists a batch, and only where an event of it is older than the last of them.
  On a server an erasure waits for the batches that are being listed, so none is in between.
* A name counts where it is all there is of a text: a digest does not tell what a text contains. An event
  that is no record, cannot be read or has a long text, and says no number of a person, loses text and image in doubt.
* Of a record that was fetched from its terminal's history counts when it happened: an erasure holds for what was
  there before it.
* They leave when whatever was received before them is to be gone by the retention of records.

Functions on a connection are in the caller's transaction; the others are pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection, delete, text

from gatepost.store.conversion.rows import person, person_digest
from gatepost.store.conversion.values import ms
from gatepost.store.dialect import insert
from gatepost.store.privacy.person_matcher import NUMBERS, SHORT, USER_ID_FIELDS, plain, scalars
from gatepost.store.schema import tables as t
from gatepost.store.types.arrivals import Arrival
from gatepost.wire import Alarm, Problem, Record

__all__ = ["LOCK", "SINCE", "LAST", "Tombstone", "applied", "drop", "mark", "oldest"]

LOCK = 0x6762
"""The advisory lock of PostgreSQL that a batch shares and an erasure has alone."""

LAST = "SELECT coalesce(max(at_ms), 0) FROM tombstones"
"""When somebody was last erased."""

SINCE = "SELECT digest, at_ms, site_id, terminal_id FROM tombstones WHERE at_ms > {}"
"""Those after a moment; the parameter's mark is for the caller."""

_ERASED = Problem("", "is about somebody who was erased before it was listed")
_DOUBTFUL = Problem("", "may be about somebody who was erased before it was listed")


class Tombstone(Struct, frozen=True):
    """When somebody with a number was erased, and where."""

    at_ms: int
    site_id: int | None
    """``None``: at every site."""
    terminal_id: int | None
    """``None``: of every terminal."""


def mark(
    db: Connection, user_ids: Iterable[str], people: Sequence[Any], *, secret: bytes, scope: Tombstone
) -> None:
    """Store tombstones of somebody. ``people``: every form of their data, with the columns of ``identities``."""
    if db.dialect.name == "postgresql":
        db.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    marks = {_digest("user", user_id, secret) for user_id in user_ids if user_id}
    for form in people:
        marks.add(bytes(form.digest))
        marks |= {_digest(kind, value, secret) for kind, value in _texts_of(form)}
    where = {"at_ms": scope.at_ms, "site_id": scope.site_id, "terminal_id": scope.terminal_id}
    if marks:
        db.execute(insert(db, t.tombstones), [{"digest": one, **where} for one in sorted(marks)])


def drop(db: Connection, before_ms: int, *, limit: int) -> int:
    """Delete some of those from before a moment; return how many."""
    c = t.tombstones.c
    due = t.tombstones.select().with_only_columns(c.id).where(c.at_ms < before_ms).limit(limit)
    ids = [row.id for row in db.execute(due)]
    return db.execute(delete(t.tombstones).where(c.id.in_(ids))).rowcount if ids else 0


def oldest(batch: Iterable[Arrival]) -> int:
    """Return since when a tombstone may mean an event of a batch, in milliseconds."""
    return min(map(_since, batch), default=0)


def _since(arrival: Arrival) -> int:
    event = arrival.event
    if not arrival.alike:
        return arrival.received_at_ms
    recorded = ms(event.recorded_at) if isinstance(event, Record) else None
    return 0 if recorded is None else min(recorded, arrival.received_at_ms)


def applied(
    batch: Sequence[Arrival], sites: Mapping[int, int], rows: Iterable[Sequence[Any]], secret: bytes
) -> Sequence[Arrival]:
    """Return a batch in which nobody is that was erased after it was received. ``rows``: of :data:`SINCE`."""
    stones: dict[bytes, list[Tombstone]] = {}
    for digest, *scope in rows:
        stones.setdefault(bytes(digest), []).append(Tombstone(*scope))
    if not stones:
        return batch
    scopes = {stone for found in stones.values() for stone in found}
    return [_left_of(one, sites.get(one.terminal_id, 0), stones, scopes, secret) for one in batch]


def _left_of(
    arrival: Arrival,
    site_id: int,
    stones: Mapping[bytes, Sequence[Tombstone]],
    scopes: Iterable[Tombstone],
    secret: bytes,
) -> Arrival:
    since = _since(arrival)

    def fits(stone: Tombstone) -> bool:
        return (
            since < stone.at_ms
            and stone.site_id in (None, site_id)
            and stone.terminal_id in (None, arrival.terminal_id)
        )

    if not any(map(fits, scopes)):
        return arrival
    found = (stone for mark in _marks(arrival, site_id, secret) for stone in stones.get(mark, ()))
    if any(map(fits, found)):
        return _without_person(arrival, _ERASED)
    return _without_person(arrival, _DOUBTFUL) if _is_doubtful(arrival) else arrival


def _is_doubtful(arrival: Arrival) -> bool:
    """Return whether what an event says of whom cannot be read here: bytes that are no JSON, or a long text."""
    event = arrival.event
    if isinstance(event, Record) or (isinstance(event, Alarm) and event.user_id is not None):
        return False
    pairs = _pairs(arrival)
    return pairs is None or (arrival.texts is not None and not _told(pairs))


def _marks(arrival: Arrival, site_id: int, secret: bytes) -> Iterator[bytes]:
    """Yield the digests of whom an event may be about, as ``PersonMatcher`` goes by them."""
    event = arrival.event
    if isinstance(event, Record):
        who = person(event.user, site_id)
        if who is not None:
            if event.user is not None and event.user.user_id:
                yield _digest("user", event.user.user_id, secret)
            yield person_digest(who, secret)
            return
    if isinstance(event, Alarm) and event.user_id is not None:
        yield _digest("user", str(event.user_id), secret)
    pairs = _pairs(arrival)
    if pairs is None:
        return
    if told := _told(pairs):
        yield from (_digest("user", value, secret) for value in told)
        return
    for field, value in pairs:
        if value:
            yield _digest("text", value, secret)
            yield _digest(field, value, secret)


def _pairs(arrival: Arrival) -> Sequence[tuple[str, str]] | None:
    """Return every text and number of what was pushed, with its field; ``None`` where that cannot be read."""
    try:
        return list(scalars("", msgspec.json.decode(arrival.original)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _told(pairs: Sequence[tuple[str, str]]) -> set[str]:
    """Return the numbers of people that a push says."""
    return {value for field, value in pairs if field in USER_ID_FIELDS and value not in ("", "0", "-1")}


def _texts_of(form: Any) -> Iterator[tuple[str, str]]:
    """Yield what somebody is known by; a short number is one only in its own field."""
    if form.name:
        yield "text", form.name
    for field in NUMBERS:
        if value := getattr(form, field):
            yield "text" if len(value) > SHORT else plain(field), value


def _digest(kind: str, value: str, secret: bytes) -> bytes:
    content = f"{kind}\0{value}".encode("utf-8", "surrogatepass")
    return blake2b(content, digest_size=16, key=secret, person=b"tombstone").digest()


def _without_person(arrival: Arrival, why: Problem) -> Arrival:
    """Return an event as an erasure leaves it: that it happened, and nothing of who it was."""
    event = arrival.event
    if isinstance(event, Record):
        event = replace(event, user=None, temperature=None, extra={}, outer={})
    elif isinstance(event, Alarm):
        event = replace(event, user_id=None, description=None, extra={}, outer={})
    return replace(arrival, event=event, original=b"{}", image=None, texts=None, problems=(why,))
