"""The store, clocks and threads that all forwarders of a receiver share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from msgspec import Struct

from gatepost.errors import GatepostError
from gatepost.forward.image_links import ImageLinks
from gatepost.store.forwarding.destinations import Destinations
from gatepost.store.interface import Store
from gatepost.store.people.people import People

__all__ = ["InThread", "Lost", "Surroundings"]

T = TypeVar("T")


class Lost(GatepostError):
    """Another process sends to this destination, or it is deleted."""


class InThread(Protocol):
    """Calls something that blocks, on a thread."""

    def __call__(self, call: Callable[[], T], /) -> Awaitable[T]: ...


class Surroundings(Struct, frozen=True):
    """The store, clocks and threads that all forwarders of a receiver share."""

    store: Store
    destinations: Destinations
    people: People
    source: Callable[[], str]
    """Returns the URI of the receiver; may block."""
    now: Callable[[], float]
    """Unix seconds."""
    monotonic: Callable[[], float]
    """Seconds of a clock that is never set."""
    rand: Callable[[], float]
    """In [0, 1)."""
    in_thread: InThread
    links: ImageLinks
    is_behind: Callable[[], bool] = bool
    """Tell whether many acknowledged events are not listed yet. Then a forwarder waits between turns."""
