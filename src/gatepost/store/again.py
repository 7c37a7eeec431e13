"""Decoding a quarantined push anew, with what this version knows."""

from gatepost.errors import DecodeError
from gatepost.store.arrivals import clock_problems, ms
from gatepost.store.pictures import without_pictures
from gatepost.store.store import PEER_ADDRESS, Arrival, QuarantineRow
from gatepost.wire import Unknown, decode, key, key_digest

__all__ = ["decode_again"]


def decode_again(row: QuarantineRow, secret: bytes, *, pictures: bool = True) -> Arrival | None:
    """Return the arrival that it would be today, or ``None`` if it is still no known event.

    ``secret``: the store's, which keys are made with.
    ``pictures``: a picture that cannot be decoded may stay in the original, which is not encrypted.
    """
    try:
        decoded = decode(row.original, lenient=True)
    except DecodeError:
        return None
    event = decoded.event
    if isinstance(event, Unknown):
        return None
    return Arrival(
        terminal_id=row.terminal_id,
        key=key_digest(key(event, decoded)),
        event=event,
        received_at_ms=ms(row.received_at),
        original=decoded.original if pictures else without_pictures(decoded.original),
        image=event.image,
        problems=(
            *decoded.problems,
            *clock_problems(event, ms(row.received_at)),
            *[one for one in row.problems if one.where == PEER_ADDRESS],
        ),
        dialect=decoded.dialect,
        peer=row.peer,
    )
