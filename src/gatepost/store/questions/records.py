"""Ask for records, and for what is counted of everything."""

from collections.abc import Sequence
from datetime import datetime

from gatepost.store.query import alarms, counting, dashboard
from gatepost.store.query import records as queries
from gatepost.store.questions.visible_store import VisibleStore
from gatepost.store.types.events import RecordRow
from gatepost.store.types.lists import Counted, Page, Stats
from gatepost.store.types.queries import RecordQuery

__all__ = ["RecordQuestions"]


class RecordQuestions(VisibleStore):
    """See :class:`~gatepost.store.interface.Store`."""

    def records(self, query: RecordQuery) -> Page[RecordRow]:
        with self.reading() as db:
            horizon = self.horizon(db) if query.order == "received" else 0
            return queries.records_page(db, query, self.visible, horizon=horizon)

    def count_records(self, query: RecordQuery) -> Counted:
        with self.reading() as db:
            return counting.records(db, query, self.visible)

    def record(self, record_id: int) -> RecordRow | None:
        with self.reading() as db:
            return queries.record(db, record_id, self.visible)

    def records_by_id(self, ids: Sequence[int]) -> list[RecordRow]:
        with self.reading() as db:
            return queries.records_by_id(db, ids, self.visible)

    def latest_records(self, limit: int) -> list[RecordRow]:
        with self.reading() as db:
            return queries.latest(db, dashboard.latest(db, limit, self.visible), self.visible)

    def portrait(self, identities: Sequence[int]) -> int | None:
        with self.reading() as db:
            return dashboard.portrait(db, identities, self.visible)

    def glance(self, since: datetime) -> dashboard.DashboardCounts:
        with self.reading() as db:
            return dashboard.glance(db, since, self.visible)

    def stats(self) -> Stats:
        with self.reading() as db:
            return alarms.stats(db, self.visible)
