"""What leaves the store when its time is over: in small steps, oldest first, while events come in.

Rules:

* Time counts from receipt, in whole days, UTC: what was received on a day is kept for ``days`` more days and gone
  after them. A backlog that arrives late is therefore kept as long as anything else.
* Nothing outlives what it belongs to: images go with their records at the latest, and so does the quarantine, for
  its pushes have faces in them. An identity goes with its last record, a joined alarm with its last step.
* References to images first, then the day's file, which is found by its name. Strangers' images, which leave earlier,
  are deleted one by one, and before the references to them, by which alone they are found: after a crash in between
  the next pass finds both. No place is ever given again, so that nobody else is seen there meanwhile.
  With the images go long texts in the kept originals: those may be pictures that could not be decoded.
* A step is one short transaction (at most :data:`STEP` rows); every step can be the last one before a crash, and
  the next start goes on from there.

Flow: :meth:`Retention.once` → the first part that has something to do does a step of it → what was deleted is
scrubbed from the files once no part has any more to do.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Table, delete, exists, func, select, true, update
from sqlalchemy.exc import IntegrityError

from gatepost.store import erase, identities, trouble
from gatepost.store import schema as t
from gatepost.store.arrivals import DAY_MS, moment
from gatepost.store.pictures import LONG, without_pictures
from gatepost.store.registry import insert
from gatepost.store.store import Leaving

__all__ = ["PARTS", "STEP", "Kept", "Limits", "Retention", "Step"]

STEP = 200
"""Rows that one transaction changes, at most. With images 64: they are large."""

IMAGE_STEP = 64
STRETCH = 5_000
"""Rows that one query looks at, at most."""

SUSPICIOUS = 4 * LONG
"""An original this long may have a picture in it. A usual one is under a kilobyte."""

SAMPLE_DAYS = 7
"""For how many days the sample of a refused body is kept, if records are not kept for less."""

PARTS = ("images", "stranger_images", "records", "alarms", "quarantine", "audit")


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
        }[part]


class Step(Struct, frozen=True):
    """What :meth:`Retention.once` did."""

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

    def __init__(self, store: Leaving, limits: Limits) -> None:
        self._store = store
        self.limits = limits
        self._sweeps = {
            "images": _Sweep(store, "images", (t.records, t.alarm_events), strangers=False),
            "stranger_images": _Sweep(store, "stranger_images", (t.records,), strangers=True),
        }
        self.dirty = False
        """Something was deleted whose bytes may still be in the files."""

    def once(self, now_ms: int) -> Step:
        """Do one step. Raises :class:`~gatepost.errors.StoreUnavailable`; the next call goes on from there."""
        for part in PARTS:
            days = self.limits.days(part)
            step = self._part(part, now_ms, now_ms // DAY_MS - days) if days else None
            if step is not None:
                self.dirty |= step.deleted > 0
                return step
        count = self._samples(now_ms)
        if count:
            self.dirty = True
            return Step("refusal_samples", count)
        left = erase.finish(self._store)
        if left:
            self.dirty = True
            return Step("erased", left)
        if self.dirty and self._store.scrub():
            self.dirty = False
        return Step("", 0, more=False)

    def before_ms(self, part: str, now_ms: int) -> int | None:
        """Return before which moment everything of a part is to be gone; ``None``: it is kept for ever."""
        days = self.limits.days(part)
        return (now_ms // DAY_MS - days) * DAY_MS if days else None

    def _samples(self, now_ms: int) -> int:
        """Delete the samples of refused bodies that are due."""
        before_ms = now_ms - _least(SAMPLE_DAYS, self.limits.records_days) * DAY_MS
        with self._store.reading() as db:
            oldest = db.execute(select(func.min(t.refusal_samples.c.at_ms))).scalar()
        if oldest is None or oldest >= before_ms:
            return 0
        with self._store.changing() as db:
            return trouble.drop_samples(db, before_ms=before_ms)

    def state(self, now_ms: int) -> list[Kept]:
        """How it stands with every part. For any thread."""
        with self._store.reading() as db:
            oldest = {part: _oldest(db, part) for part in PARTS}
        days = self._store.image_days()
        oldest["images"] = days[0] * DAY_MS if days else None
        return [self._kept(part, oldest[part], now_ms) for part in PARTS]

    def _kept(self, part: str, oldest: int | None, now_ms: int) -> Kept:
        days = self.limits.days(part)
        before_day = now_ms // DAY_MS - days
        sweep = self._sweeps.get(part)
        pending = oldest is not None and oldest < before_day * DAY_MS
        if sweep is not None:
            pending |= sweep.done_day != before_day
        return Kept(
            part=part,
            days=days,
            before=moment(before_day * DAY_MS) if days else None,
            oldest=moment(oldest),
            pending=pending and days > 0,
        )

    def _part(self, part: str, now_ms: int, before_day: int) -> Step | None:
        if part in self._sweeps:
            step = self._sweeps[part].once(before_day)
            if step is not None or part == "stranger_images":
                return step
            count = self._store.drop_images(before_day, limit=IMAGE_STEP)
        else:
            count = _DELETE[part](self._store, before_day * DAY_MS, now_ms)
        return Step(part, count) if count else None


class _Sweep:
    """Takes images away from whatever is due, in one pass over the ids for each new day.

    Ids grow in the order of receipt, so a prefix of them is done with for good; how far it reaches is kept in
    ``meta``. Behind it everything is looked at once a day: what was quarantined and is understood now has an
    early day and a late id.
    """

    def __init__(self, store: Leaving, name: str, tables: Sequence[Table], *, strangers: bool) -> None:
        self._store = store
        self._name = name
        self._tables = tables
        self._strangers = strangers
        self._pass: Iterator[int] | None = None
        self.done_day: int | None = None
        """Everything received before this day is done."""

    def once(self, before_day: int) -> Step | None:
        """One stretch; ``None`` when the pass of this day is over."""
        if self.done_day == before_day:
            return None
        if self._pass is None:
            self._pass = self._sweep(before_day)
        try:
            count = next(self._pass, None)
        except BaseException:
            self._pass = None
            raise
        if count is None:
            self._pass, self.done_day = None, before_day
            return None
        return Step(self._name, count)

    def _sweep(self, before_day: int) -> Iterator[int]:
        for table in self._tables:
            name = f"retention:{self._name}:{table.name}"
            after, prefix = self._position(name), True
            last = self._last(table)  # what comes in from now on is not due, and there is always more of it
            while (end := self._end(table, after, last)) is not None:
                while taken := self._images(table, after, end, before_day):
                    yield taken
                while taken := self._texts(table, after, end, before_day):
                    yield taken
                prefix = prefix and not self._remains(table, after, end)
                after = end
                if prefix:
                    self._remember(name, after)
                yield 0

    def _whose(self, table: Table) -> ColumnElement[bool]:
        return table.c.identity_id.is_(None) if self._strangers else true()

    def _last(self, table: Table) -> int:
        with self._store.reading() as db:
            return int(db.execute(select(func.max(table.c.id))).scalar() or 0)

    def _end(self, table: Table, after: int, last: int) -> int | None:
        here = select(table.c.id).where(table.c.id > after, table.c.id <= last)
        ids = here.order_by(table.c.id).limit(STRETCH).subquery()
        with self._store.reading() as db:
            found: int | None = db.execute(select(func.max(ids.c.id))).scalar()
        return found

    def _images(self, table: Table, after: int, end: int, before_day: int) -> int:
        c = table.c
        fits = [c.id > after, c.id <= end, c.image_id.is_not(None), c.image_day < before_day]
        wanted = select(c.id, c.image_day, c.image_id).where(*fits, self._whose(table))
        with self._store.reading() as db:
            rows = db.execute(wanted.order_by(c.id).limit(IMAGE_STEP)).all()
        if rows and self._strangers:
            self._store.remove_images([(row.image_day, row.image_id) for row in rows])
        if rows:
            with self._store.changing() as db:
                erase.forget_images(db, table, [row.id for row in rows])
        return len(rows)

    def _texts(self, table: Table, after: int, end: int, before_day: int) -> int:
        c = table.c
        long = [func.length(c.original) >= SUSPICIOUS, c.received_at_ms < before_day * DAY_MS]
        wanted = select(c.id, c.original).where(c.id > after, c.id <= end, *long, self._whose(table))
        with self._store.reading() as db:
            rows = db.execute(wanted.order_by(c.id).limit(IMAGE_STEP)).all()
        if rows:
            with self._store.changing() as db:
                for row in rows:
                    shorter = without_pictures(bytes(row.original))
                    # Long without any long text: no terminal sends that, and it may be anything.
                    values = {"original": shorter if len(shorter) < SUSPICIOUS else b"{}"}
                    db.execute(update(table).where(c.id == row.id).values(values))
        return len(rows)

    def _remains(self, table: Table, after: int, end: int) -> bool:
        c = table.c
        fits = [c.id > after, c.id <= end, c.image_id.is_not(None), self._whose(table)]
        with self._store.reading() as db:
            return db.execute(select(c.id).where(*fits).limit(1)).first() is not None

    def _position(self, name: str) -> int:
        with self._store.reading() as db:
            return int(db.execute(select(t.meta.c.value).where(t.meta.c.name == name)).scalar() or 0)

    def _remember(self, name: str, after: int) -> None:
        with self._store.changing() as db:
            new = insert(db, t.meta).values(name=name, value=str(after))
            db.execute(new.on_conflict_do_update(index_elements=["name"], set_={"value": new.excluded.value}))


# What is deleted as a whole: the oldest rows that are due, by id.


def _old(db: Connection, table: Table, before_ms: int, now_ms: int, *columns: Any) -> list[Any]:
    c = table.c
    # A row from the future is of a clock that was wrong; it is not to hold up those behind it.
    first = select(c.id, c.received_at_ms, *columns).where(c.received_at_ms <= now_ms + DAY_MS)
    rows = db.execute(first.order_by(c.id).limit(STEP)).all()
    return [row for row in rows if row.received_at_ms < before_ms]


def _delete_records(store: Leaving, before_ms: int, now_ms: int) -> int:
    c = t.records.c
    with store.reading() as db:
        rows = _old(db, t.records, before_ms, now_ms, c.identity_id, c.image_day, c.image_id)
    if not rows:
        return 0
    _remove_images(store, rows)
    try:
        with store.changing() as db:
            gone = delete(t.records).where(c.id.in_([row.id for row in rows])).returning(c.identity_id)
            left = list(db.execute(gone).scalars())
            # A moved terminal's records may have another one by now.
            identities.delete_unused(db, sorted({number for number in left if number is not None}))
    except IntegrityError:
        return 0  # one of them has just come in again, by another process: the next time, then
    return len(left)


def _delete_alarms(store: Leaving, before_ms: int, now_ms: int) -> int:
    c, a = t.alarm_events.c, t.alarms.c
    with store.reading() as db:
        rows = _old(db, t.alarm_events, before_ms, now_ms, c.alarm_id, c.image_day, c.image_id)
    if not rows:
        return 0
    _remove_images(store, rows)
    of_these = sorted({row.alarm_id for row in rows if row.alarm_id is not None})
    step_of_it = exists(select(c.id).where(c.alarm_id == a.id))
    with store.changing() as db:
        count = db.execute(delete(t.alarm_events).where(c.id.in_([row.id for row in rows]))).rowcount
        db.execute(delete(t.alarms).where(a.id.in_(of_these), ~step_of_it))
    return count


def _remove_images(store: Leaving, rows: Sequence[Any]) -> None:
    """Usually there are none any more: images leave no later than what they belong to."""
    places = [(row.image_day, row.image_id) for row in rows if row.image_id is not None]
    if places:
        store.remove_images(places)


def _delete_quarantine(store: Leaving, before_ms: int, now_ms: int) -> int:
    with store.changing() as db:
        ids = [row.id for row in _old(db, t.quarantine, before_ms, now_ms)]
        return db.execute(delete(t.quarantine).where(t.quarantine.c.id.in_(ids))).rowcount if ids else 0


def _delete_audit(store: Leaving, before_ms: int, now_ms: int) -> int:
    c = t.audit.c
    with store.changing() as db:
        due = select(c.id).where(c.at_ms < before_ms).order_by(c.at_ms).limit(STEP)
        ids = [row.id for row in db.execute(due)]
        return db.execute(delete(t.audit).where(c.id.in_(ids))).rowcount if ids else 0


_DELETE: dict[str, Callable[[Leaving, int, int], int]] = {
    "records": _delete_records,
    "alarms": _delete_alarms,
    "quarantine": _delete_quarantine,
    "audit": _delete_audit,
}


def _oldest(db: Connection, part: str) -> int | None:
    """When the oldest that is there was received, in ms; images are asked for elsewhere."""
    if part == "audit":
        found = db.execute(select(func.min(t.audit.c.at_ms))).scalar()
    elif part in _TABLES:
        c = _TABLES[part].c
        found = db.execute(select(c.received_at_ms).order_by(c.id).limit(1)).scalar()
    else:
        found = None
    return None if found is None else int(found)


_TABLES = {"records": t.records, "alarms": t.alarm_events, "quarantine": t.quarantine}


def _least(*days: int) -> int:
    return min((each for each in days if each), default=0)
