"""Keep the processes of a receiver running: each is forked, and started again when it ends.

Rules:

* The supervisor has one thread, and opens no database and no journal: what can fail is done by its children.
* Until every child has said once that it is ready, a child that ends is the end of all: a wrong setting, or a folder
  that another process has, is told and not tried again.
* From then on a child that ends is one line in the log and a new process: at once, or after a growing wait if it ends
  soon again and again. The others go on.
* SIGTERM and SIGINT stop the children, all at once; a child that needs another one to stop before it waits for it
  itself. A second signal ends all of them at once. SIGHUP is passed on to each.
* No child outlives the supervisor: the kernel kills it with its parent (``PR_SET_PDEATHSIG``, prctl(2)).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import selectors
import signal
import time
from collections.abc import Callable, Sequence
from math import inf
from typing import Any

import structlog
from msgspec import Struct

from gatepost.retry import Backoff

__all__ = ["Child", "Supervisor"]

log = structlog.get_logger(__name__)

STEADY_S = 10.0
"""A child that ran for so long is started again at once."""

WAITS = Backoff(first=0.1, cap=10.0)
"""Before a child is started again that ended sooner."""

TWICE_S = 0.2
"""A signal that comes again so soon is the same one: a shell and a wrapper both pass it on."""

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15

_STOPPING = (signal.SIGTERM, signal.SIGINT)
_SIGNALS = (*_STOPPING, signal.SIGHUP, signal.SIGCHLD)


class Child(Struct, frozen=True):
    """A process to keep running."""

    name: str
    run: Callable[[Callable[[], None]], int]
    """What it does: it is handed what to call when it is ready, and returns its exit code."""


class _Process:
    """A child, and the process that it is now."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.pid = 0
        """0: none."""
        self.began = 0.0
        self.starts_at = 0.0
        """When it is to be started, if there is none."""
        self.short = 0
        """How often in a row it ended soon."""
        self.was_ready = False
        self.is_told = False
        """It was told to stop."""


