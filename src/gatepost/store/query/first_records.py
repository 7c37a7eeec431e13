"""Look through the first records of all, where very many people or terminals fit a filter.

How many records there are in a time is counted before they are read.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, TextClause, func, select

from gatepost.store.interface import RecordQuery
from gatepost.store.query.index_merge import Columns, Condition, times
from gatepost.store.schema import tables as t

__all__ = ["WIDEST", "FirstRecords"]

WIDEST = 32_000
"""In PostgreSQL, where very many people fit, so many records are looked through at last: each person is looked up in
every part of the records, so that to look up thousands takes longer."""

_FAR_MS = 2**60


class FirstRecords(NamedTuple):
    """The first records that fit some conditions, as many as there are in a multiple of what a page lasts."""

    db: Connection
    query: RecordQuery
    conditions: list[Condition | TextClause]
    begin: int
    end: int
    """When the first and the last record of the page are."""

    def how_many(self, lasting: float | None, most: int) -> int:
        """Count them, up to one more than ``most``; ``lasting`` ``None``: all that fit."""
        # It takes their ids alone, so that SQLite reads an index and no record.
        ids = self._these(lasting, most).with_only_columns(t.records.c.id).subquery("ids")
        return self.db.execute(select(func.count()).select_from(ids)).scalar_one()

    def page(
        self, lasting: float | None, most: int, more: Callable[[Columns], Sequence[Condition]]
    ) -> list[int]:
        """Return the ids of a page of those that fit ``more``, and of one record more."""
        near = self._these(lasting, most).subquery("near").c
        newest = self.query.order == "newest"
        direction = (near.at_ms.desc(), near.id.desc()) if newest else (near.at_ms, near.id)
        fit = select(near.id).where(*more(near)).order_by(*direction).limit(self.query.limit + 1)
        return list(self.db.execute(fit).scalars().all())

    def widest(self, lasting: float, many: int) -> float:
        """Return a multiple with up to :data:`WIDEST` records, mostly more than half as many.

        ``many`` are in the multiple ``lasting``. What comes first may be a rush, and of much longer times there may be
        few more, so it is tried out.
        """
        beyond: float | None = None
        for _ in range(5):
            longer = lasting * 0.75 * WIDEST / max(1, many) if beyond is None else (lasting * beyond) ** 0.5
            in_longer = self.how_many(longer, WIDEST)
            if in_longer > WIDEST:
                beyond = longer
                continue
            is_all = in_longer == many
            lasting, many = longer, in_longer
            if is_all or many >= WIDEST // 2:
                break
        return lasting

    def _these(self, lasting: float | None, most: int) -> Select[Any]:
        c = t.records.c
        edge = None if lasting is None else self._edge(lasting)
        conditions = [*self.conditions, *times(self.query, edge=edge)]
        # With a limit of its own, so that nothing else decides where SQLite looks.
        return select(c.id, c.at_ms, c.terminal_id, c.identity_id).where(*conditions).limit(most + 1)

    def _edge(self, lasting: float) -> int:
        edge = self.begin + (self.end - self.begin) * lasting
        return int(max(-_FAR_MS, min(edge, _FAR_MS)))
