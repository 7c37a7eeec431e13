"""``gatepost restore``: a backup into an empty place, on either database.

Rules:

* Whole or not at all: the digest is verified before a data folder is a store, and before PostgreSQL commits.
* Everything is built in ``DATA/restoring``. While that is there, no program takes the data folder for a store: a
  restore that was cut off is said to be so.
* The events that waited in the journal are appended to a new one, with an id of its own, which has no positions. So the
  next start lists each of them once.
* A restore opens no session again: who was logged in then, logs in again.
* Memory does not grow with the store.
"""

import json
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, create_engine, func, select, text

from gatepost.errors import GatepostError, SettingsError, StoreCorrupt, StoreError, StoreTooNew
from gatepost.journal.folder import ALARMS, RECORDS, Folder
from gatepost.journal.writer import Writer
from gatepost.store import folder as data
from gatepost.store import migrate, schema
from gatepost.store.backup import FORMAT, Progress, no_progress
from gatepost.store.base import unavailable
from gatepost.store.check import Place, references
from gatepost.store.erase import forget_images
from gatepost.store.images import DayFiles, sync_directory

__all__ = ["restore"]

_AT_ONCE = 500
"""References that one statement takes away."""
_UNPACKING = msgspec.msgpack.Decoder()
_BODIES = msgspec.msgpack.Decoder(list[bytes])
_JOURNAL, _END = "journal/", "end.json"

_OF_ONE_DATABASE = frozenset({"next_id", "id_offset"})
"""Rows of ``meta`` that say how one database gives ids; the other one, or another server, does not go by them."""


def restore(
    file: Path, *, folder: Path | None, database: str = "", progress: Progress = no_progress
) -> Mapping[str, int]:
    """Put a backup into an empty data folder, or an empty database, and return the rows per table.

    ``journal_events`` among them are not rows: they wait in the journal of ``folder``, also where there is a
    ``database``. What is made in the folder is for its user alone.

    Raises :class:`~gatepost.errors.StoreError` if the place is not empty, :class:`~gatepost.errors.StoreCorrupt`
    if the backup is incomplete or damaged, :class:`~gatepost.errors.StoreTooNew` if a later version made it.
    Nothing is left behind then.
    """
    read = _read(file, progress)
    header = _header(file, *next(read))
    members = _Members(read)
    try:
        with unavailable(), data.private():
            if database:
                return _into_postgres(header, members, database, folder)
            if folder is None:
                raise SettingsError("data", "is missing; give an empty folder")
            return _into_folder(header, members, folder)
    except GatepostError:
        raise
    except Exception:
        members.verify()  # what cannot be understood is damage, most of the time
        raise


class _Members:
    """The members behind the header, one after the other."""

    def __init__(self, read: Iterator[tuple[str, bytes]]) -> None:
        self._read = read
        self.name, self.content = next(read)

    def under(self, folder: str) -> Iterator[tuple[str, bytes]]:
        """Yield name and content of those in one folder of the archive, up to the first one that is not in it."""
        while self.name.startswith(folder):
            yield self.name, self.content
            self.name, self.content = next(self._read)

    def verify(self) -> None:
        """Read to the end. Raises :class:`~gatepost.errors.StoreCorrupt` where the digest is another one."""
        for _ in self._read:
            pass


def _read(file: Path, progress: Progress) -> Iterator[tuple[str, bytes]]:
    """Yield every member. Before the last one, what was read is compared with its digest."""
    digest = blake2b(digest_size=32)
    damaged = StoreCorrupt(f"{file} is incomplete or damaged; nothing was restored: take another backup")
    try:
        with file.open("rb") as raw, tarfile.open(fileobj=raw, mode="r|") as tar:
            for member in tar:
                stream = tar.extractfile(member)
                content = b"" if stream is None else stream.read()
                if member.name == _END:
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


def _into_folder(header: Mapping[str, Any], members: _Members, folder: Path) -> Mapping[str, int]:
    from gatepost.store.sqlite_connection import connect, write_engine

    with _building(folder) as building:
        waiting = _fill_journal(members, building)
        connection = connect(building / data.DATABASE)
        connection.execute("PRAGMA temp_store = file")  # the references are sorted, and there may be millions
        engine = write_engine(connection)
        images = DayFiles(building / data.IMAGES)
        try:
            with engine.begin() as db:
                counts, last_missing = _load(db, header, members, images.put)
                _set_next_id(db)
            images.give_above(last_missing)
        finally:
            images.close()
            engine.dispose()
            connection.close()
        _publish(building, folder)
    return counts | waiting


