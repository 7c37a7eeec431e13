"""Limit how often a password may be tried. Pure: the time is passed in, of a clock that is never set.

Rules:

* Every attempt counts before its password is looked at, so that a hundred at once are a hundred.
* Some in a row are free: people mistype. Then each one doubles the wait before the next, up to a quarter of an
  hour. A success, or an hour without an attempt, starts again.
* A device that logged in before has a budget of its own, and counts nowhere else: what others try does not lock its
  person out. An unknown one counts by its network and by the account that it tries; the account bears more, so that a
  network is slowed down first.
* Bounded: the one that has been quiet longest is forgotten first.
"""

from collections import OrderedDict

from msgspec import Struct

from gatepost.retry import doubled

__all__ = ["FREE", "Attempts"]

FREE = {"network": 5, "account": 20, "device": 10, "session": 5, "provider": 5}
"""How many attempts in a row are free, by the first word of the key.

``provider``: logins that the identity provider refused, by network; they are not slowed down but counted in groups.
"""

FIRST_WAIT_S = 2.0
LONGEST_WAIT_S = 900.0
PEACE_S = 3600.0
MAX_REMEMBERED = 10_000


class _Row(Struct):
    count: int
    last_at: float
    open_at: float


class Attempts:
    """Counts attempts by key: a kind of :data:`FREE`, a blank, and what is to be limited. For one thread at a time."""

    def __init__(self) -> None:
        self._rows: OrderedDict[str, _Row] = OrderedDict()

    def wait(self, *keys: str, now: float) -> float:
        """Count an attempt under every key and return 0, or return how many seconds it is too early.

        An attempt that is too early is not counted: a client that waits as told gets in.
        """
        rows = [self._rows.get(key) for key in keys]
        early = max((row.open_at - now for row in rows if row is not None), default=0.0)
        if early > 0:
            return early
        for key, row in zip(keys, rows, strict=True):
            self._count(key, row, now)
        return 0.0

    def succeeded(self, *keys: str) -> None:
        """Forget the failures under these keys."""
        for key in keys:
            self._rows.pop(key, None)

    def early(self, kind: str, *, now: float) -> list[str]:
        """Return under which keys of a kind the next attempt would be too early; without the kind."""
        start = f"{kind} "
        return [
            key.removeprefix(start)
            for key, row in self._rows.items()
            if key.startswith(start) and row.open_at > now
        ]

    def take_back(self, *keys: str) -> None:
        """Count one attempt less under these keys: it failed at nothing."""
        for key in keys:
            row = self._rows.get(key)
            if row is not None:
                row.count -= 1
                row.open_at = row.last_at + _wait(key, row.count)
                if row.count == 0:
                    del self._rows[key]

    def _count(self, key: str, row: _Row | None, now: float) -> None:
        if row is None or now - row.last_at >= PEACE_S:
            row = _Row(0, now, now)
        row.count += 1
        row.last_at = now
        row.open_at = now + _wait(key, row.count)
        self._rows[key] = row
        self._rows.move_to_end(key)
        while len(self._rows) > MAX_REMEMBERED:
            self._rows.popitem(last=False)


def _wait(key: str, count: int) -> float:
    over = count - FREE[key.partition(" ")[0]]
    return 0.0 if over < 0 else doubled(over, first_s=FIRST_WAIT_S, longest_s=LONGEST_WAIT_S)
