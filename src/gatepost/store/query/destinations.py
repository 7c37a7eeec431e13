"""Keep destinations of forwarding: what they are, how far each one is, and who sends to it.

Rules:

* A destination has a *place* for each kind of event, and a row for each event behind it that waits for another attempt
  or is a dead letter. What one misses while it is away or paused costs no row.
* What a forwarder has done is one transaction: :meth:`Destinations.commit`. So its ledger adds up at every moment:
  ``seen = filtered + delivered + waiting + dead + dropped``.
* One process sends to a destination: the one with its *lease*. Each owner has another *fence*, which stands in every
  commit: what a former owner commits late changes nothing.
* Dead letters are retried or dropped by any process, which counts it in ``changes``; a commit that has not seen this
  change is refused, and its forwarder takes the change over first.
* A replay is a destination of its own, for as long as it lasts, with an end.
* Secrets are in one column, which no backup has.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Row, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError

from gatepost.store.conversion.rows import moment, text
from gatepost.store.cursor import decode_cursor, encode_cursor
from gatepost.store.dialect import insert
from gatepost.store.interface import (
    EVERYTHING,
    FORWARD_KINDS,
    FeedKind,
    ForwardQuery,
    Page,
    SiteRow,
    Transactions,
)
from gatepost.store.query import feed, forward_feed, registry
from gatepost.store.query.accounts import folded_name
from gatepost.store.query.leases import server_ms
from gatepost.store.query.registry import Conflict
from gatepost.store.query.terminal_labels import hidden_terminals
from gatepost.store.schema import tables as t

__all__ = [
    "MAX_ATTEMPTS",
    "MAX_REPLAYS",
    "AsideRow",
    "AttemptRow",
    "Destinations",
    "DestinationRow",
    "ExceptionRow",
    "Feed",
    "Ledger",
    "Loaded",
    "PlaceRow",
    "Recount",
    "State",
    "Step",
    "Verdict",
]

MAX_LEASE_MS = 60_000
"""No lease is for longer."""

MAX_DEAD = 10_000
"""Dead letters of a destination; beyond so many the oldest are dropped."""

MAX_ATTEMPTS = 1000
"""Of a destination that are kept."""

MAX_REPLAYS = 20
"""Replays to a destination that are kept when they are over, those with dead letters apart."""

MAX_REPLY = 2048
"""Characters of what a destination said that are kept of an attempt."""

_ORDER = "exceptions"

MAX_REASON = 500
"""Characters of the reason why an event waits."""


class Ledger(Struct, frozen=True, kw_only=True):
    """Count what became of the events that a destination is to be sent: ``seen`` is the sum of the others."""

    seen: int
    filtered: int
    """Left out by its filter."""
    delivered: int
    waiting: int
    """Not settled; whether the filter leaves them out is not known of those that were not read yet."""
    dead: int
    """Refused for good: to be retried or dropped by a person."""
    dropped: int
    """Deleted by retention, older than ``max_age``, or dropped by a person."""


class PlaceRow(Struct, frozen=True, kw_only=True):
    """How far a destination is in the feed of one kind."""

    kind: FeedKind
    begin: int
    """Where it began."""
    place: int
    """Up to here everything is settled, or has a row."""
    tried: int
    """The highest id that was tried."""
    accepted: int
    """How many of this kind were accepted."""
    until: int | None = None
    """Where it ends; ``None``: never."""


class ExceptionRow(Struct, frozen=True, kw_only=True):
    """An event behind the place that waits for another attempt, or is dead. Times are in Unix milliseconds."""

    event_id: int
    kind: FeedKind
    terminal_id: int
    received_at_ms: int
    alarm_id: int | None = None
    """Of a step of an alarm."""
    is_dead: bool
    attempts: int
    refusals: int
    mark: int | None
    attempted_at_ms: int | None
    due_ms: int
    reason: str
    dead_at_ms: int | None


class AsideRow(Struct, frozen=True, kw_only=True):
    """Events of one terminal behind the place that were left aside: with ids above ``after`` and up to ``until``."""

    kind: FeedKind
    terminal_id: int
    after: int
    until: int
    events: int
    """How many there were that are not settled."""


class AttemptRow(Struct, frozen=True, kw_only=True):
    """An attempt to send."""

    at_ms: int
    took_ms: int
    event_id: int
    """The first of the events that were sent together."""
    events: int
    outcome: Literal["delivered", "refused", "unreachable", "closed"]
    status: str
    """Such as ``HTTP 503``; empty where there was none."""
    reply: str
    """What it said, shortened."""


class DestinationRow(Struct, frozen=True, kw_only=True):
    """A destination, or a replay to one."""

    id: int
    name: str
    kind: str
    config: bytes
    """JSON."""
    secrets: bytes
    """JSON; ``{}`` for none, and empty where it comes from a backup, which has none."""
    revision: int
    changes: int
    created_at: datetime
    replay_of: int | None
    rate: float | None
    """Events a second, at most."""
    span: tuple[int, int] | None
    """Of a replay: what was received in it, Unix milliseconds, from and until, exclusive."""
    finished_at: datetime | None
    paused_at: datetime | None
    closed_at: datetime | None
    closed_why: str | None
    ledger: Ledger
    dropped_why: Mapping[str, int]
    attempts: int
    delivered_at: datetime | None
    failed_at: datetime | None
    failure: str | None
    owner: str | None
    places: tuple[PlaceRow, ...]


class State(Struct, frozen=True):
    """Hold what of a destination is looked at again and again."""

    id: int
    revision: int
    changes: int
    is_finished: bool
    is_closed: bool
    """It said that it wants no more."""
    delivered: int
    is_free: bool
    """No other process has its lease."""


class Recount(Struct, frozen=True, kw_only=True):
    """Hold what is stored of a destination, and what the events say, of one moment."""

    row: DestinationRow
    """Its ledger leaves out what was not read yet."""
    counted: Mapping[FeedKind, int]
    """How many events of each kind were ever stored between where it began and its place."""
    asides: tuple[tuple[AsideRow, int], ...]
    """What is left aside, and how many events of it there are still."""
    ahead: int
    """How many of its exceptions are not behind its place."""


class Loaded(Struct, frozen=True, kw_only=True):
    """All that a forwarder has to know of its destination to go on."""

    changes: int
    steps: int
    places: tuple[PlaceRow, ...]
    exceptions: tuple[ExceptionRow, ...]
    asides: tuple[AsideRow, ...]


class Step(Struct, kw_only=True):
    """Hold what a forwarder has done since its last commit. Numbers are added to what is stored."""

    places: dict[FeedKind, tuple[int, int, int]] = {}
    """Place, highest id that was tried, and how many more were accepted."""
    seen: int = 0
    filtered: int = 0
    delivered: int = 0
    dropped: dict[str, int] = {}
    """By reason."""
    attempts: int = 0
    put: dict[int, ExceptionRow] = {}
    """Of these events the rows as they are now."""
    gone: set[int] = set()
    """These events have no row any more."""
    asides: dict[tuple[FeedKind, int], AsideRow | None] = {}
    """What is left aside now, by kind and terminal; ``None``: nothing."""
    tries: list[AttemptRow] = []
    delivered_at_ms: int | None = None
    failure: tuple[int, str] | None = None
    """When an attempt failed last, and why."""
    closed: tuple[int, str] | None = None
    """When it said that it wants no more, and what."""
    finished_at_ms: int | None = None

    @property
    def is_empty(self) -> bool:
        """Return whether there is nothing to be committed."""
        return self == Step()


class Feed(Transactions, Protocol):
    """A store of which the feed is read."""

    def horizon(self, db: Connection) -> int:
        """Return the id below which everything is settled."""


Verdict = Literal["done", "changed", "lost"]
"""``changed``: dead letters were retried or dropped since; ``lost``: another process sends, or it is deleted."""


class Destinations:
    """Every destination, on either database. Every method blocks; any thread may call it.

    Raises :class:`~gatepost.errors.StoreUnavailable`.
    """

    def __init__(self, store: Feed) -> None:
        self._store = store
        self._horizon = store.horizon
        self._backlog: dict[tuple[int, FeedKind], tuple[int, int, int]] = {}
        self._lock = threading.Lock()

    # --- by people --------------------------------------------------------------------------------------------

    def create(
        self,
        name: str,
        kind: str,
        config: bytes,
        secrets: bytes,
        *,
        now_ms: int,
        span: tuple[int, int] | None = None,
        replay_of: int | None = None,
        rate: float | None = None,
        paused: bool = False,
    ) -> DestinationRow:
        """Make a destination that is sent what arrives from now on; with ``span``: what was received in it.

        ``span``: from and until, Unix milliseconds, exclusive. Raises
        :class:`~gatepost.store.query.registry.Conflict` if the name is taken.
        """
        values: dict[str, Any] = {
            "name": text(name),
            "folded_name": folded_name(name),
            "kind": kind,
            "config": config.decode(),
            "secrets": secrets.decode(),
            "revision": 1,
            "changes": 0,
            "created_at_ms": now_ms,
            "replay_of": replay_of,
            "rate": rate,
            "since_ms": None if span is None else span[0],
            "until_ms": None if span is None else span[1],
            "paused_at_ms": now_ms if paused else None,
            **dict.fromkeys(("seen", "filtered", "delivered", "dropped", "attempts", "fence", "steps"), 0),
            "dropped_why": "{}",
            "lease_until_ms": 0,
        }
        try:
            with self._store.changing() as db:
                if span is None:
                    end = self._horizon(db) - 1
                    places: dict[FeedKind, tuple[int, int | None]] = dict.fromkeys(FORWARD_KINDS, (end, None))
                else:
                    places = {each: _span(db, each, *span) for each in FORWARD_KINDS}
                if replay_of is not None:
                    _trim_replays(db, replay_of)
                made = db.execute(t.destinations.insert().values(values).returning(t.destinations.c.id))
                number = int(made.scalar_one())
                rows = [
                    {
                        "destination_id": number,
                        "kind": each,
                        "begin_id": begin,
                        "place": begin,
                        "until_id": until,
                        "tried_id": begin,
                        "accepted": 0,
                    }
                    for each, (begin, until) in places.items()
                ]
                db.execute(t.destination_places.insert(), rows)
        except IntegrityError:
            raise Conflict(f"there is already a destination called {name}; give it another name") from None
        found = self.one(number)
        if found is None:
            raise Conflict(f"the destination {name} was deleted while it was made; make it again")
        return found

    def all(self, *, with_replays: bool = True) -> list[DestinationRow]:
        """Return every destination, by name, each followed by its replays, the latest first."""
        with self._store.reading() as db:
            found = self._rows(db)
        first = [row for row in found if row.replay_of is None]
        if not with_replays:
            return first
        replays: dict[int, list[DestinationRow]] = {}
        for row in found:
            if row.replay_of is not None:
                replays.setdefault(row.replay_of, []).insert(0, row)
        return [each for row in first for each in (row, *replays.get(row.id, ()))]

    def one(self, which: int | str) -> DestinationRow | None:
        """Return a destination by its id, or by its name."""
        c = t.destinations.c
        wanted = c.id == which if isinstance(which, int) else c.folded_name == folded_name(which)
        with self._store.reading() as db:
            found = self._rows(db, wanted)
        return found[0] if found else None

    def change(
        self,
        which: int,
        *,
        now_ms: int,
        name: str | None = None,
        config: bytes | None = None,
        secrets: bytes | None = None,
        paused: bool | None = None,
        reopen: bool = False,
    ) -> DestinationRow | None:
        """Change what is given. ``None`` if there is no such destination; raises as :meth:`create`."""
        c = t.destinations.c
        values: dict[str, Any] = {"revision": c.revision + 1}
        if name is not None:
            values |= {"name": text(name), "folded_name": folded_name(name)}
        if config is not None:
            values["config"] = config.decode()
        if secrets is not None:
            values["secrets"] = secrets.decode()
        if paused is not None:
            values["paused_at_ms"] = now_ms if paused else None
        if reopen:
            values |= {"closed_at_ms": None, "closed_why": None}
        try:
            with self._store.changing() as db:
                db.execute(update(t.destinations).where(c.id == which).values(values))
                if secrets is not None:
                    again = {"revision": c.revision + 1, "secrets": values["secrets"]}
                    db.execute(update(t.destinations).where(c.replay_of == which).values(again))
        except IntegrityError:
            raise Conflict(f"there is already a destination called {name}; give it another name") from None
        return self.one(which)

    def delete(self, which: int) -> bool:
        """Delete a destination with its replays and dead letters; False if there is none."""
        c = t.destinations.c
        with self._store.changing() as db:
            # Locked in the order in which a commit locks: first the destination, then its rows.
            mine = select(c.id).where((c.id == which) | (c.replay_of == which)).order_by(c.id)
            return bool(_delete(db, list(db.execute(mine.with_for_update()).scalars())))

    def sites(self) -> list[SiteRow]:
        """Return the sites, for filters that name one."""
        with self._store.reading() as db:
            return registry.sites(db, EVERYTHING)

    def exceptions_page(
        self, which: int, *, dead: bool, limit: int = 100, cursor: str | None = None
    ) -> Page[ExceptionRow]:
        """Return dead letters, or what waits for another attempt, by id.

        Raises :class:`~gatepost.store.cursor.BadCursor`.
        """
        c = t.destination_exceptions.c
        after = 0 if cursor is None else decode_cursor(cursor, _ORDER)[0]
        wanted = (c.destination_id == which, c.is_dead == int(dead), c.event_id > after)
        with self._store.reading() as db:
            asked = select(t.destination_exceptions).where(*wanted).order_by(c.event_id).limit(limit + 1)
            rows = [_exception(row) for row in db.execute(asked)]
        shown = tuple(rows[:limit])
        more = len(rows) > limit
        return Page(shown, encode_cursor(_ORDER, shown[-1].event_id, 0) if more else None)

    def attempts(self, which: int, limit: int = 100) -> list[AttemptRow]:
        """Return the latest attempts, the latest first. Of one commit few are kept, failed ones before others."""
        c = t.destination_attempts.c
        with self._store.reading() as db:
            wanted = select(t.destination_attempts).where(c.destination_id == which)
            rows = db.execute(wanted.order_by(c.id.desc()).limit(limit))
            return [
                AttemptRow(
                    at_ms=row.at_ms,
                    took_ms=row.took_ms,
                    event_id=row.event_id,
                    events=row.events,
                    outcome=row.outcome,
                    status=row.status,
                    reply=row.reply,
                )
                for row in rows
            ]

    def latest_serial(self, asked: Iterable[ForwardQuery | None]) -> str | None:
        """Return the serial of a terminal whose latest event fits one of these questions; the first counts."""
        with self._store.reading() as db:
            found = (forward_feed.latest_serial(db, each) for each in asked if each is not None)
            return next((serial for serial in found if serial is not None), None)

    def latest_event(self, asked: ForwardQuery) -> int | None:
        """Return the id of the latest event that fits and that a destination may be sent."""
        with self._store.reading() as db:
            found = forward_feed.latest(db, asked)
        return None if found is None else found[0]

    def oldest_waiting_ms(self, row: DestinationRow) -> int | None:
        """Return when the oldest event was received that a destination is still to be sent; ``None``: none waits.

        Of what the filter leaves out and was not read yet, it is not known that it does not wait.
        """
        if not row.ledger.waiting:
            return None
        x, a = t.destination_exceptions.c, t.destination_asides.c
        found: list[int | None] = []
        with self._store.reading() as db:
            waiting = select(func.min(x.received_at_ms)).where(x.destination_id == row.id, x.is_dead == 0)
            found.append(db.execute(waiting).scalar())
            end = self._horizon(db) - 1
            for place in row.places:
                until = end if place.until is None else min(place.until, end)
                found.append(_received(db, place.kind, place.place, until))
                first = select(t.destination_asides).where(a.destination_id == row.id, a.kind == place.kind)
                aside = db.execute(first.order_by(a.after_id).limit(1)).one_or_none()
                if aside is not None:
                    found.append(_received(db, place.kind, aside.after_id, aside.until_id, aside.terminal_id))
        return min((each for each in found if each is not None), default=None)

    def retry_dead(self, which: int, events: Sequence[int] | None = None) -> int:
        """Let dead letters wait again, all or these, as if they had never been refused; return how many."""
        c = t.destination_exceptions.c
        again = {
            "is_dead": 0,
            "refusals": 0,
            "mark": None,
            "attempted_at_ms": None,
            "due_ms": 0,
            "dead_at_ms": None,
        }
        with self._store.changing() as db:
            _lock(db, which)
            done = db.execute(
                update(t.destination_exceptions).where(*_dead_ones(c, which, events)).values(again)
            ).rowcount
            if done:
                self._changed(db, which)
                # A replay that was over goes on.
                db.execute(
                    update(t.destinations).where(t.destinations.c.id == which).values(finished_at_ms=None)
                )
        return done

    def drop_dead(self, which: int, events: Sequence[int] | None = None) -> int:
        """Give dead letters up, all or these; return how many."""
        c = t.destination_exceptions.c
        with self._store.changing() as db:
            _lock(db, which)
            done = db.execute(delete(t.destination_exceptions).where(*_dead_ones(c, which, events))).rowcount
            if done:
                self._changed(db, which)
                _drop(db, which, {"by a person": done})
        return done

    def _changed(self, db: Connection, which: int) -> None:
        c = t.destinations.c
        db.execute(update(t.destinations).where(c.id == which).values(changes=c.changes + 1))

    # --- by forwarders ----------------------------------------------------------------------------------------

    def states(self, owner: str, *, now_ms: int) -> list[State]:
        """Return what of every destination is looked at again and again, in one question."""
        c = t.destinations.c
        with self._store.reading() as db:
            now = server_ms(db, now_ms)
            asked = select(c.id, c.revision, c.changes, c.finished_at_ms, c.closed_at_ms, c.delivered)
            asked = asked.add_columns(c.owner, c.lease_until_ms)
            return [
                State(
                    id=row.id,
                    revision=row.revision,
                    changes=row.changes,
                    is_finished=row.finished_at_ms is not None,
                    is_closed=row.closed_at_ms is not None,
                    delivered=row.delivered,
                    is_free=row.owner == owner or not _is_leased(row, now),
                )
                for row in db.execute(asked.order_by(c.id))
            ]

    def some(self, which: Collection[int]) -> list[DestinationRow]:
        """Return destinations for who sends to them: their ledgers leave out what was not read yet."""
        if not which:
            return []
        with self._store.reading() as db:
            return self._rows(db, t.destinations.c.id.in_(which), counts_unread=False)

    def renew(self, owner: str, *, now_ms: int, for_ms: int) -> dict[int, int]:
        """Renew every lease of an owner; return the fence of each destination that it still has."""
        c = t.destinations.c
        with self._store.changing() as db:
            until = server_ms(db, now_ms) + for_ms
            renewed = update(t.destinations).where(c.owner == owner).values(lease_until_ms=until)
            return {row.id: int(row.fence) for row in db.execute(renewed.returning(c.id, c.fence))}

    def lease(self, which: int, owner: str, *, now_ms: int, for_ms: int) -> int | None:
        """Take or renew the lease of a destination; return the fence, ``None`` while another process has it.

        The time is that of the database's server where it has one, so that receivers need not agree on the time.
        """
        c = t.destinations.c
        with self._store.changing() as db:
            now = server_ms(db, now_ms)
            row = db.execute(
                select(c.owner, c.fence, c.lease_until_ms).where(c.id == which).with_for_update()
            ).one_or_none()
            if row is None:
                return None
            fence = int(row.fence)
            if row.owner != owner:
                if _is_leased(row, now):
                    return None
                fence += 1
            values = {"owner": owner, "fence": fence, "lease_until_ms": now + for_ms}
            db.execute(update(t.destinations).where(c.id == which).values(values))
            return fence

    def let_go(self, owner: str, which: int | None = None) -> None:
        """Give back the lease of a destination that an owner has, or every lease of it."""
        c = t.destinations.c
        mine = [c.owner == owner] if which is None else [c.owner == owner, c.id == which]
        with self._store.changing() as db:
            db.execute(update(t.destinations).where(*mine).values({"owner": None, "lease_until_ms": 0}))

    def load(self, which: int) -> Loaded | None:
        """Return what a forwarder goes on from; ``None`` if there is no such destination."""
        x, a = t.destination_exceptions.c, t.destination_asides.c
        with self._store.reading() as db:
            c = t.destinations.c
            row = db.execute(select(c.changes, c.steps).where(c.id == which)).one_or_none()
            if row is None:
                return None
            exceptions = db.execute(
                select(t.destination_exceptions).where(x.destination_id == which).order_by(x.event_id)
            )
            asides = db.execute(select(t.destination_asides).where(a.destination_id == which))
            return Loaded(
                changes=row.changes,
                steps=row.steps,
                places=_places(db, [which]).get(which, ()),
                exceptions=tuple(map(_exception, exceptions)),
                asides=tuple(map(_aside, asides)),
            )

    def horizon(self) -> tuple[int, frozenset[int]]:
        """Return the end of the feed, and the terminals that are held, both of one moment."""
        with self._store.reading() as db:
            held = hidden_terminals(db, EVERYTHING)
            return self._horizon(db) - 1, frozenset(held)

    def latest(self) -> tuple[int, frozenset[int]]:
        """Return the last event that can be read, and the terminals that are held: where both stay, nothing is new.

        The end of the feed would not do: on a server it moves with every transaction.
        """
        with self._store.reading() as db:
            end = self._horizon(db)
            ids = (t.records.c.id, t.alarm_events.c.id)
            last = [db.execute(select(func.max(c)).where(c < end)).scalar_one() or 0 for c in ids]
            return max(last), frozenset(hidden_terminals(db, EVERYTHING))

    def commit(self, which: int, fence: int, step: Step, *, changes: int, steps: int) -> Verdict:
        """Store a step, all of it or nothing. ``changes`` as they were loaded, ``steps``: how many came before it.

        To commit one again whose commit was cut off does no harm.
        """
        with self._store.changing() as db:
            c = t.destinations.c
            row = db.execute(
                select(c.fence, c.changes, c.steps, c.dropped_why).where(c.id == which).with_for_update()
            ).one_or_none()
            if row is None or row.fence != fence:
                return "lost"
            if row.steps > steps:
                return "done"
            if row.changes != changes:
                return "changed"
            db.execute(update(t.destinations).where(c.id == which).values(_sums(step, row.dropped_why)))
            p = t.destination_places.c
            for kind, (place, tried, accepted) in step.places.items():
                db.execute(
                    update(t.destination_places)
                    .where(p.destination_id == which, p.kind == kind)
                    .values(place=place, tried_id=tried, accepted=p.accepted + accepted)
                )
            _store_exceptions(db, which, step)
            if any(row.is_dead for row in step.put.values()):
                _trim_dead(db, which)
            _store_asides(db, which, step)
            _store_attempts(db, which, step.tries)
        return "done"

    def recount(self, which: int) -> Recount | None:
        """Count the events that a destination has seen; it reads all of them. ``None`` if there is none."""
        c, x, a = t.destinations.c, t.destination_exceptions.c, t.destination_asides.c
        with self._store.reading() as db:
            rows = self._rows(db, c.id == which, counts_unread=False)
            if not rows:
                return None
            (row,) = rows
            asides = [
                _aside(one)
                for one in db.execute(select(t.destination_asides).where(a.destination_id == which))
            ]
            beyond = or_(*((x.kind == place.kind) & (x.event_id > place.place) for place in row.places))
            ahead = select(func.count()).where(x.destination_id == which, beyond)
            return Recount(
                row=row,
                counted={
                    place.kind: _count(db, place.kind, place.begin, place.place) for place in row.places
                },
                asides=tuple((one, _there(db, one)) for one in asides),
                ahead=int(db.execute(ahead).scalar_one()),
            )

    # --- within -----------------------------------------------------------------------------------------------

    def _rows(self, db: Connection, *where: Any, counts_unread: bool = True) -> list[DestinationRow]:
        c, x, a = t.destinations.c, t.destination_exceptions.c, t.destination_asides.c
        rows = db.execute(select(t.destinations).where(*where).order_by(c.folded_name, c.id)).all()
        numbers = [row.id for row in rows]
        counted: dict[int, dict[int, int]] = {}
        for row in db.execute(
            select(x.destination_id, x.is_dead, func.count().label("events"))
            .where(x.destination_id.in_(numbers))
            .group_by(x.destination_id, x.is_dead)
        ):
            counted.setdefault(row.destination_id, {})[row.is_dead] = row.events
        aside = {
            row.destination_id: int(row.events)
            for row in db.execute(
                select(a.destination_id, func.sum(a.events).label("events"))
                .where(a.destination_id.in_(numbers))
                .group_by(a.destination_id)
            )
        }
        places, end = _places(db, numbers), self._horizon(db) - 1
        found = []
        for row in rows:
            mine = places.get(row.id, ())
            unread = sum(self._unread(db, row.id, place, end) for place in mine) if counts_unread else 0
            waiting = counted.get(row.id, {}).get(0, 0) + aside.get(row.id, 0)
            ledger = Ledger(
                seen=row.seen + unread,
                filtered=row.filtered,
                delivered=row.delivered,
                waiting=waiting + unread,
                dead=counted.get(row.id, {}).get(1, 0),
                dropped=row.dropped,
            )
            found.append(_destination(row, ledger, mine))
        with self._lock:
            if not where:
                self._backlog = {key: kept for key, kept in self._backlog.items() if key[0] in places}
        return found

    def _unread(self, db: Connection, which: int, row: PlaceRow, end: int) -> int:
        """Return how many events of a kind lie behind a place. What was counted once is not counted again."""
        if row.until is not None:
            end = min(end, row.until)
        if end <= row.place:
            return 0
        key = (which, row.kind)
        with self._lock:
            place, last, events = self._backlog.get(key, (row.place, row.place, 0))
        if not place <= row.place <= last <= end:
            place, last, events = row.place, row.place, 0
        events += _count(db, row.kind, last, end) - _count(db, row.kind, place, row.place)
        with self._lock:
            self._backlog[key] = (row.place, end, events)
        return events


_OF_ONE = (
    t.destination_places,
    t.destination_exceptions,
    t.destination_asides,
    t.destination_attempts,
)


def _delete(db: Connection, gone: Collection[int]) -> int:
    """Delete destinations and all that is of them; return how many there were."""
    c = t.destinations.c
    for table in _OF_ONE:
        db.execute(delete(table).where(table.c.destination_id.in_(gone)))
    db.execute(delete(t.destinations).where(c.replay_of.in_(gone)))
    return db.execute(delete(t.destinations).where(c.id.in_(gone))).rowcount


def _trim_replays(db: Connection, which: int) -> None:
    """Delete the oldest replays to a destination that are over, but none with dead letters to be decided about."""
    c, x = t.destinations.c, t.destination_exceptions.c
    dead = select(x.destination_id).where(x.is_dead == 1)
    over = select(c.id).where(c.replay_of == which, c.finished_at_ms.is_not(None), c.id.not_in(dead))
    oldest = over.order_by(c.id.desc()).offset(MAX_REPLAYS).with_for_update()
    _delete(db, list(db.execute(oldest).scalars()))


def _columns(kind: FeedKind) -> tuple[Any, Any]:
    """Return the columns of the table of a kind, and the one that tells when an event was received."""
    if kind == "notice":
        return t.notices.c, t.notices.c.at_ms
    c = (t.records if kind == "record" else t.alarm_events).c
    return c, c.received_at_ms


def _span(db: Connection, kind: FeedKind, since_ms: int, until_ms: int) -> tuple[int, int]:
    """Return the places between which all events of a kind lie that were received in a span."""
    c, at_ms = _columns(kind)
    inside = (at_ms >= since_ms, at_ms < until_ms)
    first, last = db.execute(select(func.min(c.id), func.max(c.id)).where(*inside)).one()
    return (0, 0) if first is None else (int(first) - 1, int(last))


def _received(
    db: Connection, kind: FeedKind, after: int, until: int, terminal_id: int | None = None
) -> int | None:
    """Return when the first event with an id above ``after`` and up to ``until`` was received."""
    c, at_ms = _columns(kind)
    asked = select(at_ms).where(c.id > after, c.id <= until)
    if terminal_id is not None:
        asked = asked.where(c.terminal_id == terminal_id)
    return db.execute(asked.order_by(c.id).limit(1)).scalar()


def _count(db: Connection, kind: FeedKind, after: int, until: int) -> int:
    """Return how many events of a kind were ever stored with ids above ``after`` and up to ``until``."""
    if until <= after:
        return 0
    c, _ = _columns(kind)
    there = db.execute(select(func.count()).where(c.id > after, c.id <= until)).scalar_one()
    return int(there) + feed.deleted(db, after, until, (kind,)).get(kind, 0)


def _there(db: Connection, row: AsideRow) -> int:
    c = (t.records if row.kind == "record" else t.alarm_events).c
    mine = (c.terminal_id == row.terminal_id, c.id > row.after, c.id <= row.until)
    return int(db.execute(select(func.count()).where(*mine)).scalar_one())


def _aside(row: Row[Any]) -> AsideRow:
    return AsideRow(
        kind=row.kind,
        terminal_id=row.terminal_id,
        after=row.after_id,
        until=row.until_id,
        events=row.events,
    )


def _is_leased(row: Any, now_ms: int) -> bool:
    """Return whether an owner has its lease; one that lasts longer than any is from before the clock was set back."""
    return row.owner is not None and now_ms < row.lease_until_ms <= now_ms + MAX_LEASE_MS


def _places(db: Connection, numbers: Sequence[int]) -> dict[int, tuple[PlaceRow, ...]]:
    c = t.destination_places.c
    found: dict[int, tuple[PlaceRow, ...]] = {}
    for row in db.execute(
        select(t.destination_places).where(c.destination_id.in_(numbers)).order_by(c.destination_id, c.kind)
    ):
        place = PlaceRow(
            kind=row.kind,
            begin=row.begin_id,
            place=row.place,
            until=row.until_id,
            tried=row.tried_id,
            accepted=row.accepted,
        )
        found[row.destination_id] = (*found.get(row.destination_id, ()), place)
    return found


def _lock(db: Connection, which: int) -> None:
    c = t.destinations.c
    db.execute(select(c.id).where(c.id == which).with_for_update())


def _dead_ones(c: Any, which: int, events: Sequence[int] | None) -> list[Any]:
    wanted = [c.destination_id == which, c.is_dead == 1]
    return wanted if events is None else [*wanted, c.event_id.in_(events)]


def _drop(db: Connection, which: int, dropped: Mapping[str, int]) -> None:
    c = t.destinations.c
    before = db.execute(select(c.dropped_why).where(c.id == which).with_for_update()).scalar_one()
    values = {"dropped": c.dropped + sum(dropped.values()), "dropped_why": _added(before, dropped)}
    db.execute(update(t.destinations).where(c.id == which).values(values))


def _added(before: str, more: Mapping[str, int]) -> str:
    sums: dict[str, int] = msgspec.json.decode(before)
    for reason, events in more.items():
        sums[reason] = sums.get(reason, 0) + events
    return msgspec.json.encode(sums).decode()


def _sums(step: Step, dropped_why: str) -> dict[str, Any]:
    c = t.destinations.c
    values: dict[str, Any] = {
        "seen": c.seen + step.seen,
        "filtered": c.filtered + step.filtered,
        "delivered": c.delivered + step.delivered,
        "dropped": c.dropped + sum(step.dropped.values()),
        "attempts": c.attempts + step.attempts,
        "steps": c.steps + 1,
    }
    if step.dropped:
        values["dropped_why"] = _added(dropped_why, step.dropped)
    if step.delivered_at_ms is not None:
        values["delivered_at_ms"] = step.delivered_at_ms
    if step.failure is not None:
        values |= {"failed_at_ms": step.failure[0], "failure": text(step.failure[1])[:MAX_REASON]}
    if step.closed is not None:
        values |= {"closed_at_ms": step.closed[0], "closed_why": text(step.closed[1])[:MAX_REASON]}
    if step.finished_at_ms is not None:
        values["finished_at_ms"] = step.finished_at_ms
    return values


def _store_exceptions(db: Connection, which: int, step: Step) -> None:
    c = t.destination_exceptions.c
    touched = sorted(step.gone | step.put.keys())
    for start in range(0, len(touched), 500):
        some = touched[start : start + 500]
        db.execute(delete(t.destination_exceptions).where(c.destination_id == which, c.event_id.in_(some)))
    rows = [
        {
            "destination_id": which,
            **msgspec.structs.asdict(row),
            "is_dead": int(row.is_dead),
            "reason": text(row.reason)[:MAX_REASON],
        }
        for _, row in sorted(step.put.items())
    ]
    if rows:
        db.execute(t.destination_exceptions.insert(), rows)


def _trim_dead(db: Connection, which: int) -> None:
    """Drop the oldest dead letters beyond :data:`MAX_DEAD`, as a person would: counted, and told to who sends."""
    c = t.destination_exceptions.c
    dead = (c.destination_id == which, c.is_dead == 1)
    many = int(db.execute(select(func.count()).where(*dead)).scalar_one())
    if many <= MAX_DEAD:
        return
    # Some more than has to be: who sends reads all of them anew after it.
    excess = many - MAX_DEAD + MAX_DEAD // 10
    oldest = select(c.event_id).where(*dead).order_by(c.event_id).offset(excess - 1).limit(1)
    edge = db.execute(oldest).scalar_one()
    gone = db.execute(delete(t.destination_exceptions).where(*dead, c.event_id <= edge)).rowcount
    _drop(db, which, {f"more than {MAX_DEAD:,} dead letters": gone})
    d = t.destinations.c
    db.execute(update(t.destinations).where(d.id == which).values(changes=d.changes + 1))


def _store_asides(db: Connection, which: int, step: Step) -> None:
    c = t.destination_asides.c
    for (kind, terminal_id), row in step.asides.items():
        mine = (c.destination_id == which, c.kind == kind, c.terminal_id == terminal_id)
        if row is None:
            db.execute(delete(t.destination_asides).where(*mine))
            continue
        told = {"after_id": row.after, "until_id": row.until, "events": row.events}
        statement = insert(db, t.destination_asides).values(
            destination_id=which, kind=kind, terminal_id=terminal_id, **told
        )
        db.execute(
            statement.on_conflict_do_update(
                index_elements=["destination_id", "kind", "terminal_id"], set_=told
            )
        )


def _store_attempts(db: Connection, which: int, tries: Iterable[AttemptRow]) -> None:
    rows = [
        {
            "destination_id": which,
            **msgspec.structs.asdict(row),
            "status": text(row.status)[:MAX_REASON],
            "reply": text(row.reply)[:MAX_REPLY],
        }
        for row in tries
    ]
    if not rows:
        return
    db.execute(t.destination_attempts.insert(), rows)
    c = t.destination_attempts.c
    mine = c.destination_id == which
    oldest = select(c.id).where(mine).order_by(c.id.desc()).offset(MAX_ATTEMPTS - 1).limit(1)
    edge = db.execute(oldest).scalar_one_or_none()
    if edge is not None:
        db.execute(delete(t.destination_attempts).where(mine, c.id < edge))


def _exception(row: Row[Any]) -> ExceptionRow:
    return ExceptionRow(
        event_id=row.event_id,
        kind=row.kind,
        terminal_id=row.terminal_id,
        received_at_ms=row.received_at_ms,
        alarm_id=row.alarm_id,
        is_dead=bool(row.is_dead),
        attempts=row.attempts,
        refusals=row.refusals,
        mark=row.mark,
        attempted_at_ms=row.attempted_at_ms,
        due_ms=row.due_ms,
        reason=row.reason,
        dead_at_ms=row.dead_at_ms,
    )


def _destination(row: Row[Any], ledger: Ledger, places: tuple[PlaceRow, ...]) -> DestinationRow:
    return DestinationRow(
        id=row.id,
        name=row.name,
        kind=row.kind,
        config=row.config.encode(),
        secrets=(row.secrets or "").encode(),
        revision=row.revision,
        changes=row.changes,
        created_at=moment(row.created_at_ms),
        replay_of=row.replay_of,
        rate=row.rate,
        span=None if row.since_ms is None else (row.since_ms, row.until_ms),
        finished_at=moment(row.finished_at_ms),
        paused_at=moment(row.paused_at_ms),
        closed_at=moment(row.closed_at_ms),
        closed_why=row.closed_why,
        ledger=ledger,
        dropped_why=msgspec.json.decode(row.dropped_why),
        attempts=row.attempts,
        delivered_at=moment(row.delivered_at_ms),
        failed_at=moment(row.failed_at_ms),
        failure=row.failure,
        owner=row.owner,
        places=places,
    )
