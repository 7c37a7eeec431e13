"""What both stores do alike: everything but writing a batch and finding an image.

A store brings two ways to a database, :meth:`BaseStore.reading` and :meth:`BaseStore.changing`; every method here
opens one of them and asks a function of ``queries``, ``registry`` or ``trouble``.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import structlog
from msgspec.structs import replace
from sqlalchemy import func, select, update
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gatepost.errors import StoreError, StoreUnavailable
from gatepost.journal.folder import Position
from gatepost.store import moving, positions, queries, receivers, registry, trouble
from gatepost.store import schema as t
from gatepost.store.again import decode_again
from gatepost.store.arrivals import text
from gatepost.store.sealing import ImageKeys, image_place, quarantine_place, sample_place
from gatepost.store.store import (
    AlarmQuery,
    AlarmRow,
    Arrival,
    FeedItem,
    NewTerminal,
    Page,
    ProcessedAgain,
    Progress,
    QuarantineQuery,
    QuarantineRow,
    ReceiverRow,
    RecordQuery,
    RecordRow,
    RefusalSample,
    RefusedPush,
    RefusedRow,
    RefusedTimes,
    SampleRow,
    SiteRow,
    Stats,
    Stored,
    TerminalRow,
)
from gatepost.wire import Alarm, Event, Record

__all__ = ["BaseStore"]

log = structlog.get_logger(__name__)

_WHOLE_QUARANTINE = QuarantineQuery()

_AWAY = ("OperationalError", "InterfaceError", "InternalError", "DatabaseError")
_OTHER_TABLES = ("ProgrammingError", "NotSupportedError")
"""Classes of errors; the latter, where a server says so, and not the driver."""


class BaseStore(ABC):
    """See :class:`gatepost.store.store.Store`."""

    writer = 0
    """Which of the receiver's processes this is, among those of one database."""

    secret: bytes

    def __init__(self, engine: Engine, keys: ImageKeys | None = None) -> None:
        """``keys``: images are encrypted with; none: they are not."""
        self._engine = engine
        self._keys = keys or ImageKeys()

    @abstractmethod
    def write(self, batch: Sequence[Arrival], progress: Progress | None = None) -> list[Stored]: ...

    @abstractmethod
    def changing(self) -> AbstractContextManager[Connection]:
        """Begin a transaction that may write."""

    @abstractmethod
    def horizon(self, db: Connection) -> int | None:
        """The id below which everything is settled: committed or never to come. ``None``: all of it is."""

    @abstractmethod
    def image_days(self) -> list[int]: ...

    @abstractmethod
    def remove_images(self, places: Sequence[tuple[int, int]]) -> int: ...

    @abstractmethod
    def drop_images(self, before_day: int, *, limit: int) -> int: ...

    @abstractmethod
    def image_at(self, day: int, image_id: int) -> bytes | None: ...

    @abstractmethod
    def image_heads(self, day: int, after: int, *, limit: int) -> list[tuple[int, bytes]]: ...

    @abstractmethod
    def replace_images(self, day: int, rows: Sequence[tuple[int, bytes]]) -> None: ...

    @abstractmethod
    def scrub(self) -> bool: ...

    @abstractmethod
    def forget_people(self) -> None: ...

    @abstractmethod
    def sizes(self) -> dict[str, int]: ...

    @abstractmethod
    def close(self) -> None: ...

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a connection that sees one state of the store until it is given back."""
        with unavailable(), self._engine.connect() as connection:
            yield connection

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

    def update_terminal(self, terminal_id: int, **values: Any) -> TerminalRow | None:
        with self.changing() as db:
            moving.note(db, terminal_id, values.get("site_id"))
            return registry.update_terminal(db, terminal_id, values)

    def terminal(self, terminal_id: int) -> TerminalRow | None:
        with self.reading() as db:
            found = registry.terminals(db, t.terminals.c.id == terminal_id)
        return found[0] if found else None

    def terminal_by_token(self, digest: bytes) -> TerminalRow | None:
        with self.reading() as db:
            found = registry.terminals(db, t.terminals.c.token_digest == digest)
        return found[0] if found else None

    def use_token(self, digest: bytes, *, now_ms: int) -> TerminalRow | None:
        with self.changing() as db:
            return registry.use_token(db, digest, now_ms=now_ms)

    def tokens(self) -> dict[bytes, int]:
        with self.reading() as db:
            return registry.tokens(db)

    def holders(self, event: Event, key: bytes, peer: str) -> list[int]:
        alarm = isinstance(event, Alarm)
        c = (t.records if isinstance(event, Record) else t.alarm_events if alarm else t.quarantine).c
        # The terminals are named so that each is one look into UNIQUE (terminal_id, key); the key has no index.
        query = select(c.terminal_id).where(
            c.terminal_id.in_(select(t.terminals.c.id)), c.key == key, c.peer == peer
        )
        with self.reading() as db:
            return [int(found) for found in db.execute(query.order_by(c.terminal_id)).scalars()]

    def terminals(self) -> list[TerminalRow]:
        with self.reading() as db:
            return registry.terminals(db)

    def peers(self) -> dict[tuple[str, int], int]:
        with self.reading() as db:
            return registry.peers(db)

    def sites(self) -> list[SiteRow]:
        with self.reading() as db:
            return registry.sites(db)

    def create_site(self, name: str, timezone: str, *, now_ms: int) -> SiteRow:
        with self.changing() as db:
            return registry.create_site(db, name, timezone, now_ms=now_ms)

    def update_site(self, site_id: int, *, name: str | None = None, timezone: str | None = None) -> None:
        with self.changing() as db:
            registry.update_site(db, site_id, name=name, timezone=timezone)

    # Receivers

    def note_receiver(self, journal: bytes, *, host: str, events: int, now_ms: int) -> None:
        with self.changing() as db:
            receivers.note(db, journal, host=host, events=events, now_ms=now_ms)

    def receivers(self) -> list[ReceiverRow]:
        with self.reading() as db:
            return receivers.rows(db)

    def forget_receiver(self, journal: bytes) -> bool:
        with self.changing() as db:
            return receivers.forget(db, journal)

    # What arrived

    def records(self, query: RecordQuery) -> Page[RecordRow]:
        with self.reading() as db:
            horizon = self.horizon(db) if query.order == "received" else None
            return queries.records_page(db, query, horizon=horizon)

    def record(self, record_id: int) -> RecordRow | None:
        with self.reading() as db:
            return queries.record(db, record_id)

    def alarms(self, query: AlarmQuery) -> Page[AlarmRow]:
        with self.reading() as db:
            return queries.alarms_page(db, query)

    def alarm(self, alarm_id: int) -> AlarmRow | None:
        with self.reading() as db:
            return queries.alarm(db, alarm_id)

    def acknowledge_alarm(self, alarm_id: int, *, by: str, note: str, now_ms: int) -> bool:
        statement = update(t.alarms).where(t.alarms.c.id == alarm_id)
        with self.changing() as db:
            done = db.execute(
                statement.values(acknowledged_at_ms=now_ms, acknowledged_by=by, note=text(note))
            )
            return done.rowcount == 1

    def close_alarm(self, alarm_id: int, *, by: str, note: str, now_ms: int) -> bool:
        c = t.alarms.c
        values = {
            "closed_at_ms": now_ms,
            "closed_by": by,
            "closed_note": text(note),
            "acknowledged_at_ms": func.coalesce(c.acknowledged_at_ms, now_ms),
            "acknowledged_by": func.coalesce(c.acknowledged_by, by),
        }
        with self.changing() as db:
            done = db.execute(update(t.alarms).where(c.id == alarm_id, queries.is_open()).values(values))
            return done.rowcount == 1

    def feed(self, after: int, limit: int = 500) -> tuple[list[FeedItem], int]:
        with self.reading() as db:
            return queries.feed(db, after, limit, horizon=self.horizon(db))

    def happened(
        self, after: int, limit: int = 100
    ) -> tuple[list[tuple[FeedItem, RecordRow | AlarmRow]], int]:
        with self.reading() as db:
            items, place = queries.feed(db, after, limit, horizon=self.horizon(db))
            return queries.rows_of(db, items), place

    def end_of_feed(self) -> int:
        with self.reading() as db:
            horizon = self.horizon(db)
            return queries.last_id(db) if horizon is None else horizon - 1

    def image(self, event_id: int) -> bytes | None:
        with self.reading() as db:
            place = queries.image_place(db, event_id)
        data = None if place is None else self.image_at(*place)
        return None if data is None or place is None else self._keys.open(data, image_place(*place))

    def opened(self, data: bytes, place: bytes) -> bytes:
        return self._keys.open(data, place)

    def stats(self) -> Stats:
        with self.reading() as db:
            return queries.stats(db)

    # What did not go straight through

    def count_refused(self, counts: Mapping[tuple[int, str], int], *, now_ms: int) -> None:
        with self.changing() as db:
            trouble.count_refused(db, counts, writer=self.writer, now_ms=now_ms)

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
            trouble.note_refused(db, pushes, sealed)

    def refused(self) -> list[RefusedRow]:
        with self.reading() as db:
            return trouble.refused(db)

    def refusal_sample(self, sample_id: int) -> SampleRow | None:
        with self.reading() as db:
            row = trouble.refusal_sample(db, sample_id)
        if row is None:
            return None
        return replace(row, content=self._keys.open(row.content, sample_place(row.peer, row.reason)))

    def drop_refusal_samples(self) -> int:
        with self.changing() as db:
            return trouble.drop_samples(db)

    def quarantined(self, query: QuarantineQuery = _WHOLE_QUARANTINE) -> Page[QuarantineRow]:
        with self.reading() as db:
            page = trouble.quarantined(db, query)
        return Page(tuple(self._opened(row) for row in page.items), page.next_cursor)

    def quarantined_by_id(self, ids: Sequence[int]) -> list[QuarantineRow]:
        with self.reading() as db:
            rows = trouble.quarantined_by_id(db, ids)
        return [self._opened(row) for row in rows]

    def _opened(self, row: QuarantineRow) -> QuarantineRow:
        original = self._keys.open(row.original, quarantine_place(row.id))
        return row if original is row.original else replace(row, original=original)

    def _sealed_quarantine(self, number: int, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """A row of :data:`~gatepost.store.arrivals.QUARANTINE_COLUMNS`, the last of which may be a picture."""
        if not self._keys:
            return row
        return (*row[:-1], self._keys.seal(row[-1], quarantine_place(number)))

    def _sealed_image(self, day: int, image_id: int, jpeg: bytes) -> bytes:
        return self._keys.seal(jpeg, image_place(day, image_id)) if self._keys else jpeg

    def discard_quarantined(self, ids: Sequence[int]) -> int:
        with self.changing() as db:
            return trouble.discard_quarantined(db, ids)

    def process_quarantined(self, ids: Sequence[int]) -> ProcessedAgain:
        # In steps: stored first, then out of the quarantine. After a crash in between it is processed once more,
        # and the key makes that a duplicate.
        stored = duplicates = unknown = 0
        for row in self.quarantined_by_id(ids):
            try:
                terminal = self.terminal(row.terminal_id)
                timezone = "UTC" if terminal is None else terminal.timezone
                arrival = decode_again(row, self.secret, timezone=timezone, pictures=not self._keys)
                new = None if arrival is None else self.write([arrival])[0].new
            except StoreError:
                raise
            except Exception as error:
                # It may be here because of a defect of ours: the others have their turn all the same.
                log.error("store.not_processed", kind=type(error).__name__, quarantine_id=row.id)
                new = None
            if new is None:
                unknown += 1
                with self.changing() as db:
                    trouble.tried_quarantined(db, [row.id])
                continue
            stored, duplicates = stored + new, duplicates + (not new)
            self.discard_quarantined([row.id])
        return ProcessedAgain(stored=stored, duplicates=duplicates, still_unknown=unknown)


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
