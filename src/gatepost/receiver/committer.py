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
* The queue is bounded in events and in bytes. Beyond it ``StoreUnavailable`` at once: the terminal keeps its events
  on disk, which is a better place than our memory.
* A batch that the store cannot take now fails for all of it. If it took long to find that out, whatever has gathered
  meanwhile fails with it: else each batch of the queue would take as long, one after the other.
* A batch that fails for another reason is taken apart until the one event that it was is alone: that one fails, the
  others are stored.
* The queue is the loop's alone; the thread has what it is given. So whoever waits too long for a store that hangs can
  be answered without asking the thread: :meth:`Committer.give_up`.

Flow: ``submit`` → queue → ``_start`` on the loop: ``store.begin`` → thread: ``_do``: commit → ``_done`` on the loop:
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
from gatepost.store import patience

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gatepost.store.store import Arrival, Stored

    Settle = Callable[[Stored | None, Exception | None], None]
    Waiter = tuple[Arrival, Settle, int]
    """The last is its size."""
    Commit = Callable[[], Sequence[Stored]]
    Settled = list[tuple[Settle, Stored | None, Exception | None]]
    Errand = tuple[Callable[[], Any], asyncio.Future[Any]]
    Work = tuple[list[Errand], list[Waiter], Commit | None]
    """What the thread does in one go: these errands, then this batch, which may be begun."""

__all__ = ["Committer", "Writer"]

log = structlog.get_logger(__name__)

T = TypeVar("T")

_SLOW_S = 0.01
"""A batch that took longer to begin waited for a disk that is read from, and so did the loop..."""

_REST_S = 1.0
"""... which for so long leaves it to the thread, then."""

