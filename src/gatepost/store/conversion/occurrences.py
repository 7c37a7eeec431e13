"""Occurrences of an alarm: which steps of one ``trace_id`` belong together. Pure.

A terminal names each alarm by a ``trace_id``, and some use one again: a counter restarts, or a firmware has only one.
Rules, for the steps of one terminal and trace:

* A step with status 1 opens an occurrence. Only one with the same code and the same time joins it instead.
* Any other step joins the latest occurrence that is not after it. If it names a code, and an occurrence of that code is
  not after it, it joins the latest of these: to clear a held door does not clear a fire alarm.
* Of occurrences that opened at the same millisecond, the latest is one without a code, else the one with the highest
  code, and a fire alarm only if there is no other.
* Steps before every occurrence form one of their own, the *unopened* one. If a status 1 that is not after any of them
  arrives later, it opens that one.
* An occurrence has the highest status of its steps. It is also cleared if a later one of the same code is: a status 1
  that is older than a known clear does not open anything again.
* A step without a usable time has the time of its receipt. Other than with status 1, it does not join an occurrence
  whose status 1 was received after it, whatever the time of that: when in doubt an alarm is open.
* A clear that had been received before a status 1 without a usable time does not clear it, whatever its own time.

Everything here is decided by the steps alone, so it does not depend on the order in which they are joined. What was
received at the same millisecond was received in the order of the ids.
"""

from msgspec import Struct

from gatepost.wire import AlarmCode, AlarmStatus, digest

__all__ = ["UNOPENED", "Occurrence", "Step", "contribution", "effective", "may_join", "moves", "tie"]

UNOPENED = -(1 << 62)
"""When the unopened occurrence opened: before all others."""

_NO_CODE = (1 << 31) - 1
"""Order of an occurrence without a code: after all others."""


class Step(Struct, frozen=True):
    """A stored report of an alarm."""

    id: int
    terminal_id: int
    trace_id: str
    status: int | None
    code: int | None
    event_time_ms: int | None
    """As the terminal said it."""
    at_ms: int
    """When it happened, or, without a usable time, when it was received."""
    received_at_ms: int

    @property
    def opens(self) -> bool:
        return self.status == AlarmStatus.OCCURRED

    @property
    def is_timed(self) -> bool:
        return self.event_time_ms == self.at_ms

    @property
    def receipt(self) -> tuple[int, int]:
        """Return the place of the step in the order of receipt: milliseconds, then id."""
        return self.received_at_ms, self.id


class Occurrence(Struct, frozen=True):
    """A stored occurrence, as far as the rules need it."""

    id: int
    code: int | None
    """Of the status 1 that opened it."""
    opened_at_ms: int
    tie: int
    timed: bool
    """The status 1 that opened it had a usable time."""
    own_status: int
    """The highest of its own steps, 0 to 3."""
    status: int
    """The one that is shown: :func:`effective`."""
    opener_received_at_ms: int
    """When the status 1 that opened it was received; of several, the first. 0: before every other step."""
    opener_id: int

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands among the occurrences of its trace."""
        return self.opened_at_ms, self.tie

    @property
    def receipt(self) -> tuple[int, int]:
        """Return the place of the step with status 1 in the order of receipt: milliseconds, then id."""
        return self.opener_received_at_ms, self.opener_id


def tie(step: Step) -> int:
    """Return a number that orders occurrences which opened at the same time, alike in every process.

    They are ordered by code. A fire alarm is the first of them, because a clear without a code joins the last.
    """
    if step.code is None:
        order = _NO_CODE
    else:
        order = 0 if step.code == AlarmCode.FIRE else min(max(step.code, 1), _NO_CODE - 1)
    # Tells times that are not usable apart, and codes that are out of range.
    what = f"{step.code} {step.event_time_ms}"
    return order << 32 | int.from_bytes(digest(what)[:4], "big")


def may_join(step: Step, occurrence: Occurrence) -> bool:
    """Return whether an occurrence is not after a step that opens none."""
    if step.at_ms < occurrence.opened_at_ms:
        return False
    return step.is_timed or step.receipt > occurrence.receipt


def contribution(step: Step, occurrence: Occurrence) -> int:
    """Return the status, 0 to 3, that a step of an occurrence gives it."""
    if step.status not in tuple(AlarmStatus):
        return 0
    known_before = not step.opens and step.receipt < occurrence.receipt
    return 0 if known_before and not occurrence.timed else step.status or 0


def effective(occurrence: Occurrence, following: Occurrence | None) -> int:
    """Return the status to show. ``following``: the next occurrence of the same code."""
    cleared = int(AlarmStatus.CLEARED)
    if following is not None and following.status == cleared and (occurrence.timed or not following.timed):
        return cleared
    return occurrence.own_status


def moves(step: Step, opened: Occurrence, before: Occurrence) -> bool:
    """Return whether a step of ``before`` belongs to an occurrence that opened after ``before``.

    ``before`` keeps steps that name its code, unless both have that code.
    """
    if step.opens or not may_join(step, opened):
        return False
    return step.code is None or step.code != before.code or before.code == opened.code
