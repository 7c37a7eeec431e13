"""The operations that change the state of an outbox: tuples of plain values, applied and written in order."""

from __future__ import annotations

from typing import Any

__all__ = [
    "ACCEPTED",
    "CLAIMED",
    "CLOCK_SET_BACK",
    "DEAD",
    "DONE",
    "DROPPED",
    "ENDS",
    "FORGOTTEN",
    "LOST",
    "REFUSALS_FORGOTTEN",
    "REFUSED_FULL",
    "RETRY",
    "SERIAL",
    "SKIPPED",
    "SUBSCRIBED",
    "TAKEN_UP",
    "VERSION",
    "Op",
]

VERSION = 1
"""Version of the operations, and of the whole state on disk."""

Op = tuple[Any, ...]
"""One of the operations below, and its values."""

ACCEPTED = "a"
CLAIMED = "c"
RETRY = "r"
DONE = "d"
DEAD = "x"
FORGOTTEN = "f"
DROPPED = "p"
LOST = "l"
TAKEN_UP = "u"
SUBSCRIBED = "s"
REFUSALS_FORGOTTEN = "n"
CLOCK_SET_BACK = "b"
SERIAL = "o"
REFUSED_FULL = "q"
SKIPPED = "k"

ENDS = (DONE, DEAD, FORGOTTEN, DROPPED, LOST, TAKEN_UP)
"""Operations of which each event has only a few."""
