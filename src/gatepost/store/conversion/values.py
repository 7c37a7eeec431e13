"""Times and texts as both databases hold them."""

from datetime import UTC, datetime, timedelta
from typing import overload

from gatepost.wire import digest

__all__ = ["DAY_MS", "EPOCH", "LONGEST", "indexable", "moment", "ms", "text"]

DAY_MS = 86_400_000

LONGEST = 512
"""Characters of a text that is in an index; four bytes each at most."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_EXACT_MS = 1 << 42


@overload
def ms(moment: datetime) -> int: ...


@overload
def ms(moment: None) -> None: ...


def ms(moment: datetime | None) -> int | None:
    """Milliseconds since 1970, exactly."""
    if moment is None:
        return None
    since = moment - EPOCH
    return since.days * DAY_MS + since.seconds * 1000 + since.microseconds // 1000


@overload
def moment(milliseconds: int) -> datetime: ...


@overload
def moment(milliseconds: None) -> None: ...


def moment(milliseconds: int | None) -> datetime | None:
    if milliseconds is None:
        return None
    # Twice as fast, and exact as long as half a microsecond is more than the error of a float: until the year 2100.
    if 0 <= milliseconds < _EXACT_MS:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    return EPOCH + timedelta(milliseconds=milliseconds)


def text(value: str) -> str:
    """Return a text that PostgreSQL can hold: no NUL, no half of a surrogate pair. The original keeps what was sent."""
    if value.isascii():
        return value.replace("\0", "\ufffd") if "\0" in value else value
    try:
        value.encode()
    except UnicodeEncodeError:
        value = value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return value.replace("\0", "\ufffd")


def indexable(value: str) -> str:
    """Return :func:`text` that PostgreSQL can hold in an index, a row of which has 2,700 bytes at most.

    Of a longer one: its beginning, and a digest of all of it, so two that differ stay different.
    """
    value = text(value)
    return value if len(value) <= LONGEST else f"{value[: LONGEST - 33]}~{digest(value).hex()}"
