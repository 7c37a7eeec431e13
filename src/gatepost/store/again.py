"""Decoding a quarantined push anew, with what this version knows."""

from datetime import UTC, datetime

from msgspec.structs import replace

from gatepost.errors import DecodeError
from gatepost.store.arrivals import clock_problems, ms
from gatepost.store.days import zone
from gatepost.store.pictures import without_pictures
from gatepost.store.values import PEER_ADDRESS, Arrival, QuarantineRow
from gatepost.wire import Alarm, Event, Problem, Record, Unknown, decode, key, key_digest

__all__ = ["decode_again", "in_zone"]


def decode_again(
    row: QuarantineRow, secret: bytes, *, timezone: str = "UTC", pictures: bool = True
) -> Arrival | None:
    """Return the arrival that it would be today, or ``None`` if it is still no known event.

    ``secret``: the store's, which keys are made with.
    ``timezone``: the terminal's, for a time that was sent without one.
    ``pictures``: a picture that cannot be decoded may stay in the original, which is not encrypted.
    """
    try:
        decoded = decode(row.original, lenient=True)
    except DecodeError:
        return None
    event: Event = decoded.event
    if isinstance(event, Unknown):
        return None
    image, problems = event.image, decoded.problems
    same = key_digest(key(event, decoded), secret)
    if decoded.local_time is not None:
        event, problem = in_zone(event, decoded.local_time, timezone)
        problems = (*problems, problem)
    return Arrival(
        terminal_id=row.terminal_id,
        key=same,
        event=event,
        received_at_ms=ms(row.received_at),
        original=decoded.original if pictures else without_pictures(decoded.original),
        image=image,
        problems=(
            *problems,
            *clock_problems(event, ms(row.received_at)),
            *[one for one in row.problems if one.where == PEER_ADDRESS],
        ),
        dialect=decoded.dialect,
        peer=row.peer,
    )


def in_zone(event: Event, local: datetime, timezone: str) -> tuple[Event, Problem]:
    """Return the event with a time that was sent without a zone, and what is noted of it.

    Of an hour that occurs twice when the clocks change, the first one counts.
    """
    at = local.replace(tzinfo=zone(timezone)).astimezone(UTC)
    if isinstance(event, Record):
        return replace(event, recorded_at=at), Problem(
            "data.timestamp", f"is read in the time zone {timezone}"
        )
    if isinstance(event, Alarm):
        return replace(event, event_time=at), Problem(
            "data.event_time", f"is read in the time zone {timezone}"
        )
    return event, Problem("", f"is read in the time zone {timezone}")
