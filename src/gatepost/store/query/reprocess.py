"""Decoding a quarantined push anew, with what this version knows."""

from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec.structs import replace

from gatepost.errors import DecodeError
from gatepost.journal.places import Image
from gatepost.store.conversion.long_texts import take_out
from gatepost.store.conversion.rows import clock_problems, is_stranger
from gatepost.store.conversion.values import ms
from gatepost.store.images.places import ALARMS, PEOPLE, QUARANTINE, STRANGERS
from gatepost.store.local_days import zone
from gatepost.store.types.arrivals import PEER_ADDRESS, Arrival
from gatepost.store.types.refusals import QuarantineRow
from gatepost.wire import Alarm, Event, Problem, Record, Unknown, decode, key, key_digest

__all__ = ["decode_again", "in_zone", "separated"]


def separated(event: Event, original: bytes) -> tuple[Event, bytes, Sequence[Image], bool]:
    """Take what may be an image out of an event and its original.

    Return both without, the images to be written to packs, and whether the last of them is the long texts.
    """
    kind = (
        (STRANGERS if is_stranger(event.user) else PEOPLE)
        if isinstance(event, Record)
        else ALARMS
        if isinstance(event, Alarm)
        else QUARANTINE
    )
    images = []
    if not isinstance(event, Unknown) and event.image is not None:
        images.append(Image(kind, event.image))
        event = replace(event, image=None)
    original, texts = take_out(original)
    if texts:
        images.append(Image(kind, texts))
    return event, original, images, bool(texts)


def decode_again(row: QuarantineRow, whole: bytes, secret: bytes, *, timezone: str = "UTC") -> Arrival | None:
    """Return the arrival that it would be today, or ``None`` if it is still no known event.

    Its event has the image, and its original is whole: :func:`separated` takes them out.
    ``whole``: what was pushed. ``secret``: the store's, which keys are made with. ``timezone``: the terminal's, for a
    time that was sent without one.
    """
    try:
        decoded = decode(whole, lenient=True)
    except DecodeError:
        return None
    event: Event = decoded.event
    if isinstance(event, Unknown):
        return None
    problems = decoded.problems
    same = key_digest(key(event, decoded), secret)
    if decoded.local_time is not None:
        event, problem = in_zone(event, decoded.local_time, timezone)
        problems = (*problems, problem)
    return Arrival(
        terminal_id=row.terminal_id,
        key=same,
        event=event,
        received_at_ms=ms(row.received_at),
        original=decoded.original,
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
