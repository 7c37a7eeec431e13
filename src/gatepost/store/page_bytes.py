"""How many bytes a page of a list has: what strangers sent decides how large a row is, and not how large a page is.

A page ends early, with a cursor, before the row that would take it beyond :data:`PAGE_BYTES`. One row is always on it.
The sizes are asked for first, so that what is not on the page is not read either. A list that is made in memory is
cut by :func:`paged`.
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, func

from gatepost.store.cursor import BadCursor, decode_cursor, encode_cursor
from gatepost.store.interface import Page

__all__ = ["CHARACTER_BYTES", "PAGE_BYTES", "ROW_BYTES", "bytes_of", "fitting", "paged", "weight"]

PAGE_BYTES = 4 * 1024 * 1024

ROW_BYTES = 2048
"""What a row has besides, at most usually: codes, times, names."""

CHARACTER_BYTES = 6
"""What a character of a text has at most: as an escape of JSON, such as ``\\u0001``; one of HTML has five."""

Row = TypeVar("Row")


def bytes_of(*columns: ColumnElement[Any], texts: Sequence[ColumnElement[Any]] = ()) -> ColumnElement[int]:
    """Return what rows with these columns are counted with, as an expression called ``size``.

    ``texts`` are columns whose characters are counted as :func:`weight` counts them.
    """
    size: Any = ROW_BYTES
    for column in columns:
        size += func.coalesce(func.length(column), 0)
    for column in texts:
        size += CHARACTER_BYTES * func.coalesce(func.length(column), 0)
    return size.label("size")  # type: ignore[no-any-return]


def weight(*texts: str | None, row: int = ROW_BYTES) -> int:
    """Return what a row with these texts is counted with. ``row``: what it has besides."""
    return row + CHARACTER_BYTES * sum(len(text) for text in texts if text)


def fitting(sizes: Sequence[int], most: int = PAGE_BYTES) -> int:
    """Return how many of these rows are on the page."""
    total = 0
    for number, size in enumerate(sizes):
        total += size
        if number and total > most:
            return number
    return len(sizes)


def paged(
    rows: Sequence[Row],
    size: Callable[[Row], int],
    *,
    order: str,
    place: Callable[[Row], object],
    cursor: str | None,
    limit: int | None = None,
) -> Page[Row]:
    """Return the page of a list that begins after a cursor.

    ``order`` names the list, and ``place`` tells a row from every other one. Raises
    :class:`~gatepost.store.cursor.BadCursor`, also if the row before the page is there no more.
    """
    start = 0
    if cursor is not None:
        last, _ = decode_cursor(cursor, order)
        found = (number for number, row in enumerate(rows, 1) if _digest(place(row)) == last)
        start = next(found, 0)
        if not start:
            raise BadCursor
    on_page = rows[start:] if limit is None else rows[start : start + limit]
    shown = tuple(on_page[: fitting([size(row) for row in on_page])])
    is_last = start + len(shown) == len(rows)
    return Page(shown, None if is_last else encode_cursor(order, _digest(place(shown[-1])), 0))


def _digest(place: object) -> int:
    """Return a place as a number: a cursor stands in addresses and logs, where no name does."""
    return int.from_bytes(blake2b(repr(place).encode(), digest_size=7).digest())
