"""Open what a data folder holds, as the settings say: the store and the journal."""

from __future__ import annotations

from pathlib import Path

from gatepost.journal.folder import Folder
from gatepost.receiver.frames import image_keys
from gatepost.settings import ReceiverSettings
from gatepost.store.folder import JOURNAL
from gatepost.store.store import Store

__all__ = ["open_journal", "open_store"]


def open_store(settings: ReceiverSettings, data: Path) -> Store:
    """Open the store that the settings name. Raises :class:`~gatepost.errors.StoreError`, or ``SettingsError``."""
    keys = image_keys(settings)
    if settings.database:
        from gatepost.store.folder import check_restored
        from gatepost.store.postgres import PostgresStore  # an extra: only who uses it installs it

        check_restored(data)
        return PostgresStore.open(settings.database, keys=keys)
    from gatepost.store.sqlite import SqliteStore

    return SqliteStore.open(data, keys=keys)


def open_journal(data: Path) -> Folder:
    """Open the journal of a data folder. Raises :class:`~gatepost.errors.JournalError`."""
    return Folder.open(data / JOURNAL)
