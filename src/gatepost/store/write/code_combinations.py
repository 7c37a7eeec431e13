"""Facets: every combination of coded fields that has occurred, in a table; a record points to its own.

``has_image`` is one of the fields, so whoever takes images away has to move the records to the facet without:
:func:`take_images_from` does it.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from gatepost.store.conversion.coded_fields import FACET_COLUMNS
from gatepost.store.dialect import insert
from gatepost.store.schema import tables as t

__all__ = ["ensure", "take_images_from"]


def ensure(db: Connection, facet: dict[str, int]) -> int:
    """Return the id of a facet, made if it is new."""
    db.execute(insert(db, t.facets).values(facet).on_conflict_do_nothing(index_elements=FACET_COLUMNS))
    c = t.facets.c
    return int(
        db.execute(select(c.id).where(*(c[name] == facet[name] for name in FACET_COLUMNS))).scalar_one()
    )


def take_images_from(db: Connection, ids: Sequence[int]) -> int:
    """List these records without their image; return how many had one. The images are for the caller to delete."""
    c = t.records.c
    by_facet: dict[int, list[int]] = {}
    for row in db.execute(select(c.id, c.facet_id).where(c.id.in_(ids), c.has_image == 1)):
        by_facet.setdefault(row.facet_id, []).append(row.id)
    for facet in db.execute(select(t.facets).where(t.facets.c.id.in_(list(by_facet)))).all():
        bare = ensure(db, {name: getattr(facet, name) for name in FACET_COLUMNS} | {"has_image": 0})
        fits = c.id.in_(by_facet[facet.id])
        db.execute(update(t.records).where(fits).values(facet_id=bare, has_image=0))
    return sum(map(len, by_facet.values()))
