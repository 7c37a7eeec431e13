"""Ports of this machine that nothing listens on."""

import random
import socket
from contextlib import ExitStack

__all__ = ["free_ports"]

FIRST, LAST = 15_000, 22_000
"""Below those that the system gives to connections, so that none of them takes a server's port while it is down."""
SECOND = 10_000
"""SeaweedFS also uses the port that is so much higher."""


def free_ports(count: int) -> list[int]:
    """Return ports that are free, and so is the one :data:`SECOND` above each."""
    found: list[int] = []
    rand = random.SystemRandom()
    with ExitStack() as stack:
        while len(found) < count:
            port = rand.randrange(FIRST, LAST)
            try:
                for number in (port, port + SECOND):
                    one = stack.enter_context(socket.socket())
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    one.bind(("127.0.0.1", number))
            except OSError:
                continue
            found.append(port)
    return found
