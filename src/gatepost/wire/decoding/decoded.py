"""A decoded push body: the event, and how it was written."""

from datetime import datetime

from msgspec import Struct

from gatepost.wire.decoding.fields import Problem
from gatepost.wire.events import Dialect, Event

__all__ = ["NO_REAL_ID", "Decoded"]

NO_REAL_ID = "does not tell events apart: it is a placeholder or too short"


class Decoded(Struct, frozen=True):
    """A decoded push body."""

    event: Event
    dialect: Dialect
    problems: tuple[Problem, ...]
    original: bytes
    """The JSON text as it was received, with an empty image if ``event.image`` has it, and with every ``pin`` empty. An
    image that could not be decoded stays. UTF-16 and UTF-32 are converted to UTF-8."""
    time: str = ""
    """The event's own time to the nanosecond, if the event does not have all of it."""
    local_time: datetime | None = None
    """The event's own time, naive, if it was sent without a zone. The event then has no time."""
    as_written: dict[str, bytes] | None = None
    """By path, the written bytes of an id, number or name in which something was guessed."""
