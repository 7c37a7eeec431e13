"""Find out whose the events of a batch are: of a terminal that is made now, or of one that pushed them before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import structlog
from msgspec.structs import replace

from gatepost.errors import StoreError
from gatepost.store.interface import Arrival, NewTerminal, TerminalRow
from gatepost.wire import Event

__all__ = ["Attribution", "Terminals"]

log = structlog.get_logger(__name__)


class Terminals(Protocol):
    """The part of a store that tells whose an event is."""

    def ensure_terminals(self, new: Sequence[NewTerminal]) -> Sequence[TerminalRow]: ...
    def holders(self, event: Event, key: bytes, peer: str) -> Sequence[int]: ...


class Attribution:
    """Gives each event of a batch to its terminal. For the projector's thread."""

    def __init__(
        self,
        store: Terminals,
        *,
        may_hold: Callable[[Sequence[int], str], int | None],
        on_terminals: Callable[[Sequence[TerminalRow]], None],
    ) -> None:
        """``may_hold`` and ``on_terminals``: as of :class:`~gatepost.receiver.jobs.projector.projector.Projector`."""
        self._store = store
        self._may_hold = may_hold
        self._on_terminals = on_terminals

    def with_terminals(self, arrivals: Sequence[Arrival]) -> Sequence[Arrival]:
        """Make the terminals that were not known at the reply, and give their events to them."""
        new: dict[tuple[str | None, str], NewTerminal] = {}
        for arrival in arrivals:
            if (one := arrival.new_terminal) is not None:
                new.setdefault((one.serial, one.peer), one)
        if not new:
            return arrivals
        rows = self._store.ensure_terminals(list(new.values()))
        self._on_terminals(rows)
        ids = {place: row.id for place, row in zip(new, rows, strict=True)}
        return [
            arrival
            if (one := arrival.new_terminal) is None
            else replace(arrival, terminal_id=ids[one.serial, one.peer])
            for arrival in arrivals
        ]

    def attributed(self, arrivals: Sequence[Arrival]) -> Sequence[Arrival]:
        """Give events that are pushed again to the terminal that they were stored for the first time.

        Nothing but the address told whose they are, and it may have come to stand for another terminal since.
        """
        if all(map(_is_told, arrivals)):
            return arrivals
        here: dict[tuple[bytes, str], int] = {}
        attributed = []
        for arrival in arrivals:
            place = (arrival.key, arrival.peer)
            if not _is_told(arrival):
                candidates = [*self._holders(arrival), *filter(None, [here.get(place)])]
                holder = self._may_hold(candidates, arrival.peer)
                if holder is not None:
                    arrival = replace(arrival, terminal_id=holder)  # noqa: PLW2901
            here.setdefault(place, arrival.terminal_id)
            attributed.append(arrival)
        return attributed

    def _holders(self, arrival: Arrival) -> Sequence[int]:
        try:
            return self._store.holders(arrival.event, arrival.key, arrival.peer)
        except StoreError:
            raise
        except Exception as defect:  # the event is stored where the reply put it
            log.error("projector.holders_failed", kind=type(defect).__name__)
            return ()


def _is_told(arrival: Arrival) -> bool:
    """Return whether more than the address told whose an event is: a serial, or a token, also that of a source."""
    return arrival.bind_peer or arrival.alike > 0 or not arrival.tokenless
