"""Read records, their images, and what is counted of everything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from gatepost.store.types.events import RecordRow
from gatepost.store.types.lists import Counted, Page, Stats
from gatepost.store.types.queries import RecordQuery

if TYPE_CHECKING:
    from datetime import datetime

    from gatepost.store.query.dashboard import DashboardCounts

__all__ = ["EventStore"]


class EventStore(Protocol):
    """See the module and :class:`~gatepost.store.interface.Store`."""

    def records(self, query: RecordQuery) -> Page[RecordRow]: ...

    def count_records(self, query: RecordQuery) -> Counted:
        """Count the records of a query, up to 10,000; ``more`` also where not all that may fit were looked at."""

    def record(self, record_id: int) -> RecordRow | None: ...

    def records_by_id(self, ids: Sequence[int]) -> list[RecordRow]:
        """Return those of them that there are, in no order."""

    def latest_records(self, limit: int) -> list[RecordRow]:
        """Return the records that arrived last, the latest first; those of held terminals are left out."""

    def portrait(self, identities: Sequence[int]) -> int | None:
        """Return the latest record with an image that has one of these identities."""

    def image(self, event_id: int) -> bytes | None:
        """Return the image of a record, or of an alarm's step: their ids are of one sequence.

        Raises :class:`~gatepost.errors.ImageUnavailable` where its pack is on another machine, gone or damaged.
        """

    def stats(self) -> Stats: ...

    def glance(self, since: datetime) -> DashboardCounts:
        """Count what a page shows at a glance; records from a moment on. A few milliseconds, however much is stored."""
