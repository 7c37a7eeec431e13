"""Stores and their packs, for the tests of backups, restores and checks."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.packing import packed, packing

from gatepost.journal.folder import Folder
from gatepost.journal.packs.packs import Packs
from gatepost.journal.places import Place
from gatepost.store.base import BaseStore
from gatepost.store.images import images
from gatepost.store.images.encryption import ImageKeys
from gatepost.store.postgres.store import PostgresStore
from gatepost.store.sqlite.data_folder import JOURNAL
from gatepost.store.sqlite.store import SqliteStore
from gatepost.store.types.arrivals import Arrival

Where = dict[str, Any]
"""``folder``, and ``database`` where the store is in PostgreSQL."""


def open_at(where: Where, *, keys: ImageKeys | None = None) -> BaseStore:
    """Open the store of a place; it takes events with their images."""
    if "database" in where:
        packs = Packs(Folder.open(where["folder"] / JOURNAL))
        return packing(PostgresStore.open(where["database"], keys=keys, packs=packs))
    return packing(SqliteStore.open(where["folder"], keys=keys))


def together(folder: Folder, batch: Sequence[Arrival]) -> list[Arrival]:
    """Return a batch without images, and with their places: those of one kind and day are side by side in one pack."""
    with closing(Packs(folder)) as packs:
        return packed(packs, batch)


def places(store: BaseStore) -> list[tuple[Any, ...]]:
    """Return event, part, pack, offset, length and key of every image."""
    with store.reading() as db:
        return sorted(tuple(row) for row in db.execute(images.by_pack()))


def journal_of(where: Where) -> Folder:
    return Folder.open(where["folder"] / JOURNAL)


def pack_of(where: Where, place: tuple[Any, ...] | Place) -> Path:
    """Return the file of a place."""
    name = place.pack if isinstance(place, Place) else place[2]
    path: Path = where["folder"] / JOURNAL / "packs" / name
    return path


def flip(path: Path, offset: int) -> None:
    """Damage one byte."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))
