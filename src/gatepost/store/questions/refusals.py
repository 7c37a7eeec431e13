"""Ask for pushes that were refused or not understood."""

from collections.abc import Sequence

from msgspec.structs import replace

from gatepost.store.images.encryption import sample_place
from gatepost.store.query import counting, quarantine
from gatepost.store.questions.images import ImageQuestions
from gatepost.store.types.lists import Counted, Page
from gatepost.store.types.queries import QuarantineQuery
from gatepost.store.types.refusals import QuarantineRow, RefusedRow, SampleRow
from gatepost.wire import Unknown, decode
from gatepost.wire.decoding.decoder import with_image

__all__ = ["RefusalQuestions"]

_WHOLE_QUARANTINE = QuarantineQuery()


class RefusalQuestions(ImageQuestions):
    """See :class:`~gatepost.store.interface.Store`."""

    def refused(self) -> list[RefusedRow]:
        with self.reading() as db:
            return quarantine.refused(db, self.visible)

    def refusal_sample(self, sample_id: int) -> SampleRow | None:
        if self.visible.sites is not None:
            return None  # nothing tells at which site it was pushed
        with self.reading() as db:
            row = quarantine.refusal_sample(db, sample_id)
        if row is None:
            return None
        return replace(row, content=self._keys.open(row.content, sample_place(row.peer, row.reason)))

    def quarantined(self, query: QuarantineQuery = _WHOLE_QUARANTINE) -> Page[QuarantineRow]:
        with self.reading() as db:
            return quarantine.quarantined(db, query, self.visible)

    def count_quarantined(self, query: QuarantineQuery) -> Counted:
        with self.reading() as db:
            return counting.pushes(db, query, self.visible)

    def quarantined_by_id(self, ids: Sequence[int]) -> list[QuarantineRow]:
        with self.reading() as db:
            return quarantine.quarantined_by_id(db, ids, self.visible)

    def pushed(self, row: QuarantineRow) -> bytes:
        original = self.original(row.id, row.original)
        image = self.image(row.id)
        if image is None:
            return original
        event = decode(original, lenient=True).event
        return original if isinstance(event, Unknown) else with_image(original, replace(event, image=image))

    def discard_quarantined(self, ids: Sequence[int]) -> int:
        with self.changing() as db:
            return quarantine.discard_quarantined(db, ids, self.visible)
