"""Many requests, one commit: the only way into the store.

Rules:

* One thread owns the store's writing side. Whoever submits waits for the commit, and nothing is said to be
  stored before it.
* There is no timer that gathers a batch. While one batch is being synced the next one gathers by itself, and it
  begins with the first turn of the loop that brings nothing more, or the eighth. Alone, a request waits for
  nothing. Under load the batch grows until the commit costs next to nothing a request, and whoever parses and
  whoever commits take turns instead of contending for the interpreter (``docs/decisions/ingest.md``).
* The queue is bounded in events and in bytes. Beyond it, and while the store is away, ``StoreUnavailable`` at
  once: the terminal keeps its events on disk, which is a better place than our memory.
* A batch that the store cannot take now fails for all who wait. A batch that fails for another reason is taken
  apart until the one event that it was is alone: that one fails, the others are stored.

Flow: ``submit`` → queue → thread: ``once`` (take what is there, ``store.write``) → one callback on the loop that
resolves every waiter of the batch.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import structlog

from gatepost.errors import StoreError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatepost.store.store import Arrival, Stored

    Settle = Callable[[Stored | None, Exception | None], None]
    Waiter = tuple[Arrival, Settle, int]
    """The last is its size."""

__all__ = ["Committer", "Writer"]

log = structlog.get_logger(__name__)

T = TypeVar("T")

_TURNS = 8
"""Of the loop, at most, in which a batch gathers: a turn may take long for other reasons."""


class Writer(Protocol):
    """The side of a store that the committer drives."""

    def write(self, batch: Sequence[Arrival]) -> Sequence[Stored]:
        """Store a batch durably, or raise and store nothing of it."""


class Committer:
    """Shares commits among everyone who waits for one.

    Made and used on one event loop; the store is written to in the committer's own thread only.
    """

    def __init__(
        self,
        store: Writer,
        *,
        max_batch: int = 512,
        max_queue: int = 8192,
        max_queue_bytes: int = 64 * 1024 * 1024,
        on_commit: Callable[[], None] = lambda: None,
    ) -> None:
        """``max_batch`` and ``max_queue`` count events, ``max_queue_bytes`` their images and originals.

        ``on_commit`` is called on the loop after each batch, once its waiters were told; it raises nothing.
        """
        self._store = store
        self._on_commit = on_commit
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._max_queue_bytes = max_queue_bytes
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Waiter] = deque()
        self._errands: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()
        self._queue_bytes = 0
        self._idle = True
        self._turns = 0
        """For how many turns of the loop the next batch has gathered; 0 while nothing does."""
        self._gathered = 0
        self._closing = False
        self.commits = 0
        self.committed = 0
        self.failed = 0
        self._wake = threading.Semaphore(0)
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
        if self._idle and not self._turns:
            self._gather()

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
        if self._idle and not self._turns:
            self._gather()
        return await future

    async def close(self, *, timeout_s: float = 10.0) -> bool:
        """Take nothing more, commit what is queued, stop. Idempotent.

        False if that took longer than ``timeout_s``: whoever still waits then gets ``StoreUnavailable``.
        """
        self._closing = True
        self._wake.release()
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

    def _gather(self) -> None:
        """Let the loop turn once more, so that what comes in with this turn shares the commit."""
        self._turns += 1
        self._gathered = len(self._queue)
        self._loop.call_soon(self._start)

    def _start(self) -> None:
        """Wake the thread, unless the last turn of the loop brought more: then the next one may, too."""
        if self._gathered < len(self._queue) < self._max_batch and self._turns < _TURNS:
            self._gather()
            return
        self._turns = 0
        if self._idle and (self._queue or self._errands):
            self._idle = False
            self._wake.release()

    def _went_idle(self) -> None:
        self._idle = True
        if not self._turns:
            self._gather()

    def _settle(self, settled: list[tuple[Settle, Stored | None, Exception | None]], size: int) -> None:
        self._queue_bytes -= size
        for settle, stored, error in settled:
            try:
                settle(stored, error)
            except Exception as defect:  # the others of the batch still have to hear of it
                log.error("committer.settle_failed", kind=type(defect).__name__)
        self._on_commit()

    # In the thread.

    def _run(self) -> None:
        while True:
            self._wake.acquire()
            self.once()
            while self._closing and self.once():
                pass
            if self._closing and not self._queue and not self._errands:
                return
            self._post(self._went_idle)

    def once(self) -> bool:
        """Run the errands and commit one batch; False if there was nothing to do. The thread's one step."""
        errands, queue = self._errands, self._queue
        if not errands and not queue:
            return False
        while errands:
            errand, future = errands.popleft()
            try:
                result = errand()
            except Exception as error:
                self._post(_resolve, future, None, error)
            else:
                self._post(_resolve, future, result, None)
        batch = [queue.popleft() for _ in range(min(len(queue), self._max_batch))]
        if batch:
            settled: list[tuple[Settle, Stored | None, Exception | None]] = []
            self._write(batch, settled)
            self._post(self._settle, settled, sum([size for _, _, size in batch]))
        return True

    def _write(
        self, batch: list[Waiter], settled: list[tuple[Settle, Stored | None, Exception | None]]
    ) -> None:
        try:
            rows = self._store.write([arrival for arrival, _, _ in batch])
        except StoreError as error:
            self.failed += len(batch)
            log.warning("committer.batch_failed", events=len(batch), why=str(error))
            settled.extend((settle, None, error) for _, settle, _ in batch)
        except Exception as error:
            if len(batch) > 1:
                middle = len(batch) // 2
                self._write(batch[:middle], settled)
                self._write(batch[middle:], settled)
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
