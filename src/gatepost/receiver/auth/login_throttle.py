"""How often somebody may try a password. Pure: the clock is passed in.

Rules:

* Every attempt counts before its password is looked at, so that a hundred at once are a hundred.
* Five in a row are free: people mistype. Then each one doubles the wait before the next, up to a quarter of an
  hour. A success, or an hour of peace, begins anew.
* Counted by account and by address apart, so that neither many addresses nor many names get further.
* Bounded: the one that has been quiet longest is forgotten first.
"""

from collections import OrderedDict

from msgspec import Struct

__all__ = ["Attempts"]

FREE = 5
FIRST_WAIT_S = 2.0
LONGEST_WAIT_S = 900.0
PEACE_S = 3600.0
MAX_REMEMBERED = 10_000


class _Row(Struct):
    count: int
    last_at: float
    open_at: float


class Attempts:
    """Counts attempts by key; a key is whatever is to be limited."""

    def __init__(self) -> None:
        self._rows: OrderedDict[str, _Row] = OrderedDict()

    def wait(self, *keys: str, now: float) -> float:
        """Count an attempt under every key and answer 0, or answer how many seconds it is too early.

        An attempt that is too early is not counted: who waits as told gets in.
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

    def _count(self, key: str, row: _Row | None, now: float) -> None:
        if row is None or now - row.last_at >= PEACE_S:
            row = _Row(0, now, now)
        row.count += 1
        row.last_at = now
        over = row.count - FREE
        row.open_at = now if over < 0 else now + min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(over, 20))
        self._rows[key] = row
        self._rows.move_to_end(key)
        while len(self._rows) > MAX_REMEMBERED:
            self._rows.popitem(last=False)
