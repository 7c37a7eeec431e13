"""``gatepost check-store``: does the store keep its promises, and if not, what is to be done?

It reads everything once and changes nothing, while ingest runs. With ``repair`` it also mends what can be mended,
and then wants a data folder for itself.

Flow: the references to images, in order, merged with the images, in order: what stands on one side only is a
finding. Memory does not grow with the store.
"""

import sqlite3
from collections.abc import Generator, Iterator
from contextlib import closing, nullcontext
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from msgspec import Struct, field
from sqlalchemy import create_engine, delete, select, text, union_all
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from gatepost.journal.folder import Folder
from gatepost.journal.reader import Reader
from gatepost.store import folder as data
from gatepost.store import moving, positions
from gatepost.store import schema as t
from gatepost.store.base import BaseStore
from gatepost.store.facets import take_images_away
from gatepost.store.images import DayFiles, day_name
from gatepost.store.sealing import is_sealed
from gatepost.store.set_aside import DAMAGED, UNLISTED, SetAside
from gatepost.store.source import Source, open_source
from gatepost.wire import media_type

__all__ = ["EXAMPLES", "Finding", "Place", "Report", "check", "references"]

EXAMPLES = 5
"""So many of each kind are named."""

_BODIES, _BODIES_BYTES = 10_000, 4 * 1024 * 1024
"""Events of the journal that are read at once."""

Place = tuple[int, int]
"""The day and the id of an image."""


class Finding(Struct, kw_only=True):
    """One kind of thing that is wrong."""

    kind: str
    advice: str
    """What to do about it, in a sentence."""
    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, example: str) -> None:
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(example)


class Report(Struct, frozen=True, kw_only=True):
    """What was looked at, and what was found."""

    where: str
    events: int
    """That have an image."""
    images: int
    findings: tuple[Finding, ...]
    repaired: int = 0
    """References and images that were removed, and rows of people that were moved to their site."""

    @property
    def ok(self) -> bool:
        return not self.findings


def check(folder: Path | None, database: str = "", *, repair: bool = False) -> Report:
    """Look through a store, and the journal in its folder.

    ``folder`` may be left out where there is a ``database``; then no journal is looked at. Raises
    :class:`~gatepost.errors.StoreError` where there is no store that can be read, and ``JournalError``.

    ``repair`` takes back references to images that are gone, deletes images that nothing refers to, and completes moves
    of terminals.
    """
    journal = None if folder is None else Folder.find(folder / data.JOURNAL)
    folder = folder or Path()
    with data.held(folder) if repair and not database else nullcontext():
        search = _Search()
        with open_source(folder, database) as source:
            search.run(source)
            where = source.where
        if journal is not None and not search.is_damaged:
            # Pinned, so that no segment is deleted between the look at the positions and that at the segments.
            with journal.pinned(), open_source(folder, database) as source:
                search.run_journal(source, journal)
        if search.orphans:
            # What was committed between a look at the images and one at the events is no orphan.
            with open_source(folder, database) as source:
                search.settle(source)
        repaired = search.repair(folder, database) if repair else 0
    if repair and search.misplaced:
        repaired += _complete_moves(folder, database)
    return Report(
        where=where,
        events=search.events,
        images=search.images,
        findings=tuple(finding for finding in search.findings() if finding.count),
        repaired=repaired,
    )


