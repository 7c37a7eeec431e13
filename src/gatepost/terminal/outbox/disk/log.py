"""Log lines about a disk that refuses some writes.

Rules:

* An error is logged only if a caller was refused. Data that is kept in memory and written later is a warning.
* One line begins a condition, a second one may add that callers are refused, and one line ends it.
* On a disk with little space large events are refused and small ones are not, so the condition may change with each
  event. A condition that begins less than a minute after the last line is logged only when it lasts. If its begin was
  not logged, neither is its end.
"""

from __future__ import annotations

from gatepost.terminal.logs import Log

__all__ = ["DiskLog"]

log = Log(__name__)

QUIET_S = 60.0
"""Seconds after a line in which no other condition is logged."""

_NOTHING, _KEPT, _REFUSED = range(3)


class DiskLog:
    """The log lines about one disk."""

    def __init__(self) -> None:
        self._said = _NOTHING
        self._quiet_from = float("-inf")

    def failed(self, why: str, *, is_refused: bool, now: float) -> None:
        """Note that the disk refused a write. ``now``: Unix seconds, of a clock that may be set."""
        level = _REFUSED if is_refused else _KEPT
        if level <= self._said or (self._said == _NOTHING and abs(now - self._quiet_from) < QUIET_S):
            return
        self._said = level
        if is_refused:
            log.error("outbox.unavailable", error=why)
        else:
            log.warning("outbox.kept_in_memory", error=why)

    def ended(self, *, now: float) -> None:
        """Note that the disk takes every write again."""
        if self._said != _NOTHING:
            self._said, self._quiet_from = _NOTHING, now
            log.info("outbox.recovered")
