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

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection, func, select, update
from sqlalchemy.exc import IntegrityError

from gatepost.store.accounts.names import folded_name
from gatepost.store.conversion.values import text
from gatepost.store.cursor import decode_cursor, encode_cursor
from gatepost.store.forwarding import destination_leases, destination_steps, forward_feed
from gatepost.store.forwarding.destination_ledgers import Ledgers
from gatepost.store.forwarding.destination_rows import (
    NEW_COUNTS,
    AsideRow,
    AttemptRow,
    DestinationRow,
    ExceptionRow,
    Ledger,
    Loaded,
    PlaceRow,
    Recount,
    State,
    Step,
    aside_of,
    attempt_of,
    exception_of,
    places_of,
    version_of_destination,
)
from gatepost.store.forwarding.destination_steps import MAX_ATTEMPTS, Verdict
from gatepost.store.forwarding.feed_counts import span_of
from gatepost.store.forwarding.gone_destinations import delete_destinations, trim_replays
from gatepost.store.interface import (
    EVERYTHING,
    FORWARD_KINDS,
    FeedKind,
    ForwardQuery,
    Page,
    SiteRow,
    Transactions,
)
from gatepost.store.schema import tables as t
from gatepost.store.terminals import registry
from gatepost.store.terminals.registry import Conflict
from gatepost.store.terminals.terminal_labels import hidden_terminals
from gatepost.store.turns import take_turns
from gatepost.store.versions import Versions, check_version

