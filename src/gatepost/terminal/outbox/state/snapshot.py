"""A copy of the state of each event, for another thread to read. Pure."""

from __future__ import annotations

from msgspec import Struct

from gatepost.cursor import Tried

__all__ = ["Snapshot"]


class Snapshot(Struct, frozen=True):
    """The state of each event at one moment, by number."""

    waiting: dict[int, int]
    tried: dict[int, Tried]
    dead: dict[int, Tried]
    history: dict[int, float]
