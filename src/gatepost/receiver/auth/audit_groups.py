"""Note in the audit log what is done many times in a row, such as looking at images, without a line for each time.

Rules:

* The first time is a line at once, before the response: what cannot be noted is not shown.
* What the same actor does again in the minute after it is counted in memory, and becomes one more line when the minute
  is over, or at a stop: how often, and the range of the ids. A kill loses that count, a minute of it at most, and never
  that it was done.
* Bounded: an actor has one group for each action.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from gatepost.store.accounts.accounts import Accounts

__all__ = ["AuditGroups"]

WINDOW_MS = 60_000

MAX_WHAT = 20
"""How many different texts a line has at most."""


class _Group(Struct):
    actor: str
    address: str
    action: str
    began_ms: int
    of_actor: Mapping[str, object]
    count: int = 0
    first: int | None = None
    last: int | None = None
    found: int | None = None
    what: set[str] = set()

    def add(self, event_id: int | None, what: str, found: int | None) -> None:
        self.count += 1
        if event_id is not None:
            self.first = event_id if self.first is None else min(self.first, event_id)
            self.last = event_id if self.last is None else max(self.last, event_id)
        if found is not None:
            self.found = (self.found or 0) + found
        if what and len(self.what) < MAX_WHAT:
            self.what.add(what)

    def detail(self) -> dict[str, Any]:
        counted = {"count": self.count, "first": self.first, "last": self.last, "found": self.found}
        if self.what:
            counted["what"] = sorted(self.what)  # type: ignore[assignment]
        return {name: value for name, value in counted.items() if value is not None} | dict(self.of_actor)


class AuditGroups:
    """The groups of a receiver. Every method blocks; any thread may call it."""

    def __init__(self, accounts: Accounts, now_ms: Callable[[], int]) -> None:
        self._accounts = accounts
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._groups: dict[tuple[str, str], _Group] = {}

    def add(
        self,
        actor: str,
        address: str,
        action: str,
        *,
        of_actor: Mapping[str, object] = {},
        event_id: int | None = None,
        what: str = "",
        found: int | None = None,
    ) -> None:
        """Note that something was done: to an event, with what, and how much was found.

        ``of_actor`` says more of who did it. Raises :class:`~gatepost.errors.StoreUnavailable`; it is not noted then.
        """
        now_ms, key = self._now_ms(), (actor, action)
        with self._lock:
            group = self._groups.get(key)
            if group is not None and group.address == address and self._is_open(group, now_ms):
                group.add(event_id, what, found)
                return
            if group is not None:
                self._write(group, now_ms)
                del self._groups[key]
            first = _Group(actor, address, action, now_ms, of_actor)
            first.add(event_id, what, found)
            self._write(first, now_ms)
            self._groups[key] = _Group(actor, address, action, now_ms, of_actor)

    def flush(self, *, all_of_them: bool = False) -> None:
        """Write the lines of groups whose minute is over.

        Raises :class:`~gatepost.errors.StoreUnavailable`: what is not written yet is still there.
        """
        now_ms = self._now_ms()
        with self._lock:
            for key, group in list(self._groups.items()):
                if all_of_them or not self._is_open(group, now_ms):
                    self._write(group, now_ms)
                    del self._groups[key]

    @staticmethod
    def _is_open(group: _Group, now_ms: int) -> bool:
        return 0 <= now_ms - group.began_ms < WINDOW_MS

    def _write(self, group: _Group, now_ms: int) -> None:
        if group.count:
            self._accounts.note(
                now_ms=now_ms,
                actor=group.actor,
                address=group.address,
                action=group.action,
                detail=group.detail(),
            )
