"""``gatepost backup``: one file, consistent while ingest runs, the same for both databases.

The file is a tar archive, so that it can be looked at with what is there::

    header.json                  format, version, the schema's revision
    journal/LANE/000001.msgpack  [body, ...] of the events that wait in the journal, some megabytes each
    tables/NAME/000001.msgpack   {"columns": [...], "rows": [[...], ...]}
    images/DAY/000001.msgpack    [[id, JPEG], ...]
    end.json                     rows per table, and a digest over everything before it

Rules:

* Consistent: the events of one moment, and the images that they had then. What is removed while a backup is made
  (retention, an erasure) may be missing in it; a restore lists the records without what the backup does not hold.
* What is acknowledged is in it: first the journal is pinned, then rows and positions of one moment are read, then what
  lies behind these positions, and what was set aside because it cannot be listed. The positions themselves are left
  out: a restore makes another journal.
* No login is in it: a session that was ended since would be open again after a restore.
* Whole or not at all: the file has its name once it is complete and synced, and for its user alone.
* A backup made from one database restores into the other: that is also how one moves.
* Memory does not grow with the store.
"""

import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from sqlalchemy import Connection, Table, false, select

from gatepost import __version__
from gatepost.errors import StoreError
from gatepost.journal.folder import ALARMS, RECORDS, Folder
from gatepost.journal.reader import Reader
from gatepost.store import folder as data
from gatepost.store import migrate, positions, schema
from gatepost.store.images import day_name, sync_directory
from gatepost.store.set_aside import UNLISTED, SetAside
from gatepost.store.source import Source, open_source

__all__ = ["FORMAT", "Made", "Progress", "backup", "no_progress"]

FORMAT = 1
_CHUNK = 4 * 1024 * 1024
_BODIES = 10_000
"""Events of the journal in one member."""
_PACKING = msgspec.msgpack.Encoder()

Progress = Callable[[int], None]
"""Told the bytes of each piece that is done."""


def no_progress(size: int) -> None:
    """Do nothing."""


class Made(msgspec.Struct, frozen=True):
    """The result of :func:`backup`."""

    rows: Mapping[str, int]
    """How many of each table, and ``images`` and ``journal_events``, which waited in the journal."""
    damages: int
    """Stretches of the journal that could not be read."""
    lacks: tuple[str, ...]
    """The ids of other journals of which the store has positions: of other receivers on the same database."""


