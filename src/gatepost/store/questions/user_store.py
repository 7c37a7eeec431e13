"""Ask all that users ask of a store, for a user."""

from contextlib import AbstractContextManager

from msgspec.structs import replace
from sqlalchemy.engine import Connection

from gatepost.store.questions.alarms import AlarmQuestions
from gatepost.store.questions.feed import FeedQuestions
from gatepost.store.questions.records import RecordQuestions
from gatepost.store.questions.refusals import RefusalQuestions
from gatepost.store.questions.terminals import TerminalQuestions
from gatepost.store.types.lists import Visible

__all__ = ["Questions", "UserStore"]


class Questions(TerminalQuestions, RecordQuestions, AlarmQuestions, FeedQuestions, RefusalQuestions):
    """Ask what users ask of a store, and change what they change. See :class:`~gatepost.store.interface.Store`."""


class UserStore(Questions):
    """Ask a store for a user: see :meth:`gatepost.store.interface.Store.seen_by`."""

    def __init__(self, whole: Questions, visible: Visible) -> None:
        self._whole = whole
        self.visible = visible
        self.packs = whole.packs
        self._keys = whole._keys

    def narrowed(
        self, *, sites: frozenset[int] | None = None, terminals: frozenset[int] | None = None
    ) -> "UserStore":
        """Return the store with these sites and terminals alone, as far as the user sees them; ``None`` keeps all."""
        visible = replace(
            self.visible,
            sites=_both(self.visible.sites, sites),
            terminals=_both(self.visible.terminals, terminals),
        )
        return UserStore(self._whole, visible)

    def reading(self) -> AbstractContextManager[Connection]:
        return self._whole.reading()

    def changing(self) -> AbstractContextManager[Connection]:
        return self._whole.changing()

    def horizon(self, db: Connection) -> int:
        return self._whole.horizon(db)


def _both(some: frozenset[int] | None, others: frozenset[int] | None) -> frozenset[int] | None:
    return some if others is None else others if some is None else some & others
