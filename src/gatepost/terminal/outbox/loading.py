"""Read an outbox at a start: the stored state, and the events that are there.

Rules:

* An event in a segment that is not settled waits.
* A number that was given and is nowhere is lost: its bytes were damaged. It counts as dropped. Exception: a number
  above the last one that a caller was told, without bytes or with those of an incomplete write. The process was killed,
  or the power was cut, before the sync.
* If the state is damaged, serial and subscription are read from a file of their own.
* An event whose bytes were given back was settled, also if the state does not say so.
* Segments are deleted when they are not needed. So if the state is damaged and incomplete, a number whose segment is
  gone was settled. A number whose place in a segment has damaged bytes is still lost. The mark of the last deletion
  tells whether the end of the state is missing.
"""

from __future__ import annotations

from pathlib import Path

from gatepost.cursor import Spans
from gatepost.journal.files import Files
from gatepost.terminal.logs import Log
from gatepost.terminal.outbox.opening import open_folder
from gatepost.terminal.outbox.segments.segment import Segment
from gatepost.terminal.outbox.segments.segments import Segments
from gatepost.terminal.outbox.segments.spans import damaged_spans, deleted_spans, written_spans
from gatepost.terminal.outbox.state.log import StateLog
from gatepost.terminal.outbox.state.operations import ACCEPTED, LOST, SKIPPED
from gatepost.terminal.outbox.state.owner import read_owner
from gatepost.terminal.outbox.state.state import State
from gatepost.terminal.outbox.types import ALARMS, RECORDS

__all__ = ["load"]

log = Log(__name__)


def load(
    path: Path,
    *,
    max_refusals: int,
    files: Files,
    segment_bytes: int,
    is_writer: bool,
    now: float,
    is_rescue: bool = False,
    is_alone: bool = False,
) -> tuple[Segments, State, StateLog]:
    """Read an outbox. ``is_rescue``: read what can be read of one that cannot be opened.

    ``is_alone``: no other process writes to it, so that missing events are lost, for a reader, too.
    Raises :class:`~gatepost.errors.OutboxError`.
    """
    folder = open_folder(path, files, is_writer=is_writer, is_rescue=is_rescue)
    kept = StateLog.read(folder, is_rescue=is_rescue)
    segments = Segments.load(folder, segment_bytes=segment_bytes, is_writer=is_writer, is_rescue=is_rescue)
    segments.deleted_up_to = list(kept.mark.deleted_up_to)
    if is_writer:
        for damaged in kept.damaged:
            segments.aside.take_copy(damaged)
    state = State(
        facts=segments.facts,
        trace=segments.trace,
        max_refusals=max_refusals,
        not_needed=segments.not_needed,
        needed_again=segments.needed_again,
        history_changed=segments.count_history,
    )
    cursor = state.cursor
    if kept.checkpoint is not None:
        state.load(kept.checkpoint)
    else:
        # Segments are deleted when they are not needed: events before the first one were settled.
        cursor.settle_up_to(segments.first - 1)
    told = max([cursor.last, *(op[1] for op in kept.ops if op[0] == ACCEPTED)])
    records: list[int] = []
    for segment in segments.all:
        _add_waiting(state, segment, records)
    cursor.add_all(records, RECORDS)
    cursor.last = max(cursor.last, segments.last, *segments.deleted_up_to)
    for op in kept.ops:
        state.apply(op)
    if kept.checkpoint is None or kept.is_damaged:
        state.take_owner(read_owner(path))
    for segment in segments.all:
        for number in segment.columns.gone():
            state.is_gone(number)
    if is_writer or is_alone:  # else missing events may have been delivered and deleted a moment ago
        if kept.checkpoint is not None and not kept.is_damaged:
            _skip_unwritten(state, segments, told)
        _settle_missing(state, segments, is_damaged=kept.is_damaged, now=now)
    _count_needed(state, segments)
    return segments, state, StateLog(folder, kept.number)


def _count_needed(state: State, segments: Segments) -> None:
    """Count bytes by state, and needed and unneeded bytes of each segment."""
    state.recount(segment.columns.summary() for segment in segments.all)
    for segment in segments.all:
        segment.live, segment.history = state.count_needed(segment.columns.numbers)
        segment.waste = 0
        if segment.live < len(segment.columns):
            segment.waste = sum(
                segment.bytes_of(at)
                for at, number in enumerate(segment.columns.numbers)
                if not (segment.columns.is_gone(at) or state.is_needed(number))
            )
            segments.has_waste |= segment.waste > 0
        segments.has_empty |= not segment.live


def _add_waiting(state: State, segment: Segment, records: list[int]) -> None:
    """Add the events of a segment that are not settled to the waiting ones."""
    columns, cursor = segment.columns, state.cursor
    numbers = columns.numbers
    if cursor.settled.covers(numbers[0], numbers[-1]):
        return
    waiting = [number for number in numbers if number not in cursor.settled and number not in cursor.dead]
    if segment.lane == RECORDS:
        records += waiting
    elif waiting:
        traces = dict(zip(numbers, segment.texts(), strict=False))
        for number in waiting:
            cursor.add(number, ALARMS, traces[number][0] if number in traces else None)


def _skip_unwritten(state: State, segments: Segments, told: int) -> None:
    """Skip the numbers above ``told`` without an event."""
    written = Spans(state.cursor.settled)
    written.add(1, max(1, told))
    for first, last in (*written_spans(segments), *damaged_spans(segments), *deleted_spans(segments)):
        if first <= last:
            written.add(first, last)
    for first, last in list(written.gaps(state.cursor.last)):
        state.do(SKIPPED, first, last)


def _settle_missing(state: State, segments: Segments, *, is_damaged: bool, now: float) -> None:
    """Count accepted events that are nowhere as lost."""
    cursor = state.cursor
    there = Spans(cursor.settled)
    for first, last in written_spans(segments):
        there.add(first, last)
    if is_damaged:
        # The states of the last events are unknown, so some delivered ones seem to be missing.
        # Damaged bytes in a segment are different: they were an event that was not deleted.
        seen = Spans(there)
        for first, last in damaged_spans(segments):
            seen.add(first, last)
        deleted = [span for span in deleted_spans(segments) if span[0] <= span[1]]
        for first, last in list(seen.gaps(cursor.last)):
            for begin, end in deleted:
                if max(first, begin) <= min(last, end):
                    there.add(max(first, begin), min(last, end))
                    cursor.settled.add(max(first, begin), min(last, end))
    for first, last in list(there.gaps(cursor.last)):
        log.error("outbox.events_lost", first_id=first, last_id=last)
        state.do(LOST, first, last, now)
    for number in [number for number in cursor.dead if number not in segments]:
        state.do(LOST, number, number, now)
