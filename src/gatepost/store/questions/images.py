"""Ask for images, and for events as they were pushed."""

from gatepost.errors import ImageUnavailable, JournalError, StoreError
from gatepost.store.conversion.long_texts import put_back
from gatepost.store.images import images
from gatepost.store.query import alarms
from gatepost.store.questions.visible_store import VisibleStore

__all__ = ["ImageQuestions"]


class ImageQuestions(VisibleStore):
    """See :class:`~gatepost.store.interface.Store`."""

    def image(self, event_id: int) -> bytes | None:
        return self._part(event_id, images.IMAGE)

    def original(self, event_id: int, shortened: bytes) -> bytes:
        return put_back(shortened, self._part(event_id, images.TEXTS) or b"")

    def _part(self, event_id: int, part: int) -> bytes | None:
        """Return the image or the long texts of an event. Raises as :meth:`~gatepost.store.interface.Store.image`."""
        with self.reading() as db:
            shown = alarms.is_visible(db, event_id, self.visible)
            place = images.place(db, event_id, part) if shown else None
        if place is None:
            return None
        if self.packs is None:
            raise ImageUnavailable(
                "the images of this store are not here; give the data folder with its packs"
            )
        try:
            opened = images.open_place(place, self._keys)
        except StoreError as error:  # its image key is not given
            raise ImageUnavailable(str(error)) from error
        try:
            return self.packs.read(opened)
        except JournalError as error:
            with self.reading() as db:
                if images.place(db, event_id, part) != place:
                    return None  # it has left meanwhile, as its time was over
            raise ImageUnavailable(str(error)) from error
