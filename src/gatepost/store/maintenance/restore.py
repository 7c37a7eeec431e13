"""``gatepost restore``: a backup into an empty place, on either database.

Rules:

* Whole or not at all: the digest is verified before a data folder is a store, and before PostgreSQL commits.
* Everything is built in ``DATA/restoring``. While that is there, no program takes the data folder for a store: a
  restore that was cut off is said to be so.
* The events that waited in the journal are appended to a new one, with an id of its own, which has no positions. So the
  next start lists each of them once.
* A restore opens no session again: who was logged in then, logs in again.
* Destinations of forwarding are paused: a copy that is made to try something sends nothing, and what the original has
  sent since the backup is not sent again before a person says so. A backup has no secrets of them.
* Nor does it have what opens a terminal. Adopted terminals are stopped until they are adopted again: two receivers that
  both set a terminal's address would take it from each other.
* Memory does not grow with the store.
* A backup may be a stranger's file. It writes nowhere but into the folder and the database, and what is no piece of a
  backup, or is larger than one, is refused.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from gatepost.errors import GatepostError, SettingsError, StoreCorrupt, StoreError
from gatepost.journal.folder import Folder
from gatepost.journal.packs.files import parse_name
from gatepost.journal.packs.packs import Packs
from gatepost.journal.packs.writer import PackCopies
from gatepost.journal.places import Place
from gatepost.journal.streams import ALARMS, RECORDS
from gatepost.journal.writer import Writer
from gatepost.store.base import unavailable
from gatepost.store.images import images
from gatepost.store.maintenance.backup import Progress, no_progress
from gatepost.store.maintenance.backup_members import END, JOURNAL, PACKS, Members, read_header, read_members
from gatepost.store.schema import migrate
from gatepost.store.schema import tables as schema
from gatepost.store.sqlite import data_folder as data

__all__ = [
    "restore",
]

_UNPACKING = msgspec.msgpack.Decoder()

_BODIES = msgspec.msgpack.Decoder(list[bytes])

_IMAGES = msgspec.msgpack.Decoder(list[tuple[str, int, bytes]])

_RESTORED = "a backup has no passwords, and this store was restored from one; adopt the terminal again"
"""Why a terminal is not looked at after a restore."""

_OF_ONE_DATABASE = frozenset({"next_id", "id_offset"})
"""Rows of ``meta`` that say how one database gives ids; the other one, or another server, does not go by them."""


def restore(
    file: Path,
    *,
    folder: Path | None,
    database: str = "",
    identities: Sequence[Any] = (),
    progress: Progress = no_progress,
) -> Mapping[str, int]:
    """Put a backup into an empty data folder, or an empty database, and return the rows per table.

    ``journal_events`` among them are not rows: they wait in the journal of ``folder``, also where there is a
    ``database``. What is made in the folder is for its user alone. ``identities``: the keys of an encrypted backup.

    Raises :class:`~gatepost.errors.StoreError` if the place is not empty, :class:`~gatepost.errors.StoreCorrupt`
    if the backup is incomplete or damaged, :class:`~gatepost.errors.StoreTooNew` if a later version made it.
    Raises :class:`~gatepost.errors.JournalUnavailable` where the journal cannot be written. Nothing is left behind
    then.
    """
    read = read_members(file, identities, progress)
    header = read_header(file, *next(read))
    members = Members(read)
    try:
        with unavailable(), data.private():
            if database:
                return _into_postgres(header, members, database, folder)
            if folder is None:
                raise SettingsError("data", "is missing; give an empty folder")
            return _into_folder(header, members, folder)
    except GatepostError:
        raise
    except (ValueError, TypeError, LookupError, OverflowError, SQLAlchemyError) as error:
        members.verify()  # what cannot be understood is damage, most of the time
        raise StoreCorrupt(f"{file} holds what no backup has; take another one") from error


def _into_folder(header: Mapping[str, Any], members: Members, folder: Path) -> Mapping[str, int]:
    from gatepost.store.sqlite.connection import connect, write_engine

    with _building(folder) as building:
        journal = Folder.open(building / data.JOURNAL)
        waiting = _fill_journal(members, journal)
        connection = connect(building / data.DATABASE)
        connection.execute("PRAGMA temp_store = file")  # the places are sorted, and there may be millions
        engine = write_engine(connection)
        try:
            with engine.begin() as db:
                counts = _load(db, header, members, Packs(journal))
                _set_next_id(db)
        finally:
            engine.dispose()
            connection.close()
        _publish(building, folder)
    return counts | waiting


def _into_postgres(
    header: Mapping[str, Any], members: Members, database: str, folder: Path | None
) -> Mapping[str, int]:
    from gatepost.store.postgres.connection import engine_of, server_of, settle_offset

    server = server_of(database)
    engine = engine_of(server)
    try:
        with ExitStack() as stack:
            building = None
            if folder is not None:
                building = stack.enter_context(_building(folder))
            elif members.name.startswith((JOURNAL, PACKS)):
                raise StoreError(
                    "the backup holds images, or events that are not listed yet; give an empty folder with --data, and"
                    " start the receiver with it"
                )
            db = stack.enter_context(engine.begin())
            if (
                migrate.stored_revision(db, server.where) is not None
                and db.execute(
                    text("SELECT EXISTS (SELECT FROM records) OR EXISTS (SELECT FROM terminals)")
                ).scalar_one()
            ):
                raise StoreError(f"{server.where} holds a store already; give an empty database")
            journal = None if building is None else Folder.open(building / data.JOURNAL)
            waiting = {} if journal is None else _fill_journal(members, journal)
            counts = _load(db, header, members, None if journal is None else Packs(journal))
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
        data.sync_directory(folder)
        try:
            yield building
        except BaseException as error:
            (folder / data.DATABASE).unlink(missing_ok=True)
            shutil.rmtree(folder / data.JOURNAL, ignore_errors=True)
            if isinstance(error, OSError):
                raise StoreError(
                    f"{folder} cannot be written: {error.strerror or error}; make room, or give another --data"
                ) from error
            raise
        finally:
            shutil.rmtree(building, ignore_errors=True)
            data.sync_directory(folder)


def _check_empty(folder: Path) -> None:
    data.check_restored(folder)
    if (folder / data.DATABASE).exists() or (folder / data.JOURNAL).exists():
        raise StoreError(f"{folder} holds a store already; give an empty folder with --data")


def _publish(building: Path, folder: Path) -> None:
    """Give everything that was built its name."""
    data.sync_directory(building)
    for name in (data.JOURNAL, data.DATABASE):
        if (building / name).exists():
            (building / name).rename(folder / name)
    data.sync_directory(folder)


def _fill_journal(members: Members, journal: Folder) -> dict[str, int]:
    """Append the events that waited, if there are any, and return how many; write the packs."""
    count = 0
    with ExitStack() as stack:
        writers: dict[str, Writer] = {}
        copies = stack.enter_context(closing(PackCopies(journal)))
        for name, content in members.under(JOURNAL):
            lane = name.split("/")[1]
            if lane == "images":
                _put_images(copies, content)
                continue
            if lane not in writers:
                if lane not in (ALARMS, RECORDS):
                    raise StoreCorrupt(f"the backup holds {name}, which no backup has; take another one")
                writers[lane] = Writer(journal, lane)
                stack.callback(writers[lane].close)
            try:
                bodies = _BODIES.decode(content)
            except ValueError:
                raise StoreCorrupt(
                    f"the backup holds {name}, which cannot be read; take another one"
                ) from None
            writers[lane].append(bodies)
            count += len(bodies)
        for _, content in members.under(PACKS):
            _put_images(copies, content)
    return {"journal_events": count} if count else {}


def _put_images(copies: PackCopies, content: bytes) -> None:
    try:
        for pack, offset, image in _IMAGES.decode(content):
            if parse_name(pack)[0] not in images.KINDS:
                raise ValueError(f"no pack of {pack}")
            copies.put(pack, offset, image)
    except ValueError:
        raise StoreCorrupt("the backup holds an image that no pack can have; take another one") from None


def _load(
    db: Connection,
    header: Mapping[str, Any],
    members: Members,
    packs: Packs | None,
) -> dict[str, int]:
    """Fill the tables in the schema that the backup was made with, and bring it up to date then.

    Return the rows per table.
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
    _pause_destinations(db, round(float(header.get("made_at", 0)) * 1000))
    _stop_tending(db)
    if db.dialect.name == "postgresql":
        _continue_sequences(db)
    if members.name != END:
        raise StoreCorrupt(f"the backup holds {members.name}, which no backup has; take another one")
    if packs is not None:
        # Other receivers go on with a database, and with their packs; never with a data folder.
        is_shared = db.dialect.name == "postgresql"
        _forget_missing(db, packs, frozenset(map(str, header.get("elsewhere", ()) if is_shared else ())))
    return counts


