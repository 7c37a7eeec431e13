"""The one thread that reads and writes an outbox, and the syncs that callers share.

Rules:

* Callers hand the writer a job and await its result. All waiting jobs are done together: first results of attempts,
  then all new events with one sync, then claims.
* Changes are written before a caller gets its result.
* A defect is raised in its callers, and logged. The thread goes on.
* While the disk takes no writes, the writer tries once a second, so that everything recovers without a restart.
* Once a minute it deletes what is past its retention, also when nothing else happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from gatepost.errors import OutboxUnavailable
from gatepost.terminal.logs import Log
from gatepost.terminal.outbox.contents import Contents
from gatepost.terminal.outbox.types import NewEvent

__all__ = ["Writer"]

log = Log(__name__)

T = TypeVar("T")

MAX_SHARED = 256
"""Jobs that are done together. This bounds how long the first waits for the last."""

RETRY_S = 1.0
"""Seconds between attempts to write, while the disk takes nothing."""

LOOK_S = 60.0
"""Seconds between deletions of what is past its retention."""


class Jobs(Protocol):
    """The queue of jobs."""

    def put(self, job: _Job[Any] | None) -> None:
        """Add a job; ``None``: the end."""

    def get(self, block: bool = True, timeout: float | None = None) -> _Job[Any] | None:
        """Wait for a job, ``timeout`` seconds at most. Raises ``queue.Empty``."""


class _Job(Generic[T]):
    __slots__ = ("future", "is_last", "on_cancelled", "then", "work")

    def __init__(
        self,
        work: Callable[[Contents], T] | Sequence[NewEvent],
        future: asyncio.Future[T],
        *,
        then: Callable[[T], None] | None,
        on_cancelled: Callable[[T], None] | None,
        is_last: bool = False,
    ) -> None:
        self.work = work
        self.future = future
        self.then = then
        self.on_cancelled = on_cancelled
        self.is_last = is_last


class Writer:
    """Works on the contents in its own thread."""

    def __init__(
        self,
        contents: Contents,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        jobs: Jobs | None = None,
    ) -> None:
        """Take the contents over. ``monotonic``: seconds of a clock that is never set, which ``jobs`` uses to wait."""
        self._contents = contents
        self._monotonic = monotonic
        self._jobs: Jobs = queue.SimpleQueue() if jobs is None else jobs
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="outbox-writer", daemon=True)
        self._thread.start()

    def submit(
        self,
        work: Callable[[Contents], T],
        *,
        then: Callable[[T], None] | None = None,
        on_cancelled: Callable[[T], None] | None = None,
        is_last: bool = False,
    ) -> asyncio.Future[T]:
        """Do ``work``. The future is done once its changes are written.

        ``then`` runs in the event loop after that, also when the caller was cancelled; then ``on_cancelled`` follows.
        ``is_last``: after the events that are stored with it.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        return self._hand_over(_Job(work, future, then=then, on_cancelled=on_cancelled, is_last=is_last))

    def put(
        self, events: Sequence[NewEvent], *, then: Callable[[list[int]], None]
    ) -> asyncio.Future[list[int]]:
        """Store events, all or none; the future has their numbers once they are on disk."""
        future: asyncio.Future[list[int]] = self._loop.create_future()
        return self._hand_over(_Job(events, future, then=then, on_cancelled=None))

    def _hand_over(self, job: _Job[T]) -> asyncio.Future[T]:
        if self._closed:
            job.future.set_exception(OutboxUnavailable("the outbox is closed"))
        else:
            self._jobs.put(job)
        return job.future

    async def close(self) -> None:
        """Finish the given jobs, then close the files. Idempotent."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    # --- in the writer's thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        tried = looked = self._monotonic()
        stop = False
        while not stop:
            now = self._monotonic()
            is_failing = self._contents.storage_error is not None
            if not is_failing:
                tried = now
            elif now - tried >= RETRY_S:
                self._safely(self._contents.try_again)
                tried = now
            if now - looked >= LOOK_S:
                self._safely(self._contents.grow_old)
                looked = now
            due = looked + LOOK_S - now
            batch, stop = self._wait(min(due, RETRY_S) if is_failing else due)
            if batch:
                self._tell(self._do(batch))
                self._safely(self._contents.tidy)
        self._safely(self._contents.close)

    def _wait(self, seconds: float) -> tuple[list[_Job[Any]], bool]:
        """Return the waiting jobs, and whether these are the last; nothing after ``seconds``."""
        batch: list[_Job[Any]] = []
        try:
            job = self._jobs.get(timeout=seconds)
            while job is not None:
                batch.append(job)
                if len(batch) == MAX_SHARED:
                    return batch, False
                job = self._jobs.get(block=False)
        except queue.Empty:
            return batch, False
        return batch, True

    def _do(self, batch: list[_Job[Any]]) -> list[tuple[_Job[Any], Any]]:
        works = [job for job in batch if callable(job.work)]
        results = [(job, self._work(job)) for job in works if not job.is_last]
        puts = [job for job in batch if not callable(job.work)]
        if puts:
            results += zip(puts, self._put(puts), strict=True)
        results += [(job, self._work(job)) for job in works if job.is_last]
        failed = self._safely(self._contents.flush)
        # New events are on disk. Changed states may not be.
        return (
            results
            if failed is None
            else [(job, failed if callable(job.work) else done) for job, done in results]
        )

    def _safely(self, step: Callable[[], None]) -> Exception | None:
        """Do a step that no caller waits for; log and return its exception."""
        try:
            step()
        except Exception as error:
            log.exception("outbox.defect", step=step.__name__, error=repr(error))
            return error
        return None

    def _work(self, job: _Job[Any]) -> Any:
        try:
            return job.work(self._contents)  # type: ignore[operator]
        except Exception as error:
            return error  # a refusal or a defect, for its caller

    def _put(self, puts: list[_Job[Any]]) -> Sequence[list[int] | BaseException]:
        try:
            return self._contents.put([job.work for job in puts])  # type: ignore[misc]
        except Exception as error:
            return [error] * len(puts)

    def _tell(self, results: list[tuple[_Job[Any], Any]]) -> None:
        if results:
            with contextlib.suppress(RuntimeError):  # the loop is closed
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
        elif job.on_cancelled is not None:
            job.on_cancelled(result)
