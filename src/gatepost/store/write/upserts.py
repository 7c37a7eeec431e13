"""The statements that merge a batch into what is there, in words that both databases understand.

Each takes one row of parameters, in order, or ``rows`` of them one behind the other: a batch brings some dozen
terminals, and a statement for each would cost more than the events. SQLite and PostgreSQL differ only in how a
parameter is written and in what they call the larger of two values.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from gatepost.store.conversion.rows import AHEAD_MS, CLOCK_RIGHT_MS, LATE_MS
from gatepost.store.conversion.terminal_counters import TALLY_COLUMNS

__all__ = [
    "MAX_DISAGREEMENTS", "MAX_PEERS", "MAX_ROWS", "PeerLimit", "tally", "peer", "position", "disagreement",
    "trim_disagreements", "in_steps",
]  # fmt: skip

MAX_DISAGREEMENTS = 100
"""Different ones that are kept of a terminal: whoever makes serials up does not fill the disk with them."""

MAX_PEERS = 65_536
"""Terminals at addresses that are kept; beyond it, those that were seen longest ago are forgotten."""

TRIMMED_PEERS = 4096
"""So many at a time, for they have to be counted then."""

MAX_ROWS = 64
"""Rows of one statement. There are that many statements for each purpose, and all of them stay prepared."""

_TALLY = """
INSERT INTO tallies ({columns}) {rows}
ON CONFLICT (terminal_id, writer) DO UPDATE SET
    records = tallies.records + excluded.records,
    alarms = tallies.alarms + excluded.alarms,
    quarantined = tallies.quarantined + excluded.quarantined,
    duplicates = tallies.duplicates + excluded.duplicates,
    with_problems = tallies.with_problems + excluded.with_problems,
    late = tallies.late + excluded.late,
    last_recorded_ms = CASE WHEN excluded.last_recorded_ms IS NOT NULL
            AND tallies.last_recorded_ms > excluded.last_at_ms + {late} THEN excluded.last_recorded_ms
        ELSE {greatest}(coalesce(tallies.last_recorded_ms, excluded.last_recorded_ms),
            coalesce(excluded.last_recorded_ms, tallies.last_recorded_ms)) END,
    clock_error_ms = coalesce(excluded.clock_error_ms, tallies.clock_error_ms),
    least_lag_ms = CASE WHEN excluded.least_lag_ms IS NULL THEN tallies.least_lag_ms
        WHEN tallies.least_lag_ms IS NULL OR tallies.least_lag_ms < -{ahead}
            OR excluded.lag_day > tallies.lag_day
            OR (tallies.least_lag_ms < -{right} AND excluded.least_lag_ms <= {late}) THEN excluded.least_lag_ms
        ELSE {least}(tallies.least_lag_ms, excluded.least_lag_ms) END,
    lag_day = {greatest}(tallies.lag_day, excluded.lag_day),
    interval_ms = (coalesce(tallies.interval_ms, excluded.last_at_ms - tallies.last_at_ms) * 7
        + {greatest}(excluded.last_at_ms - tallies.last_at_ms, 0)) / 8,
    first_at_ms = {least}(tallies.first_at_ms, excluded.first_at_ms),
    last_at_ms = {greatest}(tallies.last_at_ms, excluded.last_at_ms),
    peer = excluded.peer,
    late_at_ms = {greatest}(coalesce(tallies.late_at_ms, excluded.late_at_ms),
        coalesce(excluded.late_at_ms, tallies.late_at_ms)),
    tokenless_at_ms = {greatest}(coalesce(tallies.tokenless_at_ms, excluded.tokenless_at_ms),
        coalesce(excluded.tokenless_at_ms, tallies.tokenless_at_ms)),
    repeated_ids = tallies.repeated_ids + excluded.repeated_ids,
    unusable_ids = tallies.unusable_ids + excluded.unusable_ids
"""
_PEER = """
INSERT INTO peers (address, terminal_id, at_ms) {rows}
ON CONFLICT (address, terminal_id) DO UPDATE SET at_ms = {greatest}(peers.at_ms, excluded.at_ms)
"""
_DISAGREEMENT = """
INSERT INTO disagreements (terminal_id, source, said, count, first_at_ms, last_at_ms) {rows}
ON CONFLICT (terminal_id, source, said) DO UPDATE SET
    count = disagreements.count + 1, last_at_ms = excluded.last_at_ms
