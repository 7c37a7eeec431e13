"""``gatepost backup`` and ``restore``: one file, consistent while ingest runs, the same for both databases.

The file is a tar archive, so that it can be looked at with what is there::

    header.json                  format, version, the schema's revision
    tables/NAME/000001.msgpack   {"columns": [...], "rows": [[...], ...]}, some megabytes each
    images/DAY/000001.msgpack    [[id, JPEG], ...]
    end.json                     rows per table, and a digest over everything before it

Rules:

* Consistent: the events of one moment, and the images that they had then. What is removed while a backup is made
  (retention, an erasure) may be missing in it; a restore lists the records without what the backup does not hold.
* Whole or not at all: the file bears its name once it is complete and synced. A restore verifies the digest
  before it gives the store its name (SQLite) or commits (PostgreSQL), and takes only an empty place.
* A backup made from one database restores into the other: that is also how one moves.
* Memory does not grow with the store.
"""

import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, create_engine, func, select, text

from gatepost import __version__
from gatepost.errors import StoreCorrupt, StoreError, StoreTooNew
from gatepost.store import folder as data
from gatepost.store import migrate, schema
from gatepost.store.base import unavailable
from gatepost.store.check import Place, references
from gatepost.store.erase import forget_images
from gatepost.store.images import DayFiles, day_name, sync_directory
from gatepost.store.indexing import CATCH_UP
from gatepost.store.source import Source, open_source

__all__ = ["FORMAT", "Progress", "backup", "restore"]

FORMAT = 1
_CHUNK = 4 * 1024 * 1024
_AT_ONCE = 500
"""References that one statement takes away."""
_PACKING = msgspec.msgpack.Encoder()
_UNPACKING = msgspec.msgpack.Decoder()

_OF_ONE_DATABASE = frozenset({"reserved_ids", "id_offset", "changes"})
"""Rows of ``meta`` that say how one database gives ids; the other one, or another server, does not go by them."""

Progress = Callable[[int], None]
"""Told the bytes of each piece that is done."""


def _ignore(size: int) -> None:
    return


