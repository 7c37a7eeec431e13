"""Make space on a full disk, or when the files take more than the setting allows.

If the disk is full, or has less than the reserve, whole segments are deleted, which needs no space. In this order:

1. segments that are not needed, then damaged bytes that were set aside; 2. segments with delivered history alone, then
the delivered history in others, whose bytes are given back to the disk; 3. with ``drop-oldest``, the oldest records,
and for an alarm, if there are no records, the oldest alarms.

Nothing is deleted for an event that would not fit all the same. If another program takes the space, only as many events
are dropped as new ones need (:mod:`.shortage`). A segment is deleted once the disk records that it is not needed. If
the disk has no space for that, the segment is deleted first, and its space is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from gatepost.journal.files import Files
from gatepost.journal.format import HEADER_BYTES
from gatepost.settings import TerminalSettings
from gatepost.terminal.logs import Log
from gatepost.terminal.outbox.disk.saving import Saver
from gatepost.terminal.outbox.disk.shortage import Shortage
from gatepost.terminal.outbox.opening import is_full
from gatepost.terminal.outbox.segments.frames import frame_bytes
from gatepost.terminal.outbox.segments.holes import bytes_to_free
from gatepost.terminal.outbox.segments.segment import Segment
from gatepost.terminal.outbox.segments.segments import Segments
from gatepost.terminal.outbox.state.operations import FORGOTTEN
from gatepost.terminal.outbox.state.state import State
from gatepost.terminal.outbox.status import free_bytes
from gatepost.terminal.outbox.types import ALARMS, RECORDS, NewEvent

__all__ = ["Space"]

log = Log(__name__)

_BLOCK = 4096
"""Bytes of a block of the file system."""
_ROUGHLY = 64
"""Bytes by which the estimated size of a frame may be too large."""
_WORTH_BYTES = 4 * _BLOCK
"""Least bytes for which a segment is opened to give them back."""


class Space:
    """The disk space of one outbox. One thread at a time."""

    def __init__(
        self,
        path: Path,
        state: State,
        segments: Segments,
        saver: Saver,
        *,
        settings: TerminalSettings,
        files: Files,
        segment_bytes: int,
        now: Callable[[], float],
    ) -> None:
        self.shortened = 0
        """Delivered records that were forgotten before the end of their retention."""
        self.shortage = Shortage()
        self._path = path
        self._state = state
        self._cursor = state.cursor
        self._segments = segments
        self._saver = saver
        self._settings = settings
        self._files = files
        self._segment_bytes = segment_bytes
        self._now = now

    def free(self) -> int:
        """Return the free bytes of the disk for this user."""
        return free_bytes(self._path, self._files)

    def tidy(self) -> None:
        """Delete unneeded segments, and give unneeded bytes back."""
        if self._segments.has_empty:
            self._segments.has_empty = False
            self._remove(self._segments.empty())
        self._keep_within_budget()

    def keep_free(self) -> None:
        """Delete damaged bytes and history before the disk is full."""
        while self.free() < 2 * self._segment_bytes:
            if not (self._segments.aside.drop_oldest() or self._forget_a_segment()):
                return
        self.shortage.ended()

    def make_for(self, events: Sequence[NewEvent]) -> bool:
        """Delete what these events need, and little more; return whether something was deleted."""
        lanes, held, is_made = {event.lane for event in events}, self._segments.held, False
        frames = sum(map(frame_bytes, events))
        # A segment begins with a header, has an index, and its last block is not full.
        needed = frames + len(lanes) * (HEADER_BYTES + 2 * _BLOCK)
        if needed > self.free() + self._may_go(lanes):
            return False
        going = (RECORDS, ALARMS) if ALARMS in lanes else (RECORDS,)
        while held - self._segments.held < needed + self._segment_bytes:
            if not (self._segments.aside.drop_oldest() or self._forget_a_segment()):
                if self._settings.overflow == "refuse-newest" or self.shortage.is_in_vain:
                    break
                files = self._segments.size()
                if self.shortage.others_take(files, slack=needed + self._segment_bytes // 4):
                    return any(self._drop_oldest(lane, frames) for lane in going) or is_made
                self.shortage.given_up(files)
                if not any(self._drop_a_segment(lane) for lane in going):
                    break
            is_made = True
            if self.free() >= needed:
                break
        return is_made

    def _may_go(self, lanes: set[int]) -> int:
        """Return the bytes that may be deleted for events of these lanes."""
        segments = self._segments
        if self._settings.overflow == "drop-oldest":
            going = sum(segment.size for lane in lanes | {RECORDS} for segment in segments.lanes[lane])
        elif segments.makes_holes:
            going = self._state.history_bytes + sum(segment.waste for segment in segments.all)
        else:
            going = sum(segment.size for segment in segments.all if segment.history == segment.live)
        return going + segments.aside.count()[1]

    # --- history ----------------------------------------------------------------------------------------------------

    def _forget_a_segment(self) -> bool:
        """Delete the oldest segment with nothing but delivered history, else the history in others."""
        candidates = self._candidates(RECORDS) if self._state.history else self._segments.closed
        for segment in candidates:
            if segment.history and segment.history == segment.live:
                self._forget_history_of(segment)
                return bool(self._remove([segment]))
        if not self._segments.makes_holes:
            return False
        for segment in self._segments.closed:
            if (segment.waste or segment.history) and segment.seen != (segment.live, segment.history):
                if bytes_to_free(segment, self._is_undelivered) >= _WORTH_BYTES:
                    self._forget_history_of(segment)
                    return bool(self._give_back(segment))
                segment.seen = (segment.live, segment.history)
        return False

    def _forget_history_of(self, segment: Segment) -> None:
        numbers = [number for number in segment.columns.numbers if number in self._state.history]
        if numbers:
            if not self.shortened:
                log.warning("outbox.history_shortened", advice="the disk is full; the status counts on")
            self.shortened += len(numbers)
            self._state.do(FORGOTTEN, numbers)
            self._saver.flush()

    # --- waiting events and dead letters -----------------------------------------------------------------------------

    def _is_undelivered(self, number: int) -> bool:
        return number in self._cursor.waiting or number in self._cursor.dead

    def _drop_a_segment(self, lane: int) -> bool:
        """Drop the events of the oldest segment of a lane."""
        for segment in self._candidates(lane):
            numbers = segment.columns.numbers
            self._state.do(FORGOTTEN, [number for number in numbers if number in self._state.history])
            for number in numbers:
                if self._is_undelivered(number):
                    self._state.drop(number, "disk", self._now())
            self._saver.flush()
            return bool(self._remove([segment]))
        return False

    def _drop_oldest(self, lane: int, needed: int) -> bool:
        """Drop ``needed`` bytes of the oldest events of a lane, and no more; return whether some were dropped.

        This needs a file system that can make holes, and a disk that takes small writes.
        """
        if not self._segments.makes_holes or self._saver.save() is not None:
            return False
        left = needed = max(needed - self.free(), _BLOCK)
        for segment in self._candidates(lane):
            for at, number in enumerate(segment.columns.numbers):
                if left > _ROUGHLY and self._is_undelivered(number):
                    self._state.drop(number, "disk", self._now())
                    left -= segment.bytes_of(at)
            if segment.waste:
                self._give_back(segment)
            if left <= _ROUGHLY:
                break
        if left < needed:
            self.shortage.gave()
        return left < needed

    def _candidates(self, lane: int) -> list[Segment]:
        """Return the segments of a lane by age. If there is only one, it is closed first."""
        segments = self._segments.lanes[lane]
        if len(segments) == 1:
            self._segments.finish(lane)
        return [segment for segment in segments if not segment.is_open]

    # --- the files --------------------------------------------------------------------------------------------------

    def _keep_within_budget(self) -> None:
        """Give unneeded bytes back if the files take more than the setting allows."""
        budget, segments = self._settings.capacity_bytes, self._segments
        if budget is None or self._saver.storage_error is not None or not segments.has_waste:
            return
        while segments.held > budget and (segment := segments.wasteful) is not None:
            if not self._give_back(segment):
                return

    def _give_back(self, segment: Segment) -> int:
        """Give the unneeded bytes of a segment back, once that is recorded on disk; return how many."""
        self._saver.flush()
        if self._saver.save() is not None or not self._saver.log.is_clean:
            return 0
        self._saver.mark()
        try:
            return self._segments.give_back(segment, self._state.is_needed)
        except OSError as error:
            # No event is refused for this: the segment stays as it is.
            log.warning("outbox.bytes_not_given_back", file=segment.path.name, error=str(error.strerror))
            segment.waste = 0
            segment.seen = (segment.live, segment.history)
            return 0

    def _remove(self, segments: Sequence[Segment]) -> int:
        """Delete unneeded segments, once that is recorded on disk; return how many.

        Without space for the record, they are deleted first, and it is written into their space. A crash in between
        loses the states of their events: they count as dropped.
        """
        if not segments:
            return 0
        removed, error = 0, self._saver.save()
        self._saver.mark(segments)
        if error is None or is_full(error):
            try:
                for segment in segments:
                    self._segments.remove(segment)
                    removed += 1
            except OSError as failed:
                self._saver.failed(failed)
            if error is not None:
                self._saver.save()
                self._saver.mark(segments)
        if removed < len(segments):
            self._segments.has_empty = True
        return removed