def _into_postgres(
    header: Mapping[str, Any], members: _Members, database: str, folder: Path | None
) -> Mapping[str, int]:
    from gatepost.store.server import settle_offset, where, with_driver

    url = with_driver(database)
    engine = create_engine(url)
    try:
        with ExitStack() as stack:
            building = None
            if members.name.startswith(_JOURNAL):
                if folder is None:
                    raise StoreError(
                        "the backup holds events that are not listed yet; give an empty folder with --data, and start"
                        " the receiver with it, which lists them"
                    )
                building = stack.enter_context(_building(folder))
            db = stack.enter_context(engine.begin())
            if (
                migrate.stored_revision(db, where(url)) is not None
                and db.execute(
                    text("SELECT EXISTS (SELECT FROM records) OR EXISTS (SELECT FROM terminals)")
                ).scalar_one()
            ):
                raise StoreError(f"{where(url)} holds a store already; give an empty database")
            waiting = {} if building is None else _fill_journal(members, building)
            counts, _ = _load(db, header, members, lambda day, rows: _put_images(db, day, rows))
            settle_offset(db)
            if folder is not None and building is not None:
                _publish(building, folder)  # before the commit: until that is done, `building` is there
        return counts | waiting
    finally:
        engine.dispose()


@contextmanager
def _building(folder: Path) -> Iterator[Path]:
    """Lock an empty data folder, and yield a folder in it. What fails leaves nothing behind."""
    _check_empty(folder)  # whatever version it is of, and whether or not it is whole
    data.make(folder)
    with data.held(folder):
        _check_empty(folder)
        building = folder / data.RESTORING
        building.mkdir()
        sync_directory(folder)
        try:
            yield building
        except BaseException:
            (folder / data.DATABASE).unlink(missing_ok=True)
            for name in (data.JOURNAL, data.IMAGES):
                shutil.rmtree(folder / name, ignore_errors=True)
            raise
        finally:
            shutil.rmtree(building, ignore_errors=True)
            sync_directory(folder)


def _check_empty(folder: Path) -> None:
    data.check_restored(folder)
    if (
        (folder / data.DATABASE).exists()
        or (folder / data.JOURNAL).exists()
        or any((folder / data.IMAGES).glob("*.db*"))
    ):
        raise StoreError(f"{folder} holds a store already; give an empty folder with --data")


def _publish(building: Path, folder: Path) -> None:
    """Give everything that was built its name."""
    sync_directory(building)
    shutil.rmtree(folder / data.IMAGES, ignore_errors=True)
    for name in (data.IMAGES, data.JOURNAL, data.DATABASE):
        if (building / name).exists():
            (building / name).rename(folder / name)
    sync_directory(folder)


def _fill_journal(members: _Members, building: Path) -> dict[str, int]:
    """Append the events that waited to a new journal, if there are any, and return how many."""
    count = 0
    with ExitStack() as stack:
        writers: dict[str, Writer] = {}
        for name, content in members.under(_JOURNAL):
            lane = name.split("/")[1]
            if lane not in writers:
                if lane not in (ALARMS, RECORDS):
                    raise StoreCorrupt(f"the backup holds {name}, which no backup has; take another one")
                writers[lane] = Writer(Folder.open(building / data.JOURNAL), lane)
                stack.callback(writers[lane].close)
            bodies = _BODIES.decode(content)
            writers[lane].append(bodies)
            count += len(bodies)
    return {"journal_events": count} if count else {}


def _load(
    db: Connection,
    header: Mapping[str, Any],
    members: _Members,
    put_images: Callable[[int, Sequence[tuple[int, bytes]]], None],
) -> tuple[dict[str, int], int]:
    """Fill the tables in the schema that the backup was made with, and bring it up to date then.

    Return the rows per table, and the largest number of an image that the backup does not hold.
    """
    migrate.upgrade(db, str(header["schema"]))
    db.execute(text("DELETE FROM sites"))
    db.execute(text("DELETE FROM meta WHERE name LIKE 'key:%'"))  # the backup has its own
    counts: dict[str, int] = {}
    for name, content in members.under("tables/"):
        table, piece = name.split("/")[1], _UNPACKING.decode(content)
        if table == schema.sessions.name:
            continue  # of an earlier version: whoever was logged in then logs in again
        counts[table] = counts.get(table, 0) + len(piece["rows"])
        rows = piece["rows"]
        if table == "meta":
            rows = [row for row in rows if row[0] not in _OF_ONE_DATABASE]
        _put_rows(db, table, piece["columns"], rows)
    migrate.upgrade(db)
    if db.dialect.name == "postgresql":
        _continue_sequences(db)
    with closing(_Missing(db)) as missing:
        for _, content in members.under("images/"):
            piece = _UNPACKING.decode(content)
            counts["images"] = counts.get("images", 0) + len(piece["rows"])
            put_images(piece["day"], piece["rows"])
            missing.there_are(piece["day"], piece["rows"])
        if members.name != _END:
            raise StoreCorrupt(f"the backup holds {members.name}, which no backup has; take another one")
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

    def close(self) -> None:
        self._references.close()

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
    """Let PostgreSQL number new rows above what is stored."""
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


def _set_next_id(db: Connection) -> None:
    """Give new ids above what is stored, also where another database gave those."""
    highest = [
        db.execute(select(func.max(table.c.id))).scalar_one()
        for table in (schema.records, schema.alarm_events, schema.quarantine)
    ]
    next_id = max((number for number in highest if number is not None), default=0) + 1
    db.execute(schema.meta.insert().values(name="next_id", value=str(next_id)))
