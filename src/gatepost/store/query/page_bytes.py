"""How many bytes a page of a list has: what strangers sent decides how large a row is, and not how large a page is.

A page ends early, with a cursor, before the row that would take it beyond :data:`PAGE_BYTES`. One row is always on it.
The sizes are asked for first, so that what is not on the page is not read either.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, func

__all__ = ["PAGE_BYTES", "ROW_BYTES", "bytes_of", "fitting"]

PAGE_BYTES = 4 * 1024 * 1024

ROW_BYTES = 2048
"""What a row has besides, at most usually: codes, times, names."""


def bytes_of(*columns: ColumnElement[Any]) -> ColumnElement[int]:
    """Return what rows with these columns are counted with, as an expression called ``size``."""
    size: Any = ROW_BYTES
    for column in columns:
        size += func.coalesce(func.length(column), 0)
    return size.label("size")  # type: ignore[no-any-return]


def fitting(sizes: Sequence[int]) -> int:
    """Return how many of these rows are on the page."""
    total = 0
    for number, size in enumerate(sizes):
        total += size
        if number and total > PAGE_BYTES:
            return number
    return len(sizes)