def _pause_destinations(db: Connection, at_ms: int) -> None:
    c = schema.destinations.c
    values = {"owner": None, "lease_until_ms": 0, "secrets": None}
    db.execute(schema.destinations.update().values(values))
    db.execute(schema.destinations.update().where(c.paused_at_ms.is_(None)).values(paused_at_ms=at_ms))


def _stop_tending(db: Connection) -> None:
    stopped = {"state": "stopped", "reason": _RESTORED, "secrets": None, "previous": None, "must_set": 0}
    db.execute(schema.adopted_terminals.update().values(stopped))
    c = schema.adoption_rows.c
    failed = {"state": "failed", "reason": _RESTORED, "secrets": None}
    db.execute(schema.adoption_rows.update().where(c.state.in_(("waiting", "trying"))).values(failed))
    db.execute(schema.terminals.update().values(next_token_digest=None))


def _forget_missing(db: Connection, packs: Packs, elsewhere: frozenset[str]) -> None:
    """List events without the images that the backup does not hold, and forget such long texts.

    Those in packs ``elsewhere`` are of other receivers, who still have them.
    """
    missing: list[tuple[int, int]] = []
    rows = db.execute(images.by_pack().execution_options(stream_results=True, max_row_buffer=1000))
    for row in rows:
        if row.name not in elsewhere and not packs.has(Place(row.name, row.byte_offset, row.length, b"")):
            missing.append((row.event_id, row.part))
    images.forget_parts(db, missing)


def _put_rows(db: Connection, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    if table not in schema.metadata.tables or not set(columns) <= set(
        schema.metadata.tables[table].columns.keys()
    ):
        raise StoreCorrupt(f"the backup has a table {table} that its version did not have; take another one")
    names = ", ".join(f'"{column}"' for column in columns)
    marks = ", ".join(f":{column}" for column in columns)
    if rows:
        db.execute(
            text(f'INSERT INTO "{table}" ({names}) VALUES ({marks})'),
            [dict(zip(columns, row, strict=True)) for row in rows],
        )


def _continue_sequences(db: Connection) -> None:
    """Let PostgreSQL number new rows above what is stored."""
    for table in schema.tables():
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
    """Give new ids above what is stored and above every destination's place, also where another database gave those."""
    tables = (schema.records, schema.alarm_events, schema.quarantine, schema.notices)
    ids = [table.c.id for table in tables]
    ids += [schema.deleted_events.c.last_id, schema.destination_places.c.place]
    highest = [db.execute(select(func.max(c))).scalar_one() for c in ids]
    next_id = max((number for number in highest if number is not None), default=0) + 1
    db.execute(schema.meta.insert().values(name="next_id", value=str(next_id)))
