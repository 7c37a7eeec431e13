"""The lines of the log about a disk that does not take everything.

Rules:

* An error is said only where a caller was refused. What is kept in memory and written later is a warning.
* One line begins a condition, one more may say that callers are refused as well, and one ends it.
* On a disk with a little space large events are refused and small ones are not, so the condition comes and goes with
  each event. So what begins less than a minute after the last line is said only when it lasts, and without its
  beginning its end is not said.
"""

from __future__ import annotations

from gatepost.terminal.logs import Log

__all__ = ["DiskLog"]

log = Log(__name__)

QUIET_S = 60.0
"""Seconds after a line in which no other condition is said."""

_NOTHING, _KEPT, _REFUSED = range(3)


class DiskLog:
    """The log lines about one disk."""

    def __init__(self) -> None:
        self._said = _NOTHING
        self._quiet_from = float("-inf")

    def failed(self, why: str, *, is_refused: bool, now: float) -> None:
        """Say that the disk did not take something. ``now`` is in Unix seconds, of a clock that may be set."""
        level = _REFUSED if is_refused else _KEPT
        if level <= self._said or (self._said == _NOTHING and abs(now - self._quiet_from) < QUIET_S):
            return
        self._said = level
        if is_refused:
            log.error("outbox.unavailable", error=why)
        else:
            log.warning("outbox.kept_in_memory", error=why)

    def ended(self, *, now: float) -> None:
        """Say that the disk takes everything again."""
        if self._said != _NOTHING:
            self._said, self._quiet_from = _NOTHING, now
            log.info("outbox.recovered")
