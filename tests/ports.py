"""Ports of this machine that nothing listens on, for servers that a test starts, kills and starts again."""

from __future__ import annotations

import itertools
import os
import socket

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4
_NEXT_PORTS = itertools.count(10_240 + _WORKER * 5_000 + os.getpid() % 100 * 30, 3)
"""Below those that the system gives to connections, and a stretch for each worker: no other test has one of them."""


def free_port() -> int:
    """Return a port that is free, with two more behind it."""
    for port in _NEXT_PORTS:
        taken = [socket.socket() for _ in range(3)]
        try:
            for number, one in enumerate(taken):
                one.bind(("0.0.0.0", port + number))
        except OSError:
            continue
        else:
            return port
        finally:
            for one in taken:
                one.close()
    raise AssertionError
