"""Limit per thread how long a silent database is waited for: threads that hold up pushes give up early.

A server that hangs (its disk does, or somebody stopped it) leaves its connections open: its kernel goes on
acknowledging what we send, so no time-out of the network fires, and a ``statement_timeout`` is the server's own to
keep. Only we can tell that it has been silent for too long.

Rules:

* Whoever holds up pushes is *in a hurry*: the writer's connection always, and whatever else a thread does within
  :func:`hurry`. There a server may be silent for :data:`SILENCE_S`; then its connection is closed. What makes headway,
  such as a large batch on a slow line, is not silent.
* In time before that, the server itself ends a statement in a hurry (:data:`STATEMENT_S`): where it does not hang but
  something holds it up, a lock say, the statement is over on both sides then.
* Everybody else may wait. An export, an erasure, ``VACUUM`` or a migration honestly takes minutes during which nothing
  is said, holds nobody's push up, and holds up a stop no longer than anything else may.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["SILENCE_S", "STATEMENT_S", "hurry", "in_hurry"]

SILENCE_S = 15.0
STATEMENT_S = 10.0

_thread = threading.local()


@contextmanager
def hurry() -> Iterator[None]:
    """Pushes wait for what this thread does within."""
    before = in_hurry()
    _thread.hurry = True
    try:
        yield
    finally:
        _thread.hurry = before


def in_hurry() -> bool:
    return getattr(_thread, "hurry", False)
