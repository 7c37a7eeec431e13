"""``gatepost backup``: one file, consistent while ingest runs, the same for both databases.

The file is a tar archive, so that it can be looked at with what is there::

    header.json                  format, version, the schema's revision, packs that other receivers have
    journal/LANE/000001.msgpack  [body, ...] of the events that wait in the journal, some megabytes each
    journal/images/...           [[pack, offset, encrypted image], ...] of these events
    packs/000001.msgpack         the same of the events that are listed
    tables/NAME/000001.msgpack   {"columns": [...], "rows": [[...], ...]}
    end.json                     rows per table, and a digest over everything before it

Rules:

* Consistent: the events of one moment, and the images that they had then. What is removed while a backup is made
  (retention, an erasure) may be missing in it; a restore lists the records without what the backup does not hold.
* What is acknowledged is in it: first the journal is pinned, then rows and positions of one moment are read, then what
  lies behind these positions, and what was set aside because it cannot be listed. The positions themselves are left
  out: a restore makes another journal.
* No login is in it: a session that was ended since would be open again after a restore. Nor is a secret of a
  destination of forwarding, or what opens a terminal: they are given again after a restore.
* Whole or not at all: the file has its name once it is complete and synced, and for its user alone.
* With recipients it is encrypted to them (:mod:`gatepost.store.maintenance.age`); the archive is inside.
* A backup made from one database restores into the other: that is also how one moves.
* Memory does not grow with the store.
"""

import io
import json
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from sqlalchemy import Connection, Table, false, null, select

from gatepost import __version__
from gatepost.errors import StoreError
from gatepost.journal.folder import Folder
from gatepost.journal.format import KEY_BYTES
from gatepost.journal.places import Place, split_places
from gatepost.journal.reader import Reader
from gatepost.journal.streams import ALARMS, RECORDS
from gatepost.store.images import images
from gatepost.store.maintenance import age
from gatepost.store.maintenance.snapshot import Source, open_source
from gatepost.store.schema import migrate
from gatepost.store.schema import tables as schema
from gatepost.store.sqlite import data_folder as data
from gatepost.store.write import positions
from gatepost.store.write.set_aside import UNLISTED, SetAside

__all__ = ["FORMAT", "Made", "Progress", "backup", "no_progress"]

FORMAT = 2
_CHUNK = 4 * 1024 * 1024
_BODIES = 10_000
"""Events of the journal in one member."""
_PACKING = msgspec.msgpack.Encoder()

_SECRETS = frozenset(
    (
        schema.destinations.c.secrets,
        schema.adopted_terminals.c.secrets,
        schema.adopted_terminals.c.previous,
        schema.adoption_rows.c.secrets,
    )
)

Progress = Callable[[int], None]
"""Told the bytes of each piece that is done."""


def no_progress(size: int) -> None:
    """Do nothing."""


class Made(msgspec.Struct, frozen=True):
    """The result of :func:`backup`."""

    rows: Mapping[str, int]
    """How many of each table, and ``journal_events``, which waited in the journal."""
    damages: int
    """Stretches of the journal that could not be read."""
    lacks: tuple[str, ...]
    """The ids of other journals of which the store has positions: of other receivers on the same database."""
    images_missing: int
    """Images and long texts of events that are not here: of another receiver, or gone."""


