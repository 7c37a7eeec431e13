"""Open what a data folder holds, as the settings say: the store and the journal."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gatepost.errors import SettingsError
from gatepost.journal.folder import Folder
from gatepost.receiver.ingest.commit.frames import image_keys
from gatepost.settings import ReceiverSettings
from gatepost.store.images.archives import packs_of
from gatepost.store.interface import Store
from gatepost.store.sqlite.data_folder import JOURNAL

__all__ = ["archive_of", "open_journal", "open_store"]


def open_store(settings: ReceiverSettings, data: Path) -> Store:
    """Open the store that the settings name. Raises :class:`~gatepost.errors.StoreError`, or ``SettingsError``."""
    keys, archive = image_keys(settings), archive_of(settings.packs, data)
    store: Store
    if settings.database:
        from gatepost.store.postgres.store import PostgresStore  # an extra: only who uses it installs it
        from gatepost.store.sqlite.data_folder import check_restored

        check_restored(data)
        store = PostgresStore.open(settings.database, keys=keys, connections=settings.database_connections)
    else:
        from gatepost.store.sqlite.store import SqliteStore

        store = SqliteStore.open(data, keys=keys)
    try:
        store.packs = packs_of(store, open_journal(data), archive)
    except BaseException:
        store.close()
        raise
    return store


def archive_of(packs: str, data: Path) -> str:
    """Return the folder or the bucket that the setting ``packs`` names; nothing for the data folder.

    Raises :class:`~gatepost.errors.SettingsError` for another form, and for a folder that cannot be used.
    """
    if packs == "file":
        return ""
    url = urlsplit(packs)
    if url.query or url.fragment:
        raise _form(packs)
    if url.scheme == "s3" and url.netloc and "@" not in url.netloc and ":" not in url.netloc:
        return packs.rstrip("/")
    folder = Path(unquote(url.path))
    if url.scheme != "file" or url.netloc or not folder.is_absolute():
        raise _form(packs)
    if folder.resolve().is_relative_to(data.resolve()):
        raise SettingsError("packs", "names a folder in the data folder; name another one, or write file")
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise SettingsError(
            "packs", f"names {folder}, which is no folder that can be written to; make it first"
        )
    return str(folder)


def _form(packs: str) -> SettingsError:
    return SettingsError("packs", f"is {packs!r}; write file, file:///FOLDER or s3://BUCKET/PREFIX")


def open_journal(data: Path) -> Folder:
    """Open the journal of a data folder. Raises :class:`~gatepost.errors.JournalError`."""
    return Folder.open(data / JOURNAL)