__all__ = [
    "MAX_ATTEMPTS",
    "AsideRow",
    "AttemptRow",
    "DestinationRow",
    "Destinations",
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

_ORDER = "exceptions"


class Feed(Transactions, Protocol):
    """A store of which the feed is read."""

    def horizon(self, db: Connection) -> int:
        """Return the id below which everything is settled."""


class Destinations:
    """Every destination, on either database. Every method blocks; any thread may call it.

    Raises :class:`~gatepost.errors.StoreUnavailable`.
    """

    def __init__(self, store: Feed) -> None:
        self._store = store
        self._horizon = store.horizon
        self._ledgers = Ledgers(store.horizon)

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
        :class:`~gatepost.store.terminals.registry.Conflict` if the name is taken.
        """
        values: dict[str, Any] = {
            "name": text(name),
            "folded_name": folded_name(name),
            "kind": kind,
            "config": config.decode(),
            "secrets": secrets.decode(),
            "created_at_ms": now_ms,
            "replay_of": replay_of,
            "rate": rate,
            "since_ms": None if span is None else span[0],
            "until_ms": None if span is None else span[1],
            "paused_at_ms": now_ms if paused else None,
            **NEW_COUNTS,
        }
        try:
            with self._store.changing() as db:
                begins = self._begins(db, span)
                if replay_of is not None:
                    trim_replays(db, replay_of)
                made = db.execute(t.destinations.insert().values(values).returning(t.destinations.c.id))
                number = int(made.scalar_one())
                db.execute(
                    t.destination_places.insert(), [{"destination_id": number, **row} for row in begins]
                )
        except IntegrityError:
            raise Conflict(f"there is already a destination called {name}; give it another name") from None
        found = self.one(number)
        if found is None:
            raise Conflict(f"the destination {name} was deleted while it was made; make it again")
        return found

    def _begins(self, db: Connection, span: tuple[int, int] | None) -> list[dict[str, Any]]:
        """Return the places from which on a new destination is sent something, and up to where, by kind."""
        places: dict[FeedKind, tuple[int, int | None]]
        if span is None:
            places = dict.fromkeys(FORWARD_KINDS, (self._horizon(db) - 1, None))
        else:
            places = {each: span_of(db, each, *span) for each in FORWARD_KINDS}
        return [
            {
                "kind": each,
                "begin_id": begin,
                "place": begin,
                "until_id": until,
                "tried_id": begin,
                "accepted": 0,
            }
            for each, (begin, until) in places.items()
        ]

    def all(self, *, with_replays: bool = True) -> list[DestinationRow]:
        """Return every destination, by name, each followed by its replays, the latest first."""
        with self._store.reading() as db:
            found = self._ledgers.rows(db)
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
            found = self._ledgers.rows(db, wanted)
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
        versions: Versions = None,
    ) -> DestinationRow | None:
        """Change what is given. ``None`` if there is no such destination.

        Raises as :meth:`create`, and :class:`~gatepost.store.versions.ChangedMeanwhile` where its version is none of
        ``versions``.
        """
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
                take_turns(db)
                found = db.execute(select(c.name, c.config).where(c.id == which)).one_or_none()
                if found is not None:
                    check_version(versions, version_of_destination(found.name, found.config))
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
            return bool(delete_destinations(db, list(db.execute(mine.with_for_update()).scalars())))

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
            rows = [exception_of(row) for row in db.execute(asked)]
        shown = tuple(rows[:limit])
        more = len(rows) > limit
        return Page(shown, encode_cursor(_ORDER, shown[-1].event_id, 0) if more else None)

    def attempts(self, which: int, limit: int = 100) -> list[AttemptRow]:
        """Return the latest attempts, the latest first. Of one commit few are kept, failed ones before others."""
        c = t.destination_attempts.c
        with self._store.reading() as db:
            wanted = select(t.destination_attempts).where(c.destination_id == which)
            rows = db.execute(wanted.order_by(c.id.desc()).limit(limit))
            return [attempt_of(row) for row in rows]

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

    def retry_dead(self, which: int, events: Sequence[int] | None = None) -> int:
        """Let dead letters wait again, all or these, as if they had never been refused; return how many."""
        with self._store.changing() as db:
            return destination_steps.retry_dead(db, which, events)

    def drop_dead(self, which: int, events: Sequence[int] | None = None) -> int:
        """Give dead letters up, all or these; return how many."""
        with self._store.changing() as db:
            return destination_steps.drop_dead(db, which, events)

    def oldest_waiting_ms(self, row: DestinationRow) -> int | None:
        """See :meth:`~gatepost.store.forwarding.destination_ledgers.Ledgers.oldest_waiting_ms`."""
        with self._store.reading() as db:
            return self._ledgers.oldest_waiting_ms(db, row)

    # --- by forwarders ----------------------------------------------------------------------------------------

    def states(self, owner: str, *, now_ms: int) -> list[State]:
        """Return what of every destination is looked at again and again, in one question."""
        with self._store.reading() as db:
            return destination_leases.states(db, owner, now_ms=now_ms)

    def renew(self, owner: str, *, now_ms: int, for_ms: int) -> dict[int, int]:
        """Renew every lease of an owner; return the fence of each destination that it still has."""
        with self._store.changing() as db:
            return destination_leases.renew(db, owner, now_ms=now_ms, for_ms=for_ms)

    def lease(self, which: int, owner: str, *, now_ms: int, for_ms: int) -> int | None:
        """Take or renew the lease of a destination; return the fence, ``None`` while another process has it."""
        with self._store.changing() as db:
            return destination_leases.lease(db, which, owner, now_ms=now_ms, for_ms=for_ms)

    def let_go(self, owner: str, which: int | None = None) -> None:
        """Give back the lease of a destination that an owner has, or every lease of it."""
        with self._store.changing() as db:
            destination_leases.let_go(db, owner, which)

    def commit(self, which: int, fence: int, step: Step, *, changes: int, steps: int) -> Verdict:
        """Store a step, all of it or nothing. ``changes`` as they were loaded, ``steps``: how many came before it.

        To commit one again whose commit was cut off does no harm.
        """
        with self._store.changing() as db:
            return destination_steps.commit(db, which, fence, step, changes=changes, steps=steps)

    def some(self, which: Collection[int]) -> list[DestinationRow]:
        """Return destinations for who sends to them: their ledgers leave out what was not read yet."""
        if not which:
            return []
        with self._store.reading() as db:
            return self._ledgers.rows(db, t.destinations.c.id.in_(which), counts_unread=False)

    def load(self, which: int) -> Loaded | None:
        """Return what a forwarder goes on from; ``None`` if there is no such destination."""
        x, a = t.destination_exceptions.c, t.destination_asides.c
        with self._store.reading() as db:
            c = t.destinations.c
            row = db.execute(select(c.changes, c.steps, c.is_away).where(c.id == which)).one_or_none()
            if row is None:
                return None
            exceptions = db.execute(
                select(t.destination_exceptions).where(x.destination_id == which).order_by(x.event_id)
            )
            asides = db.execute(select(t.destination_asides).where(a.destination_id == which))
            return Loaded(
                changes=row.changes,
                steps=row.steps,
                is_away=bool(row.is_away),
                places=places_of(db, [which]).get(which, ()),
                exceptions=tuple(map(exception_of, exceptions)),
                asides=tuple(map(aside_of, asides)),
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

    def recount(self, which: int) -> Recount | None:
        """Count the events that a destination has seen; it reads all of them. ``None`` if there is none."""
        with self._store.reading() as db:
            return self._ledgers.recount(db, which)
