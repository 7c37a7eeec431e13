"""The indexes of ``records``, filled behind the writer. SQLite only.

Each record touches a page of its own in the index by terminal and in the one by person, and what a commit writes is
pages: with the indexes, a commit of 64 records wrote 180 of them, 88 without. Thousands of records touch hardly more
pages than 64 do. So while much arrives, records are inserted without a facet and without a person, which keeps them
out of these indexes, and get both a few thousand at a time (``docs/decisions/sqlite-writes.md``).

Rules:

* What makes an event the same event, ``UNIQUE (terminal_id, key)``, is never behind.
* Records that are not in the indexes are the last ones: above some id all of them, and none below. A record goes into
  the indexes at once only if none is behind.
* Nobody reads or changes anything while records are behind: a store first catches up. Readers need not know of this.
* Until then ``unindexed_facet_id`` and ``unindexed_identity_id`` hold what will stand in ``facet_id`` and
  ``identity_id``. To move it changes no row's size, so it is done in place.
"""

import sqlite3

__all__ = ["ANY_BEHIND", "BEHIND", "CATCH_UP", "CATCH_UP_ALL", "QUIET", "TOGETHER", "Indexing"]

BEHIND = 16384
"""Records that may be behind: to catch up with so many holds the writer up for some 40 ms."""

TOGETHER = 16
"""Records of one batch from which on they are left behind: that much is load. Fewer are indexed with their commit."""

QUIET = 8
"""Smaller batches in a row after which the load is over: under load, too, a small one comes between two large ones."""

CATCH_UP_ALL = (
    "UPDATE records SET facet_id = unindexed_facet_id, identity_id = unindexed_identity_id,"
    " unindexed_facet_id = NULL, unindexed_identity_id = NULL WHERE facet_id IS NULL"
)
CATCH_UP = f"{CATCH_UP_ALL} AND id > ?"
"""Takes the id above which all are behind."""

ANY_BEHIND = "SELECT facet_id IS NULL FROM records ORDER BY id DESC LIMIT 1"


class Indexing:
    """Which records are behind: of those that are committed, and in the eyes of the one who writes."""

    def __init__(self, db: sqlite3.Connection) -> None:
        last = db.execute("SELECT id FROM records WHERE facet_id IS NOT NULL ORDER BY id DESC LIMIT 1")
        row = last.fetchone()
        self.after = int(row[0]) if row else 0
        """Above this id every record is behind."""
        self.behind = int(
            db.execute("SELECT count(*) FROM records WHERE id > ?", (self.after,)).fetchone()[0]
        )
        """How many are, at most: duplicates count."""

        self._small = 0
        """Batches in a row that were no load."""

    def leaves_behind(self, records: int) -> bool:
        """Whether a batch with so many records is to be inserted without them."""
        return self.behind > 0 or records >= TOGETHER

    def is_due(self, records: int) -> bool:
        """Whether to catch up in the transaction of such a batch."""
        self._small = 0 if records >= TOGETHER else self._small + 1
        return self._small >= QUIET or self.behind + records > BEHIND

    def left_behind(self, records: int) -> None:
        """So many more are behind, and that is committed."""
        self.behind += records

    def caught_up(self, last_id: int) -> None:
        """Every record up to this id is in the indexes, and that is committed."""
        self.after, self.behind = last_id, 0
