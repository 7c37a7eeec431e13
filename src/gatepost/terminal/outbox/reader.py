"""Read an outbox: the history, dead letters, everything as JSON lines.

Rules:

* A reader works on a copy of one moment, in its own thread or process, so that a page of history delays no event.
  Events that are deleted meanwhile are skipped.
* A reader in another process reads the files while the writer works, and changes nothing.
* Unreadable events are skipped. Of a folder that cannot be opened, an export has every complete event.
"""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from gatepost.errors import JournalCorrupt, OutboxTooNew, OutboxUnavailable
from gatepost.journal.files import Files
from gatepost.settings import TerminalSettings
from gatepost.terminal.logs import Log
from gatepost.terminal.outbox.loading import load
from gatepost.terminal.outbox.opening import refuse_open
from gatepost.terminal.outbox.segments.frames import decode_body
from gatepost.terminal.outbox.segments.segment import Segment, read_frame
from gatepost.terminal.outbox.state.snapshot import Snapshot
from gatepost.terminal.outbox.status import status_of
from gatepost.terminal.outbox.types import (
    ALARMS,
    RECORDS,
    HistoryPage,
    HistoryQuery,
    OutboxStatus,
    State,
    Stored,
)

__all__ = ["Reader", "View", "status_of_stopped"]

log = Log(__name__)

_STEP = 64
"""Events read at a time: 2 MB with images of 30 KB."""


class View:
    """An outbox at one moment."""

    def __init__(self, segments: Sequence[Segment], snapshot: Snapshot) -> None:
        self._segments = segments
        self._snapshot = snapshot

    def count(self) -> dict[str, int]:
        """Count the events of each state, to compare with the ledger."""
        counts = {state.value: 0 for state in State}
        for segment in self._segments:
            for number in segment.columns.numbers:
                state = self._state(number)
                if state is not None:
                    counts[state.value] += 1
        return counts

    def history(self, query: HistoryQuery) -> HistoryPage:
        """Return records, delivered or not. Dropped ones are gone."""
        found = sorted(self._matches(query), reverse=query.newest_first, key=lambda match: match[:2])
        page = found[query.offset : query.offset + query.limit]
        items = (self._read(segment, at) for _, _, segment, at in page)
        return HistoryPage(len(found), tuple(item for item in items if item is not None))

    def _matches(self, query: HistoryQuery) -> Iterator[tuple[int, int, Segment, int]]:
        """Match as the page says (``/v1/event/records``): of the three numbers, only the first given one filters."""
        wanted = [
            (place, number)
            for place, number in ((1, query.user_id), (2, query.job_number), (3, query.ic_number))
            if number
        ][:1]
        for segment in self._segments:
            if segment.lane == ALARMS:
                continue
            texts = segment.texts() if wanted else []
            for at, number in enumerate(segment.columns.numbers):
                if self._state(number) is None:
                    continue
                happened = segment.columns.happened(at)
                if query.since is not None and (happened is None or happened < query.since):
                    continue
                if query.until is not None and (happened is None or happened > query.until):
                    continue
                if any(at >= len(texts) or texts[at][place] != number for place, number in wanted):
                    continue
                yield -1 if happened is None else happened, number, segment, at

    def dead_letters(self, limit: int, after: int) -> tuple[Stored, ...]:
        """Return dead letters in the order in which they were recorded, after number ``after``."""
        return tuple(self._some((State.DEAD,), after, limit))

    def step(self, states: Collection[State], after: int) -> list[Stored]:
        """Return the next few events of these states, after number ``after``."""
        return list(self._some(states, after, _STEP))

    def _some(self, states: Collection[State], after: int, limit: int) -> Iterator[Stored]:
        lanes = (self._of_lane(lane, states, after) for lane in (ALARMS, RECORDS))
        for _, at, segment in heapq.merge(*lanes, key=lambda event: event[0]):
            if not limit:
                return
            stored = self._read(segment, at)
            if stored is not None:
                limit -= 1
                yield stored

    def _of_lane(
        self, lane: int, states: Collection[State], after: int
    ) -> Iterator[tuple[int, int, Segment]]:
        """Yield number and place of the events of a lane, in order."""
        for segment in self._segments:
            if segment.lane == lane and segment.columns.numbers[-1] > after:
                for at, number in enumerate(segment.columns.numbers):
                    if number > after and self._state(number) in states:
                        yield number, at, segment

    def _state(self, number: int) -> State | None:
        snapshot = self._snapshot
        if number in snapshot.waiting:
            return State.PENDING
        if number in snapshot.history:
            return State.DELIVERED
        return State.DEAD if number in snapshot.dead else None

    def _read(self, segment: Segment, at: int) -> Stored | None:
        number, facts = segment.columns.numbers[at], segment.columns.facts(at)
        try:
            handle = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                body = read_frame(handle, segment, at)
            finally:
                os.close(handle)
            found, head, tail, image = decode_body(body or b"")
        except (OSError, JournalCorrupt):
            return None
        state = self._state(number)
        if found != number or state is None:
            return None
        tried = self._snapshot.dead.get(number) or self._snapshot.tried.get(number)
        settled_at = self._snapshot.history.get(number)
        if state is State.DEAD and tried is not None:
            settled_at = tried.dead_since
        return Stored(
            id=number,
            state=state,
            lane=facts.lane,
            head=head,
            image=image,
            tail=tail,
            attempts=0 if tried is None else tried.attempts,
            refusals=0 if tried is None else tried.refusals,
            accepted_at=facts.accepted_at,
            happened_at=facts.happened_at,
            settled_at=settled_at,
            reason="" if tried is None else tried.reason,
        )


class Reader(View):
    """Reads an outbox at one moment, also while another process writes to it."""

    def __init__(self, path: Path, *, is_rescue: bool = False) -> None:
        """Read the places of all events. Raises :class:`~gatepost.errors.OutboxError`.

        ``is_rescue``: read what can be read of an outbox that cannot be opened, such as one of a later version. Without
        a known state, every event waits.
        """
        try:
            segments, snapshot = _read_folder(path, is_rescue=False)
        except (OutboxTooNew, OutboxUnavailable) as error:
            if not is_rescue:
                raise
            segments, snapshot = _read_folder(path, is_rescue=True)
            if not segments:
                raise
            log.error("outbox.read_in_part", error=str(error))
        super().__init__(segments, snapshot)


def _read_folder(path: Path, *, is_rescue: bool) -> tuple[list[Segment], Snapshot]:
    segments, state, state_log = load(
        path,
        max_refusals=1,
        files=Files(),
        segment_bytes=0,
        is_writer=False,
        now=time.time(),
        is_rescue=is_rescue,
    )
    segments.close()
    state_log.close()
    return segments.all, state.copy()


def status_of_stopped(path: Path) -> OutboxStatus:
    """Return the status of an outbox without a writer, and change nothing.

    Raises :class:`~gatepost.errors.OutboxError`, such as :class:`~gatepost.errors.OutboxInUse`.
    """
    refuse_open(path)
    files, settings, now = Files(), TerminalSettings(), time.time()
    segments, state, state_log = load(
        path,
        max_refusals=settings.max_refusals,
        files=files,
        segment_bytes=0,
        is_writer=False,
        now=now,
        is_alone=True,
    )
    status = status_of(state, segments, settings=settings, files=files, now=now)
    segments.close()
    state_log.close()
    return status
