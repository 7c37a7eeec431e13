"""Many requests, one commit: the only way into the store.

Rules:

* Whoever submits waits for the commit, and nothing is said to be stored before it.
* A batch is *begun* on the loop, where its events were parsed, and *committed* in a thread: what waits for the
  disk holds nobody up, and the two seldom contend for the interpreter (``docs/decisions/ingest.md``). What cannot
  be begun at once, because somebody else writes or a disk is slow, is written in the thread as a whole.
* There is no timer that gathers a batch. While one batch is being committed the next one gathers by itself, and is
  begun before those of the last one are answered; or ahead, as soon as half of those that are under way are in it,
  where the store can work on two. Alone, a request waits for nothing. Under load the batch grows until the commit
  costs next to nothing a request.
* The queue is bounded in events and in bytes. Beyond it, and while the store is away, ``StoreUnavailable`` at
  once: the terminal keeps its events on disk, which is a better place than our memory.
* A batch that the store cannot take now fails for all who wait. A batch that fails for another reason is taken
  apart until the one event that it was is alone: that one fails, the others are stored.

Flow: ``submit`` → queue → ``_start`` on the loop: ``store.begin`` → thread: ``once``: commit → ``_done`` on the loop:
start the next one, and resolve every waiter of this one.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from math import inf
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import structlog

from gatepost.errors import StoreError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatepost.store.store import Arrival, Stored

    Settle = Callable[[Stored | None, Exception | None], None]
    Waiter = tuple[Arrival, Settle, int]
    """The last is its size."""
    Commit = Callable[[], Sequence[Stored]]
    Settled = list[tuple[Settle, Stored | None, Exception | None]]

__all__ = ["Committer", "Writer"]

log = structlog.get_logger(__name__)

T = TypeVar("T")

_SLOW_S = 0.01
"""A batch that took longer to begin waited for a disk that is read from, and so did the loop..."""

_REST_S = 1.0
"""... which for so long leaves it to the thread, then."""


class Writer(Protocol):
    """The side of a store that the committer drives."""

    begins_ahead: bool
    """As :attr:`gatepost.store.store.Store.begins_ahead`."""

    def begin(self, batch: Sequence[Arrival]) -> Commit | None:
        """As :meth:`gatepost.store.store.Store.begin`."""

    def write(self, batch: Sequence[Arrival]) -> Sequence[Stored]:
        """Store a batch durably, or raise and store nothing of it."""


class Committer:
    """Shares commits among everyone who waits for one.

    Made and used on one event loop; what blocks is done in the committer's own thread only.
    """

    def __init__(
        self,
        store: Writer,
        *,
        max_batch: int = 512,
        max_queue: int = 8192,
        max_queue_bytes: int = 64 * 1024 * 1024,
        on_commit: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``max_batch`` and ``max_queue`` count events, ``max_queue_bytes`` their images and originals.

        ``on_commit`` is called on the loop after each batch, once its waiters were told; it raises nothing.
        ``monotonic`` answers seconds.
        """
        self._store = store
        self._on_commit = on_commit
        self._monotonic = monotonic
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._max_queue_bytes = max_queue_bytes
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Waiter] = deque()
        self._errands: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()
        self._queue_bytes = 0
        self._starting = False
        """Whether the next turn of the loop looks for something to do."""
        self._at_work = 0
        """How much the thread was given and is not done with: nothing, a batch (or errands), and one ahead."""
        self._sizes = (0, 0)
        """Events of the last two batches: together, about as many as wait at once."""
        self._looked_ahead = False
        self._rests_until = -inf
        self._closing = False
        self.commits = 0
        self.committed = 0
        self.failed = 0
        self._given: SimpleQueue[tuple[list[Waiter], Commit | None] | None] = SimpleQueue()
        """What the thread is to do: commit this batch, or whatever there is to do."""
        self._thread = threading.Thread(target=self._run, name="gatepost-committer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Events that are in no commit yet."""
        return len(self._queue)

    def enqueue(self, arrival: Arrival, settle: Settle) -> None:
        """Queue an event. ``settle(stored, None)`` is called on the loop once it is on disk, or
        ``settle(None, error)``: then nothing was stored, or at least nothing may be said to be.

        Raises :class:`~gatepost.errors.StoreUnavailable` if the queue is full, or closed; nothing was queued.
        """
        if self._closing:
            raise StoreUnavailable("the receiver is stopping; send it again later")
        if len(self._queue) >= self._max_queue or self._queue_bytes >= self._max_queue_bytes:
            raise StoreUnavailable("the receiver's queue is full; send it again later")
        size = len(arrival.original) + (0 if arrival.image is None else len(arrival.image))
        self._queue_bytes += size
        self._queue.append((arrival, settle, size))
        self._start_soon()

    async def submit(self, arrival: Arrival) -> Stored:
        """Store an event; return when it is on disk. Raises like :meth:`enqueue` settles.

        To cancel it withdraws the wait, not the event.
        """
        future: asyncio.Future[Stored] = self._loop.create_future()

        def settle(stored: Stored | None, error: Exception | None) -> None:
            if future.done():
                return
            if stored is not None:
                future.set_result(stored)
            else:
                future.set_exception(error or StoreError("the store gave no answer"))

        self.enqueue(arrival, settle)
        return await future

    async def call(self, errand: Callable[[], T]) -> T:
        """Run something short with the store in the committer's thread, between two commits."""
        if self._closing:
            raise StoreUnavailable("the receiver is stopping; try again later")
        future: asyncio.Future[T] = self._loop.create_future()
        self._errands.append((errand, future))
        self._start_soon()
        return await future

    async def close(self, *, timeout_s: float = 10.0) -> bool:
        """Take nothing more, commit what is queued, stop. Idempotent.

        False if that took longer than ``timeout_s``: whoever still waits then gets ``StoreUnavailable``.
        """
        self._closing = True
        self._given.put(None)
        await self._loop.run_in_executor(None, self._thread.join, timeout_s)
        await asyncio.sleep(0)  # the last batch settles in a callback of the loop
        if not self._thread.is_alive():
            return True
        stopping = StoreUnavailable("the receiver was stopped before this was stored; send it again")
        while self._queue:
            _, settle, _ = self._queue.popleft()
            settle(None, stopping)
        return False

    # On the loop.

    def _start_soon(self) -> None:
        """With the next turn of the loop, so that what comes in with this one shares the commit."""
        if not self._starting and (not self._at_work or self._may_look_ahead()):
            self._starting = True
            self._loop.call_soon(self._start)

    def _may_look_ahead(self) -> bool:
        if self._at_work != 1 or self._looked_ahead or not self._store.begins_ahead:
            return False
        return 2 * len(self._queue) >= sum(self._sizes)

    def _start(self) -> None:
        """Give the thread what there is to do, if it is not at work, or else what can be begun ahead."""
        self._starting = False
        if self._closing:
            return
        if not self._at_work and self._errands:
            self._give(None)
        elif not self._at_work and self._queue:
            batch = self._take()
            self._give((batch, self._begin(batch)))
        elif not self._errands and self._may_look_ahead():
            self._looked_ahead = True
            batch = list(islice(self._queue, self._max_batch))
            commit = self._begin(batch) if batch else None
            if commit:
                self._give((self._take(), commit))

    def _give(self, what: tuple[list[Waiter], Commit | None] | None) -> None:
        self._at_work += 1
        if what is None:
            self._looked_ahead = True  # the thread takes from the queue by itself
        else:
            self._sizes = (self._sizes[1], len(what[0]))
        self._given.put(what)
        # Lets go of the interpreter's lock: the thread begins before the answers to the last batch, not after them.
        time.sleep(0)

    def _begin(self, batch: list[Waiter]) -> Commit | None:
        began = self._monotonic()
        if began < self._rests_until:
            return None
        try:
            commit = self._store.begin([arrival for arrival, _, _ in batch])
        except Exception as defect:
            # Those who wait must not be forgotten for it: the thread writes it as a whole.
            log.error("committer.begin_failed", kind=type(defect).__name__)
            return None
        now = self._monotonic()
        if now - began > _SLOW_S:
            self._rests_until = now + _REST_S
        return commit

    def _done(self, settled: Settled, size: int) -> None:
        """The thread is done with a batch: first the next one, which is committed while this one is answered."""
        self._at_work -= 1
        self._looked_ahead = False
        self._start()
        self._queue_bytes -= size
        for settle, stored, error in settled:
            try:
                settle(stored, error)
            except Exception as defect:  # the others of the batch still have to hear of it
                log.error("committer.settle_failed", kind=type(defect).__name__)
        if settled:
            self._on_commit()

    # In the thread.

    def _run(self) -> None:
        while True:
            self.once(self._given.get())
            while self._closing and self._given.empty() and self.once(None):
                pass
            if self._closing and self._given.empty():
                return

    def once(self, given: tuple[list[Waiter], Commit | None] | None) -> bool:
        """Commit the batch that is given, or run the errands and write one; False if there was nothing to do. The
        thread's one step."""
        if given is None:
            if not self._errands and not self._queue:
                return False
            self._run_errands()
            given = (self._take(), None)
        batch, commit = given
        settled: Settled = []
        if batch:
            self._write(batch, commit, settled)
        self._post(self._done, settled, sum([size for _, _, size in batch]))
        return True

    def _take(self) -> list[Waiter]:
        queue = self._queue
        return [queue.popleft() for _ in range(min(len(queue), self._max_batch))]

    def _run_errands(self) -> None:
        while self._errands:
            errand, future = self._errands.popleft()
            try:
                result = errand()
            except Exception as error:
                self._post(_resolve, future, None, error)
            else:
                self._post(_resolve, future, result, None)

    def _write(self, batch: list[Waiter], commit: Commit | None, settled: Settled) -> None:
        try:
            rows = commit() if commit else self._store.write([arrival for arrival, _, _ in batch])
        except StoreError as error:
            self.failed += len(batch)
            log.warning("committer.batch_failed", events=len(batch), why=str(error))
            settled.extend((settle, None, error) for _, settle, _ in batch)
        except Exception as error:
            if len(batch) > 1:
                middle = len(batch) // 2
                self._write(batch[:middle], None, settled)
                self._write(batch[middle:], None, settled)
                return
            self.failed += 1
            # The kind only: a database's message quotes the values, and those are people.
            log.error("committer.event_failed", kind=type(error).__name__)
            failure = StoreError(f"the store could not take this event ({type(error).__name__})")
            settled.append((batch[0][1], None, failure))
        else:
            self.commits += 1
            self.committed += len(batch)
            settled.extend((settle, row, None) for (_, settle, _), row in zip(batch, rows, strict=True))

    def _post(self, callback: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            # The loop is closed: nobody waits any more. What was committed stays committed.
            log.warning("committer.nobody_waits")


def _resolve(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
