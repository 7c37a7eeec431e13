"""The folder for packs that receivers of one database share (the setting ``packs``).

Rules:

* The store knows the folder, so a backup and a check look there by themselves, and images that were moved there are
  shown after the setting was taken away again.
* A file in the folder says of which database it is. One of another database, and one whose file is gone because
  nothing is mounted there, are refused: retention would delete the packs of the one, and miss those of the other.
"""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path

from sqlalchemy import Connection, select

from gatepost.errors import SettingsError
from gatepost.journal.folder import Folder
from gatepost.journal.packs import Packs
from gatepost.store.dialect import insert
from gatepost.store.interface import Leaving
from gatepost.store.schema import tables as t

__all__ = ["MARKER", "claim", "known", "packs_of"]

MARKER = "gatepost"
"""The file that says of which database the packs are."""

_NAME = "packs"
"""The row of ``meta`` with the folder."""


def known(db: Connection) -> Path | None:
    """Return the folder to which packs of this store were moved, if there is one, and it is there."""
    found = db.execute(select(t.meta.c.value).where(t.meta.c.name == _NAME)).scalar()
    return Path(found) if found and Path(found).is_dir() else None


def packs_of(store: Leaving, journal: Folder, folder: Path | None) -> Packs:
    """Return the packs of a store: in a journal's folder, and in ``folder``, which is claimed, or in one of before."""
    if folder is not None:
        claim(store, folder)
    with store.reading() as db:
        return Packs(journal, known(db), moves=folder is not None)


def claim(store: Leaving, folder: Path) -> None:
    """Take a folder for the packs of a store.

    Raises :class:`~gatepost.errors.SettingsError` for one of another database, or where it was used before and is
    empty now.
    """
    mine = blake2b(store.secret, digest_size=16, person=b"packs").hexdigest()
    marker = folder / MARKER
    with store.reading() as db:
        before = db.execute(select(t.meta.c.value).where(t.meta.c.name == _NAME)).scalar()
    try:
        content = marker.read_text("ascii").strip()
    except FileNotFoundError:
        if before == str(folder):
            raise SettingsError(
                "packs",
                f"names {folder}, where the images were and are not now: nothing is mounted there, or the file"
                f" {MARKER} in it was deleted; mount it, or name another folder",
            ) from None
        _write(marker, mine)
        content = mine
    except (OSError, UnicodeDecodeError):
        content = ""
    if content != mine:
        raise SettingsError(
            "packs", f"names {folder}, which has images of another database; name another folder"
        )
    if before != str(folder):
        with store.changing() as db:
            new = insert(db, t.meta).values(name=_NAME, value=str(folder))
            db.execute(new.on_conflict_do_update(index_elements=["name"], set_={"value": new.excluded.value}))


def _write(marker: Path, content: str) -> None:
    try:
        handle = os.open(marker, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(content + "\n")
            file.flush()
            os.fsync(handle)
    except OSError as error:
        raise SettingsError(
            "packs", f"names {marker.parent}, which cannot be written to: {error.strerror}"
        ) from None
