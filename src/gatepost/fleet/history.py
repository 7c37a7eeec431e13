"""Plan which spans of a terminal's history are fetched, and tell which of its records are here already. Pure.

Rules:

* A span of time is fetched window by window. Progress is the end of the last window that is stored whole: what was cut
  off in between is fetched again, and is here already.
* A window that has too many records is halved, so that no page lies far behind the beginning: a terminal counts pages
  again for each, and records meanwhile.
* History cuts milliseconds and shows people as they are now. So a record is here if one of its terminal has the same
  second, the same person's number and the same way in; where neither says whose it is, the same id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

__all__ = ["MAX_IN_WINDOW", "Likeness", "Window", "missing", "windows"]

FIRST_WINDOW_S = 3600

MAX_IN_WINDOW = 1000
"""A window with more records is halved, as long as it has more than one second."""


class Window(Struct, frozen=True):
    """A span of whole Unix seconds, both included, as terminals have it."""

    begin_s: int
    end_s: int

    def halves(self) -> tuple[Window, Window]:
        """Return its halves. Raises ``ValueError`` for a single second."""
        if self.begin_s >= self.end_s:
            raise ValueError("one second has no halves")
        middle = (self.begin_s + self.end_s) // 2
        return Window(self.begin_s, middle), Window(middle + 1, self.end_s)


class Likeness(Struct, frozen=True):
    """Hold what is the same of a record, however it was sent."""

    second: int
    number: str
    """The person's ``user_id``; the uuid of a record without a person."""
    entry_mode: int | None


def windows(begin_s: int, end_s: int, *, seconds: int = FIRST_WINDOW_S) -> Iterator[Window]:
    """Yield the windows of a span of whole seconds, both included, the oldest first."""
    while begin_s <= end_s:
        last = min(begin_s + seconds - 1, end_s)
        yield Window(begin_s, last)
        begin_s = last + 1


def missing(there: Sequence[Likeness], here: Iterable[Likeness]) -> list[int]:
    """Return which of a terminal's records are not here, by their places.

    Two that are alike are two: each of ours stands for one of theirs.
    """
    known = Counter(here)
    found = []
    for place, one in enumerate(there):
        if known[one]:
            known[one] -= 1
        else:
            found.append(place)
    return found
