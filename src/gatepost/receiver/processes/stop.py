"""End the processes of a receiver in time.

A stop, in ``stop_timeout_s`` and :data:`MARGIN_S` at most, whatever the database or a thread does:

* No new connection. What was accepted is synced and answered, and so is every other request; the desk goes on until
  every ingest has ended.
* When ``stop_timeout_s`` is over, what still waits gets 503: a push that is not synced, a request that is
  still worked on. What is being written may yet be listed; it was not acknowledged, and comes again.
* A thread that hangs cannot be ended, and Python would wait for it: a thread of ours ends the process, then. What it
  does not close is what a kill would not close either, and nothing that was acknowledged is lost by one.

The exit code is 0 if all of that came to its end by itself, and 1 if something was left undone: then one line of the
log says what.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping

import structlog

__all__ = ["MARGIN_S", "STOPPING", "WORKERS", "Stop"]

log = structlog.get_logger(__name__)

MARGIN_S = 3.0
"""How long a stop may take beyond ``stop_timeout_s``: for what is said and closed then."""

STOPPING = (signal.SIGTERM, signal.SIGINT)
"""Signals that stop a process."""

WORKERS = "gatepost-"
"""How the names of our threads begin."""


class Stop:
    """The end of a process, in time: see the module."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._begin: Callable[[], object] = lambda: None
        self._give_up: Callable[[], int] = lambda: 0
        self._undone: Callable[[], Mapping[str, int]] = dict
        self.refused = 0
        """How many events ``give_up`` refused."""
        self._leaving = threading.Lock()
        self._ends_at = 0.0
        self._begun: object = None
        """What ``begin`` returned: a task that nothing else holds on to."""

    def attach(
        self,
        begin: Callable[[], object],
        give_up: Callable[[], int],
        undone: Callable[[], Mapping[str, int]],
    ) -> None:
        """Say what begins a stop, what is done when its time is over, and what was left undone, by its name.

        ``begin`` is called on the loop, at the first signal.
        """
        self._begin, self._give_up, self._undone = begin, give_up, undone
        loop = asyncio.get_running_loop()
        for number in STOPPING:
            loop.add_signal_handler(number, self._signalled)

    def left_s(self) -> float:
        """Return how much of the time to stop is left."""
        return max(0.1, self._ends_at - time.monotonic())

    def end(self) -> None:
        """End the process at once where something was left undone: all is closed."""
        if self._left():
            self._leave()

    def _signalled(self) -> None:
        self._ends_at = time.monotonic() + self._timeout_s
        loop = asyncio.get_running_loop()
        for number in STOPPING:
            # The supervisor ends all at once when it is told twice.
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
        watch = threading.Timer(self._timeout_s + MARGIN_S, self._leave)
        watch.daemon = True
        watch.start()
        loop.call_later(self._timeout_s, self._over)
        self._begun = self._begin()

    def _over(self) -> None:
        self.refused = self._give_up()

    def _left(self) -> list[str]:
        return [f"{what}: {count}" for what, count in self._undone().items() if count]

    def _leave(self) -> None:
        """End the process: nobody else will."""
        if not self._leaving.acquire(blocking=False):
            return
        left = self._left()
        # Those of the pools: whoever is idle has ended.
        threads = [one for one in threading.enumerate() if one.name.startswith(WORKERS) and not one.daemon]
        if threads:
            left.append(f"threads still at work: {len(threads)}")
        log.error(
            "receiver.stopped_short",
            after_s=self._timeout_s,
            left=left,
            why="the time to stop was over; nothing that was acknowledged is lost",
        )
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)
