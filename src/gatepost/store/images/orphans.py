"""Packs in the archive that no event has, and none will have.

Rules:

* Only the journal that wrote a pack knows whether an event still waits that has an image in it. So each receiver looks
  at its own packs alone, once everything of their stream is listed, and nothing of its journal is set aside.
* A pack has its whole day (UTC), and the next one.
"""

from __future__ import annotations

from datetime import date, timedelta

from sqlalchemy import delete, exists, select

from gatepost.journal.packs.packs import Packs
from gatepost.store.interface import PrunableStore
from gatepost.store.schema import tables as t
from gatepost.store.write.set_aside import DOUBTFUL, UNLISTED, SetAside

__all__ = ["delete_orphans"]


def delete_orphans(store: PrunableStore, packs: Packs, *, today: date) -> int:
    """Delete the packs of this journal in the archive that no event has; return how many.

    Raises :class:`~gatepost.errors.StoreUnavailable` and :class:`~gatepost.errors.JournalUnavailable`.
    """
    journal = packs.folder
    files = SetAside(journal.path, journal.files)
    if files.list(UNLISTED) or files.list(DOUBTFUL):
        return 0
    waiting = {stream.name for stream in journal.streams()}
    candidates = [
        pack.name
        for pack in packs.archived(before=today - timedelta(days=1))
        if pack.stream not in waiting and not packs.is_here(pack.name)
    ]
    if not candidates:
        return 0
    has_image = exists().where(t.images.c.pack_id == t.packs.c.id)
    with store.reading() as db:
        used = set(db.execute(select(t.packs.c.name).where(has_image)).scalars())
    orphans = [name for name in candidates if name not in used and packs.journal_of(name) == journal.id]
    removed = packs.remove(orphans).packs
    if removed:
        with store.changing() as db:
            db.execute(delete(t.packs).where(t.packs.c.name.in_(removed), ~has_image))
    return len(removed)
