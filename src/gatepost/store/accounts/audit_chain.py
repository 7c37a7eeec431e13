"""Chain the lines of the audit log by digests, so that a line that is changed, removed or put in later shows.

Rules:

* The digest of a line is SHA-256 of the digest of the line before and of the JSON array ``[id, at_ms, actor, address,
  action, subject, detail]`` in UTF-8 without blanks; ``detail`` is its JSON text. Before the first line stand 32 zero
  bytes.
* Ids have no gaps. Lines are appended one at a time: SQLite has one writer, on PostgreSQL an advisory lock makes one.
* What leaves in the end leaves at the old end, as a run. The anchor, in ``meta``, has id and digest of the last line
  that left; the first one that is left continues it. A line at the new end, :data:`SHORTENED`, says the same: an anchor
  without one was not set by retention.
* The chain has no key. One who may write to the database can make another chain from any line on: that shows where a
  later line's digest was written down elsewhere, see ``known`` of :func:`verify`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Row, delete, select, text

from gatepost.store.conversion.values import DAY_MS
from gatepost.store.dialect import insert
from gatepost.store.interface import Transactions
from gatepost.store.schema import tables as t

__all__ = ["Link", "Verified", "append", "drop_oldest", "lines", "verify"]

_FIRST = bytes(32)
_ANCHOR = "audit:anchor"

SHORTENED = "audit.shortened"
"""The action of a line that says up to which line others left: number and digest."""

_LOCK = 0x6770_0003
"""The advisory lock of PostgreSQL that a line is appended under."""

_CHUNK = 1000

_FIELDS = ("id", "at_ms", "actor", "address", "action", "subject", "detail")


class Link(Struct, frozen=True):
    """Where a chain can be taken up: a line, and its digest."""

    id: int
    digest: bytes


class Verified(Struct, frozen=True):
    """The result of :func:`verify`."""

    lines: int
    """How many fit, from the oldest on."""
    head: Link
    """The last one that fits."""
    broken: int | None
    """The first line that does not fit, or is missing."""
    left: Link = Link(0, _FIRST)
    """The last line that left at the old end."""
    is_left_noted: bool = True
    """Retention took it, by a line that says so."""


def append(db: Connection, values: Mapping[str, Any]) -> None:
    """Append a line: every field but ``id``. In a transaction that may write."""
    _lock(db)
    c = t.audit.c
    last = db.execute(select(c.id, c.digest).order_by(c.id.desc()).limit(1)).one_or_none()
    before = _anchor(db) if last is None else Link(last.id, last.digest)
    row = {"id": before.id + 1, **values}
    db.execute(t.audit.insert().values(**row, digest=_digest(before.digest, row)))


def drop_oldest(db: Connection, before_ms: int, now_ms: int, *, actor: str, limit: int) -> int:
    """Delete lines of before a moment from the old end, at most ``limit``; return how many. A new line says so.

    A line that a clock gone wrong dated more than a day ahead holds up no other: it leaves with the next that is due.
    """
    _lock(db)
    c = t.audit.c
    rows = db.execute(select(c.id, c.at_ms, c.digest).order_by(c.id).limit(limit)).all()
    due = 0
    for number, row in enumerate(rows, 1):
        if row.at_ms < before_ms:
            due = number
        elif row.at_ms <= now_ms + DAY_MS:
            break
    if due:
        last = rows[due - 1]
        db.execute(delete(t.audit).where(c.id <= last.id))
        left = last.digest.hex()
        value = msgspec.json.encode([last.id, left]).decode()
        anchor = insert(db, t.meta).values(name=_ANCHOR, value=value)
        db.execute(anchor.on_conflict_do_update(index_elements=["name"], set_={"value": value}))
        said = {"at_ms": now_ms, "actor": actor, "address": "", "action": SHORTENED, "subject": str(last.id)}
        append(db, {**said, "detail": msgspec.json.encode({"digest": left, "count": due}).decode()})
    return due


def lines(store: Transactions) -> Iterator[tuple[Link, Row[Any] | None]]:
    """Yield every line with what stands before it, oldest first; ``None`` at the end.

    It asks for some at a time, and holds up no writer.
    """
    c = t.audit.c
    with store.reading() as db:
        before = _anchor(db)
    while True:
        with store.reading() as db:
            rows = db.execute(select(t.audit).where(c.id > before.id).order_by(c.id).limit(_CHUNK)).all()
            anchor = _anchor(db)
        if anchor.id > before.id:  # lines left meanwhile
            before = anchor
            continue
        if not rows:
            yield before, None
            return
        for row in rows:
            yield before, row
            before = Link(row.id, row.digest)


def verify(store: Transactions, known: Link | None = None) -> Verified:
    """Read the chain, oldest first, up to the first line that does not fit.

    ``known``: a line whose digest was written down earlier; the chain has to hold it, unless it has left by now.
    """
    count, head, noted = 0, Link(0, _FIRST), None
    left = head
    for before, row in lines(store):
        if before != head:
            left = before
        head = before
        if known is not None and before.id == known.id and before.digest != known.digest:
            return Verified(count, before, before.id)
        if row is None:
            break
        if row.id != before.id + 1 or row.digest != _digest(before.digest, row._asdict()):
            return Verified(count, before, before.id + 1)
        count += 1
        head = Link(row.id, row.digest)
        if row.action == SHORTENED:
            noted = (row.subject, msgspec.json.decode(row.detail)["digest"])
    if known is not None and known.id > head.id:
        return Verified(count, head, head.id + 1)
    is_noted = left.id == 0 or noted == (str(left.id), left.digest.hex())
    return Verified(count, head, None, left, is_noted)


def _lock(db: Connection) -> None:
    """Have no other process append until the transaction ends; SQLite has one writer anyway."""
    if db.dialect.name == "postgresql":
        db.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def _anchor(db: Connection) -> Link:
    value = db.execute(select(t.meta.c.value).where(t.meta.c.name == _ANCHOR)).scalar_one_or_none()
    if value is None:
        return Link(0, _FIRST)
    number, digest = msgspec.json.decode(value, type=tuple[int, str])
    return Link(number, bytes.fromhex(digest))


def _digest(before: bytes, row: Mapping[str, Any]) -> bytes:
    return hashlib.sha256(before + msgspec.json.encode([row[field] for field in _FIELDS])).digest()
