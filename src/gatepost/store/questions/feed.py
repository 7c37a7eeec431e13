"""Ask for the feed."""

from collections.abc import Collection

from gatepost.store.query import feed
from gatepost.store.questions.visible_store import VisibleStore
from gatepost.store.types.events import AlarmRow, RecordRow
from gatepost.store.types.feed import FEED_KINDS, FeedItem, FeedKind, FeedPage

__all__ = ["FeedQuestions"]


class FeedQuestions(VisibleStore):
    """See :class:`~gatepost.store.interface.Store`."""

    def read_feed(self, after: int, limit: int = 500, kinds: Collection[FeedKind] = FEED_KINDS) -> FeedPage:
        with self.reading() as db:
            return feed.page(db, after, limit, kinds, self.visible, horizon=self.horizon(db))

    def read_feed_of(
        self,
        terminal_id: int,
        after: int,
        until: int,
        limit: int = 500,
        kinds: Collection[FeedKind] = FEED_KINDS,
    ) -> tuple[FeedItem, ...]:
        with self.reading() as db:
            if not self._shows(db, terminal_id):
                return ()
            return feed.items(db, after, until, limit, kinds, terminal_id=terminal_id)

    def happened(
        self, after: int, limit: int = 100
    ) -> tuple[list[tuple[FeedItem, RecordRow | AlarmRow]], int]:
        with self.reading() as db:
            return feed.happened(db, after, limit, self.visible, horizon=self.horizon(db))

    def end_of_feed(self) -> int:
        with self.reading() as db:
            return self.horizon(db) - 1

    def place_before(self, events: int) -> int:
        """Return the place that the latest ``events`` of every site are after."""
        with self.reading() as db:
            return feed.place_before(db, events, horizon=self.horizon(db))
