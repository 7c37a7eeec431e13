"""Which forms of a person's data something is written about.

Who asks has read the person before. Until the transaction begins the person may have been erased, or retention may have
deleted their last record.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from gatepost.store.schema import tables as t
from gatepost.store.terminals.registry import Conflict

__all__ = ["kept_forms", "latest_form"]


def kept_forms(db: Connection, forms: Sequence[int]) -> list[int]:
    """Return those of these forms that are still there, in order; they stay until the transaction ends.

    Raises :class:`~gatepost.store.terminals.registry.Conflict` if none is.
    """
    i = t.identities.c
    wanted = select(i.id).where(i.id.in_(forms), i.erased_at_ms.is_(None))
    kept = db.execute(wanted.with_for_update(read=True, key_share=True)).scalars().all()
    if not kept:
        raise Conflict(
            "this person was erased, or their last record was deleted, meanwhile; look for them again"
        )
    return sorted(kept)


def latest_form(db: Connection, forms: Sequence[int]) -> int:
    """Return the latest of these forms that is still there, which stays until the transaction ends.

    Raises :class:`~gatepost.store.terminals.registry.Conflict` if none is.
    """
    return kept_forms(db, forms)[-1]
