"""Rows of ``identities``: the same form of a person's data at another site, the row of erased people, unused rows.

Functions on a connection, in the caller's transaction.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, exists, func, select, update

from gatepost.store.conversion.rows import Person, person_digest
from gatepost.store.dialect import insert
from gatepost.store.schema import tables as t
from gatepost.wire import digest

__all__ = [
    "NO_CONTENT",
    "OF_PEOPLE",
    "delete_unused",
    "digest_at",
    "forget_old",
    "forget_written",
    "is_shared",
    "made",
    "shared_digest",
    "shared_identity",
]

NO_CONTENT: dict[str, Any] = {
    **dict.fromkeys(
        ("user_id", "name", "job_number", "ic_number", "id_number", "remark", "groups", "folded"), ""
    ),
    **dict.fromkeys(("type", "guest_from_ms", "guest_until_ms")),
    "first_at_ms": 0,
}
"""The columns of an identity that tells nothing about a person."""

OF_PEOPLE = (t.assignments, t.corrections, t.joined_people, t.marked_people)
"""Tables of what was written about people, by a form of their data."""


def delete_unused(db: Connection, ids: Sequence[int], heirs: Mapping[int, int] | None = None) -> int:
    """Delete those of these identities that no record refers to.

    What was written about a person goes to another form of their data: of ``heirs``, else at the same site. With the
    last form it is deleted.
    """
    i = t.identities.c
    used = exists(select(t.records.c.id).where(t.records.c.identity_id == i.id))
    for table in OF_PEOPLE:
        written = exists(select(table.c.id).where(table.c.identity_id == i.id))
        for row in db.execute(select(t.identities).where(i.id.in_(ids), ~used, written)).all():
            heir = (heirs or {}).get(row.id) or _other_form(db, row)
            mine = table.c.identity_id == row.id
            # SQLite does not go by foreign keys here.
            db.execute(
                delete(table).where(mine)
                if heir is None
                else update(table).where(mine).values(identity_id=heir)
            )
    _part_single(db)
    return db.execute(delete(t.identities).where(i.id.in_(ids), ~used)).rowcount


def forget_written(db: Connection, ids: Sequence[int], terminal_id: int | None = None) -> None:
    """Delete what was written about people; of a terminal, what is about passages there alone."""
    c = t.corrections.c
    of_terminal = [] if terminal_id is None else [c.terminal_id == terminal_id]
    db.execute(delete(t.corrections).where(c.identity_id.in_(ids), *of_terminal))
    if terminal_id is None:
        for table in OF_PEOPLE:
            db.execute(delete(table).where(table.c.identity_id.in_(ids)))
        _part_single(db)


def forget_old(db: Connection, before_ms: int, limit: int) -> None:
    """Delete corrections that were made before this time, and marks that ended before it; ``limit`` of each at most.

    It is for the caller to have deleted the records that were received until then: one that was struck would count
    again.
    """
    for table, at_ms in (
        (t.corrections, t.corrections.c.made_at_ms),
        (t.marked_people, t.marked_people.c.until_ms),
    ):
        old = select(table.c.id).where(at_ms < before_ms).order_by(table.c.id).limit(limit)
        ids = db.execute(old).scalars().all()
        if ids:
            db.execute(delete(table).where(table.c.id.in_(ids)))


def _part_single(db: Connection) -> None:
    """Delete what says of one number alone that it is joined: the others are gone."""
    j = t.joined_people.c
    single = select(j.person).group_by(j.person).having(func.count() == 1)
    db.execute(delete(t.joined_people).where(j.person.in_(single)))


def _other_form(db: Connection, row: Any) -> int | None:
    """Return the latest form of a person's data at the same site that records refer to."""
    i = t.identities.c
    if not row.user_id:
        return None
    used = exists(select(t.records.c.id).where(t.records.c.identity_id == i.id))
    same = select(i.id).where(i.user_id == row.user_id, i.site_id == row.site_id, i.id != row.id, used)
    return db.execute(same.order_by(i.id.desc()).limit(1)).scalar_one_or_none()


def shared_digest(site_id: int) -> bytes:
    """Return the digest of the row that all erased people of a site have become."""
    return digest(f"erased:{site_id}")


def is_shared(row: Any) -> bool:
    """Return whether a row of ``identities`` is the one of a site's erased people."""
    return row.erased_at_ms is not None and bytes(row.digest) == shared_digest(row.site_id)


def shared_identity(db: Connection, site_id: int) -> int:
    """Return the row that all erased people of a site have become; make it if there is none."""
    row = {**NO_CONTENT, "digest": shared_digest(site_id), "site_id": site_id, "erased_at_ms": 0}
    return made(db, row)


def digest_at(row: Any, site_id: int, secret: bytes) -> bytes:
    """Return the digest that an identity's content has at a site. ``secret`` is the store's."""
    if is_shared(row):
        return shared_digest(site_id)
    content: Person = (
        site_id, row.user_id, row.name, row.type, row.job_number, row.ic_number, row.id_number, row.remark,
        row.guest_from_ms, row.guest_until_ms, row.groups,
    )  # fmt: skip
    return person_digest(content, secret)


def made(db: Connection, values: dict[str, Any]) -> int:
    """Return the identity that has the digest in ``values``; make it of them if there is none."""
    db.execute(insert(db, t.identities).values(values).on_conflict_do_nothing(index_elements=["digest"]))
    same = select(t.identities.c.id).where(t.identities.c.digest == values["digest"])
    return int(db.execute(same).scalar_one())
