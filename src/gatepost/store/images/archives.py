"""The archive of packs that receivers of one database share (the setting ``packs``): a folder or a bucket.

Rules:

* The store knows its archive, so a backup and a check look there by themselves, and images that were moved there are
  shown after the setting was taken away again.
* A small file or object in an archive says of which database it is. One of another database, and a folder whose file
  is gone because nothing is mounted there, are refused: retention would delete the packs of the one, and miss those of
  the other.
* An archive that was left for another one is emptied into it, pack by pack.
* A bucket that is away when the receiver starts is no reason not to start: packs stay here, and it is claimed later.
"""

from __future__ import annotations

import contextlib
import os
from hashlib import blake2b
from pathlib import Path
from secrets import token_hex

from sqlalchemy import Connection, delete, select

from gatepost.errors import SettingsError
from gatepost.journal.folder import Folder
from gatepost.journal.packs.archive import Archive, FolderArchive, Succession
from gatepost.journal.packs.packs import Packs
from gatepost.store.dialect import insert
from gatepost.store.images.bucket import MARKER, Bucket
from gatepost.store.interface import PrunableStore
from gatepost.store.schema import tables as t

__all__ = ["MARKER", "known", "packs_of"]

_NAME, _LEFT = "packs", "packs left"
"""The rows of ``meta`` with the archive, and with the one before it while packs are there."""


def known(db: Connection, journal: Folder) -> Archive | None:
    """Return the archive to which packs of this store were moved, if there is one, and it is there."""
    new, old = _opened(_read(db, _NAME), journal), _opened(_read(db, _LEFT), journal)
    return new if new is None or old is None else Succession(new, old)


def packs_of(store: PrunableStore, journal: Folder, archive: str) -> Packs:
    """Return the packs of a store: in a journal's folder, and in ``archive``, which is claimed, or in one of before.

    ``archive``: the path of a folder, the address of a bucket, or nothing. Raises
    :class:`~gatepost.errors.SettingsError` for an archive of another database, and for a folder that was used before
    and is empty now.
    """
    with store.reading() as db:
        before, left = _read(db, _NAME), _read(db, _LEFT)
        if not archive:
            return Packs(journal, known(db, journal), moves=False)
    mine = blake2b(store.secret, digest_size=16, person=b"packs").hexdigest()
    opened = _claimed(archive, mine, journal, is_known=before == archive)
    if before != archive:
        left = before or left
    old = _opened(left, journal) if left != archive else None
    if old is not None and not _has_packs(old):
        old, left = None, ""
    with store.changing() as db:
        _write(db, _NAME, archive)
        _write(db, _LEFT, left if old is not None else "")
    return Packs(journal, opened if old is None else Succession(opened, old))


def _has_packs(archive: Archive) -> bool:
    try:
        return bool(archive.all())
    except OSError:
        return True  # it is away: it is looked at again with the next start


def _opened(archive: str, journal: Folder) -> Archive | None:
    if archive.startswith("s3://"):
        return Bucket(archive)
    return FolderArchive(Path(archive), journal) if archive and Path(archive).is_dir() else None


def _claimed(archive: str, mine: str, journal: Folder, *, is_known: bool) -> Archive:
    """Open an archive and take it for the packs of a store. Raises :class:`~gatepost.errors.SettingsError`."""
    if not archive.startswith("s3://"):
        _claim_folder(Path(archive), mine, is_known=is_known)
        return FolderArchive(Path(archive), journal)
    bucket = Bucket(archive, mine=mine)
    try:
        bucket.claim()
    except PermissionError as error:
        raise SettingsError("packs", f"names a bucket that cannot be used: {error.strerror}") from None
    except OSError:
        pass  # it is away, and is claimed before the first pack goes there
    return bucket


def _claim_folder(folder: Path, mine: str, *, is_known: bool) -> None:
    marker = folder / MARKER
    try:
        content = marker.read_text("ascii").strip()
    except FileNotFoundError:
        if is_known:
            raise SettingsError(
                "packs",
                f"names {folder}, where the images were and are not now: nothing is mounted there, or the file"
                f" {MARKER} in it was deleted; mount it, or name another folder",
            ) from None
        content = _written_marker(marker, mine)
    except (OSError, UnicodeDecodeError):
        content = ""
    if content != mine:
        raise SettingsError(
            "packs", f"names {folder}, which has images of another database; name another folder"
        )


def _written_marker(marker: Path, content: str) -> str:
    """Write the file that says of which database a folder is, and return what it says.

    It is there whole or not at all, and the first of several receivers that start at once writes it.
    """
    draft = marker.with_name(f"{marker.name}-{token_hex(8)}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "w") as file:
                file.write(content + "\n")
                file.flush()
                os.fsync(handle)
            with contextlib.suppress(FileExistsError):
                os.link(draft, marker)
        finally:
            draft.unlink()
        return marker.read_text("ascii").strip()
    except OSError as error:
        raise SettingsError(
            "packs", f"names {marker.parent}, which cannot be written to: {error.strerror}"
        ) from None


def _read(db: Connection, name: str) -> str:
    return str(db.execute(select(t.meta.c.value).where(t.meta.c.name == name)).scalar() or "")


def _write(db: Connection, name: str, value: str) -> None:
    if not value:
        db.execute(delete(t.meta).where(t.meta.c.name == name))
    elif _read(db, name) != value:
        new = insert(db, t.meta).values(name=name, value=value)
        db.execute(new.on_conflict_do_update(index_elements=["name"], set_={"value": new.excluded.value}))