def backup(
    file: Path,
    *,
    folder: Path | None,
    database: str = "",
    now: float,
    recipients: Sequence[Any] = (),
    progress: Progress = no_progress,
) -> Made:
    """Write a store into ``file``, with what waits in the journal of its data folder.

    ``now``: Unix time, kept in the header. ``recipients``: to whom it is encrypted; none for plain.

    Raises :class:`~gatepost.errors.StoreError` if ``file`` is there already, cannot be written, or there is no store,
    and :class:`~gatepost.errors.JournalError`.
    """
    if file.exists():
        raise StoreError(f"{file} is there already; give another name")
    journal = None if folder is None else Folder.find(folder / data.JOURNAL)
    partial = file.with_name(f".{file.name}.partial")
    try:
        with ExitStack() as pin:
            if journal is not None:
                pin.enter_context(journal.pinned())
            with open_source(folder, database) as source, _create(partial) as raw:
                with (
                    age.encrypted(raw, recipients) as out,
                    tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar,
                ):
                    writer = _Writer(tar, progress, source, journal)
                    writer.write_header(now)
                    writer.write_journal()
                    pin.close()
                    made = writer.write_store()
                raw.flush()
                os.fsync(raw.fileno())
        partial.rename(file)
        data.sync_directory(file.parent)
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
        self._damages = self._images_missing = 0

    def write_header(self, now: float) -> None:
        header = {
            "format": FORMAT,
            "gatepost": __version__,
            "schema": migrate.head(),
            "database": self._source.dialect,
            "elsewhere": self._elsewhere(),
        }
        self._add("header.json", json.dumps(header | {"made_at": now}).encode())

    def _elsewhere(self) -> list[str]:
        """Return the packs that are in the data folders of other receivers on this database, or lost."""
        if self._source.dialect == "sqlite":
            return []
        here = set() if self._source.packs is None else {pack.name for pack in self._source.packs.all()}
        names = self._source.db.execute(select(schema.packs.c.name).order_by(schema.packs.c.name)).scalars()
        return [name for name in names if name not in here]

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
                bodies = [
                    body
                    for place, body in enumerate(batch.bodies)
                    if place not in batch.uncommitted or self._is_whole(body)
                ]
                if bodies:
                    number += 1
                    self._bodies(lane, number, bodies)
            reader.close()
        for path in SetAside(self._journal.path, self._journal.files).list(UNLISTED):
            number += 1
            self._bodies(RECORDS, number, [path.read_bytes()])

    def _is_whole(self, body: bytes) -> bool:
        """Return whether a body that no commit covers has its images; else it was never acknowledged.

        What is appended at the restore has a commit, and would count.
        """
        if self._source.packs is None:
            return True
        try:
            places = split_places(body)[1]
        except ValueError:
            return True
        with_keys = [place for place in places if len(place.key) == KEY_BYTES]
        return self._source.packs.confirm(with_keys) and all(map(self._source.packs.has, places))

    def _bodies(self, lane: str, number: int, bodies: Sequence[bytes]) -> None:
        self._counts["journal_events"] += len(bodies)
        self._add(f"journal/{lane}/{number:06}.msgpack", _PACKING.encode(bodies))
        places: list[Place] = []
        for body in bodies:
            with suppress(ValueError):  # of an event that was set aside because it cannot be read
                places += split_places(body)[1]
        self._images_missing += self._images(f"journal/images/{lane}-{number:06}", places)

    def write_store(self) -> Made:
        """Write images, rows and the end."""
        self._images_missing += self._images("packs", self._places())
        for table in schema.tables():
            if table is not schema.sessions:
                self._table(self._source.db, table)
        end = {"rows": self._counts, "digest": self._digest.hexdigest()}
        self._add("end.json", json.dumps(end).encode())
        return Made(self._counts, self._damages, self._other_journals(), self._images_missing)

    def _table(self, db: Connection, table: Table) -> None:
        columns = [str(column.name) for column in table.columns]
        # Of a secret nothing is read, so that no piece of it can get into the file.
        chosen = [null() if column in _SECRETS else column for column in table.columns]
        statement = select(*chosen).select_from(table).order_by(*table.primary_key.columns)
        if table is schema.journal_positions:
            statement = statement.where(table.c.journal != self._journal_id())
        if table in (schema.receivers, schema.leases):
            statement = statement.where(false())  # no receiver has the restored store
        chunk: list[Sequence[Any]] = []
        number = size = 0
        self._counts[table.name] = 0
        for row in db.execute(statement.execution_options(stream_results=True, max_row_buffer=1000)):
            chunk.append(tuple(row))
            size += 200 + sum(len(value) for value in row if isinstance(value, bytes | str))
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

    def _places(self) -> Iterator[Place]:
        """Yield the places of all images of listed events, pack by pack."""
        rows = self._source.db.execute(
            images.by_pack().execution_options(stream_results=True, max_row_buffer=1000)
        )
        for row in rows:
            yield Place(row.name, row.byte_offset, row.length, b"")

    def _images(self, folder: str, places: Iterable[Place]) -> int:
        """Write what the packs have at these places; return how many they do not have."""
        chunk: list[tuple[str, int, bytes]] = []
        number = size = missing = 0
        for place in places:
            data = None if self._source.packs is None else self._source.packs.copy(place)
            if data is None:
                missing += 1
                continue
            chunk.append((place.pack, place.offset, data))
            size += len(data)
            if size >= _CHUNK:
                number += 1
                self._add(f"{folder}/{number:06}.msgpack", _PACKING.encode(chunk))
                chunk, size = [], 0
        if chunk:
            self._add(f"{folder}/{number + 1:06}.msgpack", _PACKING.encode(chunk))
        return missing

    def _add(self, name: str, content: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        member.mode = 0o600
        self._tar.addfile(member, io.BytesIO(content))
        self._digest.update(f"{name}\0{len(content)}\0".encode())
        self._digest.update(content)
        self._progress(len(content))
