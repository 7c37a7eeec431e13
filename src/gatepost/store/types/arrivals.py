"""Hold what goes into a store: events as they came in, and how far a journal is read."""

from collections.abc import Mapping

from msgspec import Struct

from gatepost.journal.places import Place
from gatepost.journal.streams import Position
from gatepost.store.types.terminals import TerminalState
from gatepost.wire import Dialect, Event, Problem

__all__ = ["PEER_ADDRESS", "SIGHTING_MS", "NewTerminal", "Arrival", "Stored", "Progress"]

PEER_ADDRESS = "peer address"
"""Where the problem of an event stands of which nothing but its address tells the terminal."""


SIGHTING_MS = 3_600_000
"""Milliseconds. How old it may be when a terminal was last seen at an address, before that is noted anew."""


class NewTerminal(Struct, frozen=True):
    """A terminal that pushed and that the store may not have yet."""

    serial: str | None
    at_ms: int
    """When it pushed for the first time."""
    peer: str = ""
    """The address that stands for it, where it has no serial."""
    state: TerminalState = "new"
    """In which it is made; one that is there keeps its own."""
    site: str = ""
    """The name of the site at which it is made, which is made as well if it is not there; empty: the first one."""
    timezone: str = ""
    """Of a site that has to be made; empty: that of the first site."""


class Arrival(Struct, frozen=True, kw_only=True):
    """One event as it came in, and all that was found out about where it came from."""

    terminal_id: int
    """Not positive for a terminal that was not known at the reply; the store takes none of those."""
    key: bytes
    """Sixteen bytes, :func:`gatepost.wire.digest` of :func:`gatepost.wire.key`."""
    event: Event
    """A record and an alarm are listed; what is neither goes to the quarantine."""
    received_at_ms: int
    original: bytes
    """The JSON text without the image, without long texts and without any ``pin``."""
    image: Place | None = None
    """Of the event's image; ``event.image`` is not looked at."""
    texts: Place | None = None
    """Of the long texts of ``original``: see :mod:`gatepost.store.conversion.long_texts`."""
    problems: tuple[Problem, ...] = ()
    dialect: Dialect | None = None
    peer: str = ""
    """The address that it came from, behind any trusted proxy."""
    bind_peer: bool = False
    """True where a serial or a token said which terminal it is: the terminal was seen at ``peer``."""
    tokenless: bool = False
    """It bore no token of its terminal."""
    sent_at_ms: int | None = None
    """The ``timestamp`` header: the terminal's clock when it pushed. The clock error is derived from it."""
    model: str | None = None
    disagreements: tuple[tuple[str, str], ...] = ()
    """Who else it could have been: (source, what it said), such as ``("header", "SN-2")``."""
    new_terminal: NewTerminal | None = None
    """The terminal that it is of, where that one was not known at the reply."""
    alike: int = 0
    """Of a record that was fetched from its terminal's history: how many there are alike, with it. 0: it was pushed."""
    is_backfilled: bool = False
    """A receiver that passed it on had fetched it."""


class Stored(Struct, frozen=True):
    """Name what became of one arrival."""

    new: bool
    """False: it was there already, and was counted as a duplicate."""
    id: int
    """Of the row that holds it, which for a duplicate is the first one's."""


class Progress(Struct, frozen=True):
    """How far a journal is read once a batch is stored."""

    journal: bytes
    """Its id, sixteen bytes."""
    positions: Mapping[str, Position]
    """The place behind the batch, of each stream that the reader has moved in."""
