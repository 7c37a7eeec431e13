"""Group commit into the journal: one sync for many requests.

Rules:

* A request is acknowledged after the sync of its batch, never before. With :class:`UntilListed` it is when the batch is
  listed, too.
* No timer fills a batch. While one batch is synced, the next one fills. A single request is synced at once, and under
  load the cost of a sync is shared by the whole batch.
* Alarms are written first, into their own stream, which readers read first.
* The queue is bounded in events and bytes, and what waits to be listed is part of it. The journal is bounded in bytes
  that are not listed, and in what the disk has left: what waits must still fit into the database. Beyond a bound an
  event is refused with ``StoreUnavailable`` at once, and the terminal keeps it on its disk.
* A failed sync fails its whole batch. The next batch begins a new segment.
* Only the loop touches the queue, so :meth:`GroupCommit.give_up` can refuse waiting requests while the thread is
  blocked by the disk.

Flow: ``enqueue`` → queue → ``_start`` on the loop → thread: ``Writer.append`` → ``_done`` on the loop: start the next
one, and tell every waiter of this one, or let it wait until it is listed.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from queue import SimpleQueue
from typing import Any

import structlog

from gatepost.errors import JournalError, StoreUnavailable
from gatepost.journal.folder import Folder
from gatepost.journal.format import MAX_BODY
from gatepost.journal.places import Image, Place, join_places
from gatepost.journal.streams import ALARMS, RECORDS, Position
from gatepost.journal.writer import Writer
from gatepost.receiver.ingest.commit.space import JournalSpace
from gatepost.receiver.ingest.commit.until_listed import StreamPlace, UntilListed
from gatepost.receiver.ingest.commit.waiting_event import Settle, WaitingEvent

__all__ = ["GroupCommit"]

log = structlog.get_logger(__name__)

_SAID_EVERY_S = 60.0
"""How often a failure of the disk is logged."""


class GroupCommit:
    """Shares syncs among everyone who waits for one.

    Made and used on one event loop; what blocks is done in a thread of its own.
    """

    def __init__(
        self,
        folder: Folder,
        join: Callable[[bytes, Sequence[Place]], bytes] = join_places,
        *,
        max_batch: int = 512,
        max_queue: int = 8192,
        max_queue_bytes: int = 64 * 1024 * 1024,
        space: JournalSpace | None = None,
        until_listed: UntilListed[Sequence[WaitingEvent]] | None = None,
        linger_s: float = 0.0,
        on_append: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``join`` returns the body of a frame with the places of its images; it is called in the thread.

        ``max_batch`` and ``max_queue`` count events, the others bytes of frames and images.

        Nothing more is taken while ``space`` is full. ``on_append`` is called in the thread after each sync; it raises
        nothing. With ``until_listed`` an event is settled when it is listed, else when it is synced. With ``linger_s``
        events gather for so long, and packs are closed with each batch: each becomes an object in a bucket. Raises
        :class:`~gatepost.errors.JournalUnavailable`.
        """
        self._join = join
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._max_queue_bytes = max_queue_bytes
        self._space = JournalSpace(monotonic=monotonic) if space is None else space
        self._until_listed = until_listed
        self._unlisted = 0
        """Events that wait until they are listed."""
        self._on_append = on_append
        self._monotonic = monotonic
        self._loop = asyncio.get_running_loop()
        self._linger_s = linger_s
        self._writers = {
            lane: Writer(folder, lane, closes_packs=linger_s > 0, monotonic=monotonic)
            for lane in (ALARMS, RECORDS)
        }
        self._queue: deque[WaitingEvent] = deque()
        self._queue_bytes = 0
        self._batch: list[WaitingEvent] = []
        """The batch that the thread is writing."""
        self._starting = False
        self._tends = False
        """Close segments that are due before the next batch."""
        self._finishes = False
        self._closing = False
        self._gave_up = False
        self._is_ending = False
        self._ended = asyncio.Event()
        self._said_at = -_SAID_EVERY_S
        self.is_failing = False
        """The last append failed."""
        self.commits = 0
        self.committed = 0
        self.failed = 0
        self._given: SimpleQueue[list[WaitingEvent] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="gatepost-journal", daemon=True)
        self._thread.start()

    @property
    def is_full(self) -> bool:
        """Return whether so much is not listed or moved yet, or the disk so full, that nothing more is taken."""
        return self._space.is_full

    @property
    def waiting(self) -> int:
        """Return how many events are in no sync yet."""
        return len(self._queue)

    @property
    def unanswered(self) -> int:
        """Return how many events were not settled yet."""
        return len(self._queue) + len(self._batch) + self._unlisted

    def enqueue(
        self, body: bytes, settle: Settle, *, is_alarm: bool = False, images: Sequence[Image] = ()
    ) -> None:
        """Queue an event; ``settle`` is called on the loop when it is to be acknowledged, or must not be.

        Raises :class:`~gatepost.errors.StoreUnavailable` if the queue or the journal is full, or closed, and
        ``ValueError`` for a body that no frame holds; nothing was queued.
        """
        if len(body) > MAX_BODY:
            raise ValueError(f"a frame holds at most {MAX_BODY} bytes, and this has {len(body)}")
        if self._closing:
            raise StoreUnavailable("the receiver is stopping; send it again later")
        if len(self._queue) + self._unlisted >= self._max_queue or self._queue_bytes >= self._max_queue_bytes:
            raise StoreUnavailable("the receiver's queue is full; send it again later")
        if self._space.is_full:
            raise StoreUnavailable("the receiver's journal is full; send it again later")
        waiting = WaitingEvent(body, images, ALARMS if is_alarm else RECORDS, settle)
        self._queue_bytes += waiting.size
        self._queue.append(waiting)
        self._start_soon()

    async def submit(self, body: bytes, *, is_alarm: bool = False, images: Sequence[Image] = ()) -> None:
        """Store an event; return when it is to be acknowledged. Raises :class:`~gatepost.errors.StoreUnavailable`.

        To cancel it withdraws the wait, not the event.
        """
        future: asyncio.Future[None] = self._loop.create_future()

        def settle(error: StoreUnavailable | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

        self.enqueue(body, settle, is_alarm=is_alarm, images=images)
        await future

    def tend(self, *, finish: bool = False) -> None:
        """Close segments that are old, try the disk again if it failed, and refuse what waited too long to be listed.

        Called about once a second.

        ``finish``: close every segment, so that it is deleted as soon as it is listed.
        """
        self._tends = True
        self._finishes |= finish
        self._start_soon()
        self._settle_listed()

    def hear(self, listed: Mapping[str, Position], *, in_doubt: bool) -> None:
        """Hear from the desk how far each stream is listed. ``in_doubt``: a place may have been passed without rows."""
        if self._until_listed is not None:
            self._until_listed.hear(listed, in_doubt=in_doubt)
            self._settle_listed()

    async def close(self, *, timeout_s: float = 10.0) -> bool:
        """Take nothing more, sync what is queued, end the streams. Idempotent.

        What is pending then, as what waits until it is listed, is refused with ``StoreUnavailable``. Return False if
        there was any, or that took longer than ``timeout_s``.
        """
        self._closing = True
        self._start_soon()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._ended.wait()
        self.give_up()
        return self._ended.is_set() and not self._gave_up

    def give_up(self) -> int:
        """Refuse every pending event with ``StoreUnavailable``, and return their number.

        No event is accepted afterwards. Does nothing if no event is pending. Idempotent.

        An event that is written, or that the thread is writing, may still be listed. It was not acknowledged, and
        counts as a duplicate when the terminal resends it.
        """
        if self._gave_up or not self.unanswered:
            return 0
        self._closing = self._gave_up = True
        self._end()
        count = self.unanswered
        why = StoreUnavailable("the receiver was stopped before this was stored; send it again")
        waiting, self._queue = self._queue, deque()
        self._tell([*self._batch, *waiting], why)
        if self._until_listed is not None:
            for batch in self._until_listed.take_all():
                self._tell_synced(batch, why)
        return count

    # On the loop.

    def _start_soon(self) -> None:
        """Start in the next turn of the loop, so that events of this turn share the sync."""
        if not self._starting and not self._batch:
            self._starting = True
            if self._linger_s:
                self._loop.call_later(self._linger_s, self._start)
            else:
                self._loop.call_soon(self._start)

    def _start(self) -> None:
        """Give the thread the next batch, if it has none."""
        self._starting = False
        if self._gave_up or self._batch:
            return
        if self._tends:
            self._tends = False
            self._given.put([])
        queue = self._queue
        if queue:
            self._batch = [queue.popleft() for _ in range(min(len(queue), self._max_batch))]
            self._given.put(self._batch)
            # Lets go of the interpreter's lock: the thread begins before the replies to the last batch.
            time.sleep(0)
        elif self._closing:
            self._end()

    def _done(self, error: StoreUnavailable | None, places: Mapping[str, StreamPlace]) -> None:
        """Settle a batch that the thread is done with, or let it wait; first the next one is given to it.

        ``places``: up to where it is synced, by lane.
        """
        batch, self._batch = self._batch, []
        if self._gave_up:
            return  # they have been told
        if self._linger_s and not self._closing:
            self._start_soon()
        else:
            self._start()
        if error is not None or self._until_listed is None:
            self._tell(batch, error)
            return
        for lane, place in places.items():
            self._until_listed.add(place, [waiting for waiting in batch if waiting.lane == lane])
        self._unlisted += len(batch)
        self._settle_listed()  # the desk may have been quicker than this loop

    def _settle_listed(self) -> None:
        """Settle what the desk has listed, and refuse what waited too long or is in doubt."""
        if self._until_listed is None:
            return
        why = StoreUnavailable("not in the database yet, and acknowledge_after is store; send it again later")
        for batch, is_listed in self._until_listed.take():
            self._tell_synced(batch, None if is_listed else why)

    def _tell_synced(self, batch: Sequence[WaitingEvent], error: StoreUnavailable | None) -> None:
        self._unlisted -= len(batch)
        self._tell(batch, error)

    def _tell(self, batch: Sequence[WaitingEvent], error: StoreUnavailable | None) -> None:
        """Settle events; first their room in the queue is given back."""
        self._queue_bytes -= sum([waiting.size for waiting in batch])
        for waiting in batch:
            if error is not None:
                self.failed += 1
            try:
                waiting.settle(error)
            except Exception as defect:  # the others of the batch still have to hear of it
                log.error("group_commit.settle_failed", kind=type(defect).__name__)

    def _end(self) -> None:
        if not self._is_ending:
            self._is_ending = True
            self._given.put(None)

    # In the thread.

    def _run(self) -> None:
        while (batch := self._given.get()) is not None:
            if batch:
                self._post(self._done, *self._append(batch))
            else:
                self._tend()
        for writer in self._writers.values():
            writer.close()
        self._on_append()
        self._post(self._ended.set)

    def _append(self, batch: list[WaitingEvent]) -> tuple[StoreUnavailable | None, Mapping[str, StreamPlace]]:
        places = {}
        try:
            for lane, writer in self._writers.items():
                mine = [waiting for waiting in batch if waiting.lane == lane]
                if mine:
                    images = [image for waiting in mine for image in waiting.images]
                    position = writer.append_with_images(images, functools.partial(self._bodies, mine))
                    places[lane] = StreamPlace(writer.stream, position)
        except Exception as error:
            return self._failed(error, len(batch)), {}
        self.is_failing = False
        self.commits += 1
        self.committed += len(batch)
        self._on_append()
        self._space.appended(sum([waiting.size for waiting in batch]))
        return None, places

    def _bodies(self, batch: list[WaitingEvent], places: Sequence[Place]) -> list[bytes]:
        """Return the bodies of a batch. ``places``: of all its images, in order."""
        bodies: list[bytes] = []
        at = 0
        for waiting in batch:
            end = at + len(waiting.images)
            bodies.append(self._join(waiting.body, places[at:end]))
            at = end
        return bodies

    def _failed(self, error: Exception, events: int) -> StoreUnavailable:
        self.is_failing = True
        if self._monotonic() - self._said_at >= _SAID_EVERY_S:
            self._said_at = self._monotonic()
            why = str(error) if isinstance(error, JournalError) else type(error).__name__
            log.error("journal.append_failed", events=events, why=why)
        return StoreUnavailable("the receiver cannot store events now; send it again later")

    def _tend(self) -> None:
        finishes, self._finishes = self._finishes, False
        try:
            for writer in self._writers.values():
                if self.is_failing:
                    writer.append([])
                elif finishes:
                    writer.finish()
                else:
                    writer.finish_if_due()
        except JournalError as error:
            self._failed(error, 0)
        else:
            self.is_failing = False
            self._on_append()
        self._space.measure()

    def _post(self, callback: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            # The loop is closed, and with it whoever waited. What was synced stays synced.
            log.warning("group_commit.loop_closed")