def backup(
    file: Path, *, folder: Path | None, database: str = "", now: float, progress: Progress = no_progress
) -> Made:
    """Write a store into ``file``, with what waits in the journal of its data folder.

    ``now``: Unix time, kept in the header. Raises :class:`~gatepost.errors.StoreError` if ``file`` is there
    already, cannot be written, or there is no store, and :class:`~gatepost.errors.JournalError`.
    """
    if file.exists():
        raise StoreError(f"{file} is there already; give another name")
    journal = None if folder is None else Folder.find(folder / data.JOURNAL)
    partial = file.with_name(f".{file.name}.partial")
    try:
        with ExitStack() as pin:
            if journal is not None:
                pin.enter_context(journal.pinned())
            with open_source(folder or Path(), database) as source, _create(partial) as raw:
                with tarfile.open(fileobj=raw, mode="w|", format=tarfile.PAX_FORMAT) as tar:
                    writer = _Writer(tar, progress, source, journal)
                    writer.write_header(now)
                    writer.write_journal()
                    pin.close()
                    made = writer.write_store()
                raw.flush()
                os.fsync(raw.fileno())
        partial.rename(file)
        sync_directory(file.parent)
    except OSError as error:
        raise StoreError(f"{file} cannot be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
    return made


@contextmanager
def _create(file: Path) -> Iterator[BinaryIO]:
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as raw:
        os.fchmod(handle, 0o600)
        yield raw


class _Writer:
    def __init__(
        self, tar: tarfile.TarFile, progress: Progress, source: Source, journal: Folder | None
    ) -> None:
        self._tar = tar
        self._digest = blake2b(digest_size=32)
        self._progress = progress
        self._source = source
        self._journal = journal
        self._counts: dict[str, int] = {}
        self._damages = 0
        self._last_image: dict[int, int] = {}

    def write_header(self, now: float) -> None:
        header = {
            "format": FORMAT,
            "gatepost": __version__,
            "schema": migrate.head(),
            "database": self._source.dialect,
        }
        self._add("header.json", json.dumps(header | {"made_at": now}).encode())

    def write_journal(self) -> None:
        """Write what is synced and was not read at the moment of the rows, lane by lane."""
        if self._journal is None:
            return
        done = positions.read(self._source.db, self._journal.id)
        streams = self._journal.streams()
        self._counts["journal_events"] = 0
        for lane in (ALARMS, RECORDS):
            chosen = [stream for stream in streams if stream.is_alarms == (lane == ALARMS)]
            names = {stream.name for stream in chosen}
            places = {name: position for name, position in done.items() if name in names}
            reader = Reader(self._journal, places, chosen)
            number = 0
            while True:
                batch = reader.read(max_bodies=_BODIES, max_bytes=_CHUNK)
                for why in batch.waiting.values():
                    raise why
                if not batch.positions:
                    break
                self._damages += len(batch.damages)
                if batch.bodies:
                    number += 1
                    self._bodies(lane, number, batch.bodies)
            reader.close()
        for path in SetAside(self._journal.path, self._journal.files).list(UNLISTED):
            number += 1
            self._bodies(RECORDS, number, [path.read_bytes()])

    def _bodies(self, lane: str, number: int, bodies: Sequence[bytes]) -> None:
        self._counts["journal_events"] += len(bodies)
        self._add(f"journal/{lane}/{number:06}.msgpack", _PACKING.encode(bodies))

    def write_store(self) -> Made:
        """Write rows, images and the end."""
        for table in schema.tables(self._source.dialect):
            if table not in (schema.images, schema.sessions):
                self._table(self._source.db, table)
        missing = self._images(self._source)
        end = {"rows": self._counts, "days_without_images": missing, "digest": self._digest.hexdigest()}
        self._add("end.json", json.dumps(end).encode())
        return Made(self._counts, self._damages, self._other_journals())

    def _table(self, db: Connection, table: Table) -> None:
        columns = [str(column.name) for column in table.columns]
        statement = select(table).order_by(*table.primary_key.columns)
        if table is schema.journal_positions:
            statement = statement.where(table.c.journal != self._journal_id())
        if table is schema.receivers:
            statement = statement.where(false())  # none of them has the restored store
        chunk: list[Sequence[Any]] = []
        number = size = 0
        self._counts[table.name] = 0
        for row in db.execute(statement.execution_options(stream_results=True, max_row_buffer=1000)):
            chunk.append(tuple(row))
            size += 200 + sum(len(value) for value in row if isinstance(value, bytes | str))
            if "image_day" in columns and row.image_id is not None:
                day = row.image_day
                self._last_image[day] = max(self._last_image.get(day, 0), row.image_id)
            if size >= _CHUNK:
                number += 1
                self._rows(table.name, number, columns, chunk)
                chunk, size = [], 0
        if chunk:
            self._rows(table.name, number + 1, columns, chunk)

    def _rows(self, name: str, number: int, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        self._counts[name] += len(rows)
        self._add(f"tables/{name}/{number:06}.msgpack", _PACKING.encode({"columns": columns, "rows": rows}))

    def _journal_id(self) -> bytes:
        return b"" if self._journal is None else self._journal.id

    def _other_journals(self) -> tuple[str, ...]:
        journal = schema.journal_positions.c.journal
        found = select(journal).where(journal != self._journal_id()).distinct().order_by(journal)
        return tuple(number.hex() for number in self._source.db.execute(found).scalars())

    def _images(self, source: Source) -> list[int]:
        """Write the images up to the last one that an event of that moment refers to; return the days without any.

        A restore finds out by itself what is missing, single images too; earlier versions go by the days.
        """
        self._counts["images"] = 0
        there = set()
        for day, last in sorted(self._last_image.items()):
            chunk: list[tuple[int, bytes]] = []
            number = size = 0
            for image_id, jpeg in source.images.scan(day):
                if image_id > last:
                    break
                there.add(day)
                chunk.append((image_id, jpeg))
                size += len(jpeg)
                if size >= _CHUNK:
                    number += 1
                    self._pictures(day, number, chunk)
                    chunk, size = [], 0
            if chunk:
                self._pictures(day, number + 1, chunk)
        return sorted(self._last_image.keys() - there)

    def _pictures(self, day: int, number: int, rows: Sequence[tuple[int, bytes]]) -> None:
        self._counts["images"] += len(rows)
        self._add(f"images/{day_name(day)}/{number:06}.msgpack", _PACKING.encode({"day": day, "rows": rows}))

    def _add(self, name: str, content: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        member.mode = 0o600
        self._tar.addfile(member, io.BytesIO(content))
        self._digest.update(f"{name}\0{len(content)}\0".encode())
        self._digest.update(content)
        self._progress(len(content))
