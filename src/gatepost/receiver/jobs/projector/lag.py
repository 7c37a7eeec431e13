"""How far the store is behind the journal, as pages, probes and metrics show it."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["Lag"]


class Lag(Struct, frozen=True):
    """How much is acknowledged and not yet listed."""

    events: int = 0
    bytes: int = 0
    oldest_s: float = 0.0
    """How long the oldest of them waits; of what is not read yet, up to a minute less."""
    is_away: bool = False
    """The store takes nothing now."""
    damaged: int = 0
    """Places in the journal that could not be read, since the start."""
    waiting: tuple[str, ...] = ()
    """Why streams wait that cannot be read now, in a sentence for each."""
