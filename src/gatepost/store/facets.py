"""Facets: every combination of coded fields that has occurred, in a table; a record points to its own.

``has_image`` is one of the fields, so whoever takes images away has to move the records to the facet without:
:func:`take_images_away` does it for whatever fits a condition, :func:`take_images_from` for records by id.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select, update

from gatepost.store import schema as t
from gatepost.store.arrivals import FACET_COLUMNS
from gatepost.store.registry import insert

__all__ = ["ensure", "take_images_away", "take_images_from"]


def ensure(db: Connection, facet: dict[str, int]) -> int:
    """The id of a facet, made if it is new."""
    db.execute(insert(db, t.facets).values(facet).on_conflict_do_nothing(index_elements=FACET_COLUMNS))
    c = t.facets.c
    return int(
        db.execute(select(c.id).where(*(c[name] == facet[name] for name in FACET_COLUMNS))).scalar_one()
    )


def take_images_away(db: Connection, *conditions: Any) -> int:
    """List the records and alarm steps that fit without their image; answer how many there were.

    ``conditions`` are on the columns ``id``, ``image_day`` and ``image_id``, by a function of the table. The
    images themselves are for the caller to delete, after this is committed.
    """
    gone = {"image_day": None, "image_id": None}
    c = t.alarm_events.c
    fits = [condition(c) for condition in conditions]
    count = db.execute(update(t.alarm_events).where(c.image_id.is_not(None), *fits).values(gone)).rowcount
    c = t.records.c
    fits = [condition(c) for condition in conditions]
    for facet in db.execute(select(t.facets).where(t.facets.c.has_image == 1)).all():
        bare = {name: getattr(facet, name) for name in FACET_COLUMNS} | {"has_image": 0}
        changed = update(t.records).where(c.facet_id == facet.id, c.image_id.is_not(None), *fits)
        if db.execute(
            select(c.id).where(c.facet_id == facet.id, c.image_id.is_not(None), *fits).limit(1)
        ).all():
            count += db.execute(changed.values(facet_id=ensure(db, bare), **gone)).rowcount
    return count


def take_images_from(db: Connection, ids: Sequence[int]) -> int:
    """List these records without their image; answer how many had one. As :func:`take_images_away`, by id."""
    c, gone = t.records.c, {"image_day": None, "image_id": None}
    by_facet: dict[int, list[int]] = {}
    for row in db.execute(select(c.id, c.facet_id).where(c.id.in_(ids), c.image_id.is_not(None))):
        by_facet.setdefault(row.facet_id, []).append(row.id)
    for facet in db.execute(select(t.facets).where(t.facets.c.id.in_(list(by_facet)))).all():
        bare = ensure(db, {name: getattr(facet, name) for name in FACET_COLUMNS} | {"has_image": 0})
        fits = c.id.in_(by_facet[facet.id])
        db.execute(update(t.records).where(fits).values(facet_id=bare, **gone))
    return sum(map(len, by_facet.values()))
