"""What can be read from an outbox: its status, the history, dead letters, everything as JSON lines.

Reads have their own connection, in their own thread: a page of history never holds up an event at the door.
Whatever is long is read in steps, so that no reader keeps the write-ahead log from being copied back, and memory
does not grow with what is stored.
"""

import sqlite3
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from gatepost.terminal.outbox.schema import connect_reader
from gatepost.terminal.outbox.values import (
    ALARMS,
    RECORDS,
    Dropped,
    HistoryPage,
    HistoryQuery,
    State,
    Stored,
)
from gatepost.terminal.outbox.writer import Ledger
from gatepost.wire import Subscription

__all__ = ["Reader", "Snapshot"]

_STATES = (State.PENDING, State.DELIVERED, State.DEAD)

_STORED = (
    "SELECT seq, state, lane, head, image, tail, attempts, refusals, accepted_at, happened_at, due, reason"
    " FROM entry JOIN body USING (seq)"
)

_STEP = 64
"""Events read at a time: 2 MB with photographs of 30 KB."""


class Snapshot(Struct, frozen=True):
    """What the status is made of, read in one transaction."""

    ledger: Ledger
    oldest_pending_at: float | None
    drops: tuple[Dropped, ...]
    subscription: Subscription | None
    file_bytes: int


class Reader:
    """Reads from one outbox, also one that another process is writing to."""

    def __init__(self, path: Path) -> None:
        """Raises what :func:`~gatepost.terminal.outbox.schema.connect_reader` raises."""
        self._path = path
        self._one_at_a_time = threading.Lock()
        self._connection: sqlite3.Connection | None = connect_reader(path)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._one_at_a_time:
            if self._connection is None:
                self._connection = connect_reader(self._path)
            yield self._connection

    def close(self) -> None:
        """Let go of the file; the next read opens it anew. From any thread, idempotent."""
        with self._one_at_a_time:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def snapshot(self) -> Snapshot:
        with self._open() as db:
            db.execute("BEGIN")
            try:
                oldest = db.execute(
                    "SELECT accepted_at FROM entry WHERE seq = (SELECT min(seq) FROM entry WHERE state = 0)"
                ).fetchone()
                return Snapshot(
                    ledger=Ledger.load(db),
                    oldest_pending_at=None if oldest is None else oldest[0] / 1000,
                    drops=tuple(_dropped(row) for row in db.execute(_DROPS)),
                    subscription=load_subscription(db),
                    file_bytes=self._file_bytes(),
                )
            finally:
                db.execute("COMMIT")

    def count(self) -> dict[str, int]:
        """Count the rows themselves, to compare the ledger with."""
        with self._open() as db:
            rows = dict(db.execute("SELECT state, count(*) FROM entry GROUP BY state").fetchall())
        return {state.value: rows.get(number, 0) for number, state in enumerate(_STATES)}

    def history(self, query: HistoryQuery) -> HistoryPage:
        """Records that happened, sent or not; those that were dropped are gone."""
        where, values = _conditions(query)
        order = "DESC" if query.newest_first else "ASC"
        with self._open() as db:
            # The small rows first, and only then the photographs of the page that was asked for.
            (total,) = db.execute(f"SELECT count(*) FROM entry WHERE {where}", values).fetchone()
            chosen = db.execute(
                f"SELECT seq FROM entry WHERE {where} ORDER BY happened_at {order}, seq {order} LIMIT ? OFFSET ?",
                (*values, query.limit, query.offset),
            ).fetchall()
            found = [db.execute(f"{_STORED} WHERE seq = ?", row).fetchone() for row in chosen]
        return HistoryPage(total, tuple(_stored(row) for row in found if row is not None))

    def dead_letters(self, limit: int, after: int) -> tuple[Stored, ...]:
        """Dead letters in the order in which they were recorded, from behind number ``after``."""
        with self._open() as db:
            rows = db.execute(
                f"{_STORED} WHERE state = 2 AND seq > ? ORDER BY seq LIMIT ?", (after, limit)
            ).fetchall()
        return tuple(_stored(row) for row in rows)

    def step(self, states: Collection[State], after: int) -> list[Stored]:
        """The next few events of these states, from behind number ``after``."""
        numbers = [number for number, state in enumerate(_STATES) if state in states]
        marks = ", ".join("?" * len(numbers))
        with self._open() as db:
            rows = db.execute(
                f"{_STORED} WHERE seq > ? AND state IN ({marks}) ORDER BY seq LIMIT ?",
                (after, *numbers, _STEP),
            ).fetchall()
        return [_stored(row) for row in rows]

    def _file_bytes(self) -> int:
        return sum(file.stat().st_size for file in _files(self._path) if file.exists())


def load_subscription(db: sqlite3.Connection) -> Subscription | None:
    row = db.execute("SELECT event_dest, enabled FROM subscription").fetchone()
    return None if row is None else Subscription(row[0], bool(row[1]))


def _files(path: Path) -> Iterator[Path]:
    yield path
    yield path.with_name(path.name + "-wal")


def _conditions(query: HistoryQuery) -> tuple[str, list[object]]:
    """The page's rule (FACTS, ``/v1/event/records``): of the three numbers, only the first given one filters."""
    conditions: list[str] = ["lane = ?"]
    values: list[object] = [RECORDS]
    if query.since is not None:
        conditions.append("happened_at >= ?")
        values.append(query.since)
    if query.until is not None:
        conditions.append("happened_at <= ?")
        values.append(query.until)
    for column in ("user_id", "job_number", "ic_number"):
        number = getattr(query, column)
        if number:
            conditions.append(f"{column} = ?")
            values.append(number)
            break
    return " AND ".join(conditions), values


_DROPS = (
    "SELECT reason, lane, count, first_seq, last_seq, oldest_event_at, newest_event_at, first_at, last_at"
    " FROM drops ORDER BY id"
)


def _dropped(row: tuple[str, int, int, int, int, int | None, int | None, int, int]) -> Dropped:
    reason, lane, count, first, last, oldest, newest, first_at, last_at = row
    kind = "alarms" if lane == ALARMS else "records"
    return Dropped(
        reason=reason,
        lane=kind,  # type: ignore[arg-type]
        count=count,
        first_id=first,
        last_id=last,
        oldest_event_at=oldest,
        newest_event_at=newest,
        first_dropped_at=first_at / 1000,
        last_dropped_at=last_at / 1000,
    )


def _stored(
    row: tuple[int, int, int, bytes, bytes | None, bytes, int, int, int, int | None, int, str],
) -> Stored:
    seq, state, lane, head, image, tail, attempts, refusals, accepted_at, happened_at, due, reason = row
    return Stored(
        id=seq,
        state=_STATES[state],
        lane=lane,
        head=head,
        image=image,
        tail=tail,
        attempts=attempts,
        refusals=refusals,
        accepted_at=accepted_at / 1000,
        happened_at=happened_at,
        settled_at=due / 1000 if state else None,
        reason=reason,
    )
