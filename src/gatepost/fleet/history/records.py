"""Read a terminal's history: which spans are asked for, what an item says, and which records are not here. Pure.

Rules:

* A span of time is fetched window by window. Progress is the end of the last window that is stored whole: what was cut
  off in between is fetched again, and is here already.
* A window that has too many records is cut into parts, so that no page lies far behind the beginning: a terminal counts
  pages again for each, and records meanwhile.
* Each item is decoded by itself, as if it had been pushed. One that is no record goes to the quarantine.
* An image that is none, such as the path of a file at the terminal, is not fetched: the record has that as a problem.
* Which records are here already: :mod:`gatepost.store.write.backfilled`. It decides once more when they are stored;
  what is found here only spares the journal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gatepost.errors import DecodeError
from gatepost.store.conversion.rows import clock_problems
from gatepost.store.query.reprocess import in_zone
from gatepost.store.types.arrivals import Arrival
from gatepost.store.write.backfilled import Here, Likeness, likeness
from gatepost.wire import (
    Decoded,
    Dialect,
    Problem,
    Record,
    Unknown,
    decode,
    digest,
    key,
    key_digest,
    without_pins,
)

__all__ = ["FIRST_WINDOW_S", "MAX_IN_WINDOW", "Reading", "Window", "is_within", "missing", "read"]

FIRST_WINDOW_S = 86_400

MAX_IN_WINDOW = 1000
"""A window with more records is cut into parts, as long as it has more than one second."""

OTHER_SERIAL = Problem("data.deviceSN", "is of another terminal than the one whose history it is in")


class Window(Struct, frozen=True):
    """A span of whole Unix seconds, both included, as terminals have it."""

    begin_s: int
    end_s: int

    def parts(self, count: int) -> list[Window]:
        """Return so many parts of it, or one for each second. Raises ``ValueError`` for a single second."""
        seconds = self.end_s - self.begin_s + 1
        if seconds < 2:
            raise ValueError("one second has no parts")
        count = min(max(count, 2), seconds)
        edges = [self.begin_s + seconds * part // count for part in range(count + 1)]
        return [Window(begin, end - 1) for begin, end in pairwise(edges)]


class Reading(Struct, frozen=True, kw_only=True):
    """Hold what items are read with."""

    terminal_id: int
    serial: str | None
    timezone: str
    """The terminal's, for a time that comes without one."""
    secret: bytes
    """The store's, with which keys are made."""
    received_at_ms: int


def read(items: Iterable[bytes], reading: Reading) -> list[Arrival]:
    """Return the arrivals of some items of a history, each once. Their events have the images."""
    found: dict[bytes, Arrival] = {}
    for item in items:
        arrival = _arrival(item, reading)
        found.setdefault(arrival.key, arrival)
    return list(found.values())


def missing(there: Sequence[Arrival], here: Iterable[Here]) -> list[Arrival]:
    """Return those of a window's arrivals that are not here, with how many there are alike in the window."""
    stored = list(here)
    keys = {one.key for one in stored}
    counts = Counter(one.like for one in stored)
    likes = [_like(one) for one in there]
    alike = Counter(like for like in likes if like is not None)
    found = []
    for one, like in zip(there, likes, strict=True):
        if one.key in keys or (like is not None and counts[like] >= alike[like]):
            continue
        count = one.alike if like is None else alike[like]
        found.append(one if count == one.alike else replace(one, alike=count))
    return found


def _like(arrival: Arrival) -> Likeness | None:
    return likeness(arrival.event) if isinstance(arrival.event, Record) else None


def _arrival(item: bytes, reading: Reading) -> Arrival:
    decoded = _decoded(b'{"type":0,"data":' + item + b"}")
    event, problems = decoded.event, decoded.problems
    if isinstance(event, Unknown):
        same = digest(decoded.original.decode("latin-1"), reading.secret)
    else:
        same = key_digest(key(event, decoded), reading.secret)
    if isinstance(event, Record) and event.serial and reading.serial and event.serial != reading.serial:
        problems = (*problems, OTHER_SERIAL)
    if decoded.local_time is not None:
        event, problem = in_zone(event, decoded.local_time, reading.timezone)
        problems = (*problems, problem)
    return Arrival(
        terminal_id=reading.terminal_id,
        key=same,
        event=event,
        received_at_ms=reading.received_at_ms,
        original=decoded.original,
        problems=(*problems, *clock_problems(event, reading.received_at_ms)),
        dialect=decoded.dialect,
        alike=1,
    )


def _decoded(body: bytes) -> Decoded:
    try:
        return decode(body, lenient=True)
    except DecodeError as error:
        problem = Problem(error.where, error.why)
        return Decoded(Unknown({}), Dialect.V1_3_0, (problem,), without_pins(body))


class _Stamp(Struct):
    timestamp: float | None = None


def is_within(item: bytes, window: Window) -> bool:
    """Return whether an item has a time in a window, or none that can be read."""
    try:
        at = msgspec.json.decode(item, type=_Stamp).timestamp
    except (msgspec.MsgspecError, RecursionError):
        return True
    if at is None:
        return True
    seconds = at / 1000 if at > 99_999_999_999 else at
    return window.begin_s <= seconds < window.end_s + 1
