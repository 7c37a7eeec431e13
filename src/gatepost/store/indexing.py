"""The indexes of ``records``, filled behind the writer. SQLite only.

Each record touches a page of its own in the index by key, in the one by terminal and in the one by person, and what a
commit writes is pages: with the indexes, a commit of 64 records wrote 180 of them, 24 without. Thousands of records
touch hardly more pages than 64 do. So while much arrives, records are inserted without a facet and without a person,
which keeps them out of these indexes, and get both tens of thousands at a time (``docs/decisions/sqlite-writes.md``).

Rules:

* What makes an event the same event, ``UNIQUE (terminal_id, key)``, holds in every transaction. For records that are
  behind it is a constraint of a table of their keys, in memory, which is part of the same transaction; and no key gets
  into it that the index has. A store that is opened fills it with what is behind.
* Records that are not in the indexes are the last ones: above some id all of them, and none below. A record goes into
  the indexes at once only if none is behind.
* Nobody looks for records or changes anything while some are behind: a store first catches up. Readers need not know of
  this; those who follow what arrives, by id, and those who look for something else say so, and are not held up.
* Until then ``unindexed_facet_id`` and ``unindexed_identity_id`` hold what will stand in ``facet_id`` and
  ``identity_id``. To move it changes no row's size, so it is done in place.
* The writer waits while it catches up. How many may be behind follows from how long it took the last time.
"""

import sqlite3
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from gatepost.store import upserts

__all__ = ["ANY_BEHIND", "AT_LEAST", "AT_MOST", "CATCH_UP", "HOLD_UP_S", "QUIET", "TOGETHER", "Indexing"]

AT_MOST = 65536
"""Records that may be behind. With half as many an empty store is as fast, and one with 2 million records slower."""

AT_LEAST = 2048
"""As many may be behind on the slowest disk: fewer would be no better than none."""

HOLD_UP_S = 0.8
"""For so long the writer may be held up. A terminal waits for its answer meanwhile."""

TOGETHER = 16
"""Records of one batch from which on they are left behind: that much is load. Fewer are indexed with their commit."""

QUIET = 8
"""Smaller batches in a row after which the load is over: under load, too, a small one comes between two large ones."""

CATCH_UP = (
    "UPDATE records SET facet_id = unindexed_facet_id, identity_id = unindexed_identity_id,"
    " unindexed_facet_id = NULL, unindexed_identity_id = NULL WHERE facet_id IS NULL"
)
"""For a store that nobody has open as a :class:`gatepost.store.sqlite.SqliteStore`, which does it by itself; or that is
restored, on either database."""

ANY_BEHIND = "SELECT facet_id IS NULL FROM records ORDER BY id DESC LIMIT 1"

# OR FAIL: what fails is rolled back with the whole transaction, so SQLite need not keep a copy of each page for a
# rollback of the statement alone.
_CATCH_UP = f"{CATCH_UP.replace('UPDATE', 'UPDATE OR FAIL', 1)} AND id > ?"

_KEYS = "CREATE TEMP TABLE behind (terminal_id, key, id, PRIMARY KEY (terminal_id, key)) WITHOUT ROWID"


class Indexing:
    """Which records are behind, in the eyes of the one who writes, on the connection that writes."""

    def __init__(self, db: sqlite3.Connection, monotonic: Callable[[], float]) -> None:
        """``monotonic`` answers seconds."""
        self._db = db
        self._monotonic = monotonic
        last = db.execute("SELECT id FROM records WHERE facet_id IS NOT NULL ORDER BY id DESC LIMIT 1")
        row = last.fetchone()
        self._after = int(row[0]) if row else 0
        """Above this id every record is behind."""
        db.execute(_KEYS)
        db.execute(
            "INSERT INTO temp.behind SELECT terminal_id, key, id FROM records WHERE id > ?", (self._after,)
        )
        self.behind = int(db.execute("SELECT count(*) FROM temp.behind").fetchone()[0])
        """How many committed ones are, at most: duplicates count."""
        self._at_most = AT_MOST
        self._began = 0.0
        self._small = 0
        """Batches in a row that were no load."""

    def leaves_behind(self, records: int) -> bool:
        """Whether a batch with so many records is to be inserted without them."""
        return self.behind > 0 or records >= TOGETHER

    def claim(self, terminals: Sequence[int], keys: Sequence[bytes], ids: Sequence[int]) -> dict[int, int]:
        """Claim the keys of records that will be behind: part of the transaction. Of each record that is there already
        the id that it was not given, and the one that it has."""
        db, before = self._db, self._db.total_changes
        values: list[Any] = [None] * (3 * len(ids))
        values[::3], values[1::3], values[2::3] = terminals, keys, ids
        for rows, part in upserts.in_steps(values, 3):
            db.execute(_claim(rows), part)
        if db.total_changes - before == len(ids):
            return {}
        known = {}
        for terminal_id, key, number in zip(terminals, keys, ids, strict=True):
            held = db.execute(_HELD, (terminal_id, key)).fetchone()[0]
            if held != number:
                known[number] = held
        return known

    def is_due(self, records: int) -> bool:
        """Whether to catch up in the transaction of such a batch."""
        self._small = 0 if records >= TOGETHER else self._small + 1
        return self._small >= QUIET or self.behind + records > self._at_most

    def left_behind(self, records: int) -> None:
        """So many more are behind, and that is committed."""
        self.behind += records

    def catch_up(self) -> None:
        """Put all that is behind into the indexes, as part of a transaction."""
        self._began = self._monotonic()
        self._db.execute(_CATCH_UP, (self._after,))
        self._db.execute("DELETE FROM temp.behind")

    def caught_up(self, last_id: int) -> None:
        """Every record up to this id is in the indexes, and that is committed."""
        if 2 * self.behind >= AT_LEAST:
            a_second = self.behind / max(self._monotonic() - self._began, 1e-9)
            self._at_most = min(max(int(a_second * HOLD_UP_S), AT_LEAST), AT_MOST)
        self._after, self.behind = last_id, 0


_HELD = (
    "SELECT coalesce((SELECT id FROM temp.behind WHERE terminal_id = ?1 AND key = ?2),"
    " (SELECT id FROM records WHERE terminal_id = ?1 AND key = ?2 AND facet_id IS NOT NULL))"
)


@cache
def _claim(rows: int) -> str:
    return (
        "INSERT OR FAIL INTO temp.behind SELECT column1, column2, column3"
        f" FROM (VALUES {','.join(['(?,?,?)'] * rows)}) WHERE NOT EXISTS (SELECT 1 FROM main.records AS r"
        " WHERE r.terminal_id = column1 AND r.key = column2 AND r.facet_id IS NOT NULL) ON CONFLICT DO NOTHING"
    )
