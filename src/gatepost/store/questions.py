"""Ask a store for a user, who may see some sites only, or no card and identity numbers.

Rules:

* Every question is asked for what :attr:`Questions.visible` says. What is not visible is answered as if it did not
  exist.
* The receiver's own work is done on a whole store. Whatever is asked for a user is asked of a :class:`UserStore`:
  the routes of API and console are handed no other.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from msgspec.structs import replace
from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.engine import Connection

from gatepost.errors import ImageUnavailable, JournalError, StoreError
from gatepost.journal.packs.packs import Packs
from gatepost.store.conversion.long_texts import put_back
from gatepost.store.conversion.values import text
from gatepost.store.images import images
from gatepost.store.images.encryption import ImageKeys, sample_place
from gatepost.store.interface import (
    EVERYTHING,
    FEED_KINDS,
    AlarmCounts,
    AlarmQuery,
    AlarmRow,
    AlarmStepRow,
    Counted,
    DisagreementRow,
    FeedItem,
    FeedKind,
    FeedPage,
    Page,
    QuarantineQuery,
    QuarantineRow,
    ReceiverRow,
    RecordQuery,
    RecordRow,
    RefusedRow,
    SampleRow,
    SiteRow,
    Stats,
    TerminalRow,
    ToAcknowledge,
    Visible,
)
from gatepost.store.people.move_preview import WouldMove, would_move
from gatepost.store.people.person import Scope
from gatepost.store.query import alarms, counting, dashboard, feed, quarantine
from gatepost.store.query import records as queries
from gatepost.store.receivers import receivers
from gatepost.store.schema import tables as t
from gatepost.store.terminals import registry, terminal_labels
from gatepost.store.terminals.terminal_labels import TerminalLabel, at_sites, events_of
from gatepost.store.versions import Versions
from gatepost.wire import Unknown, decode
from gatepost.wire.decoding.decoder import with_image

__all__ = ["MAX_ACKNOWLEDGED", "TOO_MANY_ALARMS", "Questions", "UserStore"]

MAX_ACKNOWLEDGED = 10_000
"""Alarms that are acknowledged at once."""

TOO_MANY_ALARMS = (
    f"more than {MAX_ACKNOWLEDGED} alarms fit these filters, and at most so many are acknowledged at once;"
    " choose a shorter time with since and until"
)

_WHOLE_QUARANTINE = QuarantineQuery()


class Questions(ABC):
    """Ask what users ask of a store, and change what they change. See :class:`gatepost.store.interface.Store`."""

    visible: Visible = EVERYTHING
    packs: Packs | None
    _keys: ImageKeys

    @abstractmethod
    def reading(self) -> AbstractContextManager[Connection]: ...

    @abstractmethod
    def changing(self) -> AbstractContextManager[Connection]:
        """Begin a transaction that may write."""

    @abstractmethod
    def horizon(self, db: Connection) -> int:
        """Return the id below which everything is settled: committed or never to come."""

    def _is_visible_alarm(self) -> list[ColumnElement[bool]]:
        """Return the condition that an alarm is of a terminal whose alarms are visible."""
        here = events_of(self.visible)
        return [t.alarms.c.terminal_id.in_(select(t.terminals.c.id).where(*here))] if here else []

    def _shows(self, db: Connection, terminal_id: int) -> bool:
        asked = select(t.terminals.c.id).where(t.terminals.c.id == terminal_id, *at_sites(self.visible))
        return db.execute(asked).first() is not None

    # Terminals and sites

    def terminal(self, terminal_id: int) -> TerminalRow | None:
        with self.reading() as db:
            found = registry.terminals(db, t.terminals.c.id == terminal_id, *at_sites(self.visible))
        return found[0] if found else None

    def terminals(self) -> list[TerminalRow]:
        with self.reading() as db:
            return registry.terminals(db, *at_sites(self.visible))

    def terminals_page(self, **asked: Any) -> Page[TerminalRow]:
        with self.reading() as db:
            return registry.terminals_page(db, self.visible, **asked)

    def refusals(self, terminal_id: int) -> dict[str, int]:
        with self.reading() as db:
            return registry.refusals(db, terminal_id) if self._shows(db, terminal_id) else {}

    def disagreements(self, terminal_id: int) -> list[DisagreementRow]:
        with self.reading() as db:
            return registry.disagreements(db, terminal_id) if self._shows(db, terminal_id) else []

    def labels(self, ids: Iterable[int]) -> dict[int, TerminalLabel]:
        with self.reading() as db:
            return terminal_labels.places(db, ids, self.visible)

    def all_labels(self) -> list[TerminalLabel]:
        with self.reading() as db:
            return terminal_labels.all_places(db, self.visible)

    def terminals_named(self, terminal: str | int) -> list[int]:
        with self.reading() as db:
            return terminal_labels.terminals_named(db, terminal, self.visible)

    def would_move(self, terminal_id: int, site_id: int, scope: Scope) -> WouldMove:
        sites = self.visible.sites
        with self.reading() as db:
            if (sites is not None and site_id not in sites) or not self._shows(db, terminal_id):
                return WouldMove()
            return would_move(db, terminal_id, site_id, scope)

    def sites(self) -> list[SiteRow]:
        with self.reading() as db:
            return registry.sites(db, self.visible)

    def create_site(self, name: str, timezone: str, *, now_ms: int) -> SiteRow:
        with self.changing() as db:
            return registry.create_site(db, name, timezone, now_ms=now_ms)

    def update_site(
        self,
        site_id: int,
        *,
        name: str | None = None,
        timezone: str | None = None,
        versions: Versions = None,
    ) -> None:
        with self.changing() as db:
            registry.update_site(db, site_id, name=name, timezone=timezone, versions=versions)

    def receivers(self) -> list[ReceiverRow]:
        if self.visible.sites is not None:
            return []  # receivers are of no site
        with self.reading() as db:
            return receivers.rows(db)

    def forget_receiver(self, journal: bytes) -> bool:
        with self.changing() as db:
            return receivers.forget(db, journal)

    # What arrived

    def records(self, query: RecordQuery) -> Page[RecordRow]:
        with self.reading() as db:
            horizon = self.horizon(db) if query.order == "received" else 0
            return queries.records_page(db, query, self.visible, horizon=horizon)

    def count_records(self, query: RecordQuery) -> Counted:
        with self.reading() as db:
            return counting.records(db, query, self.visible)

    def count_quarantined(self, query: QuarantineQuery) -> Counted:
        with self.reading() as db:
            return counting.pushes(db, query, self.visible)

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

    def alarm_counts(self) -> AlarmCounts:
        with self.reading() as db:
            return alarms.alarm_counts(db, self.visible)

    def glance(self, since: datetime) -> dashboard.Glance:
        with self.reading() as db:
            return dashboard.glance(db, since, self.visible)

    def alarms(self, query: AlarmQuery) -> Page[AlarmRow]:
        with self.reading() as db:
            return alarms.alarms_page(db, query, self.visible)

    def alarm(self, alarm_id: int) -> AlarmRow | None:
        with self.reading() as db:
            return alarms.alarm(db, alarm_id, self.visible)

    def acknowledge_alarm(self, alarm_id: int, *, by: str, note: str, now_ms: int) -> bool:
        statement = update(t.alarms).where(t.alarms.c.id == alarm_id, *self._is_visible_alarm())
        with self.changing() as db:
            done = db.execute(
                statement.values(acknowledged_at_ms=now_ms, acknowledged_by=by, note=text(note))
            )
            return done.rowcount == 1

    def count_alarms(self, query: AlarmQuery) -> Counted:
        with self.reading() as db:
            return counting.counted(len(alarms.alarm_ids(db, query, self.visible, counting.COUNT_MOST + 1)))

    def alarms_to_acknowledge(self, query: AlarmQuery) -> ToAcknowledge:
        with self.reading() as db:
            ids = alarms.alarm_ids(db, replace(query, acknowledged=False), self.visible, MAX_ACKNOWLEDGED + 1)
        return ToAcknowledge(
            min(len(ids), MAX_ACKNOWLEDGED), max(ids, default=0), len(ids) > MAX_ACKNOWLEDGED
        )

    def acknowledge_alarms(
        self, which: AlarmQuery | Sequence[int], *, by: str, note: str, now_ms: int
    ) -> int:
        c = t.alarms.c
        values = {"acknowledged_at_ms": now_ms, "acknowledged_by": by, "note": text(note)}
        done = 0
        with self.changing() as db:
            if isinstance(which, AlarmQuery):
                asked = replace(which, acknowledged=False)
                which = alarms.alarm_ids(db, asked, self.visible, MAX_ACKNOWLEDGED + 1)
                if len(which) > MAX_ACKNOWLEDGED:
                    raise ValueError(TOO_MANY_ALARMS)
            for start in range(0, len(which), 500):
                some = c.id.in_(which[start : start + 500])
                these = [some, c.acknowledged_at_ms.is_(None), *self._is_visible_alarm()]
                done += db.execute(update(t.alarms).where(*these).values(values)).rowcount
        return done

    def close_alarm(self, alarm_id: int, *, by: str, note: str, now_ms: int) -> bool:
        c = t.alarms.c
        values = {
            "closed_at_ms": now_ms,
            "closed_by": by,
            "closed_note": text(note),
            "acknowledged_at_ms": func.coalesce(c.acknowledged_at_ms, now_ms),
            "acknowledged_by": func.coalesce(c.acknowledged_by, by),
        }
        which = [c.id == alarm_id, alarms.is_open(), *self._is_visible_alarm()]
        with self.changing() as db:
            done = db.execute(update(t.alarms).where(*which).values(values))
            return done.rowcount == 1

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

    def alarm_steps_by_id(self, ids: Sequence[int]) -> list[AlarmStepRow]:
        with self.reading() as db:
            return alarms.alarm_steps_by_id(db, ids, self.visible)

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

    def stats(self) -> Stats:
        with self.reading() as db:
            return alarms.stats(db, self.visible)

    # What did not go straight through

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


class UserStore(Questions):
    """Ask a store for a user: see :meth:`gatepost.store.interface.Store.seen_by`."""

    def __init__(self, whole: Questions, visible: Visible) -> None:
        self._whole = whole
        self.visible = visible
        self.packs = whole.packs
        self._keys = whole._keys

    def narrowed(
        self, *, sites: frozenset[int] | None = None, terminals: frozenset[int] | None = None
    ) -> "UserStore":
        """Return the store with these sites and terminals alone, as far as the user sees them; ``None`` keeps all."""
        visible = replace(
            self.visible,
            sites=_both(self.visible.sites, sites),
            terminals=_both(self.visible.terminals, terminals),
        )
        return UserStore(self._whole, visible)

    def reading(self) -> AbstractContextManager[Connection]:
        return self._whole.reading()

    def changing(self) -> AbstractContextManager[Connection]:
        return self._whole.changing()

    def horizon(self, db: Connection) -> int:
        return self._whole.horizon(db)


def _both(some: frozenset[int] | None, others: frozenset[int] | None) -> frozenset[int] | None:
    return some if others is None else others if some is None else some & others