class _Search:
    def __init__(self) -> None:
        self.events = self.images = 0
        self.lost: list[int] = []
        self.orphans: set[Place] = set()
        self._damaged = Finding(
            kind="damaged file",
            advice="restore the last backup into an empty folder; keep this one until then",
        )
        self._lost = Finding(
            kind="record without image",
            advice="the image is lost unless a backup has it; `gatepost check-store --repair` lists the record without",
        )
        self._orphans = Finding(
            kind="image without record",
            advice="harmless: a crash came between image and record, and the terminal pushed it again;"
            " `gatepost check-store --repair` deletes it",
        )
        self._misplaced = Finding(
            kind="record of a person at another site than its terminal",
            advice="a terminal was moved and its people have not gone along yet: a running receiver completes it,"
            " and so does `gatepost check-store --repair`",
        )
        self._no_image = Finding(
            kind="image that is no JPEG, PNG, WebP or BMP",
            advice="the record stands; its image cannot be shown: restore it from a backup if one has it whole",
        )

        self._unlisted = Finding(
            kind="event that is not listed",
            advice="neither list nor quarantine took it, and `projector.set_aside` in the log says why; the next start"
            " of the receiver tries again. It goes when the time of the quarantine is over",
        )
        self._gap = Finding(
            kind="damaged place in the journal",
            advice="acknowledged events may be lost there: check the disk. A file has the bytes that were there, and"
            " goes when the time of the quarantine is over",
        )
        self._waiting = Finding(
            kind="part of the journal that cannot be read now",
            advice="nothing of it is lost, and it is listed when the cause is gone",
        )

    @property
    def is_damaged(self) -> bool:
        """Return whether a file of the store is damaged."""
        return self._damaged.count > 0

    @property
    def misplaced(self) -> bool:
        """Return whether a move of a terminal is not completed."""
        return self._misplaced.count > 0

    def findings(self) -> tuple[Finding, ...]:
        for day, image_id in sorted(self.orphans):
            self._orphans.add(f"{day_name(day)}/{image_id}")
        of_journal = self._unlisted, self._gap, self._waiting
        return self._damaged, self._lost, self._orphans, self._misplaced, self._no_image, *of_journal

    def run_journal(self, source: Source, journal: Folder) -> None:
        """Look at what was set aside, and read what is not listed yet."""
        files = SetAside(journal.path, journal.files)
        for path in files.list(UNLISTED):
            self._unlisted.add(path.name)
        for path in files.list(DAMAGED):
            self._gap.add(path.name)
        with closing(Reader(journal, positions.read(source.db, journal.id))) as reader:
            while True:
                batch = reader.read(max_bodies=_BODIES, max_bytes=_BODIES_BYTES)
                for damage in batch.damages:
                    self._gap.add(
                        f"{damage.stream}, segment {damage.segment}, byte {damage.start}: {damage.why}"
                    )
                if not batch.positions:
                    break
        for why in batch.waiting.values():
            self._waiting.add(str(why))

    def run(self, source: Source) -> None:
        if source.dialect == "sqlite" and not self._is_sound(source.db):
            return
        self._misplaced.count = moving.count_misplaced(source.db)
        referring = references(source.db)
        pictures = self._pictures(source)
        reference, picture = next(referring, None), next(pictures, None)
        while reference is not None or picture is not None:
            if reference is not None and (picture is None or reference[2] < picture):
                self._lose(*reference[:2])
                reference = next(referring, None)
            elif picture is not None and (reference is None or picture < reference[2]):
                self.orphans.add(picture)
                picture = next(pictures, None)
            else:
                self.events += 1
                reference, picture = next(referring, None), next(pictures, None)

    def _is_sound(self, db: Connection) -> bool:
        try:
            for (line,) in db.execute(text("PRAGMA quick_check(5)")):
                if line != "ok":
                    self._damaged.add(f"{data.DATABASE}: {line}")
            for row in db.execute(text("PRAGMA foreign_key_check")).fetchmany(EXAMPLES):
                self._damaged.add(f"{data.DATABASE}: {row[0]} {row[1]} refers to {row[2]} that is not there")
        except DBAPIError as error:
            self._damaged.add(f"{data.DATABASE}: {error.orig}")
        return not self._damaged.count

    def _lose(self, table: str, event_id: int) -> None:
        self.events += 1
        self.lost.append(event_id)
        self._lost.add(f"{'record' if table == 'records' else 'alarm step'} {event_id}")

    def _pictures(self, source: Source) -> Iterator[Place]:
        for day in source.images.days():
            try:
                for image_id, image in source.images.scan(day):
                    self.images += 1
                    if media_type(image) is None and not is_sealed(image):
                        self._no_image.add(f"{day_name(day)}/{image_id}")
                    yield day, image_id
            except sqlite3.DatabaseError as error:
                self._damaged.add(f"{data.IMAGES}/{day_name(day)}.db: {error}")

    def settle(self, source: Source) -> None:
        days = {day for day, _ in self.orphans}
        for _, _, place in references(source.db, days):
            self.orphans.discard(place)

    def repair(self, folder: Path, database: str) -> int:
        if database:
            from gatepost.store.server import with_driver

            engine = create_engine(with_driver(database))
        else:
            from gatepost.store.sqlite_connection import connect, write_engine

            engine = write_engine(connect(folder / data.DATABASE))
        try:
            with engine.begin() as db:
                for start in range(0, len(self.lost), 500):
                    ids = self.lost[start : start + 500]
                    take_images_away(db, lambda c, ids=ids: c.id.in_(ids))
                if database:
                    c = t.images.c
                    for day, image_id in self.orphans:
                        db.execute(delete(t.images).where(c.day == day, c.id == image_id))
            if not database:
                _delete_orphans(DayFiles(folder / data.IMAGES), self.orphans)
        finally:
            engine.dispose()
        return len(self.lost) + len(self.orphans)


def _complete_moves(folder: Path, database: str) -> int:
    store: BaseStore
    if database:
        from gatepost.store.postgres import PostgresStore

        store = PostgresStore.open(database)
    else:
        from gatepost.store.sqlite import SqliteStore

        store = SqliteStore.open(folder)
    try:
        return moving.finish(store)
    finally:
        store.close()


def _delete_orphans(files: DayFiles, orphans: set[Place]) -> None:
    for day, places in groupby(sorted(orphans), key=itemgetter(0)):
        ids = [number for _, number in places]
        for start in range(0, len(ids), 500):
            files.remove(day, ids[start : start + 500])


def references(db: Connection, days: set[int] | None = None) -> Generator[tuple[str, int, Place]]:
    """Which event refers to which image: the table, the event's id, the image's place. In the order of the places."""
    parts = []
    for table in (t.records, t.alarm_events):
        c = table.c
        part = select(c.image_day, c.image_id, c.id, text(f"'{table.name}' AS source"))
        part = part.where(c.image_id.is_not(None))
        parts.append(part if days is None else part.where(c.image_day.in_(days)))
    both = union_all(*parts).order_by("image_day", "image_id")
    with db.execute(both.execution_options(stream_results=True, max_row_buffer=1000)) as rows:
        for row in rows:
            yield row[3], row[2], (row[0], row[1])
