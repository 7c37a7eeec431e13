"""A simulated terminal for the first minute, as a child process on a leash.

Rules:

* It is a process of its own, :mod:`gatepost.simulator.demo_terminal`: the console does not import the simulator,
  which is another extra. Where that is not installed, this says so.
* One at a time. It ends by itself after :data:`RUNS_S`, and when its standard input ends, which is when this process
  does, however that comes about.
* It is given an address with a token on its standard input, and of our environment nothing that could be a secret.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from typing import Literal

import structlog

__all__ = ["RUNS_S", "Simulated", "installed"]

log = structlog.get_logger(__name__)

RUNS_S = 180
"""How long it pushes; a passage every other second."""

COMMAND = ("-m", "gatepost.simulator.demo_terminal", "--seconds", str(RUNS_S))

_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "HOME", "PYTHONPATH", "VIRTUAL_ENV")

State = Literal["never", "running", "ended", "failed"]


def installed() -> bool:
    """Tell whether the simulator is installed, with the library that it draws with."""
    return find_spec("gatepost.simulator") is not None and find_spec("PIL") is not None


class Simulated:
    """One simulated terminal, or none. Any thread may use it."""

    def __init__(self, *, popen: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen) -> None:
        self._popen = popen
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def state(self) -> State:
        """``failed``: it ended without having delivered anything."""
        if self._process is None:
            return "never"
        code = self._process.poll()
        if code is None:
            return "running"
        return "failed" if code > 0 else "ended"

    def start(self, address: str) -> bool:
        """Start it, pushing to ``address``. False if one is running already."""
        with self._turn:
            if self.state == "running":
                return False
            process = self._popen(
                [sys.executable, *COMMAND],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _KEPT if name in os.environ},
                start_new_session=True,  # a Ctrl-C is for us; it notices that we are gone
            )
            with contextlib.suppress(BrokenPipeError):  # it ended at once; `state` will say so
                assert process.stdin is not None  # noqa: S101 - it was asked for
                process.stdin.write(f"{address}\n".encode())
                process.stdin.flush()
            self._process = process
            log.info("console.simulated_terminal_started", pid=process.pid)
            return True

    def stop(self) -> None:
        """Let it end. Idempotent; does not wait."""
        with self._turn:
            if self._process is not None and self._process.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    self._process.stdin.close()
