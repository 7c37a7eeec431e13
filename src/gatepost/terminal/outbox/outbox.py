"""The outbox: what happened at the door is on disk before anyone is told so, and leaves only when it arrived.

Promises:

* ``put`` returned → the event is on disk (``fdatasync``), never changes, and will be delivered at least once or be
  counted as dropped.
* ``accepted = delivered + pending + dead + dropped``, in the file, in every transaction, after every crash.
* A claim writes its attempts before it returns; an event in flight is not claimed again until it was settled, so
  what a crash can send twice is what was in flight.
* A full or read-only disk refuses new events with :class:`~gatepost.errors.OutboxUnavailable`; what is stored goes
  on draining, and everything recovers by itself when the disk does.
* Memory does not grow with the backlog, nor does the time to open it.

Flow: ``put`` (one commit shared by all who wait) → ``kicked`` → the pusher's ``claim`` → POST → ``settle``.
Parts: see :mod:`gatepost.terminal.outbox`.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog
from msgspec import Struct

from gatepost.errors import NotSubscribed, OutboxFull, OutboxOfAnotherTerminal, OutboxUnavailable
from gatepost.retry import DeadLetter, Done, RetryAt, Step
from gatepost.settings import TerminalSettings
from gatepost.terminal.outbox.dead import discard_dead, retry_dead
from gatepost.terminal.outbox.history import Reader, Snapshot, load_subscription
from gatepost.terminal.outbox.intake import accept_all
from gatepost.terminal.outbox.queue import Claim, Queue
from gatepost.terminal.outbox.rows import BURST_MS, forget_refusals
from gatepost.terminal.outbox.schema import Lock, connect, connect_reader, unavailable
from gatepost.terminal.outbox.values import (
    RECORDS,
    Claimed,
    Dropped,
    HistoryPage,
    HistoryQuery,
    NewEvent,
    OutboxStatus,
    State,
    Stored,
)
from gatepost.terminal.outbox.writer import Transaction, Writer
from gatepost.wire import Alarm, Record, Subscription, receiver_of

__all__ = [
    "Outbox",
    "Claimed",
    "Dropped",
    "HistoryPage",
    "HistoryQuery",
    "OutboxStatus",
    "State",
    "Stored",
]

T = TypeVar("T")

log = structlog.get_logger(__name__)

MANY = 1_000
"""Dead letters that one call changes, unless it is told otherwise."""


class Outbox:
    """One terminal's outbox. Made by :meth:`open`; belongs to the event loop in which it was opened."""

    def __init__(
        self, path: Path, files: "_Files", *, settings: TerminalSettings, now: Callable[[], float]
    ) -> None:
        self.path = path
        self.kicked = asyncio.Event()
        """Set whenever there may be something new to push. Whoever waits for it clears it."""
        self._settings = settings
        self._now = now
        self._lock = files.lock
        self._reader = files.reader
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="outbox-reader")
        self._subscription = files.subscription
        self._queue = Queue(settings, now)
        self._writer = Writer(
            files.db,
            reconnect=self._reopen,
            explain=lambda error: unavailable(error, path),
            prologue=self._queue.write_unsaved,
            storage_error=files.storage_error,
        )
        self._next_due: float | None = 0.0
        self._full_at = float("-inf")
        self._closed = False

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        settings: TerminalSettings | None = None,
        now: Callable[[], float] = time.time,
        serial: str | None = None,
    ) -> "Outbox":
        """Open the outbox, or make it. Whatever crash came before is recovered from here.

        ``now`` returns Unix seconds. ``serial`` is the terminal that records into it; the first one is remembered.

        Raises :class:`~gatepost.errors.OutboxInUse` if another process has it open,
        :class:`~gatepost.errors.OutboxOfAnotherTerminal` if it was opened with another ``serial`` before,
        :class:`~gatepost.errors.OutboxTooNew` if a later version wrote it, :class:`~gatepost.errors.OutboxCorrupt`
        if it is no outbox or damaged, :class:`~gatepost.errors.OutboxUnavailable` if the disk does not let it.
        """
        settings = settings or TerminalSettings()
        path = await asyncio.to_thread(path.absolute)
        files = await asyncio.to_thread(_Files.open, path, serial)
        return cls(path, files, settings=settings, now=now)

    async def close(self) -> None:
        """Finish what was begun and close the files. Idempotent. Nothing that waits is lost."""
        if self._closed:
            return
        self._closed = True
        await self._writer.close()
        self._reading.shutdown(wait=True)
        self._reader.close()
        self._lock.release()

    # --- events come in -------------------------------------------------------------------------------------

    async def put(self, event: Record | Alarm) -> int:
        """Store an event; answer its number once it is on disk. Callers that wait together share one commit.

        Raises, and then nothing was stored: :class:`~gatepost.errors.NotSubscribed` if nobody ever subscribed (the
        page's terminal caches for a receiver; before there is one, nothing is cached);
        :class:`~gatepost.errors.OutboxFull` at the cap with ``overflow="refuse-newest"``, for a record when there
        is nothing left but alarms, or if the event alone exceeds ``capacity_bytes``;
        :class:`~gatepost.errors.OutboxUnavailable` if the disk is full, read-only or failing;
        :class:`~gatepost.errors.EncodeError` if it is no event of the page.

        When the caller is cancelled meanwhile, the event may have been stored.
        """
        return (await self.put_all([event]))[0]

    async def put_all(self, events: Sequence[Record | Alarm]) -> list[int]:
        """Store several events, all or none; return their numbers once they are on disk. Raises as :meth:`put` does."""
        if self._subscription is None:
            raise NotSubscribed(
                "nobody has subscribed to this terminal, so nothing is cached; "
                "post {event_dest, enabled} to /v1/event/subscribe first, or call subscribe()"
            )
        new = [NewEvent.of(event) for event in events]
        try:
            return await self._writer.submit(
                lambda transaction: accept_all(
                    transaction,
                    new,
                    settings=self._settings,
                    in_flight=self._queue.in_flight,
                    now=int(self._now() * 1000),
                ),
                durable=True,
                then=lambda _: self._wake(0.0),
            )
        except OutboxFull:
            self._log_full()
            raise

    def _log_full(self) -> None:
        """One line a burst; a minute without a refusal ends it."""
        now = self._now()
        if abs(now - self._full_at) > BURST_MS / 1000:
            log.warning("outbox.full", overflow=self._settings.overflow)
        self._full_at = now

    # --- events go out --------------------------------------------------------------------------------------

    async def claim(self, limit: int, *, now: float) -> list[Claimed]:
        """Take up to ``limit`` events to push, alarms before records, in a lane the oldest that is due first.

        Each attempt is counted in the file before this returns. An event is in flight from then on, and not
        claimed again until it was settled or released. Of one ``trace_id``, an alarm is not claimed before the
        one recorded before it has left. ``now`` is in Unix seconds; events that wait for a moment reckoned from a
        clock that was set back meanwhile are due at once.
        """
        claimed, _ = await self._writer.submit(
            lambda transaction: self._queue.claim(transaction, limit, now),
            fallback=lambda db: self._queue.claim_unsaved(db, limit, now),
            orphaned=self._give_back,
            then=self._claimed,
        )
        return claimed

    async def settle(self, results: Sequence[tuple[int, Done | RetryAt | DeadLetter]]) -> None:
        """Write what became of claimed events, all in one commit.

        Does not wait for a sync of its own: a power cut may send these events once more, which a receiver knows.
        On a disk that takes nothing the results are kept in memory, and written when it does. Numbers of events
        that are not pending any more (dropped meanwhile) are passed over.
        """
        if results:
            results = tuple(results)
            await self._writer.submit(
                lambda transaction: self._queue.settle(transaction, results),
                fallback=lambda _: self._queue.settle_unsaved(results),
                then=lambda _: self._settled(results),
            )

    async def release(self, ids: Sequence[int] | None = None) -> None:
        """Give claimed events back without a result, as at a stop; they are due at once.

        Their attempts stay counted. ``None``: all that are in flight.
        """

        def forget() -> None:
            self._queue.in_flight.difference_update(tuple(self._queue.in_flight) if ids is None else ids)

        await self._writer.submit(
            lambda transaction: transaction.after.append(forget),
            fallback=lambda _: forget(),
            then=lambda _: self._wake(0.0),
        )

    def next_due(self) -> float | None:
        """From when on, in Unix seconds, a claim may find something; ``None``: not before ``kicked`` is set."""
        return self._next_due

    def _claimed(self, claim: Claim) -> None:
        self._next_due = claim[1]

    def _settled(self, results: Sequence[tuple[int, Step]]) -> None:
        for _, step in results:
            self._wake(step.at if isinstance(step, RetryAt) else 0.0)

    def _wake(self, due: float) -> None:
        self._next_due = due if self._next_due is None else min(due, self._next_due)
        self.kicked.set()

    def _give_back(self, claim: Claim) -> None:
        if claim[0] and not self._closed:
            task = asyncio.ensure_future(self.release([event.id for event in claim[0]]))
            task.add_done_callback(lambda done: done.exception())

    # --- where to -------------------------------------------------------------------------------------------

    @property
    def current_subscription(self) -> Subscription | None:
        """Where to push to, without waiting; ``None`` before anyone ever subscribed."""
        return self._subscription

    async def subscription(self) -> Subscription | None:
        """Answer where to push to; ``None`` before anyone ever subscribed."""
        return self._subscription

    async def subscribe(self, subscription: Subscription) -> None:
        """Store where to push to; on disk when this returns. The backlog goes along, whatever changes.

        Nothing waits for the end of a back-off any longer: the receiver is there now. If it is another one (host,
        port or path), it has refused nothing yet: refusals are forgotten, and dead letters become pending again, the
        oldest first and within ``capacity``.
        """

        def store(transaction: Transaction) -> Subscription:
            known = transaction.db.execute("SELECT receiver FROM subscription").fetchone()
            before = known[0] if known else ""
            now = subscription.event_dest or before
            if before and receiver_of(before) != receiver_of(now):
                self._another_receiver(transaction)
            transaction.db.execute(
                "INSERT INTO subscription (id, event_dest, enabled, receiver) VALUES (1, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET event_dest = excluded.event_dest, enabled = excluded.enabled,"
                " receiver = excluded.receiver",
                (subscription.event_dest, subscription.enabled, now),
            )
            self._queue.hasten(transaction.db)
            return subscription

        await self._writer.submit(store, durable=True, then=self._subscribed)

    def _another_receiver(self, transaction: Transaction) -> None:
        forget_refusals(transaction)
        revived = len(
            retry_dead(transaction, None, limit=transaction.ledger.dead, capacity=self._settings.capacity)
        )
        if revived:
            left = transaction.ledger.dead
            transaction.after.append(
                lambda: log.info("outbox.dead_letters_taken_up", count=revived, left=left)
            )

    def _subscribed(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self._wake(0.0)

    # --- people look ----------------------------------------------------------------------------------------

    async def status(self) -> OutboxStatus:
        """The ledger and what stands around it, from the file."""
        return self._status(await self._read(self._reader.snapshot))

    def _status(self, snapshot: Snapshot) -> OutboxStatus:
        ledger = snapshot.ledger
        unsaved = list(self._queue.unsaved.values())
        done = sum(isinstance(step, Done) for step in unsaved)
        dead = sum(isinstance(step, DeadLetter) for step in unsaved)
        pending = ledger.pending - done - dead
        oldest = snapshot.oldest_pending_at if pending else None
        return OutboxStatus(
            accepted=ledger.accepted,
            delivered=ledger.delivered + done,
            pending=pending,
            dead=ledger.dead + dead,
            dropped=ledger.dropped,
            oldest_pending_s=None if oldest is None else max(0.0, self._now() - oldest),
            bytes=ledger.record_bytes + ledger.alarm_bytes + ledger.dead_bytes,
            last_error=ledger.last_error,
            last_error_at=_seconds(ledger.last_error_at),
            last_success_at=_seconds(ledger.last_success_at),
            pending_records=ledger.records,
            pending_alarms=ledger.alarms,
            in_flight=len(self._queue.in_flight),
            history=ledger.history,
            history_bytes=ledger.history_bytes,
            file_bytes=snapshot.file_bytes,
            refused_full=ledger.refused_full,
            unsaved=len(unsaved),
            storage_error=self._writer.storage_error,
            drops=snapshot.drops,
            capacity=self._settings.capacity,
            subscription=snapshot.subscription,
        )

    async def count_rows(self) -> dict[str, int]:
        """Count the events of each state themselves, to compare the ledger with; slower than :meth:`status`."""
        return await self._read(self._reader.count)

    async def history(self, query: HistoryQuery | None = None) -> HistoryPage:
        """Records that happened, sent or not, as far as they are kept (``POST /v1/event/records``)."""
        return await self._read(lambda: self._reader.history(query or HistoryQuery()))

    async def export(self, states: Collection[State] = (State.PENDING, State.DEAD)) -> AsyncIterator[bytes]:
        """Answer events as JSON lines: push bodies as the page has them, the oldest first, each with ``\\n``.

        Read in steps of some events; what is accepted or settled meanwhile may or may not be among them.
        """
        after = 0
        while events := await self._read(lambda: self._reader.step(states, after)):  # noqa: B023 - awaited here
            for event in events:
                yield event.body + b"\n"
            after = events[-1].id

    # --- dead letters ---------------------------------------------------------------------------------------

    async def dead_letters(self, limit: int = 100, *, after: int = 0) -> tuple[Stored, ...]:
        """List dead letters in the order in which they were recorded, from behind number ``after``."""
        return await self._read(lambda: self._reader.dead_letters(limit, after))

    async def retry_dead(self, ids: Sequence[int] | None = None, *, limit: int = MANY) -> list[int]:
        """Make dead letters pending again, as if never refused; answer which. ``None``: the oldest ``limit``.

        Numbers that are no dead letters are passed over, and so is what exceeds ``capacity``.
        """
        return await self._writer.submit(
            lambda transaction: retry_dead(transaction, ids, limit=limit, capacity=self._settings.capacity),
            durable=True,
            then=lambda _: self._wake(0.0),
        )

    async def discard_dead(self, ids: Sequence[int] | None = None, *, limit: int = MANY) -> list[int]:
        """Give dead letters up; answer which. They count as dropped, with the reason ``discarded``."""
        return await self._writer.submit(
            lambda transaction: discard_dead(transaction, ids, limit=limit, now=int(self._now() * 1000)),
            durable=True,
        )

    def _reopen(self) -> sqlite3.Connection:
        """Open the file anew; in the writer's thread."""
        self._reader.close()
        try:
            return connect(self.path)
        except OutboxUnavailable:
            return connect_reader(self.path)

    async def _read(self, read: Callable[[], T]) -> T:
        if self._closed:
            raise OutboxUnavailable("the outbox is closed")
        return await asyncio.get_running_loop().run_in_executor(self._reading, read)


class _Files(Struct, frozen=True):
    """What is open of an outbox."""

    lock: Lock
    db: sqlite3.Connection
    reader: Reader
    subscription: Subscription | None
    storage_error: str | None
    """Why ``db`` can only read, if so."""

    @classmethod
    def open(cls, path: Path, serial: str | None) -> "_Files":
        with ExitStack() as opened:
            with suppress(OSError):  # on a read-only disk the folder may be there
                path.parent.mkdir(parents=True, exist_ok=True)
            lock = Lock(path)
            opened.callback(lock.release)
            storage_error = None
            try:
                db = connect(path)
            except OutboxUnavailable as error:
                if not path.exists():
                    raise
                # What is stored has to go on draining, also after a restart on a disk that takes nothing.
                db = connect_reader(path)
                storage_error = str(error)
                log.error("outbox.unavailable", error=storage_error)
            opened.callback(db.close)
            if serial is not None:
                _belongs_to(db, path, serial, writable=storage_error is None)
            reader = Reader(path)
            opened.callback(reader.close)
            files = cls(lock, db, reader, load_subscription(db), storage_error)
            opened.pop_all()
            return files


def _belongs_to(db: sqlite3.Connection, path: Path, serial: str, *, writable: bool) -> None:
    """Remember the terminal of an outbox. Raise ``OutboxOfAnotherTerminal`` if it is another one's."""
    try:
        known = db.execute("SELECT serial FROM terminal").fetchone()
        owner = _owner_by_records(db, serial) if known is None else known[0]
        if known is None and owner == serial and writable:
            db.execute("INSERT INTO terminal (id, serial) VALUES (1, ?)", (serial,))
    except sqlite3.DatabaseError as error:
        raise unavailable(error, path) from error
    if owner != serial:
        raise OutboxOfAnotherTerminal(
            f"the folder {path.parent} belongs to terminal {owner}: start it with --serial {owner}, or give "
            f"{serial} a folder of its own with --data"
        )


def _owner_by_records(db: sqlite3.Connection, serial: str) -> str:
    """Return whose an outbox is that does not say so: the terminal of its newest records.

    It is ``serial`` if there are none, or one of the newest hundred bears it: a caller may give a record another one.
    """
    heads = db.execute(
        "SELECT body.head FROM entry JOIN body USING (seq) WHERE lane = ? ORDER BY seq DESC LIMIT 100",
        (RECORDS,),
    )
    # A head is the beginning of the encoding, up to the image.
    found = [msgspec.json.decode(bytes(head) + b'"}}')["data"].get("deviceSN") for (head,) in heads]
    serials = [said for said in found if said]
    return serial if serial in serials or not serials else serials[0]


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000
