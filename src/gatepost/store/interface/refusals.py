"""Keep pushes that were refused or not understood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from gatepost.store.types.lists import Counted, Page
from gatepost.store.types.queries import QuarantineQuery
from gatepost.store.types.refusals import (
    QuarantineRow,
    RefusalSample,
    RefusedPush,
    RefusedRow,
    RefusedTimes,
    SampleRow,
)

__all__ = ["RefusalStore"]


class RefusalStore(Protocol):
    """See the module and :class:`~gatepost.store.interface.Store`."""

    def count_refused(self, counts: Mapping[tuple[int, str], int], *, now_ms: int) -> None:
        """Add to the refusals of terminals, by (terminal id or 0, reason)."""

    def note_refused(
        self,
        pushes: Mapping[RefusedPush, RefusedTimes],
        samples: Mapping[tuple[str, str], RefusalSample],
    ) -> None:
        """Add to the list of refused pushes; keep samples by (peer, reason), each in place of the one before."""

    def refused(self) -> list[RefusedRow]:
        """Return the list of refused pushes, the latest first, at most 1,000."""

    def refusal_sample(self, sample_id: int) -> SampleRow | None: ...

    def drop_refusal_samples(self) -> int:
        """Delete every sample of a refused body. Return how many there were."""

    def quarantined(self, query: QuarantineQuery = ...) -> Page[QuarantineRow]:
        """Return quarantined pushes, the latest first."""

    def count_quarantined(self, query: QuarantineQuery) -> Counted:
        """Count the quarantined pushes of a query, up to 10,000."""

    def quarantined_by_id(self, ids: Sequence[int]) -> list[QuarantineRow]: ...

    def pushed(self, row: QuarantineRow) -> bytes:
        """Return what was pushed, with its image and long texts in their places. Raises as :meth:`image`."""

    def discard_quarantined(self, ids: Sequence[int]) -> int:
        """Delete from the quarantine; return how many there were."""

    def tried_quarantined(self, ids: Sequence[int]) -> None:
        """Count that they were decoded again and are still no event."""
