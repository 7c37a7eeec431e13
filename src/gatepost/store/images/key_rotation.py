"""A new image key: the keys of images are encrypted with it, in small steps, while events come in.

Rules:

* No image is written again: only its key, which every key in ``image_keys`` opens, is encrypted anew.
* What is overwritten is gone from the files: it was readable with a key that is to be thrown away, or without any.
* Each start looks at all of them. When :attr:`Resealing.finished` is true, no image is left that needs an older key,
  if the other receivers of the database have the new one, too.
* A sample of a refused body, which lives for days only, is deleted instead.

Flow: event by event → samples → done.
"""

from sqlalchemy import Connection, delete, func, select, tuple_, update

from gatepost.store.images import images
from gatepost.store.images.encryption import HEAD, ImageKeys
from gatepost.store.interface import PrunableStore
from gatepost.store.schema import tables as t

__all__ = ["Resealing"]

STEP = 200
"""Keys that one step looks at."""


class Resealing:
    """Encrypts the keys that are there with the image key that writes. For one thread."""

    def __init__(self, store: PrunableStore, keys: ImageKeys) -> None:
        self._store = store
        self._keys = keys
        self._after = (0, -1)
        """Event and part up to which all was looked at."""
        self.finished = not keys
        """Nothing is left that was encrypted with an older key, or never."""

    def once(self) -> int | None:
        """Do one step; return how many keys were encrypted, and ``None`` when it is finished.

        Raises :class:`~gatepost.errors.StoreError` where an older key is missing.
        """
        if self.finished:
            return None
        c = t.images.c
        place = tuple_(c.event_id, c.part)
        with self._store.reading() as db:
            rows = db.execute(
                select(c.event_id, c.part, c.key)
                .where(place > self._after)
                .order_by(c.event_id, c.part)
                .limit(STEP)
            ).all()
        stale = [row for row in rows if not self._keys.is_current(row.key)]
        if stale or not rows:
            with self._store.changing() as db:
                for row in stale:
                    self._seal(db, row.event_id, row.part)
                if not rows:
                    self._drop_samples(db)
        if not rows:
            self.finished = True
            return None
        self._after = (rows[-1].event_id, rows[-1].part)
        return len(stale)

    def _seal(self, db: Connection, event_id: int, part: int) -> None:
        place = images.place(db, event_id, part)
        if place is None or self._keys.is_current(place.key):
            return
        sealed = images.seal_place(images.open_place(place, self._keys), self._keys)
        c = t.images.c
        db.execute(update(t.images).where(c.event_id == event_id, c.part == part).values(key=sealed.key))

    def _drop_samples(self, db: Connection) -> None:
        """Delete samples of refused bodies that are not sealed with this key: they are worth no key."""
        c = t.refusal_samples.c
        heads = db.execute(select(c.id, func.substr(c.sample, 1, HEAD).label("head"))).all()
        stale = [row.id for row in heads if not self._keys.is_current(bytes(row.head))]
        if stale:
            db.execute(delete(t.refusal_samples).where(c.id.in_(stale)))
