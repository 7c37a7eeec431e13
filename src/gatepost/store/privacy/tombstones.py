"""Keep whoever was erased out of events that were received before and are listed later.

An event may wait in the journal of a receiver that is stopped, or in a part of a journal that cannot be read now, while
somebody is erased. So an erasure leaves *tombstones*: digests of the person's numbers and names, keyed with the store's
secret, and the moment. What was received before that moment and bears one of them is listed without the person.

Rules:

* They are read in the transaction that lists a batch, and only where an event of it is older than the last of them.
  On a server an erasure waits for the batches that are being listed, so none is in between.
* A name counts where it is all there is of a text: a digest does not tell what a text contains.
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
from gatepost.store.dialect import insert
from gatepost.store.privacy.person_matcher import NUMBERS, SHORT, USER_ID_FIELDS, plain, scalars
from gatepost.store.schema import tables as t
from gatepost.store.types import Arrival
from gatepost.wire import Alarm, Problem, Record

__all__ = ["LOCK", "SINCE", "LAST", "Tombstone", "applied", "drop", "mark"]

LOCK = 0x6762
"""The advisory lock of PostgreSQL that a batch shares and an erasure has alone."""

LAST = "SELECT coalesce(max(at_ms), 0) FROM tombstones"
"""When somebody was last erased."""

SINCE = "SELECT digest, at_ms, site_id, terminal_id FROM tombstones WHERE at_ms > {}"
"""Those after a moment; the parameter's mark is for the caller."""

_ERASED = Problem("", "is about somebody who was erased before it was listed")


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


def applied(
    batch: Sequence[Arrival], sites: Mapping[int, int], rows: Iterable[Sequence[Any]], secret: bytes
) -> Sequence[Arrival]:
    """Return a batch in which nobody is that was erased after it was received. ``rows``: of :data:`SINCE`."""
    stones: dict[bytes, list[Tombstone]] = {}
    for digest, *scope in rows:
        stones.setdefault(bytes(digest), []).append(Tombstone(*scope))
    if not stones:
        return batch
    return [
        _without_person(one) if _is_erased(one, sites.get(one.terminal_id, 0), stones, secret) else one
        for one in batch
    ]


def _is_erased(
    arrival: Arrival, site_id: int, stones: Mapping[bytes, Sequence[Tombstone]], secret: bytes
) -> bool:
    def fits(stone: Tombstone) -> bool:
        return (
            arrival.received_at_ms < stone.at_ms
            and stone.site_id in (None, site_id)
            and stone.terminal_id in (None, arrival.terminal_id)
        )

    return any(
        map(fits, (stone for mark in _marks(arrival, site_id, secret) for stone in stones.get(mark, ())))
    )


def _marks(arrival: Arrival, site_id: int, secret: bytes) -> Iterator[bytes]:
    """Yield the digests of whom an event may be about, as ``Traces`` goes by them."""
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
    try:
        pairs = list(scalars("", msgspec.json.decode(arrival.original)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    told = {value for field, value in pairs if field in USER_ID_FIELDS and value not in ("", "0", "-1")}
    if told:
        yield from (_digest("user", value, secret) for value in told)
        return
    for field, value in pairs:
        if value:
            yield _digest("text", value, secret)
            yield _digest(field, value, secret)


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


def _without_person(arrival: Arrival) -> Arrival:
    """Return an event as an erasure leaves it: that it happened, and nothing of who it was."""
    event = arrival.event
    if isinstance(event, Record):
        event = replace(event, user=None, temperature=None, extra={}, outer={})
    elif isinstance(event, Alarm):
        event = replace(event, user_id=None, description=None, extra={}, outer={})
    return replace(arrival, event=event, original=b"{}", image=None, texts=None, problems=(_ERASED,))
