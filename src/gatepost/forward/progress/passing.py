"""Try the event after one that is refused again and again, if events of a terminal are sent one by one. Pure.

If it is accepted, those before it are dead, because they were just refused. If not, the first is tried first again.
"""

from __future__ import annotations

from gatepost.cursor import Cursor
from gatepost.forward.progress.tracks import Item, Key, line_of

__all__ = ["MAX_PASSED", "Passing"]

MAX_PASSED = 10
"""Events of a terminal in a row that are passed at most."""


class Passing:
    """The terminals whose next event is tried before refused ones."""

    def __init__(self, cursor: Cursor, max_refusals: int) -> None:
        self._cursor = cursor
        self._max_refusals = max_refusals
        self._passed: dict[Key, list[int]] = {}
        """The passed events, by key."""
        self._wanting: set[Key] = set()
        """Keys whose next event has to be read first."""

    def is_wanting(self, key: Key) -> bool:
        """Return whether one more event has to be read after the passed ones."""
        return key in self._wanting

    def was_read(self, key: Key) -> None:
        """Try the event that was read, if there is one."""
        if self._cursor.let_pass(self._passed[key][-1]):
            self._wanting.discard(key)

    def accepted(self, key: Key) -> list[int]:
        """Return the events that were passed by an accepted one."""
        return self._passed.pop(key, [])

    def all_first_go(self) -> None:
        """Try the first refused event of every terminal, because nothing is known of later ones."""
        for key in list(self._passed):
            self.first_goes(key)

    def next_goes(self, item: Item) -> None:
        """Try the event after one that was refused too often."""
        passed = self._passed.pop(item.key, [])
        self._cursor.in_turn(line_of(item.key))
        refusals, most = self._refusals(item.number), self._max_refusals
        is_next = refusals >= most if passed else refusals > 0 and not refusals % most
        if is_next and len(passed) < MAX_PASSED:
            self._passed[item.key] = [*passed, item.number]
            if not self._cursor.let_pass(item.number):
                self._wanting.add(item.key)

    def first_goes(self, key: Key) -> None:
        """Try the first refused event again."""
        if key in self._passed:
            self._cursor.in_turn(line_of(key))
            self.tidy(key)

    def tidy(self, key: Key) -> None:
        """Forget the passed events if no later one is tried any more."""
        if key in self._passed:
            head = self._cursor.head(line_of(key))
            if head is None or head <= self._passed[key][-1]:
                del self._passed[key]
                self._wanting.discard(key)

    def want_no_more(self) -> None:
        """Try the refused event again if nothing was read after it."""
        for key in list(self._wanting):
            self.first_goes(key)

    def _refusals(self, number: int) -> int:
        tried = self._cursor.tried.get(number)
        return 0 if tried is None else tried.refusals
