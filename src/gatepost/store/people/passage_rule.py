"""Passage rule: what counts as a passage.

A *passage* is a record of a person with ``pass`` true. ``pass`` null is a passage only in a dialect without the field
(:data:`WITHOUT_PASS`); in any other one the record is listed and counts as nothing.
"""

from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, and_, not_, or_, select

from gatepost.store.schema import tables as t
from gatepost.wire import Dialect

__all__ = ["WITHOUT_PASS", "is_passage", "kind_of", "passage_facets"]

WITHOUT_PASS = (Dialect.BEFORE_1_0.value,)
"""Dialects that may lack ``pass``. The maker's change log lists what 1.0 and later add or omit, and never ``pass``."""

_BARE = and_(t.facets.c.entry_mode == -1, t.facets.c.abnormal_type == -1)
_NEVER = or_(t.facets.c.passed == 0, and_(t.facets.c.passed == -1, not_(_BARE)))
"""Conditions on facets: of a dialect that may lack ``pass``; no passage, whatever the dialect."""


def is_passage(db: Connection) -> list[ColumnElement[bool]]:
    """Return the conditions on ``records`` that only passages fulfil.

    They are on the facet alone, which the index by person has, unless a record without ``pass`` may be of a dialect
    that has none: such a dialect has neither ``entry_mode`` nor ``abnormal_type``.
    """
    f, r = t.facets.c, t.records.c
    never = db.execute(select(f.id).where(_NEVER)).scalars().all()
    unsure = db.execute(select(f.id).where(f.passed == -1, _BARE)).scalars().all()
    found: list[ColumnElement[bool]] = [r.facet_id.not_in(never)] if never else []
    if unsure:
        found.append(or_(r.facet_id.not_in(unsure), r.dialect.in_(WITHOUT_PASS)))
    return found


def passage_facets(db: Connection) -> list[int]:
    """Return the facets that a passage may have; :func:`is_passage` says which of their records are one."""
    return list(db.execute(select(t.facets.c.id).where(not_(_NEVER))).scalars())


def kind_of(row: Any) -> Literal["passage", "refusal", "unsaid"]:
    """Return what a row with ``passed`` and ``dialect`` counts as."""
    if row.passed is None:
        return "passage" if row.dialect in WITHOUT_PASS else "unsaid"
    return "passage" if row.passed else "refusal"
