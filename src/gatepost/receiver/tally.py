"""What was not stored, counted: refusals per terminal, and pushes that went to a path which nobody serves.

A refusal must cost less than a passage, or refusing becomes a way to hurt. So these counts gather in memory and
go to the store together, about once a second; a crash loses a second of them, and of nothing else. Memory is
bounded: beyond :data:`MAX_KEYS` different ones between two flushes, refusals are counted as nobody's, and
further wrong paths are not remembered. What looks like a token in a path is shown by its first characters only: with
the whole of it anyone who sees it could push.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from gatepost.errors import StoreError

if TYPE_CHECKING:
    from gatepost.store.store import Store

__all__ = ["MAX_KEYS", "MAX_SHOWN", "Tally", "masked"]

MAX_KEYS = 1000
MAX_SHOWN = 200
"""Characters of a path or serial that are kept."""

_TOKEN = re.compile(r"(?<=/)[\w-]{20,}(?=/|$)")
"""Ours have 32 characters."""


class Tally:
    """Counts until they are flushed."""

    def __init__(self) -> None:
        self.refused_ever = 0
        """Since the start of the process."""
        self.by_reason: Counter[str] = Counter()
        """The same, by reason. Reasons are ours and few."""
        self._refused: Counter[tuple[int, str]] = Counter()
        self._misdirected: Counter[tuple[str, str, str]] = Counter()

    def refused(self, terminal_id: int | None, reason: str) -> None:
        """Count a refusal; ``None`` where nobody could say whose push it was."""
        self.refused_ever += 1
        self.by_reason[reason] += 1
        key = (terminal_id or 0, reason)
        full = key not in self._refused and len(self._refused) >= MAX_KEYS
        self._refused[(0, reason) if full else key] += 1

    def misdirected(self, peer: str, path: str, serial: str | None) -> None:
        """Count a push that went to a wrong path: from where, whereto, and whose, as far as it said."""
        path = _TOKEN.sub(lambda found: masked(found[0]), path)
        key = (peer, _shown(path), _shown(serial or ""))
        if key in self._misdirected or len(self._misdirected) < MAX_KEYS:
            self._misdirected[key] += 1

    def flush(self, store: Store, *, now_ms: int) -> None:
        """Hand the counts to the store. If it cannot take them now they are kept, and the error is raised."""
        refused, self._refused = self._refused, Counter()
        misdirected, self._misdirected = self._misdirected, Counter()
        try:
            if refused:
                store.count_refused(dict(refused), now_ms=now_ms)
                refused = Counter()
            if misdirected:
                store.note_misdirected(dict(misdirected), now_ms=now_ms)
        except StoreError:
            # Whatever was counted meanwhile came into new counters; both together stay bounded.
            self._refused.update(dict(refused.most_common(MAX_KEYS)))
            self._misdirected.update(dict(misdirected.most_common(MAX_KEYS)))
            raise


def masked(token: str) -> str:
    """So much of a token that whoever set it can tell which one it is."""
    return token[:4] + "\N{HORIZONTAL ELLIPSIS}"


def _shown(text: str) -> str:
    """What a stranger sends is shown to an operator."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:MAX_SHOWN])
