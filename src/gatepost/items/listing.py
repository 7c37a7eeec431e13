"""Define a stretch of a list of the API."""

from typing import Generic, TypeVar

from msgspec import Struct

__all__ = ["Listing"]

T = TypeVar("T")


class Listing(Struct, Generic[T], frozen=True):
    """A stretch of a list."""

    items: list[T]
    next_cursor: str | None
    """Give it back as ``cursor`` for the next stretch; ``null`` at the end."""