def backup(
    file: Path, *, folder: Path, database: str = "", now: float, progress: Progress = _ignore
) -> Mapping[str, int]:
    """Write a store into ``file``; answer the rows per table, ``images`` among them.

    ``now``: Unix time, kept in the header. Raises :class:`~gatepost.errors.StoreError` if ``file`` is there
    already, cannot be written, or there is no store.
    """
    if file.exists():
        raise StoreError(f"{file} is there already; give another name")
    partial = file.with_name(f".{file.name}.partial")
    try:
        with open_source(folder, database) as source, partial.open("wb") as raw:
            with tarfile.open(fileobj=raw, mode="w|", format=tarfile.PAX_FORMAT) as tar:
                counts = _Writer(tar, progress).store(source, now)
            raw.flush()
            os.fsync(raw.fileno())
        partial.rename(file)
        sync_directory(file.parent)
    except OSError as error:
        raise StoreError(f"{file} cannot be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
    return counts


class _Writer:
    def __init__(self, tar: tarfile.TarFile, progress: Progress) -> None:
        self._tar = tar
        self._digest = blake2b(digest_size=32)
        self._progress = progress
        self._counts: dict[str, int] = {}
        self._last_image: dict[int, int] = {}

    def store(self, source: Source, now: float) -> dict[str, int]:
        header = {
            "format": FORMAT,
            "gatepost": __version__,
            "schema": migrate.head(),
            "database": source.dialect,
        }
        self._add("header.json", json.dumps(header | {"made_at": now}).encode())
        for table in schema.tables(source.dialect):
            if table is not schema.images:
                self._table(source.db, table)
        missing = self._images(source)
        end = {"rows": self._counts, "days_without_images": missing, "digest": self._digest.hexdigest()}
        self._add("end.json", json.dumps(end).encode())
        return self._counts

    def _table(self, db: Connection, table: Table) -> None:
        columns = [str(column.name) for column in table.columns]
        statement = select(table).order_by(*table.primary_key.columns)
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

    def _images(self, source: Source) -> list[int]:
        """The images up to the last one that an event of that moment refers to; answer the days that have none.

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


def restore(
    file: Path, *, folder: Path, database: str = "", progress: Progress = _ignore
) -> Mapping[str, int]:
    """Put a backup into an empty data folder, or an empty database; answer the rows per table.

    Raises :class:`~gatepost.errors.StoreError` if the place is not empty, :class:`~gatepost.errors.StoreCorrupt`
    if the backup is incomplete or damaged, :class:`~gatepost.errors.StoreTooNew` if a later version made it.
    Nothing is left behind then.
    """
    members = _members(file, progress)
    name, content = next(members)
    header = _header(file, name, content)
    with unavailable():
        if database:
            return _into_postgres(file, header, members, database)
        return _into_folder(file, header, members, folder)


def _members(file: Path, progress: Progress) -> Iterator[tuple[str, bytes]]:
    """Every member but the last, which is compared with what was read."""
    digest = blake2b(digest_size=32)
    damaged = StoreCorrupt(f"{file} is incomplete or damaged; nothing was restored: take another backup")
    try:
        with file.open("rb") as raw, tarfile.open(fileobj=raw, mode="r|") as tar:
            for member in tar:
                stream = tar.extractfile(member)
                content = b"" if stream is None else stream.read()
                if member.name == "end.json":
                    end = json.loads(content)
                    if end["digest"] != digest.hexdigest():
                        raise damaged
                    yield member.name, content
                    return
                digest.update(f"{member.name}\0{len(content)}\0".encode())
                digest.update(content)
                progress(len(content))
                yield member.name, content
    except (tarfile.TarError, ValueError, KeyError, EOFError):
        raise damaged from None
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror or error}") from error
    raise damaged


def _header(file: Path, name: str, content: bytes) -> dict[str, Any]:
    try:
        header: dict[str, Any] = json.loads(content)
        if name != "header.json" or not isinstance(header["format"], int):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise StoreCorrupt(f"{file} is no backup of gatepost's") from None
    if header["format"] > FORMAT:
        raise StoreTooNew(
            f"{file} was made by gatepost {header.get('gatepost')}; restore it with that version"
        )
    migrate.check_known(str(header["schema"]), str(file))
    return header


def _into_folder(
    file: Path, header: Mapping[str, Any], members: Iterator[tuple[str, bytes]], folder: Path
) -> Mapping[str, int]:
    from gatepost.store.sqlite_connection import connect, write_engine

    _check_empty(folder)  # whatever version it is of, and whether or not it is whole
    data.make(folder)
    lock = data.FolderLock(folder)
    building = folder / "restoring"
    try:
        _check_empty(folder)
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir()
        connection = connect(building / data.DATABASE)
        connection.execute("PRAGMA temp_store = file")  # the references are sorted, and there may be millions
        engine = write_engine(connection)
        images = DayFiles(building / data.IMAGES)
        try:
            with engine.begin() as db:
                counts, last_missing = _load(db, header, members, images.put)
                _set_reserved_ids(db)
            images.give_above(last_missing)
        finally:
            images.close()
            engine.dispose()
            connection.close()
        _publish(building, folder)
        return counts
    finally:
        shutil.rmtree(building, ignore_errors=True)
        lock.release()


def _check_empty(folder: Path) -> None:
    if (folder / data.DATABASE).exists() or any((folder / data.IMAGES).glob("*.db*")):
        raise StoreError(f"{folder} holds a store already; give an empty folder with --data")


def _publish(building: Path, folder: Path) -> None:
    """The images first: a folder is a store from when its database is there."""
    sync_directory(building)
    shutil.rmtree(folder / data.IMAGES, ignore_errors=True)
    (building / data.IMAGES).rename(folder / data.IMAGES)
    sync_directory(folder)
    (building / data.DATABASE).rename(folder / data.DATABASE)
    sync_directory(folder)


def _into_postgres(
    file: Path, header: Mapping[str, Any], members: Iterator[tuple[str, bytes]], database: str
) -> Mapping[str, int]:
    from gatepost.store.server import settle_offset, where, with_driver

    url = with_driver(database)
    engine = create_engine(url)
    try:
        with engine.begin() as db:
            if (
                migrate.stored_revision(db, where(url)) is not None
                and db.execute(
                    text("SELECT EXISTS (SELECT FROM records) OR EXISTS (SELECT FROM terminals)")
                ).scalar_one()
            ):
                raise StoreError(f"{where(url)} holds a store already; give an empty database")
            counts, _ = _load(db, header, members, lambda day, rows: _put_images(db, day, rows))
            settle_offset(db)
        return counts
    finally:
        engine.dispose()


def _load(
    db: Connection,
    header: Mapping[str, Any],
    members: Iterator[tuple[str, bytes]],
    put_images: Callable[[int, Sequence[tuple[int, bytes]]], None],
) -> tuple[Mapping[str, int], int]:
    """In the schema that the backup was made with, which is brought up to date when the tables are full.

    Answer the rows per table, and the largest number of an image that the backup does not hold.
    """
    migrate.upgrade(db, str(header["schema"]))
    db.execute(text("DELETE FROM sites"))
    db.execute(text("DELETE FROM meta WHERE name LIKE 'key:%'"))  # the backup has its own
    counts: dict[str, int] = {}
    name, content = next(members)
    while name.startswith("tables/"):
        table, piece = name.split("/")[1], _UNPACKING.decode(content)
        counts[table] = counts.get(table, 0) + len(piece["rows"])
        rows = piece["rows"]
        if table == "meta":
            rows = [row for row in rows if row[0] not in _OF_ONE_DATABASE]
        _put_rows(db, table, piece["columns"], rows)
        name, content = next(members)
    migrate.upgrade(db)
    # PostgreSQL is never behind, and the backup of a store under load is.
    db.execute(text(CATCH_UP))
    if db.dialect.name == "postgresql":
        _continue_sequences(db)
    missing = _Missing(db)
    while name.startswith("images/"):
        piece = _UNPACKING.decode(content)
        counts["images"] = counts.get("images", 0) + len(piece["rows"])
        put_images(piece["day"], piece["rows"])
        missing.there_are(piece["day"], piece["rows"])
        name, content = next(members)
    missing.that_is_all()
    return counts, missing.last


class _Missing:
    """Lists events without their image where the backup does not hold it.

    Both come in the order of places, so that only one reference and one image are looked at, at a time.
    """

    def __init__(self, db: Connection) -> None:
        self.last = 0
        """The largest number of an image that is missing."""
        self._db = db
        self._references = references(db)
        self._reference = next(self._references, None)
        self._bare: dict[str, list[int]] = {}

    def there_are(self, day: int, rows: Sequence[tuple[int, bytes]]) -> None:
        for image_id, _ in rows:
            self._up_to((day, image_id))
            while self._reference is not None and self._reference[2] == (day, image_id):
                self._reference = next(self._references, None)

    def that_is_all(self) -> None:
        self._up_to(None)
        for table in self._bare:
            self._take_away(table)

    def _up_to(self, place: Place | None) -> None:
        """Of whatever is before this place there is no image."""
        while self._reference is not None and (place is None or self._reference[2] < place):
            table, event_id, (_, image_id) = self._reference
            self.last = max(self.last, image_id)
            bare = self._bare.setdefault(table, [])
            bare.append(event_id)
            if len(bare) == _AT_ONCE:
                self._take_away(table)
            self._reference = next(self._references, None)

    def _take_away(self, table: str) -> None:
        forget_images(self._db, schema.metadata.tables[table], self._bare[table])
        self._bare[table] = []


def _put_rows(db: Connection, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    if table not in schema.metadata.tables or not set(columns) <= set(
        schema.metadata.tables[table].columns.keys()
    ):
        raise StoreCorrupt(f"the backup has a table {table} that its version did not have")
    names = ", ".join(f'"{column}"' for column in columns)
    marks = ", ".join(f":{column}" for column in columns)
    if rows:
        db.execute(
            text(f'INSERT INTO "{table}" ({names}) VALUES ({marks})'),
            [dict(zip(columns, row, strict=True)) for row in rows],
        )


def _put_images(db: Connection, day: int, rows: Sequence[tuple[int, bytes]]) -> None:
    db.execute(
        schema.images.insert(), [{"day": day, "id": image_id, "data": jpeg} for image_id, jpeg in rows]
    )


def _continue_sequences(db: Connection) -> None:
    """What PostgreSQL numbers goes on above what is stored."""
    for table in schema.tables("postgresql"):
        if (
            "id" in table.c
            and db.execute(
                text("SELECT pg_get_serial_sequence(:name, 'id')"), {"name": table.name}
            ).scalar_one()
        ):
            db.execute(
                text(
                    f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), coalesce(max(id), 0) + 1, false)"
                    f" FROM {table.name}"
                )
            )


def _set_reserved_ids(db: Connection) -> None:
    """Ids go on above what is stored, also where another database gave them."""
    highest = [
        db.execute(select(func.max(table.c.id))).scalar_one()
        for table in (schema.records, schema.alarm_events, schema.quarantine)
    ]
    next_id = max((number for number in highest if number is not None), default=0) + 1
    db.execute(schema.meta.insert().values(name="reserved_ids", value=str(next_id)))
