"""How much is taken from terminals that are not approved, in a minute and in a day. Pure: the clock is passed in.

Rules:

* Counted by terminal and by address apart, so that neither made-up serials nor many addresses get further. An address
  has what some terminals have, for a site stands behind one.
* Of each quota a tenth may go to the quarantine: what is in it helps only whoever looks at it.
* A push is taken as a whole or not at all, and one that is not taken is not counted: its terminal keeps it.
* A minute and a day begin with those of UTC. Counts are in memory alone, so a restart begins again. Memory is bounded:
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
"""Terminals and addresses together, in a span: as many as terminals may introduce themselves by default; 8 MB."""

QUARANTINE_SHARE = 10
"""The quarantine has one of so many parts of each quota."""

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


class _Span:
    """A minute or a day, and what came in the one that is now: events, bytes, and both of the quarantine."""

    def __init__(self, seconds: int, settings: tuple[str, str], events: int, size: int) -> None:
        self._seconds = seconds
        self.window = 0
        self.settings = settings
        self.limits = (events, size, max(1, events // QUARANTINE_SHARE), max(1, size // QUARANTINE_SHARE))
        self.rows: OrderedDict[str, list[int]] = OrderedDict()

    def row(self, key: str, now: float) -> list[int]:
        """Return what came of one terminal or address until now."""
        window = int(now // self._seconds)
        if window != self.window:
            self.window = window
            self.rows.clear()
        row = self.rows.get(key)
        if row is None:
            row = self.rows[key] = [0, 0, 0, 0]
            if len(self.rows) > MAX_REMEMBERED:
                self.rows.popitem(last=False)
        else:
            self.rows.move_to_end(key)
        return row


class Quotas:
    """Counts what is taken."""

    def __init__(self, amounts: Amounts) -> None:
        self._per_address = amounts.terminals_per_address
        self._spans = _spans(amounts)

    def limit(self, amounts: Amounts) -> None:
        """Take over other amounts; what came until now stays counted."""
        counted = [span.rows for span in self._spans]
        windows = [span.window for span in self._spans]
        self._per_address = amounts.terminals_per_address
        self._spans = _spans(amounts)
        for span, rows, window in zip(self._spans, counted, windows, strict=True):
            span.rows, span.window = rows, window

    def __len__(self) -> int:
        return max(len(span.rows) for span in self._spans)

    def take(
        self, terminal: str, peer: str, *, events: int, size: int, quarantined: int, now: float
    ) -> str | None:
        """Count a push, or return which setting it goes beyond; then it is not counted.

        ``terminal``: what tells it from others. ``quarantined``: how many of its events go to the quarantine.
        ``now`` is in Unix seconds.
        """
        adds = [(0, events), (1, size)]
        if quarantined:
            # Of a body with several events the quarantine is counted with its part.
            adds += [(2, quarantined), (3, size * quarantined // max(1, events))]
        senders = ((f"terminal {terminal}", 1), (f"address {_network(peer)}", self._per_address))
        rows = []
        for span in self._spans:
            for key, factor in senders:
                row = span.row(key, now)
                for kind, add in adds:
                    # The first push of a window is taken however large it is, or it would be refused for ever.
                    if row[kind] and row[kind] + add > factor * span.limits[kind]:
                        return span.settings[kind % 2]
                rows.append(row)
        for row in rows:
            for kind, add in adds:
                row[kind] += add
        return None


def _spans(amounts: Amounts) -> tuple[_Span, _Span]:
    return (
        _Span(60, _SETTINGS[0], amounts.events_per_minute, amounts.bytes_per_minute),
        _Span(86_400, _SETTINGS[1], amounts.events_per_day, amounts.bytes_per_day),
    )


@lru_cache(4096)
def _network(peer: str) -> str:
    """Return what one sender has: of IPv6 that is a network of 64 bits (RFC 4291, section 2.5.4)."""
    if ":" not in peer:
        return peer
    try:
        return IPv6Address(peer.partition("%")[0]).packed[:8].hex()
    except ValueError:
        return peer
