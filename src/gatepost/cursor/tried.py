"""Hold what is known of a number that was tried. Pure."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["Tried"]


class Tried(Struct):
    """A number that was tried, while it waits or is dead."""

    attempts: int = 0
    attempted_at: float | None = None
    refusals: int = 0
    mark: int | None = None
    """A number of the caller's, from the time of the first refusal."""
    due: float = 0.0
    """Not before this moment; 0: at once."""
    reason: str = ""
    """Why the last attempt failed."""
    kind: str | None = None
    """The kind of its last refusal, while it waits."""
    dead_since: float = 0.0
