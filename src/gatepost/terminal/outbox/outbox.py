"""The outbox: an event is on disk before its caller is told so, and stays until it is delivered or dropped.

Guarantees:

* When ``put`` has returned, the event is on disk (``fdatasync``) and never changes. It is delivered at least once, or
  counted as dropped.
* ``accepted = delivered + pending + dead + dropped``, at every moment, after every crash and all damage.
* A claim writes its attempts before it returns. An event in flight is not claimed again until it is settled. So after a
  crash only events in flight are pushed twice, and after a power cut also those that were delivered just before.
* On a full disk delivered history is deleted, then what the overflow policy says. A disk that takes no writes at all
  refuses new events with :class:`~gatepost.errors.OutboxUnavailable`. The backlog still drains, and everything recovers
  with the disk.
* Damaged bytes cost the events that they belong to, which count as dropped.
* Memory, and the time to open it, grow by some bytes per waiting event.

Flow: ``put`` (one sync, shared by all callers) → ``kicked`` → the pusher's ``claim`` → POST → ``settle``.
Parts: see :mod:`gatepost.terminal.outbox`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import msgspec

from gatepost.errors import NotSubscribed, OutboxFull, OutboxOfAnotherTerminal, OutboxUnavailable
from gatepost.journal.files import Files
from gatepost.retry import DeadLetter, Done, RetryAt, Step
from gatepost.settings import TerminalSettings
from gatepost.terminal.logs import Log
from gatepost.terminal.outbox.contents import Contents
from gatepost.terminal.outbox.opening import Lock, explain, refuse_old
from gatepost.terminal.outbox.reader import View
from gatepost.terminal.outbox.state.drops import BURST_S
from gatepost.terminal.outbox.types import (
    Claimed,
    Dropped,
    HistoryPage,
    HistoryQuery,
    NewEvent,
    OutboxStatus,
    State,
    Stored,
)
from gatepost.terminal.outbox.writer import Writer
from gatepost.wire import Alarm, Record, Subscription

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

log = Log(__name__)

MANY = 1_000
"""Dead letters that one call changes, unless ``limit`` says otherwise."""


class Outbox:
    """One terminal's outbox. Made by :meth:`open`; belongs to the event loop in which it was opened."""

    def __init__(
        self,
        path: Path,
        lock: Lock,
        contents: Contents,
        *,
        settings: TerminalSettings,
        now: Callable[[], float],
    ) -> None:
        self.path = path
        self.kicked = asyncio.Event()
        """Set when there may be something new to push. The pusher clears it."""
        self._settings = settings
        self._now = now
        self._lock = lock
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="outbox-reader")
        self._subscription = contents.subscription
        self._writer = Writer(contents)
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
        files: Files | None = None,
    ) -> Outbox:
        """Open the outbox in the folder ``path``, or make it. Recovers from any earlier crash.

        ``now`` returns Unix seconds. ``serial`` is the terminal that records into it; the first one becomes its owner.

        Raises :class:`~gatepost.errors.OutboxInUse` if another process has it open,
        :class:`~gatepost.errors.OutboxOfAnotherTerminal` if its owner is another ``serial``,
        :class:`~gatepost.errors.OutboxTooNew` or :class:`~gatepost.errors.OutboxTooOld` if another version wrote it,
        :class:`~gatepost.errors.OutboxCorrupt` if it is no outbox,
        :class:`~gatepost.errors.OutboxUnavailable` if the disk fails.
        """
        settings = settings or TerminalSettings()
        path = await asyncio.to_thread(path.absolute)
        lock, contents = await asyncio.to_thread(_open, path, settings, files or Files(), now, serial)
        return cls(path, lock, contents, settings=settings, now=now)

    async def close(self) -> None:
        """Finish the work under way and close the files. Idempotent. No waiting event is lost."""
        if self._closed:
            return
        self._closed = True
        await self._writer.close()
        self._reading.shutdown(wait=True)
        self._lock.release()

    # --- events come in -------------------------------------------------------------------------------------

    async def put(self, event: Record | Alarm) -> int:
        """Store an event; return its number once it is on disk. Callers that wait together share one sync.

        After any of these exceptions nothing is stored: :class:`~gatepost.errors.NotSubscribed` before the first
        subscription (a terminal of the protocol page keeps events for a receiver, so without one it keeps none);
        :class:`~gatepost.errors.OutboxFull` at the limit with ``overflow="refuse-newest"``, for a record when only
        alarms are left, or if the event alone exceeds ``capacity_bytes``; :class:`~gatepost.errors.OutboxUnavailable`
        if the disk is full, read-only or failing; :class:`~gatepost.errors.EncodeError` if it is no event of the page.

        If the caller is cancelled meanwhile, the event may be stored.
        """
        return (await self.put_all([event]))[0]

    async def put_all(self, events: Sequence[Record | Alarm]) -> list[int]:
        """Store several events, all or none; return their numbers once they are on disk. Raises as :meth:`put` does."""
        if self._subscription is None:
            raise NotSubscribed(
                "this terminal has no subscription yet, so nothing is cached; "
                "post {event_dest, enabled} to /v1/event/subscribe first, or call subscribe()"
            )
        new = [NewEvent.of(event) for event in events]
        try:
            return await self._writer.put(new, then=lambda _: self._wake(0.0))
        except OutboxFull:
            self._log_full()
            raise

    def _log_full(self) -> None:
        """Log one line per burst. A minute without a refusal ends it."""
        now = self._now()
        if abs(now - self._full_at) > BURST_S:
            log.warning("outbox.full", overflow=self._settings.overflow)
        self._full_at = now

    # --- events go out --------------------------------------------------------------------------------------

    async def claim(self, limit: int, *, now: float) -> list[Claimed]:
        """Take up to ``limit`` events to push, alarms before records, in a lane the oldest that is due first.

        Each attempt is counted in the file before this returns. From then on an event is in flight, and not claimed
        again until it is settled or released. An alarm is not claimed before the earlier one of the same ``trace_id``
        is gone. ``now``: Unix seconds. If the clock was set back, events that wait for a later time are due at once.
        """
        claimed, _ = await self._writer.submit(
            lambda contents: contents.claim(limit, now),
            on_cancelled=self._give_back,
            then=self._claimed,
            is_last=True,
        )
        return claimed

    async def settle(self, results: Sequence[tuple[int, Done | RetryAt | DeadLetter]]) -> None:
        """Write the results of claimed events, all at once.

        Does not wait for a sync: after a power cut these events may be pushed again, which a receiver recognises. On a
        disk that takes no writes the results are kept in memory, and written later. Numbers of events that are not
        pending (dropped meanwhile) are skipped.
        """
        if results:
            results = tuple(results)
            await self._writer.submit(
                lambda contents: contents.settle(results), then=lambda _: self._settled(results)
            )

    async def release(self, ids: Sequence[int] | None = None) -> None:
        """Return claimed events without a result, as at a stop. They are due at once.

        Their attempts stay counted. ``None``: all in flight.
        """

        await self._writer.submit(lambda contents: contents.release(ids), then=lambda _: self._wake(0.0))

    def next_due(self) -> float | None:
        """Return the Unix time from which a claim may find something; ``None``: not before ``kicked`` is set."""
        return self._next_due

    def _claimed(self, claim: tuple[list[Claimed], float | None]) -> None:
        self._next_due = claim[1]

    def _settled(self, results: Sequence[tuple[int, Step]]) -> None:
        for _, step in results:
            self._wake(step.at if isinstance(step, RetryAt) else 0.0)

    def _wake(self, due: float) -> None:
        self._next_due = due if self._next_due is None else min(due, self._next_due)
        self.kicked.set()

    def _give_back(self, claim: tuple[list[Claimed], float | None]) -> None:
        if claim[0] and not self._closed:
            task = asyncio.ensure_future(self.release([event.id for event in claim[0]]))
            task.add_done_callback(lambda done: done.exception())

    # --- subscription -------------------------------------------------------------------------------------------

    @property
    def current_subscription(self) -> Subscription | None:
        """Return the subscription, without waiting; ``None`` before the first one."""
        return self._subscription

    async def subscription(self) -> Subscription | None:
        """Return the subscription; ``None`` before the first one."""
        return self._subscription

    async def subscribe(self, subscription: Subscription) -> None:
        """Store the address to push to. It is on disk when this returns. The backlog goes to the new address.

        Every back-off ends, because the receiver is there now. If it is another receiver (host, port or path), refusals
        are forgotten, and dead letters become pending again, the oldest first and within ``capacity``.
        """

        def store(contents: Contents) -> Subscription:
            contents.subscribe(subscription)
            return subscription

        await self._writer.submit(store, then=self._subscribed)

    def _subscribed(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self._wake(0.0)

    # --- status and history ----------------------------------------------------------------------------------------

    async def status(self) -> OutboxStatus:
        """Return the ledger and the figures around it."""
        return await self._writer.submit(lambda contents: contents.status())

    async def count_rows(self) -> dict[str, int]:
        """Count the events of each state, to compare with the ledger; slower than :meth:`status`."""
        return await self._read(View.count)

    async def history(self, query: HistoryQuery | None = None) -> HistoryPage:
        """Return records, delivered or not, as far as they are kept (``POST /v1/event/records``)."""
        return await self._read(lambda view: view.history(query or HistoryQuery()))

    async def export(self, states: Collection[State] = (State.PENDING, State.DEAD)) -> AsyncIterator[bytes]:
        """Yield events as JSON lines: push bodies of the page, the oldest first, each with ``\\n``.

        It reads in steps. Events that are accepted or settled meanwhile may be included or not.
        """
        after = 0
        while events := await self._read(lambda view: view.step(states, after)):  # noqa: B023 - awaited here
            for event in events:
                yield event.body + b"\n"
            after = events[-1].id

    # --- dead letters ---------------------------------------------------------------------------------------

    async def dead_letters(self, limit: int = 100, *, after: int = 0) -> tuple[Stored, ...]:
        """List dead letters in the order in which they were recorded, after number ``after``."""
        return await self._read(lambda view: view.dead_letters(limit, after))

    async def retry_dead(self, ids: Sequence[int] | None = None, *, limit: int = MANY) -> list[int]:
        """Make dead letters pending again, as if never refused; return which. ``None``: the oldest ``limit``.

        Numbers that are no dead letters are skipped, and so are events beyond ``capacity``.
        """
        return await self._writer.submit(
            lambda contents: contents.retry_dead(ids, limit), then=lambda _: self._wake(0.0)
        )

    async def discard_dead(self, ids: Sequence[int] | None = None, *, limit: int = MANY) -> list[int]:
        """Drop dead letters; return which. They count as dropped, with the reason ``discarded``."""
        return await self._writer.submit(lambda contents: contents.discard_dead(ids, limit))

    async def _read(self, read: Callable[[View], T]) -> T:
        if self._closed:
            raise OutboxUnavailable("the outbox is closed")
        segments, snapshot = await self._writer.submit(lambda contents: contents.copy())
        return await asyncio.get_running_loop().run_in_executor(
            self._reading, lambda: read(View(segments, snapshot))
        )


def _open(
    path: Path, settings: TerminalSettings, files: Files, now: Callable[[], float], serial: str | None
) -> tuple[Lock, Contents]:
    refuse_old(path)
    try:
        if not path.exists():
            files.make_folder(path)
        lock = Lock(path) if path.is_dir() else None
    except OSError as error:
        raise explain(error, path) from error
    with ExitStack() as opened:
        if lock is not None:
            opened.callback(lock.release)
        contents = Contents(path, settings=settings, files=files, now=now)
        opened.callback(contents.close)
        if serial is not None:
            _belongs_to(contents, path, serial)
        opened.pop_all()
    assert lock is not None  # noqa: S101 - else it is no folder, and was refused
    return lock, contents


def _belongs_to(contents: Contents, path: Path, serial: str) -> None:
    """Store the owner of an outbox. Raise ``OutboxOfAnotherTerminal`` if it has another one."""
    owner = contents.serial or _owner_by_records(contents, serial)
    if owner != serial:
        raise OutboxOfAnotherTerminal(
            f"the folder {path.parent} belongs to terminal {owner}: start it with --serial {owner}, or give "
            f"{serial} a folder of its own with --data"
        )
    if contents.serial is None:
        contents.belongs_to(serial)


def _owner_by_records(contents: Contents, serial: str) -> str:
    """Return the owner of an outbox that has none stored: the terminal of its newest records.

    It is ``serial`` if there are none, or if one of the newest hundred has it: a caller may give a record another one.
    """
    # A head is the encoding up to the image.
    heads = contents.newest_records(100)
    found = [msgspec.json.decode(head + b'"}}')["data"].get("deviceSN") for head in heads]
    serials = [said for said in found if said]
    return serial if serial in serials or not serials else serials[0]
