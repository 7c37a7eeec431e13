"""A push body, understood: the event, and how it came."""

from datetime import datetime

from msgspec import Struct

from gatepost.wire.decoding.fields import Problem
from gatepost.wire.events import Dialect, Event

__all__ = ["NO_REAL_ID", "Decoded"]

NO_REAL_ID = "does not tell events apart: it is a placeholder or too short"


class Decoded(Struct, frozen=True):
    """A push body, understood."""

    event: Event
    dialect: Dialect
    problems: tuple[Problem, ...]
    original: bytes
    """The JSON text as it was received. What is decoded in ``event.image`` is emptied, and so is every
    ``pin``; an image that could not be decoded stays. Of UTF-16 and UTF-32 it is the same text in UTF-8."""
    time: str = ""
    """The event's own time to the nanosecond, where the event does not have all of it."""
    local_time: datetime | None = None
    """The event's own time, naive, where it was sent without a zone. The event has none then."""
    as_written: dict[str, bytes] | None = None
    """By path, the id, number or name as it was written, where something in it was guessed."""
