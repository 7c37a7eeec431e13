"""Let one process alone do something, on a server with several receivers.

Rules:

* A lease is for some seconds and is renewed. The time is that of the database's server where it has one, so that
  receivers need not agree on the time.
* Each owner has another *fence*. What a former owner stores late has an older one: ask :func:`is_held` in the same
  transaction.
"""

from __future__ import annotations

from sqlalchemy import Connection, Float, literal_column, select, update

from gatepost.store.dialect import insert
from gatepost.store.interface import Transactions
from gatepost.store.schema.tables import leases

__all__ = ["Leases", "is_held", "server_ms"]

MAX_MS = 60_000
"""No lease is for longer."""


class Leases:
    """Every lease, on either database. Every method blocks; any thread may call it."""

    def __init__(self, store: Transactions) -> None:
        self._store = store

    def take(self, name: str, owner: str, *, now_ms: int, for_ms: int) -> int | None:
        """Take or renew a lease; return its fence, ``None`` while another process has it."""
        c = leases.c
        with self._store.changing() as db:
            new = {"name": name, "owner": None, "fence": 0, "until_ms": 0}
            db.execute(insert(db, leases).values(new).on_conflict_do_nothing(index_elements=["name"]))
            now = server_ms(db, now_ms)
            row = db.execute(select(leases).where(c.name == name).with_for_update()).one()
            fence = int(row.fence)
            if row.owner != owner:
                # One that lies far ahead was given before a clock was set back.
                if row.owner is not None and now < row.until_ms <= now + MAX_MS:
                    return None
                fence += 1
            values = {"owner": owner, "fence": fence, "until_ms": now + for_ms}
            db.execute(update(leases).where(c.name == name).values(values))
            return fence

    def let_go(self, owner: str) -> None:
        """Give back every lease of an owner."""
        with self._store.changing() as db:
            db.execute(update(leases).where(leases.c.owner == owner).values(owner=None, until_ms=0))


def is_held(db: Connection, name: str, fence: int) -> bool:
    """Return whether a lease is still of the owner with this fence, until the end of the transaction."""
    asked = select(leases.c.fence).where(leases.c.name == name).with_for_update()
    return bool(db.execute(asked).scalar_one_or_none() == fence)


def server_ms(db: Connection, now_ms: int) -> int:
    """Return the time of the database's server, where it has one."""
    if db.dialect.name != "postgresql":
        return now_ms
    clock = literal_column("extract(epoch FROM clock_timestamp()) * 1000", Float)
    return int(db.execute(select(clock)).scalar_one())
