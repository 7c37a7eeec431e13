"""Bringing the write-ahead log into the database, beside the writer and not in its way.

SQLite would do it within a commit, every so many pages: that batch then waits for thousands of pages to be
written and synced, and with it every terminal whose push is in it. Here a thread does it with a connection of
its own, while the writer goes on appending to the log. What was appended meanwhile is left over, so the log is
only begun anew when it is long, by the writer, right after such a pass: there is little left to do then.

Durability does not depend on any of this: what is committed is synced in the log.
"""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress

__all__ = ["EVERY", "LONG", "Checkpointer"]

EVERY = 8192
"""Pages between two passes, by estimate: 32 MB. A page that was written ten times meanwhile is brought over
once, and in a large database these passes are a fifth of all the work."""

LONG = 16384
"""Pages of the log from which on it is begun anew: 64 MB."""


class Checkpointer:
    """One thread; :meth:`wrote` and :meth:`close` are for the writer's side, under its lock."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        """``connect`` opens a connection that this thread alone uses."""
        self._db = connect()
        self._appended = 0
        self._begin_anew = False
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="gatepost-checkpoint", daemon=True)
        self._thread.start()

    def wrote(self, pages: int, writer: sqlite3.Connection) -> None:
        """After each commit of the writer, outside of any transaction, on a connection that waits for nobody.

        ``pages``: how many it appended to the log, about; SQLite tells nobody.
        """
        self._appended += pages
        if self._begin_anew:
            self._begin_anew = False
            with suppress(sqlite3.Error):  # a reader holds the log: at the next pass, then
                writer.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        if self._appended >= EVERY:
            self._appended = 0
            self._wake.set()

    def once(self) -> int:
        """Make one pass; answer how long the log is, in pages."""
        _, pages, _ = self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return int(pages)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._closing:
                return
            with suppress(sqlite3.Error):  # the disk is full or failing: the writer finds out, and says so
                self._begin_anew = self.once() >= LONG

    def close(self) -> None:
        """May be called twice."""
        self._closing = True
        self._wake.set()
        self._thread.join()
        self._db.close()
