"""A new key: what is in the store already is sealed with it, in small steps, while events come in.

Rules:

* Nothing is unreadable in between: an image is replaced in one transaction, and every key that is given reads.
* What is overwritten is gone from the files: it was readable with a key that is to be thrown away, or without any.
* How far it is stands in ``meta``, so another start goes on from there. When :attr:`Resealing.finished` is true, no
  image is left that needs an older key.
* A sample of a refused body, which lives for days only, is deleted instead.

Flow: day by day, number by number → the quarantine → done with this key.
"""

from sqlalchemy import Connection, delete, func, select, update

from gatepost.store import schema as t
from gatepost.store.registry import insert
from gatepost.store.sealing import HEAD, ImageKeys, image_place, quarantine_place
from gatepost.store.store import Leaving

__all__ = ["Resealing"]

LOOK = 500
"""Images whose beginning is looked at, at once."""

STEP = 32
"""Images that one transaction replaces."""


class Resealing:
    """Seals what is there with the key that writes. For one thread."""

    def __init__(self, store: Leaving, keys: ImageKeys) -> None:
        self._store = store
        self._keys = keys
        self._name = f"resealed:{keys.name}"
        self.finished = not keys
        """Nothing is left that was sealed with an older key, or never."""

    def once(self) -> int | None:
        """Do one step; answer how many images were sealed, and ``None`` when it is finished."""
        if self.finished:
            return None
        reached = self._reached()
        if reached == "done":
            self.finished = True
            return None
        day, after = (int(part) for part in reached.split()) if reached else (-1, 0)
        heads = self._store.image_heads(day, after, limit=LOOK) if day >= 0 else []
        if not heads:
            following = next((one for one in self._store.image_days() if one > day), None)
            if following is not None:
                self._remember(f"{following} 0")
                return 0
            count = self._quarantine()
            if not count:
                self._remember("done")
            return count
        stale = [number for number, head in heads if not self._keys.is_current(head)][:STEP]
        sealed = [(number, data) for number in stale if (data := self._sealed(day, number)) is not None]
        if sealed:
            self._store.replace_images(day, sealed)
        self._remember(f"{day} {stale[-1] if len(stale) == STEP else heads[-1][0]}")
        return len(stale)

    def _sealed(self, day: int, number: int) -> bytes | None:
        data, place = self._store.image_at(day, number), image_place(day, number)
        return None if data is None else self._keys.seal(self._keys.open(data, place), place)

    def _quarantine(self) -> int:
        c = t.quarantine.c
        with self._store.reading() as db:
            heads = db.execute(
                select(c.id, func.substr(c.original, 1, HEAD).label("head")).order_by(c.id)
            ).all()
        stale = [row.id for row in heads if not self._keys.is_current(bytes(row.head))][:STEP]
        with self._store.changing() as db:
            self._drop_samples(db)
            for number in stale:
                place = quarantine_place(number)
                original = bytes(db.execute(select(c.original).where(c.id == number)).scalar() or b"")
                sealed = self._keys.seal(self._keys.open(original, place), place)
                db.execute(update(t.quarantine).where(c.id == number).values(original=sealed))
        return len(stale)

    def _drop_samples(self, db: Connection) -> None:
        """Delete samples of refused bodies that are not sealed with this key: they are worth no key."""
        c = t.refusal_samples.c
        heads = db.execute(select(c.id, func.substr(c.sample, 1, HEAD).label("head"))).all()
        stale = [row.id for row in heads if not self._keys.is_current(bytes(row.head))]
        if stale:
            db.execute(delete(t.refusal_samples).where(c.id.in_(stale)))

    def _reached(self) -> str:
        with self._store.reading() as db:
            return db.execute(select(t.meta.c.value).where(t.meta.c.name == self._name)).scalar() or ""

    def _remember(self, place: str) -> None:
        with self._store.changing() as db:
            new = insert(db, t.meta).values(name=self._name, value=place)
            db.execute(new.on_conflict_do_update(index_elements=["name"], set_={"value": new.excluded.value}))
