"""What the writer remembers of the database: nearly every record refers to what others have referred to before.

A store that finds it to be stale takes a new :class:`Remembered` in its place. So whoever still works with the old one,
in another thread, leaves nothing of it behind in the new one.
"""

from typing import Any

from gatepost.store import arrivals as a
from gatepost.wire import Record, User

__all__ = ["Remembered"]

_IDENTITIES, _LETTERS = 20_000, 16_000_000
"""People whose id is remembered, and all that is written in them: how long a name is decides whoever sends it."""

_USERS, _LONG = 4096, 1024
"""As they came out of the decoder, which answers the same object for whoever it has seen before; not those that are
longer, in letters."""

_CODES = 4096
"""Combinations of codes of which it is remembered what facet they are. Anything may be sent as a code."""


class Remembered:
    """Ids of facets and identities, and what is known of the terminals."""

    def __init__(self, changes: str = "") -> None:
        """``changes``: the number of the last change that another process made to any of it, where there are others."""
        self.changes = changes
        self.sites: dict[int, int] = {}
        """By terminal."""
        self.peers: dict[tuple[str, int], int] = {}
        """By address and terminal, when the terminal was last seen there; in milliseconds."""
        self.seen: dict[int, tuple[str | None, str | None]] = {}
        """By terminal, its model and its dialect."""
        self.facets: dict[a.Facet, int] = {}
        self._identities: dict[a.Person, int] = {}
        self._letters = 0
        self._codes: dict[tuple[Any, ...], int] = {}
        self._users: dict[tuple[int, int], tuple[User | None, int | None]] = {}

    @property
    def is_full(self) -> bool:
        """Whether it is time to begin anew, before the next batch."""
        return len(self._identities) >= _IDENTITIES or self._letters >= _LETTERS

    def of(self, record: Record, terminal_id: int, *, has_image: bool) -> tuple[int, int | None] | None:
        """The ids of a record's facet and of its identity, the latter ``None`` for a stranger. Nothing at all where one
        of the two is not known. Raises ``KeyError`` for a terminal that nobody made."""
        site = self.sites[terminal_id]
        codes = (record.recognition_type, record.passed, record.abnormal_type, record.entry_mode, has_image)
        facet = self._codes.get(codes)
        # What is held here stays alive, so that no other object can have its place in memory.
        held = self._users.get((id(record.user), site))
        if facet is None or held is None:
            return self._look_up(record, site, codes)
        return facet, held[1]

    def _look_up(self, record: Record, site: int, codes: tuple[Any, ...]) -> tuple[int, int | None] | None:
        facet = self.facets.get(a.facet(record, codes[-1]))
        who = a.person(record.user, site)
        identity = None if who is None else self._identities.get(who)
        if facet is None or (who is not None and identity is None):
            return None
        if len(self._codes) >= _CODES:
            self._codes.clear()
        self._codes[codes] = facet
        if _is_short(record.user, who):
            if len(self._users) >= _USERS:
                self._users.clear()
            self._users[id(record.user), site] = (record.user, identity)
        return facet, identity

    def stranger_to(self, record: Record, terminal_id: int) -> a.Person | None:
        """Whom a record is about, if it is somebody whose id is not known."""
        who = a.person(record.user, self.sites[terminal_id])
        return None if who is None or who in self._identities else who

    def learn(self, who: a.Person, identity: int) -> None:
        """That is the id of this person."""
        self._identities[who] = identity
        self._letters += _letters(who)


def _is_short(user: User | None, who: a.Person | None) -> bool:
    if user is None:
        return True
    if who is None:
        return not (user.remark or user.groups or user.extra)
    return not user.extra and _letters(who) <= _LONG


def _letters(who: a.Person) -> int:
    return sum([len(value) for value in who if isinstance(value, str)])