"""
_POSITION = """
INSERT INTO journal_positions (journal, stream, segment, byte_offset, events) {rows}
ON CONFLICT (journal, stream) DO UPDATE SET
    segment = excluded.segment, byte_offset = excluded.byte_offset, events = excluded.events
WHERE (journal_positions.segment, journal_positions.byte_offset) <= (excluded.segment, excluded.byte_offset)
"""


def in_steps(values: Sequence[Any], width: int) -> Iterator[tuple[int, Sequence[Any]]]:
    """Cut rows of that ``width``, which come one behind the other, into the fewest steps.

    Yields how many rows a step has, and their values.
    """
    rows = len(values) // width
    if rows <= MAX_ROWS:
        if rows:
            yield rows, values
        return
    for at in range(0, rows, MAX_ROWS):
        part = values[at * width : (at + MAX_ROWS) * width]
        yield len(part) // width, part


def _values(count: int, dialect: str, rows: int = 1) -> str:
    mark = "%s" if dialect == "postgresql" else "?"
    return "VALUES " + ", ".join([f"({', '.join([mark] * count)})"] * rows)


def _fill(statement: str, dialect: str, rows: str, *, columns: str = "") -> str:
    postgres = dialect == "postgresql"
    return statement.format(
        columns=columns,
        rows=rows,
        greatest="greatest" if postgres else "max",
        least="least" if postgres else "min",
        ahead=AHEAD_MS,
        late=LATE_MS,
        right=CLOCK_RIGHT_MS,
    )


def tally(dialect: str, rows: int = 1, *, source: str = "") -> str:
    """Return the statement that takes :data:`gatepost.store.conversion.terminal_counters.TALLY_COLUMNS`.

    Each row is of another terminal.

    ``source`` is a query that returns those columns, where they do not come as parameters.
    """
    source = source or _values(len(TALLY_COLUMNS), dialect, rows)
    return _fill(_TALLY, dialect, source, columns=", ".join(TALLY_COLUMNS))


def peer(dialect: str, rows: int = 1) -> str:
    """Return the statement that stores addresses of terminals. It takes address, terminal, time of each."""
    return _fill(_PEER, dialect, _values(3, dialect, rows))


def position(dialect: str, rows: int = 1, *, source: str = "") -> str:
    """Return the statement that stores positions; one that is stored and lies further stays, and is not counted.

    It takes journal, stream, segment, offset and events of each. ``source`` as in :func:`tally`.
    """
    return _fill(_POSITION, dialect, source or _values(5, dialect, rows))


def disagreement(dialect: str) -> str:
    """Return the statement that counts a disagreement. It takes terminal, source, what it said, 1, time, time."""
    return _fill(_DISAGREEMENT, dialect, _values(6, dialect))


def trim_disagreements(dialect: str) -> str:
    """Return the statement that keeps the latest disagreements of a terminal. It takes terminal, terminal."""
    mark = "%s" if dialect == "postgresql" else "?"
    return (
        f"DELETE FROM disagreements WHERE terminal_id = {mark} AND (source, said) NOT IN"
        f" (SELECT source, said FROM disagreements WHERE terminal_id = {mark}"
        f" ORDER BY last_at_ms DESC, count DESC LIMIT {MAX_DISAGREEMENTS})"
    )


class PeerLimit:
    """Keep :data:`MAX_PEERS`. It counts them once, and again when :data:`TRIMMED_PEERS` may have been added."""

    def __init__(self) -> None:
        self._count: int | None = None
        """How many there are, as far as is known here: other processes make and delete some, too."""

    def make_room(self, db: Any, new: int) -> None:
        """Forget some of those that were seen longest ago, if with ``new`` ones there are too many.

        ``db``: a connection of either driver, in a transaction. That may fail: the next count is right again.
        """
        if self._count is None or self._count + new > MAX_PEERS:
            self._count = int(db.execute("SELECT count(*) FROM peers").fetchone()[0])
            if self._count + new > MAX_PEERS:
                self._count -= db.execute(_trim_peers()).rowcount
        self._count += new


def _trim_peers() -> str:
    oldest = f"SELECT address, terminal_id FROM peers ORDER BY at_ms LIMIT {TRIMMED_PEERS}"
    return f"DELETE FROM peers WHERE (address, terminal_id) IN ({oldest})"