_LONG_S = 1.0
"""What fails after so long because the store is away fails for everybody who waits."""


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
        self._errands: list[Errand] = []
        self._queue_bytes = 0
        self._starting = False
        """Whether the next turn of the loop looks for something to do."""
        self._at_work: deque[Work] = deque()
        """What the thread was given and is not done with: nothing, a batch (or errands), and one ahead."""
        self._sizes = (0, 0)
        """Events of the last two batches: together, about as many as wait at once."""
        self._looked_ahead = False
        self._rests_until = -inf
        self._closing = False
        self._gave_up = False
        self._ended = asyncio.Event()
        self.commits = 0
        self.committed = 0
        self.failed = 0
        self._given: SimpleQueue[Work | None] = SimpleQueue()
        """What the thread is to do; ``None``: end."""
        self._away: StoreUnavailable | None = None
        """The thread's: why the rest of what it was given is not even tried."""
        self._thread = threading.Thread(target=self._run, name="gatepost-committer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Events that are in no commit yet."""
        return len(self._queue)

    @property
    def unanswered(self) -> int:
        """Events that nobody was told about yet."""
        return len(self._queue) + sum([len(batch) for _, batch, _ in list(self._at_work)])

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
        self._start_soon()
        try:
            async with asyncio.timeout(timeout_s):
                await self._ended.wait()
        except TimeoutError:
            self.give_up()
        return not self._gave_up

    def give_up(self) -> int:
        """Tell everybody who waits ``StoreUnavailable``, and take nothing more; how many events that were. Where
        nobody waits nothing is done. Idempotent.

        What is being committed may yet be stored: it was not acknowledged, and is found when it is sent again.
        """
        if self._gave_up or not (self._at_work or self._queue or self._errands):
            return 0
        self._closing = self._gave_up = True
        self._end()
        why = StoreUnavailable("the receiver was stopped before this was stored; send it again")
        count = self.unanswered
        for errands, batch, _ in self._at_work:
            self._refuse(errands, batch, why)
        self._refuse_waiting(why)
        return count

    # On the loop.

    def _start_soon(self) -> None:
        """With the next turn of the loop, so that what comes in with this one shares the commit."""
        if not self._starting and (not self._at_work or self._may_look_ahead()):
            self._starting = True
            self._loop.call_soon(self._start)

    def _may_look_ahead(self) -> bool:
        if len(self._at_work) != 1 or self._looked_ahead or not self._store.begins_ahead:
            return False
        return 2 * len(self._queue) >= sum(self._sizes)

    def _start(self) -> None:
        """Give the thread what there is to do, if it is not at work, or else what can be begun ahead."""
        self._starting = False
        if self._gave_up:
            return
        if not self._at_work:
            if self._errands:
                errands, self._errands = self._errands, []
                self._looked_ahead = True  # errands first, then the batch: nothing can be begun meanwhile
                self._give((errands, self._take(), None))
            elif self._queue:
                batch = self._take()
                self._give(([], batch, self._begin(batch)))
            elif self._closing:
                self._end()
        elif not self._errands and self._may_look_ahead():
            self._looked_ahead = True
            batch = list(islice(self._queue, self._max_batch))
            commit = self._begin(batch) if batch else None
            if commit:
                self._give(([], self._take(), commit))

    def _take(self) -> list[Waiter]:
        queue = self._queue
        return [queue.popleft() for _ in range(min(len(queue), self._max_batch))]

    def _give(self, work: Work) -> None:
        self._at_work.append(work)
        self._sizes = (self._sizes[1], len(work[1]))
        self._given.put(work)
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

    def _done(self, settled: Settled, size: int, away: StoreUnavailable | None) -> None:
        """The thread is done with a batch: first the next one, which is committed while this one is answered."""
        self._at_work.popleft()
        self._looked_ahead = False
        if self._gave_up:
            return  # they have been told
        if away is not None:
            self._refuse_waiting(away)
        self._start()
        self._queue_bytes -= size
        self._tell(settled)
        if settled:
            self._on_commit()

    def _tell(self, settled: Settled) -> None:
        for settle, stored, error in settled:
            if error is not None:
                self.failed += 1
            try:
                settle(stored, error)
            except Exception as defect:  # the others of the batch still have to hear of it
                log.error("committer.settle_failed", kind=type(defect).__name__)

    def _refuse_waiting(self, why: StoreUnavailable) -> None:
        """Refuse what the thread has not been given."""
        errands, self._errands = self._errands, []
        waiting, self._queue = self._queue, deque()
        self._queue_bytes -= sum([size for _, _, size in waiting])
        if waiting:
            log.warning("committer.waiting_refused", events=len(waiting), why=str(why))
        self._refuse(errands, waiting, why)

    def _refuse(self, errands: Iterable[Errand], waiting: Iterable[Waiter], why: StoreUnavailable) -> None:
        for _, future in errands:
            _resolve(future, None, why)
        self._tell([(settle, None, why) for _, settle, _ in waiting])

    def _end(self) -> None:
        if not self._ended.is_set():
            self._given.put(None)
            self._ended.set()

    # In the thread.

    def _run(self) -> None:
        with patience.hurry():
            while (work := self._given.get()) is not None:
                self._do(work)

    def _do(self, work: Work) -> None:
        errands, batch, commit = work
        began = self._monotonic()
        self._away = None
        for errand, future in errands:
            self._run_errand(errand, future, began)
        settled: Settled = []
        if batch:
            self._write(batch, commit, settled, began)
        self._post(self._done, settled, sum([size for _, _, size in batch]), self._away)

    def _run_errand(self, errand: Callable[[], Any], future: asyncio.Future[Any], began: float) -> None:
        if self._away is not None:
            self._post(_resolve, future, None, self._away)
            return
        try:
            result = errand()
        except Exception as error:
            self._find_out(error, began)
            self._post(_resolve, future, None, error)
        else:
            self._post(_resolve, future, result, None)

    def _write(self, batch: list[Waiter], commit: Commit | None, settled: Settled, began: float) -> None:
        if self._away is not None:
            settled.extend([(settle, None, self._away) for _, settle, _ in batch])
            return
        try:
            rows = commit() if commit else self._store.write([arrival for arrival, _, _ in batch])
        except StoreError as error:
            self._find_out(error, began)
            log.warning("committer.batch_failed", events=len(batch), why=str(error))
            settled.extend([(settle, None, error) for _, settle, _ in batch])
        except Exception as error:
            if len(batch) > 1:
                middle = len(batch) // 2
                self._write(batch[:middle], None, settled, began)
                self._write(batch[middle:], None, settled, began)
                return
            # The kind only: a database's message quotes the values, and those are people.
            log.error("committer.event_failed", kind=type(error).__name__)
            failure = StoreError(f"the store could not take this event ({type(error).__name__})")
            settled.append((batch[0][1], None, failure))
        else:
            self.commits += 1
            self.committed += len(batch)
            settled.extend((settle, row, None) for (_, settle, _), row in zip(batch, rows, strict=True))

    def _find_out(self, error: Exception, began: float) -> None:
        """Whether the store is away, so that nothing else need be tried."""
        if isinstance(error, StoreUnavailable) and self._monotonic() - began > _LONG_S:
            self._away = error

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
