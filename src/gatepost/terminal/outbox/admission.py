"""Accept events into an outbox, or refuse them; drop others to make room.

Rules, at the limit (``overflow = "drop-oldest"``):

* The oldest record is dropped. An alarm is dropped only when nothing but alarms is left, and only for an alarm: a
  record that finds nothing but alarms is refused.
* For ``capacity_bytes``, history goes first, then dead letters that are records, because they are worth less than
  events that still wait. Dead letters that are alarms are treated as alarms.
* A limit that was lowered below the stored amount drops nothing by itself. Each new event then makes room for itself,
  so that a start with other settings never drops a backlog.
* With ``refuse-newest`` only history makes room. Otherwise the event is refused.

Every step can be taken back, because the disk may not take the event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gatepost.errors import OutboxFull
from gatepost.settings import TerminalSettings
from gatepost.terminal.outbox.segments.frames import Facts, encode_body
from gatepost.terminal.outbox.segments.segment import Staged
from gatepost.terminal.outbox.segments.segments import Segments
from gatepost.terminal.outbox.state.state import State
from gatepost.terminal.outbox.types import ALARMS, RECORDS, NewEvent

__all__ = ["Admission"]


class Admission:
    """Accepts events. One thread at a time."""

    def __init__(self, state: State, segments: Segments, settings: TerminalSettings) -> None:
        self._state = state
        self._cursor = state.cursor
        self._segments = segments
        self._settings = settings
        self._undo: list[Callable[[], None]] = []

    def accept(self, events: Sequence[NewEvent], *, now: float) -> list[int]:
        """Stage events, all or none, making room for each first; return their numbers.

        Raises :class:`~gatepost.errors.OutboxFull`. After any exception nothing has changed.
        """
        mark = len(self._undo)
        try:
            return [self._accept(event, now) for event in events]
        except BaseException:
            self._take_back(mark)
            raise

    def take_back(self) -> None:
        """Take back the staged events, and what made room for them."""
        self._take_back(0)

    def keep(self) -> None:
        """Confirm: the staged events were appended."""
        self._undo.clear()

    def _take_back(self, mark: int) -> None:
        while len(self._undo) > mark:
            self._undo.pop()()

    def _accept(self, event: NewEvent, now: float) -> int:
        self._make_room(event, now)
        number = self._cursor.last + 1
        facts = Facts(
            event.lane, event.size, event.image is not None, round(now * 1000) / 1000, event.happened_at
        )
        texts = (event.trace, event.user_id, event.job_number, event.ic_number)
        self._segments.stage(Staged(number, facts, texts, encode_body(event, number, round(now * 1000))))
        self._state.accept(number, facts, event.trace)

        def take_back() -> None:
            self._state.take_back(number, facts)
            self._segments.unstage(number)

        self._undo.append(take_back)
        return number

    def _make_room(self, event: NewEvent, now: float) -> None:
        """Drop what the limits ask for; raise before anything is dropped if that would not be enough."""
        settings, waiting = self._settings, len(self._cursor.waiting)
        too_many = waiting >= settings.capacity
        if too_many and settings.overflow == "refuse-newest":
            raise _full(f"the outbox is full: {waiting} events wait for delivery")
        if too_many and event.lane == RECORDS and not self._cursor.count(RECORDS):
            raise _full("the outbox is full of alarms, which do not make room for records")
        if settings.capacity_bytes is not None:
            self._make_bytes(event, settings.capacity_bytes, now)
        if too_many and len(self._cursor.waiting) >= settings.capacity:
            self._drop_waiting("capacity", now)

    def _make_bytes(self, event: NewEvent, budget: int, now: float) -> None:
        state = self._state
        held = sum(state.waiting_bytes) + sum(state.dead_bytes) + state.history_bytes
        # A limit that was lowered below the stored amount drops nothing by itself: each event makes room for itself.
        need = min(held + event.size - budget, event.size)
        if need <= 0:
            return
        lanes = () if self._settings.overflow == "refuse-newest" else (RECORDS, ALARMS)[: 2 - event.lane]
        free = state.history_bytes + sum(state.waiting_bytes[lane] + state.dead_bytes[lane] for lane in lanes)
        if need > free or event.size > budget:
            raise _full(f"the outbox may hold {budget} bytes, and this event of {event.size} does not fit")
        while need > 0 and state.history:
            size, take_back = state.forget_oldest()
            self._undo.append(take_back)
            need -= size
        for lane in lanes:
            while need > 0 and (dead := self._oldest_dead(lane)) is not None:
                need -= self._drop(dead, "capacity_bytes", now)
            while need > 0 and self._cursor.count(lane):
                need -= self._drop_waiting("capacity_bytes", now)

    def _drop_waiting(self, reason: str, now: float) -> int:
        """Drop the oldest record, or the oldest alarm if there is no record; return the bytes that it frees.

        An event in flight is dropped only if there is no other, because it may be arriving just now.
        """
        number = self._cursor.oldest(RECORDS if self._cursor.count(RECORDS) else ALARMS)
        return 0 if number is None else self._drop(number, reason, now)

    def _drop(self, number: int, reason: str, now: float) -> int:
        facts = self._segments.facts(number)
        self._undo.append(self._state.drop(number, reason, now))
        return 0 if facts is None else facts.size

    def _oldest_dead(self, lane: int) -> int | None:
        if not self._state.dead_bytes[lane]:
            return None
        of_lane = (
            number
            for number in self._cursor.dead
            if (facts := self._segments.facts(number)) is not None and facts.lane == lane
        )
        return min(of_lane, default=None)


def _full(why: str) -> OutboxFull:
    return OutboxFull(f"{why}; nothing was stored: raise the limit, or bring the receiver back")
