"""Steps of the first start that were done, or are not to be shown any more: rows of ``meta``."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import select

from gatepost.store.dialect import insert
from gatepost.store.interface import Transactions
from gatepost.store.schema import tables as t

__all__ = ["SetupStep", "done", "mark"]

SetupStep = Literal["site", "hidden"]
"""``hidden``: the hint at what is left is not shown any more."""

_NAME = "setup:"


def done(store: Transactions) -> frozenset[str]:
    """Return the steps that were done. Raises :class:`~gatepost.errors.StoreUnavailable`."""
    rows = select(t.meta.c.name).where(t.meta.c.name.startswith(_NAME, autoescape=True))
    with store.reading() as db:
        return frozenset(name.removeprefix(_NAME) for name in db.execute(rows).scalars())


def mark(store: Transactions, step: SetupStep) -> None:
    """Store that a step is done. Idempotent. Raises :class:`~gatepost.errors.StoreUnavailable`."""
    with store.changing() as db:
        row = {"name": _NAME + step, "value": "yes"}
        db.execute(insert(db, t.meta).values(row).on_conflict_do_nothing(index_elements=["name"]))