class Supervisor:
    """Runs children until it is told to stop."""

    def __init__(
        self,
        children: Sequence[Child],
        *,
        stop_timeout_s: float,
        on_ready: Callable[[], None] = lambda: None,
        on_stop: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
        rand: Callable[[], float] = random.random,
    ) -> None:
        """``on_ready`` is called once, when every child is ready; ``on_stop`` when they are about to be stopped.

        ``stop_timeout_s``: how long the children may take to stop before they are killed.
        """
        self._processes = [_Process(child) for child in children]
        self._stop_timeout_s = stop_timeout_s
        self._on_ready = on_ready
        self._on_stop = on_stop
        self._monotonic = monotonic
        self._rand = rand
        self._selector = selectors.DefaultSelector()
        self._ready_pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wake_pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._is_ready = False
        self._stops_at: float | None = None
        """When it was told to stop, or that a child is the end of all."""
        self._kills_at = inf
        """When children are killed that have been told to stop."""
        self._code = 0

    def run(self) -> int:
        """Start the children and keep them running; return the exit code: 0 if all of them stopped as they should.

        To be called in the main thread of a process that has no other. A second signal ends the process.
        """
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        for number in _SIGNALS:
            signal.signal(number, _noted)
        old_wake = signal.set_wakeup_fd(self._wake_pipe[1])
        for pipe in (self._ready_pipe, self._wake_pipe):
            self._selector.register(pipe[0], selectors.EVENT_READ)
        try:
            while self._step():
                self._selector.select(self._pause_s())
        finally:
            self._kill_all()
            signal.set_wakeup_fd(old_wake)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._selector.close()
            for handle in (*self._ready_pipe, *self._wake_pipe):
                os.close(handle)
        return self._code

    def _step(self) -> bool:
        """Do what is due; False when everything has stopped."""
        for number in _read(self._wake_pipe[0]):
            self._signalled(signal.Signals(number))
        for place in _read(self._ready_pipe[0]):
            self._processes[place].was_ready = True
        self._reap()
        if not self._is_ready and all(process.was_ready for process in self._processes):
            self._is_ready = True
            self._on_ready()
        if self._stops_at is not None:
            return self._stop_all()
        now = self._monotonic()
        for process in self._processes:
            if not process.pid and process.starts_at <= now:
                self._start(process)
        return True

    def _pause_s(self) -> float | None:
        """How long nothing is due; ``None``: until something happens."""
        if self._stops_at is not None:
            due = [self._kills_at] if self._kills_at < inf else []
        else:
            due = [process.starts_at for process in self._processes if not process.pid]
        return max(0.0, min(due) - self._monotonic()) if due else None

    # Starting and ending.

    def _start(self, process: _Process) -> None:
        parent = os.getpid()
        # A signal that the child is sent at once is to meet its own handlers, and not to be noted for the parent.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            pid = os.fork()
        except OSError as error:  # memory is short, or there are as many processes as may be
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            process.began = self._monotonic()
            self._again_later(process, f"not started: {error.strerror}")
            return
        if pid:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            process.pid, process.began = pid, self._monotonic()
            return
        code = 1
        try:
            _die_with(parent)
            _name(process.child.name)
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.signal(
                signal.SIGHUP, signal.SIG_IGN
            )  # until the child takes it, there is nothing to renew
            signal.set_wakeup_fd(-1)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            place = self._processes.index(process)
            code = process.child.run(lambda: _write(self._ready_pipe[1], bytes([place])))
        except BaseException as error:
            _say("supervisor.child_failed", child=process.child.name, kind=type(error).__name__)
        finally:
            os._exit(code)

    def _reap(self) -> None:
        for process in self._processes:
            if process.pid and (ended := os.waitpid(process.pid, os.WNOHANG))[0]:
                process.pid = 0
                self._ended(process, os.waitstatus_to_exitcode(ended[1]))

    def _ended(self, process: _Process, code: int) -> None:
        """Decide what becomes of a child that ended; ``code`` is negative for a signal."""
        if self._stops_at is not None:
            self._code = self._code or (0 if code == 0 else 1)
            return
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        if not self._is_ready:
            if code <= 0:  # else it said itself why
                _say("supervisor.child_ended", child=process.child.name, how=how)
            self._code = code if code > 0 else 1
            self._stops_at = self._monotonic()
            return
        self._again_later(process, how)

    def _again_later(self, process: _Process, how: str) -> None:
        """Say how a child ended, and have it started again: at once, or after a growing wait if it ended soon."""
        now = self._monotonic()
        process.short = 0 if now - process.began >= STEADY_S else process.short + 1
        wait_s = WAITS.delay(process.short, self._rand) if process.short else 0.0
        process.starts_at = now + wait_s
        _say(
            "supervisor.child_ended",
            child=process.child.name,
            how=how,
            starts_again_in_s=round(wait_s, 1),
        )

    def _signalled(self, number: signal.Signals) -> None:
        if number == signal.SIGHUP:
            for process in self._processes:
                _kill(process.pid, number)
        elif number in _STOPPING:
            if self._stops_at is None:
                self._stops_at = self._monotonic()
            elif self._monotonic() - self._stops_at >= TWICE_S:
                self._kill_all()
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)
                # The first process of a container is not ended by a signal that it does not catch.
                os._exit(128 + number)

    def _stop_all(self) -> bool:
        """Stop the children that still run, or kill them when their time is over; False if there is none."""
        now = self._monotonic()
        running = [process for process in self._processes if process.pid]
        told = [process for process in running if not process.is_told]
        if told:
            self._on_stop()
            self._kills_at = now + self._stop_timeout_s
        for process in told:
            process.is_told = True
            _kill(process.pid, signal.SIGTERM)
        if now >= self._kills_at:
            self._kills_at = inf
            for process in running:
                log.error("supervisor.child_killed", child=process.child.name, after_s=self._stop_timeout_s)
                _kill(process.pid, signal.SIGKILL)
        return bool(running)

    def _kill_all(self) -> None:
        for process in self._processes:
            _kill(process.pid, signal.SIGKILL)
        for process in self._processes:
            if process.pid:
                os.waitpid(process.pid, 0)
                process.pid = 0


def _say(event: str, **fields: Any) -> None:
    """Log an error; a log that cannot be written to ends nothing."""
    with contextlib.suppress(OSError, ValueError):
        log.error(event, **fields)


def _noted(*_: Any) -> None:
    """Handle a signal: its number is in the pipe by now."""


def _kill(pid: int, number: int) -> None:
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _read(handle: int) -> bytes:
    with contextlib.suppress(BlockingIOError):
        return os.read(handle, 4096)
    return b""


def _write(handle: int, data: bytes) -> None:
    os.write(handle, data)


def _name(name: str) -> None:
    """Name this process for ``ps`` and ``top``, as ``gatepost-NAME``; the system keeps 15 letters (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_NAME, f"gatepost-{name}".encode())


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended in the meantime
        os._exit(1)
