"""Tell which event numbers are written, deleted or damaged, as spans of the first and the last number."""

from __future__ import annotations

from collections.abc import Iterator

from gatepost.journal.format import FRAME_BYTES, encode_commit
from gatepost.terminal.outbox.segments.segment import Segment
from gatepost.terminal.outbox.segments.segments import Segments

__all__ = ["damaged_spans", "deleted_spans", "written_spans"]

_COMMIT_BYTES = FRAME_BYTES + len(encode_commit(0))
"""Bytes between two events of a segment, which is at most one commit."""


def written_spans(segments: Segments) -> Iterator[tuple[int, int]]:
    """Return the first and last number of each unbroken row of events."""
    for segment in segments.all:
        numbers = segment.columns.numbers
        start = 0
        if numbers[-1] - numbers[0] + 1 == len(numbers):
            yield numbers[0], numbers[-1]
            continue
        for at in range(1, len(numbers) + 1):
            if at == len(numbers) or numbers[at] != numbers[at - 1] + 1:
                yield numbers[start], numbers[at - 1]
                start = at


def deleted_spans(segments: Segments) -> Iterator[tuple[int, int]]:
    """Return the spans of numbers that may have been in deleted segments."""
    for lane, up_to in zip(segments.lanes, segments.deleted_up_to, strict=True):
        before: Segment | None = None
        for segment in lane:
            first = segment.columns.numbers[0]
            if before is None:
                yield 1, first - 1
            else:
                stream, number = before.place_in_stream
                # A stream that ended may have had segments after the last present one.
                if segment.place_in_stream != (stream, number + 1):
                    yield before.columns.numbers[-1] + 1, first - 1
            before = segment
        yield 1 if before is None else before.columns.numbers[-1] + 1, up_to


def damaged_spans(segments: Segments) -> Iterator[tuple[int, int]]:
    """Return the spans of numbers between two events of a segment that have damaged bytes between them.

    The rest of a write that a power cut interrupted is no damage: no caller was told of it.
    """
    for segment in segments.all:
        numbers, starts, ends = segment.columns.numbers, segment.columns.starts, segment.columns.ends
        for at in range(1, len(numbers)):
            is_tail = segment.synced is not None and ends[at - 1] >= segment.synced
            has_bytes = starts[at] - ends[at - 1] > _COMMIT_BYTES
            if numbers[at] > numbers[at - 1] + 1 and has_bytes and not is_tail:
                yield numbers[at - 1] + 1, numbers[at] - 1
