"""Short store calls that a push waits for: looking up a token, and noting its first use.

Rules:

* One thread runs the calls in order. Neither the loop nor the journal waits for a database.
* If a call took over a second to fail with ``StoreUnavailable``, every call that was queued meanwhile fails with the
  same error at once. Otherwise each would wait as long.
* :meth:`Errands.give_up` fails every pending call at a stop, also while the thread is blocked. No call starts then.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from math import inf
from queue import SimpleQueue
from typing import Any, TypeVar

import structlog

from gatepost.errors import StoreUnavailable
from gatepost.store import deadlines

__all__ = ["Errands"]

log = structlog.get_logger(__name__)

T = TypeVar("T")

_LONG_S = 1.0
"""Seconds. A call that fails this slowly because the store is unavailable fails the calls that are queued."""

_Errand = tuple[Callable[[], Any], asyncio.Future[Any], float]
"""The call, the future of its caller, and when it was queued."""


class Errands:
    """Runs what it is given, in order. Made and used on one event loop."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """``monotonic`` returns seconds."""
        self._monotonic = monotonic
        self._loop = asyncio.get_running_loop()
        self._waiting: set[asyncio.Future[Any]] = set()
        self._closed = False
        self._given: SimpleQueue[_Errand | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="gatepost-errands", daemon=True)
        self._thread.start()

    async def call(self, errand: Callable[[], T]) -> T:
        """Run something short with the store. Raises what it raises, and ``StoreUnavailable`` at a stop."""
        if self._closed:
            raise StoreUnavailable("the receiver is stopping; try again later")
        future: asyncio.Future[T] = self._loop.create_future()
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)
        self._given.put((errand, future, self._monotonic()))
        return await future

    def give_up(self) -> None:
        """Accept no more calls, and fail the pending ones with ``StoreUnavailable``. Idempotent."""
        if not self._closed:
            self._closed = True
            self._given.put(None)
        for future in list(self._waiting):
            _resolve(future, None, StoreUnavailable("the receiver was stopped; try again later"))

    def _run(self) -> None:
        away: StoreUnavailable | None = None
        away_at = -inf
        with deadlines.hurry():
            while (given := self._given.get()) is not None and not self._closed:
                errand, future, asked_at = given
                if away is not None and asked_at <= away_at:
                    self._post(future, None, away)
                    continue
                began = self._monotonic()
                try:
                    self._post(future, errand(), None)
                except Exception as error:
                    if isinstance(error, StoreUnavailable) and self._monotonic() - began > _LONG_S:
                        away, away_at = error, self._monotonic()
                    self._post(future, None, error)

    def _post(self, future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
        try:
            self._loop.call_soon_threadsafe(_resolve, future, result, error)
        except RuntimeError:
            log.warning("errands.loop_closed")


def _resolve(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
