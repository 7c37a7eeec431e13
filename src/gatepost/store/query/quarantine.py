"""Store the quarantine and the list of refused requests.

Functions on a connection, in the caller's transaction. Every table here is bounded, for anyone who can reach
the receiver can fill it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import structs
from sqlalchemy import Column, ColumnElement, Connection, Row, Table, delete, func, select, update

from gatepost.store.conversion.rows import decode_problems
from gatepost.store.conversion.values import moment, text
from gatepost.store.cursor import decode_cursor, encode_cursor
from gatepost.store.dialect import insert
from gatepost.store.images import images
from gatepost.store.interface import (
    Page,
    QuarantineQuery,
    QuarantineRow,
    RefusalSample,
    RefusedPush,
    RefusedRow,
    RefusedTimes,
    SampleRow,
    Visible,
)
from gatepost.store.page_bytes import bytes_of, fitting
from gatepost.store.schema import tables as t
from gatepost.store.terminals.terminal_labels import at_sites, events_of, terminals_asked

__all__ = [
    "MAX_REFUSED",
    "MAX_REFUSED_OF_A_PEER",
    "MAX_SAMPLES",
    "count_refused",
    "drop_samples",
    "note_refused",
    "refusal_sample",
    "refused",
    "quarantined",
    "quarantined_by_id",
    "discard_quarantined",
    "tried_quarantined",
]

MAX_REFUSED = 1000
"""Rows of the list of refused pushes. Beyond it the longest unseen ones are deleted."""

MAX_REFUSED_OF_A_PEER = 200
"""Rows of one peer, so that a single scanner does not displace everybody else."""

MAX_SAMPLES = 200
"""Samples of refused bodies, 4 KB each at most."""

_MAX_REASON = 100
_MAX_DETAIL = 300


def count_refused(db: Connection, counts: Mapping[tuple[int, str], int], *, writer: int, now_ms: int) -> None:
    rows = [
        {
            "terminal_id": terminal_id,
            "writer": writer,
            "reason": text(reason[:_MAX_REASON]),
            "count": count,
            "last_at_ms": now_ms,
        }
        for (terminal_id, reason), count in sorted(counts.items())
    ]
    if not rows:
        return
    statement = insert(db, t.refusals)
    new = statement.excluded
    db.execute(
        statement.on_conflict_do_update(
            index_elements=["terminal_id", "writer", "reason"],
            set_={"count": t.refusals.c.count + new.count, "last_at_ms": new.last_at_ms},
        ),
        rows,
    )


def note_refused(
    db: Connection,
    pushes: Mapping[RefusedPush, RefusedTimes],
    samples: Mapping[tuple[str, str], RefusalSample],
) -> None:
    """Add to the list, within its bounds; keep the samples. Content of samples comes sealed."""
    c = t.refused_pushes.c
    for push, times in sorted(pushes.items(), key=lambda item: structs.astuple(item[0])):
        statement = insert(db, t.refused_pushes).values(
            peer=text(push.peer),
            reason=text(push.reason[:_MAX_REASON]),
            path=text(push.path),
            serial=text(push.serial),
            status=push.status,
            detail=text(times.detail[:_MAX_DETAIL]),
            count=times.count,
            first_at_ms=times.first_at_ms,
            last_at_ms=times.last_at_ms,
        )
        new = statement.excluded
        db.execute(
            statement.on_conflict_do_update(
                index_elements=["peer", "reason", "path", "serial"],
                set_={
                    "count": c.count + new.count,
                    "status": new.status,
                    "detail": new.detail,
                    "last_at_ms": new.last_at_ms,
                },
            )
        )
    for peer in sorted({text(push.peer) for push in pushes}):
        _trim(db, t.refused_pushes, c.last_at_ms, MAX_REFUSED_OF_A_PEER, c.peer == peer)
    if pushes:
        _trim(db, t.refused_pushes, c.last_at_ms, MAX_REFUSED)
    for (peer, reason), sample in sorted(samples.items(), key=lambda item: item[0]):
        statement = insert(db, t.refusal_samples).values(
            peer=text(peer),
            reason=text(reason[:_MAX_REASON]),
            status=sample.status,
            at_ms=sample.at_ms,
            sample=sample.content,
        )
        new = statement.excluded
        db.execute(
            statement.on_conflict_do_update(
                index_elements=["peer", "reason"],
                set_={"status": new.status, "at_ms": new.at_ms, "sample": new.sample},
            )
        )
    if samples:
        _trim(db, t.refusal_samples, t.refusal_samples.c.at_ms, MAX_SAMPLES)


def _trim(
    db: Connection, table: Table, age: Column[Any], most: int, *conditions: ColumnElement[bool]
) -> None:
    """Delete the oldest rows beyond ``most``."""
    c = table.c
    beyond = select(c.id).where(*conditions).order_by(age.desc(), c.id.desc()).offset(most)
    ids = [row.id for row in db.execute(beyond)]
    if ids:
        db.execute(delete(table).where(c.id.in_(ids)))


def refused(db: Connection, visible: Visible) -> list[RefusedRow]:
    """Return the whole list, the latest first.

    For a user of some sites only: what has the serial of a terminal there.
    """
    c, s = t.refused_pushes.c, t.refusal_samples.c
    here = at_sites(visible)
    serials = select(t.terminals.c.serial).where(t.terminals.c.serial.is_not(None), *here)
    rows = db.execute(
        select(t.refused_pushes, s.id.label("sample_id"))
        .outerjoin(t.refusal_samples, (s.peer == c.peer) & (s.reason == c.reason))
        .where(*([c.serial.in_(serials)] if here else []))
        .order_by(c.last_at_ms.desc(), c.id.desc())
    )
    return [
        RefusedRow(
            peer=row.peer,
            status=row.status,
            reason=row.reason,
            detail=row.detail,
            path=row.path,
            serial=row.serial or None,
            count=row._mapping["count"],
            first_at=moment(row.first_at_ms),
            last_at=moment(row.last_at_ms),
            sample_id=row.sample_id,
        )
        for row in rows
    ]


def refusal_sample(db: Connection, sample_id: int) -> SampleRow | None:
    """Return one sample as it is stored, which may be sealed."""
    row = db.execute(select(t.refusal_samples).where(t.refusal_samples.c.id == sample_id)).first()
    if row is None:
        return None
    return SampleRow(
        id=row.id,
        peer=row.peer,
        status=row.status,
        reason=row.reason,
        at=moment(row.at_ms),
        content=bytes(row.sample),
    )


def drop_samples(db: Connection, *, before_ms: int | None = None) -> int:
    """Delete the samples that were taken before a time, or all of them. Return how many there were."""
    statement = delete(t.refusal_samples)
    if before_ms is not None:
        statement = statement.where(t.refusal_samples.c.at_ms < before_ms)
    return db.execute(statement).rowcount


def quarantined(db: Connection, query: QuarantineQuery, visible: Visible) -> Page[QuarantineRow]:
    """Newest first."""
    c = t.quarantine.c
    statement = (
        select(t.quarantine, t.terminals.c.serial)
        .join(t.terminals, t.terminals.c.id == c.terminal_id)
        .where(*terminals_asked(db, query, visible), *events_of(visible))
        .order_by(c.id.desc())
        .limit(query.limit + 1)
    )
    if query.cursor is not None:
        statement = statement.where(c.id < decode_cursor(query.cursor, "quarantine")[1])
    sized = db.execute(statement.with_only_columns(c.id, bytes_of(c.original, c.problems))).all()
    shown = [row.id for row in sized[: query.limit]]
    shown = shown[: fitting([row.size for row in sized[: query.limit]])]
    items = tuple(reversed(quarantined_by_id(db, shown, visible)))
    more = len(sized) > len(shown) and items
    return Page(items, encode_cursor("quarantine", 0, items[-1].id) if more else None)


def quarantined_by_id(db: Connection, ids: Sequence[int], visible: Visible) -> list[QuarantineRow]:
    c = t.quarantine.c
    rows = db.execute(
        select(t.quarantine, t.terminals.c.serial)
        .join(t.terminals, t.terminals.c.id == c.terminal_id)
        .where(c.id.in_(ids), *events_of(visible))
        .order_by(c.id)
    )
    return list(_rows(db, rows.all()))


def _rows(db: Connection, rows: Sequence[Row[Any]]) -> tuple[QuarantineRow, ...]:
    c = t.images.c
    sizes = select(c.event_id, func.sum(c.length)).where(c.event_id.in_([row.id for row in rows]))
    taken_out = dict(tuple(row) for row in db.execute(sizes.group_by(c.event_id)))
    return tuple(_row(row, int(taken_out.get(row.id, 0))) for row in rows)


def _row(row: Row[Any], taken_out: int) -> QuarantineRow:
    return QuarantineRow(
        id=row.id,
        terminal_id=row.terminal_id,
        serial=row.serial,
        received_at=moment(row.received_at_ms),
        peer=row.peer or "",
        problems=decode_problems(row.problems),
        tries=row.tries,
        original=row.original,
        size=len(row.original) + taken_out,
    )


def discard_quarantined(db: Connection, ids: Iterable[int], visible: Visible) -> int:
    """Return how many there were that are visible.

    What is pushed again after this comes into the quarantine again.
    """
    c = t.quarantine.c
    # Only of these: the ids of records and alarm steps are of the same sequence.
    chosen = select(c.id).join(t.terminals, t.terminals.c.id == c.terminal_id)
    mine = list(db.execute(chosen.where(c.id.in_(list(ids)), *events_of(visible))).scalars())
    images.delete_of(db, mine)
    return db.execute(delete(t.quarantine).where(c.id.in_(mine))).rowcount


def tried_quarantined(db: Connection, ids: Iterable[int]) -> None:
    c = t.quarantine.c
    db.execute(update(t.quarantine).where(c.id.in_(list(ids))).values(tries=c.tries + 1))
