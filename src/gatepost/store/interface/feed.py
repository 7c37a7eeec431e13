"""Read the feed, also for what is passed on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from gatepost.store.types.events import AlarmRow, RecordRow
from gatepost.store.types.feed import (
    FEED_KINDS,
    FeedItem,
    FeedKind,
    FeedPage,
    Forwarded,
    ForwardQuery,
    ToForward,
)

__all__ = ["FeedStore"]


class FeedStore(Protocol):
    """See the module and :class:`~gatepost.store.interface.Store`."""

    def read_feed(self, after: int, limit: int = 500, kinds: Collection[FeedKind] = FEED_KINDS) -> FeedPage:
        """Return what arrived after a place in the stream, in order, and how much of that is deleted by now.

        Never skips: what is not settled yet is not shown, and neither is anything behind it. Behind any place, items
        and deleted are together what was ever stored there. Held terminals' events are marked. A page with another
        place than ``after`` may be followed by more, also where it has no items.
        """

    def read_feed_of(
        self,
        terminal_id: int,
        after: int,
        until: int,
        limit: int = 500,
        kinds: Collection[FeedKind] = FEED_KINDS,
    ) -> tuple[FeedItem, ...]:
        """Return what there is of one terminal with ids above ``after`` and up to ``until``, in order.

        For what was left aside while the terminal was held. ``until`` is a place that :meth:`read_feed` returned.
        """

    def to_forward(
        self, after: int, query: ForwardQuery, limit: int = 256, *, until: int | None = None
    ) -> ToForward:
        """Return the events of one kind after a place, in order, and those of them that a query chooses.

        As :meth:`read_feed`, in one transaction. Of a query nothing but its filters counts. The page ends early before
        it has more bytes than a page of a list. ``until``: nothing with a higher id.
        """

    def to_forward_of(
        self, terminal_id: int, after: int, until: int, query: ForwardQuery, limit: int = 256
    ) -> ToForward:
        """Return the same of one terminal, as :meth:`read_feed_of`; what is deleted is not counted.

        Its ``place`` is ``until`` at the end.
        """

    def forwarded_again(self, kind: FeedKind, ids: Sequence[int]) -> Mapping[int, Forwarded]:
        """Return those of these events that there are, by id."""

    def happened(
        self, after: int, limit: int = 100
    ) -> tuple[list[tuple[FeedItem, RecordRow | AlarmRow]], int]:
        """Return what arrived after a place with what it is about, and the place to continue from.

        In one transaction; an alarm as it is after all its steps. Held terminals' events are left out.
        """

    def end_of_feed(self) -> int:
        """Return the place behind which :meth:`read_feed` returns what arrives from now on."""
