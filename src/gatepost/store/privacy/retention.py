"""Delete what is due from the store: in small steps, oldest first, while events come in.

Rules:

* Time counts from receipt, in whole days, UTC: what was received on a day is kept for ``days`` more days and gone
  after them. A backlog that arrives late is therefore kept as long as anything else.
* Nothing outlives what it belongs to: images go with their records at the latest, and so does the quarantine, for
  its pushes have faces in them. An identity goes with its last record, and what was written about the
  person with the last identity; a joined alarm with its last step. A correction and a mark that ended go with the
  records that were received when it was made and when it ended.
* The packs of one kind and day are due together: first the places and keys of their images, then the files.
  With the images go the long texts of originals, for those may be images that could not be decoded.
* Of records and steps of alarms the ids are kept, for readers of the feed (:mod:`gatepost.store.query.feed`).
* A step is one short transaction (at most :data:`STEP` rows); every step can be the last one before a crash, and
  the next start goes on from there.

Flow: :meth:`Retention.once` → the first part that has something to do does a step of it → what was deleted is
scrubbed from the files once no part has any more to do.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Table, delete, exists, func, select
from sqlalchemy.exc import IntegrityError

from gatepost.errors import JournalUnavailable
from gatepost.store.accounts import audit_chain
from gatepost.store.accounts.names import PROGRAM
from gatepost.store.conversion.values import DAY_MS, moment
from gatepost.store.images import images
from gatepost.store.interface import EVERYTHING, PrunableStore
from gatepost.store.people import identities
from gatepost.store.privacy import erasure, tombstones
from gatepost.store.query import feed, quarantine
from gatepost.store.schema import tables as t

__all__ = ["KINDS", "PARTS", "RECEIVED", "STEP", "Kept", "Limits", "Retention", "Step", "oldest_ms"]

STEP = 200
"""Rows that one transaction changes, at most."""

SAMPLE_DAYS = 7
"""For how many days the sample of a refused body is kept, if records are not kept for less."""

KINDS = {
    "images": (images.PEOPLE, images.ALARMS),
    "stranger_images": (images.STRANGERS,),
    "quarantine": (images.QUARANTINE,),
}
"""The kinds of images of a part."""

PARTS = (
    "images", "stranger_images", "records", "alarms", "quarantine", "audit", "refusal_samples", "tombstones",
)  # fmt: skip


class Limits(Struct, frozen=True, kw_only=True):
    """For how many days after receipt each is kept; 0: for ever."""

    images_days: int = 0
    stranger_images_days: int = 0
    records_days: int = 0
    quarantine_days: int = 0
    audit_days: int = 0

    def days(self, part: str) -> int:
        """In force: nothing outlives what it belongs to."""
        images = _least(self.images_days, self.records_days)
        return {
            "images": images,
            "stranger_images": _least(self.stranger_images_days, images),
            "records": self.records_days,
            "alarms": self.records_days,
            "quarantine": _least(self.quarantine_days, images),
            "audit": self.audit_days,
            "refusal_samples": _least(SAMPLE_DAYS, self.records_days),
            # What was received on the day of an erasure is to be gone before its tombstones are.
            "tombstones": self.records_days and self.records_days + 1,
        }[part]


class Step(Struct, frozen=True):
    """Count what :meth:`Retention.once` deleted."""

    part: str
    deleted: int
    more: bool = True
    """False: nothing is left to do now."""


class Kept(Struct, frozen=True, kw_only=True):
    """How it stands with one part."""

    part: str
    days: int
    """0: for ever."""
    before: datetime | None
    """What was received before this moment is to be gone."""
    oldest: datetime | None
    """When the oldest that is there was received; of images the day. ``None``: nobody has looked."""
    pending: bool
    """Something that is due may still be there: it is being deleted."""


class Retention:
    """Deletes what is due. :meth:`once` is for one thread; several processes on one server may each have one."""

    def __init__(self, store: PrunableStore, limits: Limits) -> None:
        self._store = store
        self.limits = limits
        self._emptied: dict[str, int] = {}
        """By part: no pack of an earlier day is left."""
        self.trouble = ""
        """Why packs that are due could not be deleted the last time, in a sentence; nothing: they could."""
        self.dirty = False
        """Something was deleted whose bytes may still be in the files."""

    def once(self, now_ms: int, permitted: Mapping[str, int] | None = None) -> Step:
        """Do one step.

        ``permitted``: by part, before which day, since 1970, may be deleted at most.

        Raises :class:`~gatepost.errors.StoreUnavailable` and :class:`~gatepost.errors.JournalUnavailable`; the next
        call goes on from there.
        """
        for part in PARTS:
            before = self._before(part, now_ms, permitted)
            step = None if before is None else self._part(part, now_ms, before)
            if step is not None:
                self.dirty |= step.deleted > 0
                return step
        left = erasure.finish(self._store)
        if left:
            self.dirty = True
            return Step("erased", left)
        if self.dirty and self._store.scrub():
            self.dirty = False
        return Step("", 0, more=False)

    def _before(self, part: str, now_ms: int, permitted: Mapping[str, int] | None) -> int | None:
        """Return before which day, since 1970, a part is deleted; ``None``: it is kept for ever."""
        days = self.limits.days(part)
        if not days:
            return None
        due = now_ms // DAY_MS - days
        return due if permitted is None else min(due, permitted.get(part, due))

    def state(self, now_ms: int, limits: Limits | None = None) -> list[Kept]:
        """How it stands with every part; ``limits`` are other ones than those in force. For any thread."""
        with self._store.reading() as db:
            oldest = {part: oldest_ms(db, part, now_ms) for part in PARTS}
        return [self._kept(part, oldest[part], now_ms, limits or self.limits) for part in PARTS]

    def _kept(self, part: str, oldest: int | None, now_ms: int, limits: Limits) -> Kept:
        days = limits.days(part)
        before_day = now_ms // DAY_MS - days
        pending = oldest is not None and oldest < before_day * DAY_MS
        if part in KINDS:
            pending |= self._emptied.get(part) != before_day
        return Kept(
            part=part,
            days=days,
            before=moment(before_day * DAY_MS) if days else None,
            oldest=moment(oldest),
            pending=pending and days > 0,
        )

    def _part(self, part: str, now_ms: int, before_day: int) -> Step | None:
        if part in KINDS:
            step = self._images(part, before_day)
            if step is not None:
                return step
        count = _DELETE[part](self._store, before_day * DAY_MS, now_ms) if part in _DELETE else None
        return None if count is None else Step(part, count)

    def _images(self, part: str, before_day: int) -> Step | None:
        """Delete the images of a pack that is due, and once there are none, the files; ``None``: that is done."""
        p = t.packs.c
        due = select(p.id).where(p.kind.in_(KINDS[part]), p.day < before_day).order_by(p.day, p.id)
        with self._store.reading() as db:
            pack = db.execute(due.limit(1)).scalar()
        if pack is not None:
            # Of a backlog that is listed now, or processed again: another file may be there, too.
            self._emptied.pop(part, None)
            return Step(part, self._empty(pack))
        if self._emptied.get(part) == before_day:
            return None
        if self._store.packs is not None:
            before = date.fromordinal(date(1970, 1, 1).toordinal() + before_day)
            try:
                removed = [self._store.packs.remove_before(kind, before) for kind in KINDS[part]]
            except JournalUnavailable as error:
                self.trouble = str(error)  # nothing else waits for a disk or a bucket
                return None
            self.trouble = ""
            if any(one.is_incomplete for one in removed):
                return None  # a backup is being made: the next round, then
        self._emptied[part] = before_day
        return None

    def _empty(self, pack: int) -> int:
        """Delete some images of a pack, or the row of a pack that has none; return how many."""
        c = t.images.c
        of_pack = select(c.event_id, c.part).where(c.pack_id == pack).order_by(c.byte_offset).limit(STEP)
        try:
            with self._store.changing() as db:
                ids = [row.event_id for row in db.execute(of_pack)]
                images.forget(db, sorted(set(ids)))
                if not ids:
                    db.execute(delete(t.packs).where(t.packs.c.id == pack))
        except IntegrityError:
            return 0  # another process has just listed one more image of it: the next time, then
        return len(ids)


# What is deleted as a whole: the rows that are due, those first that were received first.


def _old(db: Connection, table: Table, before_ms: int, *columns: Any) -> list[Any]:
    c = table.c
    due = select(c.id, *columns).where(c.received_at_ms < before_ms)
    return list(db.execute(due.order_by(c.received_at_ms, c.id).limit(STEP)))


def _delete_records(store: PrunableStore, before_ms: int, now_ms: int) -> int | None:
    c = t.records.c
    with store.reading() as db:
        rows = _old(db, t.records, before_ms, c.received_at_ms)
    if not rows:
        return None
    try:
        with store.changing() as db:
            gone = delete(t.records).where(c.id.in_([row.id for row in rows])).returning(c.id, c.identity_id)
            left = db.execute(gone).all()
            feed.keep_deleted(db, "record", [row.id for row in left])
            images.delete_of(db, [row.id for row in rows])
            # A moved terminal's records may have another one by now.
            identities.delete_unused(
                db, sorted({row.identity_id for row in left if row.identity_id is not None})
            )
            # In the order of receipt: every record of which such a correction can be is deleted.
            identities.forget_old(db, rows[-1].received_at_ms, STEP)
    except IntegrityError:
        return 0  # one of them has just come in again, by another process: the next step, then
    return len(left)


def _delete_alarms(store: PrunableStore, before_ms: int, now_ms: int) -> int | None:
    c, a = t.alarm_events.c, t.alarms.c
    with store.reading() as db:
        rows = _old(db, t.alarm_events, before_ms, c.alarm_id)
    if not rows:
        return None
    of_these = sorted({row.alarm_id for row in rows if row.alarm_id is not None})
    step_of_it = exists(select(c.id).where(c.alarm_id == a.id))
    with store.changing() as db:
        gone = delete(t.alarm_events).where(c.id.in_([row.id for row in rows])).returning(c.id)
        left = list(db.execute(gone).scalars())
        feed.keep_deleted(db, "alarm", left)
        images.delete_of(db, [row.id for row in rows])
        db.execute(delete(t.alarms).where(a.id.in_(of_these), ~step_of_it))
    return len(left)


def _delete_quarantine(store: PrunableStore, before_ms: int, now_ms: int) -> int | None:
    with store.changing() as db:
        due = [row.id for row in _old(db, t.quarantine, before_ms)]
        return quarantine.discard_quarantined(db, due, EVERYTHING) if due else None


def _delete_audit(store: PrunableStore, before_ms: int, now_ms: int) -> int | None:
    with store.reading() as db:
        oldest = oldest_ms(db, "audit", now_ms)
    if oldest is None or oldest >= before_ms:
        return None
    with store.changing() as db:
        return audit_chain.drop_oldest(db, before_ms, now_ms, actor=PROGRAM, limit=STEP) or None


def _delete_samples(store: PrunableStore, before_ms: int, now_ms: int) -> int | None:
    with store.reading() as db:
        oldest = oldest_ms(db, "refusal_samples", now_ms)
    if oldest is None or oldest >= before_ms:
        return None
    with store.changing() as db:
        return quarantine.drop_samples(db, before_ms=before_ms)


def _delete_tombstones(store: PrunableStore, before_ms: int, now_ms: int) -> int | None:
    with store.reading() as db:
        oldest = oldest_ms(db, "tombstones", now_ms)
    if oldest is None or oldest >= before_ms:
        return None
    with store.changing() as db:
        return tombstones.drop(db, before_ms, limit=STEP)


_DELETE: dict[str, Callable[[PrunableStore, int, int], int | None]] = {
    "records": _delete_records,
    "alarms": _delete_alarms,
    "quarantine": _delete_quarantine,
    "audit": _delete_audit,
    "refusal_samples": _delete_samples,
    "tombstones": _delete_tombstones,
}
"""Each does a step and returns how many it deleted; ``None``: nothing is due."""


def oldest_ms(db: Connection, part: str, now_ms: int) -> int | None:
    """Return when the oldest was received that is there, in ms; of images the day. The future does not count."""
    if part.endswith("images"):
        c = t.packs.c
        day = db.execute(select(func.min(c.day)).where(c.kind.in_(KINDS[part]))).scalar()
        found = None if day is None else day * DAY_MS
    elif part == "audit":
        c = t.audit.c  # lines leave in the order of their chain
        there = select(c.at_ms).where(c.at_ms <= now_ms + DAY_MS)
        found = db.execute(there.order_by(c.id).limit(1)).scalar()
    elif part in RECEIVED:
        at_ms = RECEIVED[part]
        found = db.execute(select(func.min(at_ms)).where(at_ms <= now_ms + DAY_MS)).scalar()
    else:
        found = None
    return None if found is None else int(found)


RECEIVED = {
    "records": t.records.c.received_at_ms,
    "alarms": t.alarm_events.c.received_at_ms,
    "quarantine": t.quarantine.c.received_at_ms,
    "refusal_samples": t.refusal_samples.c.at_ms,
    "tombstones": t.tombstones.c.at_ms,
}


def _least(*days: int) -> int:
    return min((each for each in days if each), default=0)
