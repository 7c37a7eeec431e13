"""The one thread that writes to an outbox, and the transactions that callers share.

Rules:

* One writer owns the connection. Callers hand it a piece of work and await the commit.
* Everything that waits when the writer becomes free goes into one transaction: sixteen callers pay for one sync.
* A transaction with a new event in it is synced before anyone is told (``synchronous=FULL``); one that only
  claims or settles is not, because what a power cut takes from it is an acknowledgement, and the receiver knows
  an event that comes twice.
* The ledger is read at the beginning of each transaction and written at its end, so that it can never tell
  another story than the rows.
* If a shared transaction fails, each piece of work is tried alone, so that nobody pays for somebody else.
* While the disk takes nothing, it is tried once a second, by writing and by opening the file anew (a card that was
  taken out and put back, a disk that was mounted again), so that everything recovers without a restart.

Flow: ``submit`` → queue → ``_transact`` (begin, prologue, works, ledger, commit) → futures, in the event loop.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec
import structlog
from msgspec import Struct

from gatepost.errors import OutboxError, OutboxUnavailable
from gatepost.terminal.outbox.schema import is_the_disk
from gatepost.terminal.outbox.values import ALARMS

__all__ = ["Ledger", "Transaction", "Writer"]

T = TypeVar("T")

log = structlog.get_logger(__name__)

MAX_SHARED = 256
"""Pieces of work in one transaction: bounds how long the first has to wait for the last."""

RETRY_S = 1.0
"""Seconds between attempts to write, while the disk takes nothing."""


class Ledger(Struct):
    """The one row of the table ``ledger``: what became of everything that was accepted."""

    accepted: int
    delivered: int
    dropped: int
    dead: int
    records: int
    alarms: int
    history: int
    record_bytes: int
    alarm_bytes: int
    dead_bytes: int
    history_bytes: int
    refused_full: int
    last_error: str | None
    last_error_at: int | None
    last_success_at: int | None
    delivered_records: int
    delivered_alarms: int
    records_with_image: int
    alarms_with_image: int

    def delivered_of(self, lane: int, *, with_image: bool) -> int:
        """Return how many events of a kind were delivered: of a lane, or of those with an image in it."""
        if lane == ALARMS:
            return self.alarms_with_image if with_image else self.delivered_alarms
        return self.records_with_image if with_image else self.delivered_records

    def count_delivered(self, lane: int, *, with_image: bool) -> None:
        """Count one more delivered event."""
        self.delivered += 1
        if lane == ALARMS:
            self.delivered_alarms += 1
            self.alarms_with_image += with_image
        else:
            self.delivered_records += 1
            self.records_with_image += with_image

    @property
    def pending(self) -> int:
        return self.records + self.alarms

    @classmethod
    def load(cls, db: sqlite3.Connection) -> "Ledger":
        return cls(*db.execute(_LOAD).fetchone())

    def save(self, db: sqlite3.Connection) -> None:
        db.execute(_SAVE, msgspec.structs.astuple(self))


_LOAD = f"SELECT {', '.join(Ledger.__struct_fields__)} FROM ledger"
_SAVE = f"UPDATE ledger SET {', '.join(f'{name} = ?' for name in Ledger.__struct_fields__)}"


class Transaction:
    """What a piece of work may use: the connection, the ledger, and what is to happen if it does commit."""

    __slots__ = ("after", "db", "ledger")

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.ledger = Ledger.load(db)
        self.after: list[Callable[[], None]] = []


class _Job(Generic[T]):
    __slots__ = ("durable", "fallback", "future", "orphaned", "then", "work")

    def __init__(
        self,
        work: Callable[[Transaction], T],
        future: "asyncio.Future[T]",
        *,
        durable: bool,
        then: Callable[[T], None] | None,
        orphaned: Callable[[T], None] | None,
        fallback: Callable[[sqlite3.Connection], T] | None,
    ) -> None:
        self.work = work
        self.future = future
        self.durable = durable
        self.then = then
        self.orphaned = orphaned
        self.fallback = fallback


class Writer:
    """Runs pieces of work in shared transactions, in its own thread."""

    def __init__(
        self,
        db: sqlite3.Connection,
        *,
        reconnect: Callable[[], sqlite3.Connection],
        explain: Callable[[sqlite3.Error], OutboxError],
        prologue: Callable[[Transaction], None],
        storage_error: str | None = None,
    ) -> None:
        """Take over a connection.

        ``reconnect`` opens another one if this one has gone bad. ``prologue`` runs at the beginning of every
        transaction, to write what could not be written before. ``storage_error`` is given if the disk takes nothing
        from the start: ``db`` may be one that can only read.
        """
        self._db = db
        self._reconnect = reconnect
        self._explain = explain
        self._prologue = prologue
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._synchronous: bool | None = None
        self._closed = False
        self.storage_error = storage_error
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="outbox-writer", daemon=True)
        self._thread.start()

    def submit(
        self,
        work: Callable[[Transaction], T],
        *,
        durable: bool = False,
        then: Callable[[T], None] | None = None,
        orphaned: Callable[[T], None] | None = None,
        fallback: Callable[[sqlite3.Connection], T] | None = None,
    ) -> "asyncio.Future[T]":
        """Run ``work`` in a transaction; the future is done once that is committed.

        ``work`` raises an :class:`~gatepost.errors.OutboxError` only before it writes anything, so that the
        transaction goes on without it. ``then`` runs in the event loop after the commit, even if the caller is no
        longer waiting; ``orphaned`` too, if so. ``fallback`` gives the answer if the disk does not let it be
        written; it runs in the writer's thread.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        if self._closed:
            future.set_exception(OutboxUnavailable("the outbox is closed"))
        else:
            self._jobs.put(
                _Job(work, future, durable=durable, then=then, orphaned=orphaned, fallback=fallback)
            )
        return future

    async def close(self) -> None:
        """Finish what was submitted, then close the file. Idempotent."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    # --- in the writer's thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        stop = False
        while not stop:
            batch: list[_Job[Any]] = []
            try:
                job = self._jobs.get(timeout=None if self.storage_error is None else RETRY_S)
                while job is not None:
                    batch.append(job)
                    if len(batch) == MAX_SHARED:
                        break
                    job = self._jobs.get_nowait()
                stop = job is None
            except queue.Empty:
                if not batch:
                    self._try_again()
                    continue
            self._tell(self._once(batch))
        self._db.close()

    def _try_again(self) -> None:
        """Write something, or at least open the file anew for the next time."""
        try:
            self._transact([])
        except sqlite3.Error as error:
            with contextlib.suppress(OutboxError, sqlite3.Error):
                if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_READONLY:
                    self._db.close()  # what was opened to read only makes everything opened beside it so
                    self._db = self._reconnect()
                else:
                    db = self._reconnect()  # first: on a full disk it might not be possible afterwards
                    self._db.close()
                    self._db = db
                self._synchronous = None

    def _once(self, batch: list[_Job[Any]]) -> list[tuple[_Job[Any], Any]]:
        try:
            return self._transact(batch)
        except sqlite3.Error as error:
            failure = error
        if len(batch) <= 1:
            return [(job, self._fall_back(job, failure)) for job in batch]
        return [done for job in batch for done in self._once([job])]

    def _transact(self, batch: list[_Job[Any]]) -> list[tuple[_Job[Any], Any]]:
        db = self._db
        failing = self.storage_error is not None
        durable = failing or any(job.durable for job in batch)
        if durable is not self._synchronous:
            db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._synchronous = durable
        results: list[tuple[_Job[Any], Any]] = []
        try:
            db.execute("BEGIN IMMEDIATE")
            transaction = Transaction(db)
            before = msgspec.structs.astuple(transaction.ledger)
            self._prologue(transaction)
            for job in batch:
                try:
                    results.append((job, job.work(transaction)))
                except OutboxError as refusal:
                    results.append((job, refusal))
            if failing or msgspec.structs.astuple(transaction.ledger) != before:
                transaction.ledger.save(db)
            db.execute("COMMIT")
        except BaseException as error:
            if db.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error) and (is_the_disk(error) or failing):
                self._failed(error)
                raise
            if len(batch) > 1:
                return [done for job in batch for done in self._once([job])]
            return [(job, error) for job in batch]  # a defect; its caller shall see it
        for action in transaction.after:
            action()
        if failing:  # and yet something was written and synced
            self.storage_error = None
            log.info("outbox.recovered")
        return results

    def _failed(self, error: sqlite3.Error) -> None:
        if self.storage_error is None:
            log.error("outbox.unavailable", error=str(error))
        if is_the_disk(error):
            self.storage_error = str(self._explain(error))

    def _fall_back(self, job: _Job[Any], error: sqlite3.Error) -> Any:
        if job.fallback is None:
            return self._explain(error)
        try:
            return job.fallback(self._db)
        except sqlite3.Error as again:
            return self._explain(again)

    def _tell(self, results: list[tuple[_Job[Any], Any]]) -> None:
        if results:
            with contextlib.suppress(RuntimeError):  # the loop is gone, and so is everyone who waited
                self._loop.call_soon_threadsafe(_resolve, results)


def _resolve(results: list[tuple[_Job[Any], Any]]) -> None:
    for job, result in results:
        if isinstance(result, BaseException):
            if not job.future.done():
                job.future.set_exception(result)
            continue
        if job.then is not None:
            job.then(result)
        if not job.future.done():
            job.future.set_result(result)
        elif job.orphaned is not None:
            job.orphaned(result)
