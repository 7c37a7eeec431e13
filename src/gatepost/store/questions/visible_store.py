"""Open transactions on a store, and say what may be seen of it."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager

from sqlalchemy import select
from sqlalchemy.engine import Connection

from gatepost.journal.packs.packs import Packs
from gatepost.store.images.encryption import ImageKeys
from gatepost.store.schema import tables as t
from gatepost.store.terminals.terminal_labels import at_sites
from gatepost.store.types.lists import EVERYTHING, Visible

__all__ = ["VisibleStore"]


class VisibleStore(ABC):
    """Show what :attr:`visible` says of a store: each part of the questions asks one."""

    visible: Visible = EVERYTHING
    packs: Packs | None
    _keys: ImageKeys

    @abstractmethod
    def reading(self) -> AbstractContextManager[Connection]: ...

    @abstractmethod
    def changing(self) -> AbstractContextManager[Connection]:
        """Begin a transaction that may write."""

    @abstractmethod
    def horizon(self, db: Connection) -> int:
        """Return the id below which everything is settled: committed or never to come."""

    def _shows(self, db: Connection, terminal_id: int) -> bool:
        asked = select(t.terminals.c.id).where(t.terminals.c.id == terminal_id, *at_sites(self.visible))
        return db.execute(asked).first() is not None
