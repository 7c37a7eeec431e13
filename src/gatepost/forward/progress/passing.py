"""Try the event behind one that is refused again and again, where events of a terminal leave one by one. Pure.

If it is accepted, those before it are dead: they were refused a moment ago. If not, the first goes first again.
"""

from __future__ import annotations

from gatepost.cursor import Cursor
from gatepost.forward.progress.tracks import Item, Key, line_of

__all__ = ["MAX_PASSED", "Passing"]

MAX_PASSED = 10
"""So many events of a terminal in a row may be refused too often before nothing behind them is tried any more."""


class Passing:
    """Where an event is tried before those in front of it."""

    def __init__(self, cursor: Cursor, max_refusals: int) -> None:
        self._cursor = cursor
        self._max_refusals = max_refusals
        self._passed: dict[Key, list[int]] = {}
        """The events that are passed."""
        self._wanting: set[Key] = set()
        """Where the event that is to be tried has to be read first."""

    def is_wanting(self, key: Key) -> bool:
        """Return whether one event is to be read behind those that are passed."""
        return key in self._wanting

    def was_read(self, key: Key) -> None:
        """Try what was read, if it is there."""
        if self._cursor.let_pass(self._passed[key][-1]):
            self._wanting.discard(key)

    def accepted(self, key: Key) -> list[int]:
        """Return the events that were passed by one that is accepted."""
        return self._passed.pop(key, [])

    def all_first_go(self) -> None:
        """Try what was refused first everywhere: nothing is known of what is behind it."""
        for key in list(self._passed):
            self.first_goes(key)

    def next_goes(self, item: Item) -> None:
        """Try the event behind one that was refused too often: if it is accepted, those before it are dead."""
        passed = self._passed.pop(item.key, [])
        self._cursor.in_turn(line_of(item.key))
        refusals, most = self._refusals(item.number), self._max_refusals
        is_next = refusals >= most if passed else refusals > 0 and not refusals % most
        if is_next and len(passed) < MAX_PASSED:
            self._passed[item.key] = [*passed, item.number]
            if not self._cursor.let_pass(item.number):
                self._wanting.add(item.key)

    def first_goes(self, key: Key) -> None:
        """Try what was refused first again."""
        if key in self._passed:
            self._cursor.in_turn(line_of(key))
            self.tidy(key)

    def tidy(self, key: Key) -> None:
        """Forget what was passed where nothing behind it is tried any more."""
        if key in self._passed:
            head = self._cursor.head(line_of(key))
            if head is None or head <= self._passed[key][-1]:
                del self._passed[key]
                self._wanting.discard(key)

    def want_no_more(self) -> None:
        """Try what was refused again where nothing was read behind it."""
        for key in list(self._wanting):
            self.first_goes(key)

    def _refusals(self, number: int) -> int:
        tried = self._cursor.tried.get(number)
        return 0 if tried is None else tried.refusals
