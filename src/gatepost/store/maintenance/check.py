"""``gatepost check-store``: does the store keep its promises, and if not, what is to be done?

It reads everything once and changes nothing, while the receiver runs. Only what is in packs without an event is not
told then: images leave the rows first, and the packs later. With ``repair`` it also mends what can be mended,
and then wants a data folder for itself.

Flow: pack by pack, what events have in it is read, and what is between them is looked at → what waits in the journal.
Memory does not grow with the store.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, nullcontext, suppress
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import astuple
from sqlalchemy import bindparam, exists, select, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from gatepost.errors import JournalCorrupt, JournalGone
from gatepost.journal.folder import Folder
from gatepost.journal.format import HEADER_BYTES, KEY_BYTES
from gatepost.journal.packs.packs import Packs
from gatepost.journal.places import Place
from gatepost.journal.reader import Reader
from gatepost.journal.streams import START, Position
from gatepost.store.base import BaseStore, unavailable
from gatepost.store.images import images
from gatepost.store.images.images import IMAGE, by_pack
from gatepost.store.maintenance.findings import EXAMPLES, Finding, Findings, Report
from gatepost.store.maintenance.snapshot import Source, open_source
from gatepost.store.people import moving
from gatepost.store.schema import tables as t
from gatepost.store.sqlite import data_folder as data
from gatepost.store.write import positions
from gatepost.store.write.set_aside import DAMAGED, DOUBTFUL, UNLISTED, SetAside
from gatepost.wire import media_type

__all__ = [
    "check",
]

_BODIES, _BODIES_BYTES = 10_000, 4 * 1024 * 1024
"""Events of the journal that are read at once."""


def check(
    folder: Path | None, database: str = "", *, repair: bool = False, now: Callable[[], float] = time.time
) -> Report:
    """Look through a store, and the journal in its folder.

    ``folder`` may be left out where there is a ``database``; then no journal is looked at. Raises
    :class:`~gatepost.errors.StoreError` where there is no store that can be read, and ``JournalError``.

    What no event has is looked for in the data folder alone, and of an archive only whole packs are told: an event of
    another receiver may have an image that is not listed yet. ``now`` returns Unix seconds.

    ``repair`` lists events without images that are lost, deletes images that no event has, and completes moves of
    terminals.
    """
    repaired = 0
    today = datetime.fromtimestamp(now(), UTC).date()
    with data.held(folder or Path()) if repair and not database else nullcontext():
        search = _search(folder, database, today)
        if repair:
            repaired = search.forget_lost(folder, database)
            # Where an image was lost, bytes of it may be left in its pack.
            last = _search(folder, database, today) if repaired else search
            if last.give_back(folder):
                repaired += len(search.orphans)
    if repair and search.misplaced:
        repaired += _complete_moves(folder, database)
    return Report(
        where=search.where,
        events=search.events,
        images=search.images,
        findings=tuple(finding for finding in search.findings() if finding.count),
        repaired=repaired,
    )


def _search(folder: Path | None, database: str, today: date) -> "_Search":
    journal = None if folder is None else Folder.find(folder / data.JOURNAL)
    search = _Search(is_only=not database, today=today)
    with open_source(folder, database) as source:
        search.where = source.where
        search.run(source)
    if journal is not None and not search.is_damaged:
        # Pinned, so that no segment is deleted between the look at the positions and that at the segments.
        with journal.pinned(), open_source(folder, database) as source:
            search.run_journal(source, journal)
    if search.is_unsettled:
        # What was listed or deleted between a look at the events and one at a pack is as it should be.
        with open_source(folder, database) as source:
            search.settle(source)
    return search


class _Part(Struct, frozen=True):
    """A part of an event that is not to be had."""

    event_id: int
    part: int
    pack: str
    offset: int
    is_elsewhere: bool
    """It may be in the data folder of another receiver."""

    def is_in(self, db: Connection) -> bool:
        """Return whether the event has it still."""
        c = t.images.c
        mine = (c.event_id == self.event_id) & (c.part == self.part) & (c.byte_offset == self.offset)
        pack = exists().where(t.packs.c.id == c.pack_id, t.packs.c.name == self.pack)
        return db.execute(select(c.event_id).where(mine, pack)).first() is not None


def _has_reached(journal: Folder, places: Mapping[str, Position], ends: Mapping[str, Position]) -> bool:
    """Return whether all is read that was there at first: a journal that is written to may have no end."""
    there = {stream.name for stream in journal.streams()}
    return not any(name in there and places.get(name, START).is_before(end) for name, end in ends.items())


class _Search:
    def __init__(self, *, is_only: bool, today: date) -> None:
        """``is_only``: no other receiver writes to this store, so a pack that is not here is lost."""
        self._today = today
        self._is_only = is_only
        self.where = ""
        self.events = self.images = 0
        self._missing: list[_Part] = []
        """What is not whole, or not here."""
        self.orphans: list[Place] = []
        """Stretches of packs that no event has."""
        self._found = Findings()

    @property
    def is_damaged(self) -> bool:
        """Return whether a file of the store is damaged."""
        return self._found.damaged.count > 0

    @property
    def is_unsettled(self) -> bool:
        """Return whether something was found that :meth:`settle` has to look at."""
        return bool(self._missing or self.orphans)

    @property
    def misplaced(self) -> bool:
        """Return whether a move of a terminal is not completed."""
        return self._found.misplaced.count > 0

    def findings(self) -> tuple[Finding, ...]:
        for one in self._missing:
            if not one.is_elsewhere:
                self._found.lost.add(f"event {one.event_id}")
        for name in sorted({one.pack for one in self._missing if one.is_elsewhere}):
            self._found.elsewhere.add(name)
        for orphan in self.orphans:
            self._found.orphans.add(f"{orphan.pack}, byte {orphan.offset}")
        return astuple(self._found)

    def run_journal(self, source: Source, journal: Folder) -> None:
        """Look at what was set aside, and read what is not listed yet."""
        files = SetAside(journal.path, journal.files)
        for path in files.list(UNLISTED):
            self._found.unlisted.add(path.name)
        for path in files.list(DAMAGED):
            with suppress(FileNotFoundError):  # its time is over just now
                (self._found.gap if path.stat().st_size else self._found.gone).add(path.name)
        waiting = self._found.unlisted.count + len(files.list(DOUBTFUL))
        streams = journal.streams()
        ends = {stream.name: stream.published for stream in streams}
        is_running = any(stream.is_alive for stream in streams)
        reached = positions.read(source.db, journal.id)
        with closing(Reader(journal, reached)) as reader:
            while True:
                batch = reader.read(max_bodies=_BODIES, max_bytes=_BODIES_BYTES)
                waiting += len(batch.bodies) + len(batch.waiting)
                for damage in batch.damages:
                    (self._found.gone if damage.is_gone else self._found.gap).add(
                        f"{damage.stream}, segment {damage.segment}, byte {damage.start}: {damage.why}"
                    )
                reached = {**reached, **batch.positions}
                if not batch.positions or (is_running and _has_reached(journal, reached, ends)):
                    break
        for why in batch.waiting.values():
            self._found.waiting.add(str(why))
        if waiting or is_running or any(stream.is_alive for stream in journal.streams()):
            # They may be images of events that are not listed yet; or their bytes are about to go.
            self.orphans.clear()

    def run(self, source: Source) -> None:
        if source.dialect == "sqlite" and not self._is_sound(source.db):
            return
        self._found.misplaced.count = moving.count_misplaced(source.db)
        names = set()
        rows = source.db.execute(by_pack().execution_options(stream_results=True, max_row_buffer=1000))
        for name, in_pack in groupby(rows, key=lambda row: str(row.name)):
            names.add(name)
            with nullcontext() if source.packs is None else source.packs.read_through(name):
                self._look(source.packs, name, in_pack)
        if source.packs is not None:
            for pack in source.packs.all():
                if pack.name in names:
                    continue
                if source.packs.is_here(pack.name):
                    self._look(source.packs, pack.name, ())
                elif pack.day < self._today - timedelta(days=1):
                    self._found.unused.add(pack.name)

    def _look(self, packs: Packs | None, name: str, rows: Iterable[Any]) -> None:
        """Look at what events have in a pack, and for what none has."""
        size = None if packs is None else packs.size(name)
        if packs is None or size is None:
            for row in rows:
                self._miss(row, is_elsewhere=not self._is_only)
            return
        end = HEADER_BYTES
        gaps = []
        for row in rows:
            place = Place(name, row.byte_offset, row.length, row.key)
            gaps.append(Place(name, end, place.offset - end, b""))
            end = max(end, place.offset + place.length)
            self._read(packs, place, row)
        gaps.append(Place(name, end, size - end, b""))
        if packs.is_here(name) and not packs.is_written(
            name
        ):  # else there may be images of events that are not listed yet
            self.orphans += filter(packs.has, gaps)

    def _read(self, packs: Packs, place: Place, row: Any) -> None:
        if len(place.key) != KEY_BYTES:  # encrypted: it can only be told whether something is there
            is_whole = packs.has(place)
        else:
            try:
                image = packs.read(place)
                is_whole = True
                if row.part == IMAGE and media_type(image) is None:
                    self._found.no_image.add(f"event {row.event_id}")
            except (JournalGone, JournalCorrupt):
                is_whole = False
        if is_whole:
            self.events += 1
            self.images += 1
        else:
            self._miss(row)

    def _miss(self, row: Any, *, is_elsewhere: bool = False) -> None:
        self.events += 1
        self._missing.append(_Part(row.event_id, row.part, row.name, row.byte_offset, is_elsewhere))

    def _is_sound(self, db: Connection) -> bool:
        try:
            for (line,) in db.execute(text("PRAGMA quick_check(5)")):
                if line != "ok":
                    self._found.damaged.add(f"{data.DATABASE}: {line}")
            for row in db.execute(text("PRAGMA foreign_key_check")).fetchmany(EXAMPLES):
                self._found.damaged.add(
                    f"{data.DATABASE}: {row[0]} {row[1]} refers to {row[2]} that is not there"
                )
        except DBAPIError as error:
            self._found.damaged.add(f"{data.DATABASE}: {error.orig}")
        return not self._found.damaged.count

    def settle(self, source: Source) -> None:
        """Leave out what was listed or deleted since."""
        found = [one for one in self._missing if one.is_in(source.db)]
        self.events -= len(self._missing) - len(found)
        self._missing = found
        c = t.images.c
        pack = select(t.packs.c.id).where(t.packs.c.name == bindparam("name")).scalar_subquery()
        inside = select(c.event_id).where(
            c.pack_id == pack, c.byte_offset >= bindparam("first"), c.byte_offset < bindparam("end")
        )
        self.orphans = [
            one
            for one in self.orphans
            if source.packs is not None
            and source.packs.has(one)
            and not source.db.execute(
                inside.limit(1), {"name": one.pack, "first": one.offset, "end": one.offset + one.length}
            ).first()
        ]

    def forget_lost(self, folder: Path | None, database: str) -> int:
        """List events without the images that are lost; return how many that are."""
        lost = [(one.event_id, one.part) for one in self._missing if not one.is_elsewhere]
        if not lost:
            return 0
        if database:
            from gatepost.store.postgres.connection import engine_of, server_of

            engine = engine_of(server_of(database))
        else:
            from gatepost.store.sqlite.connection import connect, write_engine

            engine = write_engine(connect((folder or Path()) / data.DATABASE))
        try:
            with unavailable(), engine.begin() as db:
                images.forget_parts(db, lost)
        finally:
            engine.dispose()
        return len(lost)

    def give_back(self, folder: Path | None) -> bool:
        """Make holes of what no event has; return whether that was done."""
        journal = None if folder is None else Folder.find(folder / data.JOURNAL)
        if journal is None:
            return False
        with closing(Packs(journal)) as packs:
            return packs.punch(self.orphans)


def _complete_moves(folder: Path | None, database: str) -> int:
    store: BaseStore
    if database:
        from gatepost.store.postgres.store import PostgresStore

        store = PostgresStore.open(database)
    else:
        from gatepost.store.sqlite.store import SqliteStore

        store = SqliteStore.open(folder or Path())
    try:
        return moving.finish(store)
    finally:
        store.close()
