"""Refused pushes, gathered in memory and handed to the store every second, so that a refusal costs no write.

Rules:

* Memory is bounded whatever is sent: so many rows, of one peer so many, so many samples. What does not fit is still
  counted by :class:`gatepost.receiver.ingest.refusals.counters.Tally`.
* A token in a path is listed by its first characters only: with the whole of it anyone who sees it could push.
* The log has one line for each new peer and reason, at most :data:`LINES_A_MINUTE`. It has no path, no message and
  nothing of a body.
* A sample of the body is kept of what could not be read (:data:`SAMPLED`), one for each peer and reason, redacted by
  :mod:`gatepost.receiver.http.redact`. An erasure calls :meth:`RefusedPushes.forget`.

Flow: :meth:`RefusedPushes.add` → :meth:`~RefusedPushes.take` → the store; all on the loop.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping

import structlog

from gatepost.receiver.http.redact import redacted
from gatepost.receiver.ingest.paths import masked
from gatepost.store.types.refusals import RefusalSample, RefusedPush, RefusedTimes

__all__ = [
    "LINES_A_MINUTE",
    "MAX_ROWS",
    "MAX_ROWS_OF_A_PEER",
    "MAX_SHOWN",
    "SAMPLED",
    "RefusedPushes",
]

log = structlog.get_logger(__name__)

MAX_ROWS = 1000
"""Rows between two flushes."""

MAX_ROWS_OF_A_PEER = 100
"""Rows of one peer between two flushes. Beyond it a peer's refusals are listed without path and serial."""

MAX_SAMPLES = 8
"""Samples between two flushes: each costs the loop some milliseconds."""

MAX_SHOWN = 200
"""Characters of a path or serial that are kept."""

SAMPLED = (400, 413, 415)
"""Statuses of bodies of which a sample is kept: what could not be read."""

LINES_A_MINUTE = 20

Pushes = Mapping[RefusedPush, RefusedTimes]
Samples = Mapping[tuple[str, str], RefusalSample]
"""By peer and reason."""

_AGAIN_MS = 3_600_000
"""After so long without it, a reason is new again for a peer: it is logged again, and another sample is taken."""

_TOKEN = re.compile(r"(?<=/)[\w-]{20,}(?=/|$)")
"""Ours have 32 characters."""


class RefusedPushes:
    """The refused pushes of one process since the last flush."""

    def __init__(self, *, now: Callable[[], float]) -> None:
        """``now`` returns Unix seconds."""
        self._now = now
        self._pushes: dict[RefusedPush, RefusedTimes] = {}
        self._of_peer: Counter[str] = Counter()
        self._samples: dict[tuple[str, str], RefusalSample] = {}
        self._sampled: dict[tuple[str, str], int] = {}
        self._told: dict[tuple[str, str], int] = {}
        self._minute = self._lines = self._untold = 0

    def add(self, push: RefusedPush, *, detail: str, body: bytes = b"") -> None:
        """List a refusal. ``detail`` is the message of the reply, ``body`` what was refused, as far as it is there."""
        now_ms = int(self._now() * 1000)
        push = RefusedPush(
            peer=_shown(push.peer),
            reason=push.reason,
            status=push.status,
            path=_shown(_TOKEN.sub(lambda found: masked(found[0]), push.path)),
            serial=_shown(push.serial),
        )
        self._list(push, detail, now_ms)
        self._tell(push, now_ms)
        self.sample(push, body)

    def sample(self, push: RefusedPush, body: bytes) -> None:
        """Keep a sample of a refused body, unless there is one of this peer and reason."""
        place, now_ms = (push.peer, push.reason), int(self._now() * 1000)
        if not body or push.status not in SAMPLED or len(self._samples) >= MAX_SAMPLES:
            return
        if now_ms - self._sampled.get(place, -_AGAIN_MS) < _AGAIN_MS:
            return
        _remember(self._sampled, place, now_ms)
        content = redacted(body)
        if content:
            self._samples[place] = RefusalSample(status=push.status, at_ms=now_ms, content=content)

    def take(self) -> tuple[Pushes, Samples]:
        """Take what is listed since the last call, and the samples."""
        self._end_minute(int(self._now() * 1000))
        taken: tuple[Pushes, Samples] = self._pushes, self._samples
        self._pushes, self._samples = {}, {}
        self._of_peer.clear()
        return taken

    def put_back(self, pushes: Pushes, samples: Samples) -> None:
        """Keep what could not be stored, for the next time."""
        for push, times in pushes.items():
            newer = self._pushes.get(push)
            if newer is not None:
                newer.count += times.count
                newer.first_at_ms = times.first_at_ms
            elif len(self._pushes) < MAX_ROWS:
                self._pushes[push] = times
        self._samples = dict([*self._samples.items(), *samples.items()][:MAX_SAMPLES])

    def forget(self) -> None:
        """Drop the samples."""
        self._samples = {}

    def _list(self, push: RefusedPush, detail: str, now_ms: int) -> None:
        times = self._pushes.get(push)
        if times is None and self._of_peer[push.peer] >= MAX_ROWS_OF_A_PEER:
            push = RefusedPush(peer=push.peer, reason=push.reason, status=push.status)
            times = self._pushes.get(push)
        if times is not None:
            times.count += 1
            times.last_at_ms = now_ms
            times.detail = detail
        elif len(self._pushes) < MAX_ROWS:
            self._of_peer[push.peer] += 1
            self._pushes[push] = RefusedTimes(count=1, first_at_ms=now_ms, last_at_ms=now_ms, detail=detail)

    def _tell(self, push: RefusedPush, now_ms: int) -> None:
        """Write a line into the log, if this peer was not refused for this reason lately."""
        place = (push.peer, push.reason)
        before = self._told.pop(place, None)
        if before is None or now_ms - before >= _AGAIN_MS:
            self._end_minute(now_ms)
            if self._lines >= LINES_A_MINUTE:
                self._untold += 1
                return
            self._lines += 1
            log.warning(
                "push.refused", status=push.status, reason=push.reason, peer=push.peer, serial=push.serial
            )
        _remember(self._told, place, now_ms)

    def _end_minute(self, now_ms: int) -> None:
        minute = now_ms // 60_000
        if minute == self._minute:
            return
        if self._untold:
            log.warning("push.refused_without_a_line", count=self._untold)
        self._minute, self._lines, self._untold = minute, 0, 0


def _remember(table: dict[tuple[str, str], int], place: tuple[str, str], now_ms: int) -> None:
    if len(table) >= MAX_ROWS:
        del table[next(iter(table))]
    table[place] = now_ms


def _shown(text: str) -> str:
    """Return what a stranger sent as it may be shown to an operator."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:MAX_SHOWN])
