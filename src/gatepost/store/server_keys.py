"""Keys that a store makes for itself and keeps, so that every process on it has the same.

Backups have them, so whatever was derived from a key is still valid after a restore.
"""

from collections.abc import Callable

from sqlalchemy import Connection, select

from gatepost.store.dialect import insert
from gatepost.store.interface import Transactions
from gatepost.store.schema import tables as t

__all__ = ["identity_secret", "kept"]


def identity_secret(db: Connection) -> bytes:
    """Return the secret that digests of people and of events are keyed with. Every store has one from the beginning."""
    wanted = select(t.meta.c.value).where(t.meta.c.name == "key:identity")
    return bytes.fromhex(db.execute(wanted).scalar_one())


def kept(store: Transactions, name: str, make: Callable[[], bytes]) -> bytes:
    """Return the key called ``name``, made if there is none. Two processes that ask at once are given the same."""
    row = {"name": f"key:{name}", "value": make().hex()}
    wanted = select(t.meta.c.value).where(t.meta.c.name == row["name"])
    with store.reading() as db:
        found = db.execute(wanted).scalar_one_or_none()
    if found is None:
        with store.changing() as db:
            db.execute(insert(db, t.meta).values(row).on_conflict_do_nothing(index_elements=["name"]))
            found = db.execute(wanted).scalar_one()
    return bytes.fromhex(found)
