"""Open transactions, for the store's own parts."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from gatepost.store.types.lists import Visible

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["ForUser", "Transactions"]


class Transactions(Protocol):
    """The two ways into a database; each is a transaction, and sees one state of the store. For this package alone.

    Why :class:`Store` shows them all the same: ``docs/decisions/store-interface.md``.
    """

    def reading(self) -> AbstractContextManager[Connection]: ...

    def changing(self) -> AbstractContextManager[Connection]: ...


class ForUser(Protocol):
    """Open a transaction to read, and tell what the user may see who asks. For this package alone."""

    @property
    def visible(self) -> Visible: ...

    def reading(self) -> AbstractContextManager[Connection]: ...
