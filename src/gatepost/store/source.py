"""A store read from outside: by a backup or a check, in another process than the one that writes.

Two views of one moment: a connection whose transaction sees the events of that moment, and the images. SQLite
has no moment over several files, so the images may be *ahead* of the events, never behind: an image is committed
before its event, and never changed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from sqlalchemy import create_engine, select, text
from sqlalchemy.engine import Connection

from gatepost.errors import StoreError
from gatepost.store import folder as data
from gatepost.store import migrate, schema
from gatepost.store.base import unavailable
from gatepost.store.images import DayFiles

__all__ = ["Source", "ImageReader", "open_source"]


class ImageReader(Protocol):
    """The images of a store."""

    def days(self) -> list[int]: ...

    def scan(self, day: int, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """Every (id, JPEG) of a day above an id, by id."""


class Source:
    """What :func:`open_source` opens."""

    def __init__(self, db: Connection, images: ImageReader, where: str) -> None:
        self.db = db
        self.images = images
        self.where = where

    @property
    def dialect(self) -> str:
        return self.db.dialect.name


class _Table:
    """The images of PostgreSQL, of the same moment as the events."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def days(self) -> list[int]:
        c = schema.images.c
        return [row.day for row in self._db.execute(select(c.day).distinct().order_by(c.day))]

    def scan(self, day: int, after: int = 0) -> Iterator[tuple[int, bytes]]:
        c = schema.images.c
        page = select(c.id, c.data).where(c.day == day).order_by(c.id).limit(64)
        while rows := self._db.execute(page.where(c.id > after)).all():
            yield from ((row.id, bytes(row.data)) for row in rows)
            after = rows[-1].id


@contextmanager
def open_source(folder: Path, database: str = "") -> Iterator[Source]:
    """Open the store of a data folder, or of a ``database`` URL, to read it while others write.

    Raises :class:`~gatepost.errors.StoreError` where there is none, or one of another version.
    """
    with unavailable():
        if database:
            with _postgres(database) as source:
                yield source
        else:
            with _sqlite(folder) as source:
                yield source


@contextmanager
def _sqlite(folder: Path) -> Iterator[Source]:
    from gatepost.store.sqlite_connection import read_engine

    path = folder / data.DATABASE
    _check(data.inspect(folder), str(path))
    engine = read_engine(path)
    try:
        with engine.connect() as db:
            db.execute(text("SELECT 1 FROM sites")).all()  # from here on it sees this moment
            yield Source(db, DayFiles(folder / data.IMAGES, read_only=True), str(path))
    finally:
        engine.dispose()


@contextmanager
def _postgres(database: str) -> Iterator[Source]:
    from gatepost.store.server import where, with_driver

    url = with_driver(database)
    engine = create_engine(url, isolation_level="REPEATABLE READ")
    try:
        with engine.connect() as db:
            _check(migrate.stored_revision(db, where(url)), where(url))
            yield Source(db, _Table(db), where(url))
    finally:
        engine.dispose()


def _check(revision: str | None, where: str) -> None:
    if revision is None:
        raise StoreError(f"there is no store in {where}; name the one that `gatepost serve` uses")
    migrate.check_known(revision, where)
    if revision != migrate.head():
        raise StoreError(
            f"{where} is of an earlier version; start `gatepost serve` once to bring it up to date"
        )
