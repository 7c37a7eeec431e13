"""Settings that were changed while a receiver ran: rows of ``meta``, shared by all receivers of a database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, delete, select

from gatepost.store.conversion.values import moment
from gatepost.store.dialect import insert
from gatepost.store.interface import Transactions
from gatepost.store.schema import tables as t
from gatepost.store.turns import take_turns
from gatepost.store.versions import Versions, check_version, version_of

__all__ = ["ChangedSetting", "ChangedSettings", "Value", "version_of_settings"]

Value = int | float | str

_NAME = "setting:"


class ChangedSetting(Struct, frozen=True):
    """A value, by whom it was set, and when."""

    value: Value
    by: str
    at_ms: int

    @property
    def at(self) -> datetime:
        """Return when it was set."""
        return moment(self.at_ms)


def version_of_settings(stored: Mapping[str, ChangedSetting]) -> str:
    """Return the version of all settings that were changed."""
    return version_of({name: one.value for name, one in stored.items()})


class ChangedSettings:
    """Read and change them. Every method blocks and raises :class:`~gatepost.errors.StoreUnavailable`."""

    def __init__(self, store: Transactions) -> None:
        self._store = store

    def read(self) -> dict[str, ChangedSetting]:
        """Return every setting that was changed, by name."""
        with self._store.reading() as db:
            return _stored(db)

    def change(
        self, values: Mapping[str, Value | None], *, by: str, now_ms: int, versions: Versions = None
    ) -> None:
        """Store some, all or none; ``None`` takes a change back.

        Raises :class:`~gatepost.store.versions.ChangedMeanwhile` where what is stored has none of ``versions``.
        """
        with self._store.changing() as db:
            take_turns(db)
            check_version(versions, version_of_settings(_stored(db)))
            for name, value in sorted(values.items()):
                if value is None:
                    db.execute(delete(t.meta).where(t.meta.c.name == _NAME + name))
                    continue
                row = {
                    "name": _NAME + name,
                    "value": msgspec.json.encode(ChangedSetting(value, by, now_ms)).decode(),
                }
                new = insert(db, t.meta).values(row)
                db.execute(
                    new.on_conflict_do_update(index_elements=["name"], set_={"value": new.excluded.value})
                )


def _stored(db: Connection) -> dict[str, ChangedSetting]:
    rows = select(t.meta.c.name, t.meta.c.value).where(t.meta.c.name.startswith(_NAME, autoescape=True))
    return {
        row.name.removeprefix(_NAME): msgspec.json.decode(row.value, type=ChangedSetting)
        for row in db.execute(rows)
    }
