"""Keep one account from taking what all of them share: seats of the live stream, exports, statistics."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from litestar.exceptions import TooManyRequestsException

from gatepost.receiver.auth.principal import Principal

__all__ = ["Share", "Shares"]


class Share:
    """Count what each account has under way of one kind. Any thread may call it."""

    def __init__(self, what: str, most: int) -> None:
        """Share out what people call ``what``, ``most`` to an account and the tokens that it made."""
        self._what = what
        self._most = most
        self._taken: Counter[int | str] = Counter()
        self._lock = threading.Lock()

    def take(self, user: Principal) -> None:
        """Take one for a user; :meth:`give_back` has to follow. Raises ``TooManyRequestsException``."""
        who = _account(user)
        with self._lock:
            if self._taken[who] >= self._most:
                raise TooManyRequestsException(
                    f"your account has {self._most} {self._what} under way, which is all it may; wait until one ends",
                    headers={"retry-after": "5"},
                )
            self._taken[who] += 1

    def give_back(self, user: Principal) -> None:
        """Give one back."""
        who = _account(user)
        with self._lock:
            self._taken[who] -= 1
            if not self._taken[who]:
                del self._taken[who]

    @contextmanager
    def of(self, user: Principal) -> Iterator[None]:
        """Take one for a user and give it back. Raises ``TooManyRequestsException``."""
        self.take(user)
        try:
            yield
        finally:
            self.give_back(user)


class Shares:
    """Share out to accounts: a tenth of the seats of the live stream each, half of the exports."""

    def __init__(self) -> None:
        self.live = Share("live streams", 20)
        self.exports = Share("exports", 2)
        self.statistics = Share("statistics", 2)


def _account(user: Principal) -> int | str:
    return user.name if user.owner_id is None else user.owner_id
