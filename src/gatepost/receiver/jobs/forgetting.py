"""Clear every cache in memory that may hold personal data, after an erasure in this or another process.

Rules:

* The process that erases forgets before it says that it is done. The others on the same database look every few
  seconds whether somebody was erased, and then do the same.
* All of it goes, for nothing that is remembered tells whom it leads to; it is read again as it is needed.
* What a process has let go of is memory for the next use, and most of it is handed back to the system. No program can
  promise that no copy is left in what it may still write over; a restart can.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

from gatepost.receiver.processes.memory import hand_back
from gatepost.store.interface import PrunableStore
from gatepost.store.privacy.erasure import erasures
from gatepost.wire import forget_people

__all__ = ["Forgetting"]


class Forgetting:
    """Of one process. Every method blocks; any thread may call it."""

    def __init__(self, store: PrunableStore, hand_back: Callable[[], None] = hand_back) -> None:
        """``hand_back`` frees unused memory."""
        self._store = store
        self._hand_back = hand_back
        self._seen: int | None = None

    def now(self) -> None:
        """Forget everybody. Raises :class:`~gatepost.errors.StoreUnavailable`: do it again."""
        forget_people()
        _forget_questions()
        self._store.forget_people()
        self._hand_back()

    def once(self) -> bool:
        """Forget everybody if somebody was erased since the last look; whether that was so."""
        count, before = erasures(self._store), self._seen
        if before is not None and count != before:
            self.now()
        self._seen = count
        return before is not None and count != before


def _forget_questions() -> None:
    """Clear what the framework remembers: a thousand queries and more, with names among them."""
    for module in [module for name, module in sys.modules.items() if name.startswith("litestar.")]:
        for cache in _caches(module):
            cache()


def _caches(place: object) -> Iterator[Callable[[], None]]:
    for each in list(vars(place).values()):
        function = getattr(each, "__func__", each)
        if hasattr(function, "cache_clear"):
            yield function.cache_clear
        elif isinstance(each, type) and each.__module__ == getattr(place, "__name__", None):
            yield from _caches(each)
