"""Promise all that the receiver asks of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from gatepost.store.interface.alarms import AlarmStore
from gatepost.store.interface.events import EventStore
from gatepost.store.interface.feed import FeedStore
from gatepost.store.interface.pruning import PrunableStore
from gatepost.store.interface.refusals import RefusalStore
from gatepost.store.interface.terminals import TerminalStore
from gatepost.store.interface.writing import WritableStore
from gatepost.store.types.lists import Visible

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gatepost.store.questions import UserStore

__all__ = ["Store"]


class Store(
    PrunableStore, WritableStore, TerminalStore, EventStore, AlarmStore, FeedStore, RefusalStore, Protocol
):
    """See the package."""

    def horizon(self, db: Connection) -> int:
        """Return the id below which everything is settled: committed or never to come. For this package alone."""

    @property
    def visible(self) -> Visible:
        """Return everything: what a user may not see, :meth:`seen_by` leaves out."""

    def seen_by(self, visible: Visible) -> UserStore:
        """Return the store as a user sees it. It costs nothing: each request has its own."""

    def close(self) -> None:
        """Let go of everything. May be called twice."""
