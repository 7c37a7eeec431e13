"""Do what both stores do alike: everything but writing a batch.

A store brings two ways to a database, :meth:`BaseStore.reading` and :meth:`BaseStore.changing`; every method here
opens one of them and asks a function of ``registry`` or ``quarantine``. What users ask is in questions/.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from msgspec.structs import replace
from sqlalchemy import Table, select
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gatepost.errors import JournalError, StoreUnavailable
from gatepost.journal.packs.packs import Packs
from gatepost.journal.places import Place
from gatepost.journal.streams import Position
from gatepost.store.forwarding import forward_feed
from gatepost.store.images import images
from gatepost.store.images.encryption import ImageKeys, sample_place
from gatepost.store.interface import (
    Arrival,
    FeedKind,
    Forwarded,
    ForwardQuery,
    NewTerminal,
    Progress,
    RefusalSample,
    RefusedPush,
    RefusedTimes,
    Stored,
    TerminalRow,
    ToForward,
    Visible,
)
from gatepost.store.people import moving
from gatepost.store.query import quarantine
from gatepost.store.questions import Questions, UserStore
from gatepost.store.receivers import receivers
from gatepost.store.schema import tables as t
from gatepost.store.terminals import registry
from gatepost.store.turns import take_turns
from gatepost.store.versions import Versions, check_version
from gatepost.store.write import positions
from gatepost.wire import Alarm, Event, Record

__all__ = ["BaseStore"]

log = structlog.get_logger(__name__)

_AWAY = ("OperationalError", "InterfaceError", "InternalError", "DatabaseError")
_OTHER_TABLES = ("ProgrammingError", "NotSupportedError")
"""Classes of errors; the latter, where a server says so, and not the driver."""


class BaseStore(Questions):
    """See :class:`gatepost.store.interface.Store`."""

    writer = 0
    """Which of the receiver's processes this is, among those of one database."""

    secret: bytes

    def __init__(self, engine: Engine, keys: ImageKeys | None, packs: Packs | None) -> None:
        """``keys``: those of images are encrypted with them. ``packs``: with the images."""
        self._engine = engine
        self._keys = keys or ImageKeys()
        self.packs = packs

    @abstractmethod
    def write(self, batch: Sequence[Arrival], progress: Progress | None = None) -> list[Stored]: ...

    @abstractmethod
    def scrub(self) -> bool: ...

    def analyze(self) -> None:
        """Do nothing: see :meth:`gatepost.store.interface.PrunableStore.analyze`."""

    @abstractmethod
    def forget_people(self) -> None: ...

    @abstractmethod
    def server_version(self) -> str: ...

    @abstractmethod
    def sizes(self) -> dict[str, int]: ...

    @abstractmethod
    def close(self) -> None: ...

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a connection that sees one state of the store until it is given back."""
        with unavailable(), self._engine.connect() as connection:
            yield connection

    def seen_by(self, visible: Visible) -> UserStore:
        return UserStore(self, visible)

    def positions(self, journal: bytes) -> dict[str, Position]:
        with self.reading() as db:
            return positions.read(db, journal)

    def forget_streams(self, journal: bytes, streams: Sequence[str]) -> None:
        if streams:
            with self.changing() as db:
                positions.forget(db, journal, streams)

    # Terminals

    def ensure_terminals(self, new: Sequence[NewTerminal]) -> list[TerminalRow]:
        try:
            with self.changing() as db:
                return registry.ensure_terminals(db, new)
        except IntegrityError as error:  # such as a site that is gone: not what these terminals are
            raise StoreUnavailable("terminals cannot be made now; run gatepost check-store") from error

    def create_terminal(self, *, now_ms: int, **values: Any) -> TerminalRow:
        with self.changing() as db:
            return registry.create_terminal(db, now_ms=now_ms, values=values)

    def update_terminal(
        self, terminal_id: int, *, versions: Versions = None, **values: Any
    ) -> TerminalRow | None:
        with self.changing() as db:
            if versions is not None:
                take_turns(db)
                for row in registry.terminals(db, t.terminals.c.id == terminal_id):
                    check_version(versions, row.version)
            moving.note(db, terminal_id, values.get("site_id"))
            return registry.update_terminal(db, terminal_id, values)

    def terminal_by_token(self, digest: bytes) -> TerminalRow | None:
        with self.reading() as db:
            found = registry.terminals(db, registry.has_token(digest))
        return found[0] if found else None

    def use_token(self, digest: bytes, *, now_ms: int) -> TerminalRow | None:
        with self.changing() as db:
            return registry.use_token(db, digest, now_ms=now_ms)

    def tokens(self) -> dict[bytes, int]:
        with self.reading() as db:
            return registry.tokens(db)

    def holders(self, event: Event, key: bytes, peer: str) -> list[int]:
        c = _table_of(event).c
        # The terminals are named so that each is one look into UNIQUE (terminal_id, key); the key has no index.
        query = select(c.terminal_id).where(
            c.terminal_id.in_(select(t.terminals.c.id)), c.key == key, c.peer == peer
        )
        with self.reading() as db:
            return [int(found) for found in db.execute(query.order_by(c.terminal_id)).scalars()]

    def peers(self) -> dict[tuple[str, int], int]:
        with self.reading() as db:
            return registry.peers(db)

    # Receivers

    def note_receiver(self, journal: bytes, *, host: str, events: int, now_ms: int) -> None:
        with self.changing() as db:
            receivers.note(db, journal, host=host, events=events, now_ms=now_ms)

    def unused(self, places: Sequence[Place]) -> list[Place]:
        with self.reading() as db:
            used = images.used(db, places)
        return [place for place in places if (place.pack, place.offset) not in used]

    def _image_bytes(self) -> int:
        """Return how many bytes the packs take that can be seen from here."""
        try:
            return 0 if self.packs is None else self.packs.disk_bytes()
        except JournalError as error:
            raise StoreUnavailable(str(error)) from error

    # What is passed on: it is read as a whole, for no user

    def to_forward(
        self, after: int, query: ForwardQuery, limit: int = 256, *, until: int | None = None
    ) -> ToForward:
        with self.reading() as db:
            end = self.horizon(db) - 1
            return forward_feed.page(db, after, end if until is None else min(end, until), query, limit)

    def to_forward_of(
        self, terminal_id: int, after: int, until: int, query: ForwardQuery, limit: int = 256
    ) -> ToForward:
        with self.reading() as db:
            return forward_feed.page_of(db, terminal_id, after, until, query, limit)

    def forwarded_again(self, kind: FeedKind, ids: Sequence[int]) -> Mapping[int, Forwarded]:
        with self.reading() as db:
            return forward_feed.rows(db, kind, ids)

    # What did not go straight through

    def count_refused(self, counts: Mapping[tuple[int, str], int], *, now_ms: int) -> None:
        with self.changing() as db:
            quarantine.count_refused(db, counts, writer=self.writer, now_ms=now_ms)

    def note_refused(
        self,
        pushes: Mapping[RefusedPush, RefusedTimes],
        samples: Mapping[tuple[str, str], RefusalSample],
    ) -> None:
        sealed = {
            place: replace(sample, content=self._keys.seal(sample.content, sample_place(*place)))
            for place, sample in samples.items()
        }
        with self.changing() as db:
            quarantine.note_refused(db, pushes, sealed)

    def drop_refusal_samples(self) -> int:
        with self.changing() as db:
            return quarantine.drop_samples(db)

    def has(self, arrival: Arrival) -> bool:
        c = _table_of(arrival.event).c
        with self.reading() as db:
            here = select(c.id).where(c.terminal_id == arrival.terminal_id, c.key == arrival.key)
            return db.execute(here).first() is not None

    def tried_quarantined(self, ids: Sequence[int]) -> None:
        with self.changing() as db:
            quarantine.tried_quarantined(db, ids)


def _table_of(event: Event) -> Table:
    if isinstance(event, Record):
        return t.records
    return t.alarm_events if isinstance(event, Alarm) else t.quarantine


@contextmanager
def unavailable() -> Iterator[None]:
    """Say of whatever a database raises when it is away, full or busy: not now.

    Also of a server whose tables are others. What a row itself does wrong (a constraint, a value that does not fit) is
    not of that kind and passes.
    """
    try:
        yield
    except IntegrityError:
        raise
    except PoolTimeout as error:
        raise StoreUnavailable("the store has too many readers at once; try again") from error
    except DBAPIError as error:
        kind = type(error).__name__
        away = kind in _AWAY or (kind in _OTHER_TABLES and getattr(error.orig, "sqlstate", None) is not None)
        if away and type(error.orig).__name__ != "ProgramLimitExceeded":
            # The first line only: a server's detail quotes values, and those are people.
            why = str(error.orig).partition("\n")[0]
            raise StoreUnavailable(f"the store cannot be used now: {why}") from error
        raise
