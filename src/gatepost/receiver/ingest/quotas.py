"""How much is taken from terminals that are not approved, in a minute and in a day. Pure: the clock is passed in.

Rules:

* Counted by terminal and by address apart, so that neither made-up serials nor many addresses get further. An address
  has what some terminals have, for a site stands behind one.
* Of each quota a tenth may go to the quarantine: what is in it helps only whoever looks at it.
* A push is taken as a whole or not at all, and one that is not taken is not counted: its terminal keeps it.
* A minute and a day begin with those of UTC. Counts are in memory alone, so a restart begins anew. Memory is bounded:
  the one that has been silent longest is forgotten first.

``docs/decisions/limits.md`` has the figures.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache
from ipaddress import IPv6Address

from msgspec import Struct

from gatepost.settings import ReceiverSettings

__all__ = ["MAX_REMEMBERED", "QUARANTINE_SHARE", "Amounts", "Quotas"]

MAX_REMEMBERED = 20_000
"""Terminals and addresses together: as many as terminals may introduce themselves by default. Some 8 MB."""

QUARANTINE_SHARE = 10
"""The quarantine has one of so many parts of each quota."""

_SPANS_S = (60, 86_400)

_SETTINGS = (
    ("unapproved_events_per_minute", "unapproved_bytes_per_minute"),
    ("unapproved_events_per_day", "unapproved_bytes_per_day"),
)
"""By span: of events and of bytes."""


class Amounts(Struct, frozen=True, kw_only=True):
    """Hold what one terminal may send: the settings ``unapproved_*``."""

    events_per_minute: int = 30_000
    bytes_per_minute: int = 1 << 30
    events_per_day: int = 100_000
    bytes_per_day: int = 8 << 30
    terminals_per_address: int = 20

    @classmethod
    def of(cls, settings: ReceiverSettings) -> Amounts:
        """Return the part of the settings that one of the ingests has."""

        def part(amount: int) -> int:
            return max(1, amount // settings.ingest_processes)

        return cls(
            events_per_minute=part(settings.unapproved_events_per_minute),
            bytes_per_minute=part(settings.unapproved_bytes_per_minute),
            events_per_day=part(settings.unapproved_events_per_day),
            bytes_per_day=part(settings.unapproved_bytes_per_day),
            terminals_per_address=settings.unapproved_terminals_per_address,
        )


class _Counts(Struct):
    """What came in the minute and the day that are now, of one terminal or address."""

    windows: list[int]
    taken: list[list[int]]
    """By span: events, bytes, and both of the quarantine."""


class Quotas:
    """Counts what is taken."""

    def __init__(self, amounts: Amounts) -> None:
        self._amounts = amounts
        each = (
            (amounts.events_per_minute, amounts.bytes_per_minute),
            (amounts.events_per_day, amounts.bytes_per_day),
        )
        self._limits = [[*both, *(max(1, one // QUARANTINE_SHARE) for one in both)] for both in each]
        self._rows: OrderedDict[str, _Counts] = OrderedDict()

    def __len__(self) -> int:
        return len(self._rows)

    def take(
        self, terminal: str, peer: str, *, events: int, size: int, quarantined: int, now: float
    ) -> str | None:
        """Count a push, or return which setting it goes beyond; then it is not counted.

        ``terminal``: what tells it from others. ``quarantined``: how many of its events go to the quarantine.
        ``now`` is in Unix seconds.
        """
        # Of a body with several events the quarantine is counted with its part.
        adds = [events, size, quarantined, size * quarantined // max(1, events)]
        rows = [
            (self._row(f"terminal {terminal}", now), 1),
            (self._row(f"address {_network(peer)}", now), self._amounts.terminals_per_address),
        ]
        for row, factor in rows:
            for span, taken in enumerate(row.taken):
                for kind, add in enumerate(adds):
                    # The first push of a window is taken however large it is, or it would be refused for ever.
                    if add and taken[kind] and taken[kind] + add > factor * self._limits[span][kind]:
                        return _SETTINGS[span][kind % 2]
        for row, _ in rows:
            for taken in row.taken:
                for kind, add in enumerate(adds):
                    taken[kind] += add
        return None

    def _row(self, key: str, now: float) -> _Counts:
        windows = [int(now // seconds) for seconds in _SPANS_S]
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = _Counts(windows, [[0] * 4 for _ in _SPANS_S])
            if len(self._rows) > MAX_REMEMBERED:
                self._rows.popitem(last=False)
            return row
        self._rows.move_to_end(key)
        for span, window in enumerate(windows):
            if row.windows[span] != window:
                row.windows[span], row.taken[span] = window, [0] * 4
        return row


@lru_cache(4096)
def _network(peer: str) -> str:
    """Return what one sender has: of IPv6 that is a network of 64 bits (RFC 4291, section 2.5.4)."""
    if ":" not in peer:
        return peer
    try:
        return IPv6Address(peer.partition("%")[0]).packed[:8].hex()
    except ValueError:
        return peer
