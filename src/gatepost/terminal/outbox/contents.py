"""The contents of an outbox: events in their segments and their states, changed together.

Rules:

* An event is accepted when its frame is synced. A change of its state is written to the state's log before a caller is
  told, and not synced, unless a person asked for it.
* An event that the disk does not return is read again each minute. After :data:`READS` times it counts as damaged, so
  that later events, such as the end of its alarm, need not wait.
* If the disk cannot remove an event that was refused, its number is used up, and counts as dropped.
* A disk that takes no writes causes refusals of new events, and nothing else: results are kept in memory
  (:mod:`.disk.saving`).
* On a full disk the least valuable data is deleted (:mod:`.disk.space`).
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from msgspec.structs import replace

from gatepost.cursor import Tried
from gatepost.errors import JournalUnavailable, OutboxError, OutboxFull
from gatepost.journal.files import Files
from gatepost.retry import Done, RetryAt, Step
from gatepost.settings import TerminalSettings
from gatepost.terminal.logs import Log
from gatepost.terminal.outbox.admission import Admission
from gatepost.terminal.outbox.disk.saving import Saver
from gatepost.terminal.outbox.disk.space import Space
from gatepost.terminal.outbox.loading import load
from gatepost.terminal.outbox.opening import explain, is_full
from gatepost.terminal.outbox.retention import keep_dead_within_bound, trim_history
from gatepost.terminal.outbox.segments.frames import decode_body
from gatepost.terminal.outbox.segments.segment import Segment
from gatepost.terminal.outbox.state.drops import DAMAGED
from gatepost.terminal.outbox.state.operations import (
    ACCEPTED,
    CLAIMED,
    CLOCK_SET_BACK,
    DEAD,
    DONE,
    DROPPED,
    REFUSALS_FORGOTTEN,
    REFUSED_FULL,
    RETRY,
    SERIAL,
    SUBSCRIBED,
    TAKEN_UP,
    Op,
)
from gatepost.terminal.outbox.state.snapshot import Snapshot
from gatepost.terminal.outbox.status import segment_bytes, status_of
from gatepost.terminal.outbox.types import DAMAGE, RECORDS, Claimed, NewEvent, OutboxStatus
from gatepost.wire import Subscription, receiver_of

__all__ = ["Contents"]

log = Log(__name__)

_GROWN_OLD = 1_000
"""Delivered records that are forgotten in one step, so that a new event does not wait long."""
_TRIES = 3
"""How often space is made for the same events."""
READ_AGAIN_S = 60.0
"""Seconds after which an event is read again that the disk did not return."""
READS = 5
"""How often the disk may fail to return an event before it counts as damaged."""


class Contents:
    """The contents of one outbox, for writing. One thread at a time."""

    def __init__(
        self, path: Path, *, settings: TerminalSettings, files: Files, now: Callable[[], float]
    ) -> None:
        """Open it, or make it. Raises :class:`~gatepost.errors.OutboxError`."""
        self.path = path
        self._settings = settings
        self._files = files
        self._now = now
        size = segment_bytes(path, settings, files)
        self._segments, self._state, state_log = load(
            path,
            max_refusals=settings.max_refusals,
            files=files,
            segment_bytes=size,
            is_writer=True,
            now=now(),
        )
        self._cursor = self._state.cursor
        self._admission = Admission(self._state, self._segments, settings)
        self._saver = Saver(
            path, self._state, self._segments, state_log, files=files, segment_bytes=size, now=now
        )
        self._space = Space(
            path,
            self._state,
            self._segments,
            self._saver,
            settings=settings,
            files=files,
            segment_bytes=size,
            now=now,
        )
        self._unread: Counter[int] = Counter()
        """How often the disk did not return an event. A start begins at 0."""
        self._saver.begin_log()
        self._saver.keep_owner()
        self.tidy()
        self._saver.recovered()

    # --- events come in -----------------------------------------------------------------------------------------

    def put(self, groups: Sequence[Sequence[NewEvent]]) -> list[list[int] | OutboxError]:
        """Store groups of events, each all or none, with one sync; return the numbers of each, or the refusal."""
        self._space.keep_free()
        try:
            return self._put(groups)
        except JournalUnavailable as error:
            cause = _cause(error)
        events = [event for group in groups for event in group]
        for _ in range(_TRIES):
            if not (is_full(cause) and self._space.make_for(events)):
                break
            try:
                return self._put(groups)
            except JournalUnavailable as error:
                cause = _cause(error)
        if len(groups) > 1:
            return [self.put([group])[0] for group in groups]
        self._space.shortage.refused()
        self._saver.failed(cause, is_refused=True)
        return [explain(cause, self.path)]

    def _put(self, groups: Sequence[Sequence[NewEvent]]) -> list[list[int] | OutboxError]:
        now = self._now()
        results: list[list[int] | OutboxError] = []
        for group in groups:
            try:
                results.append(self._admission.accept(group, now=now))
            except OutboxFull as error:
                results.append(error)
            except BaseException:
                self._admission.take_back()
                raise
        stored = [number for numbers in results if isinstance(numbers, list) for number in numbers]
        if stored:
            try:
                self._segments.append()
            except BaseException:
                lost = [(number, self._segments.facts(number)) for number in stored]
                self._admission.take_back()
                if self._segments.may_remain:
                    for number, facts in lost:
                        if facts is not None:
                            self._state.do(DROPPED, number, "disk", facts.lane, facts.happened_at, now)
                raise
            self._space.shortage.stored()
            self._state.do(ACCEPTED, self._cursor.last)
            for number in stored:
                if number not in self._cursor.waiting:
                    self._segments.not_needed(number)
            self._saver.recovered()
        self._admission.keep()
        refused = sum(
            len(group)
            for group, result in zip(groups, results, strict=True)
            if isinstance(result, OutboxFull)
        )
        if refused:
            self._state.do(REFUSED_FULL, refused)
        return results

    # --- events go out ------------------------------------------------------------------------------------------

    def claim(self, limit: int, now: float) -> tuple[list[Claimed], float | None]:
        """Choose the events to push next, and write the attempts; return them, and the time of the next one."""
        if self._cursor.look_at_clock(now) and self._cursor.tried:
            self._state.ops.append((CLOCK_SET_BACK, now))
        claimed: list[Claimed] = []
        while chosen := self._cursor.claim(limit - len(claimed), now):
            before = {
                number: replace(tried) for number in chosen if (tried := self._cursor.tried.get(number))
            }
            self._state.do(CLAIMED, now, chosen)
            claimed += (
                event for number in chosen if (event := self._claimed(number, before, now)) is not None
            )
        due = 0.0 if len(claimed) == limit else self._cursor.next_due()
        return sorted(claimed, key=lambda event: (event.lane, event.id)), due

    def _claimed(self, number: int, before: dict[int, Tried], now: float) -> Claimed | None:
        """Read a claimed event; ``None``: it cannot be read."""
        lane, facts, tried = self._cursor.waiting[number], self._segments.facts(number), before.get(number)
        try:
            body = self._segments.read(number)
        except FileNotFoundError:
            body = None
        except OSError as error:
            if error.errno not in DAMAGE or self._unread[number] + 1 < READS:
                self._unread[number] += error.errno in DAMAGE
                at = now + READ_AGAIN_S
                self._state.do(RETRY, number, at, f"it cannot be read: {error.strerror}", None, None, now)
                return None
            body = None
        self._unread.pop(number, None)
        if body is None or facts is None or decode_body(body)[0] != number:
            log.error("outbox.events_lost", first_id=number, last_id=number)
            self._segments.set_aside(number)
            happened = None if facts is None else facts.happened_at
            self._state.do(DROPPED, number, DAMAGED, lane, happened, now)
            return None
        _, head, tail, image = decode_body(body)
        counted = self._cursor.tried[number]
        since = 0
        if counted.mark is not None:
            since = self._state.delivered[lane + 2 * facts.with_image] - counted.mark
        last = None if tried is None else tried.attempted_at
        return Claimed(number, lane, head, image, tail, counted.attempts, counted.refusals, since, last)

    def settle(self, results: Iterable[tuple[int, Step]]) -> None:
        """Record the results of attempts. An event that was dropped meanwhile stays dropped."""
        now, state, count = self._now(), self._state, 0
        for number, step in results:
            count += 1
            lane, facts = self._cursor.waiting.get(number), self._segments.facts(number)
            if lane is None or facts is None:
                continue
            if isinstance(step, RetryAt):
                mark = state.delivered[lane + 2 * facts.with_image] if step.refused else None
                kind = step.kind if step.refused else None
                # 0 means never tried, so "at once" must be different.
                state.do(RETRY, number, max(step.at, 0.001), step.reason, kind, mark, now)
            elif isinstance(step, Done):
                is_kept = lane == RECORDS and self._settings.history_events > 0
                state.do(DONE, number, now, lane, facts.with_image, is_kept)
            else:
                state.do(DEAD, number, now, step.reason)
        keep_dead_within_bound(self._state, self._segments, now=now)
        trim_history(self._state, self._settings, now=now, at_most=count + 64)

    def release(self, numbers: Sequence[int] | None) -> None:
        """Give claimed events back without a result."""
        self._cursor.release(numbers)

    def grow_old(self) -> None:
        """Forget delivered records that are past their retention, and delete segments that only they needed."""
        trim_history(self._state, self._settings, now=self._now(), at_most=_GROWN_OLD)
        self.flush()
        self._segments.finish_unneeded()
        self.tidy()

    # --- commands of a person ------------------------------------------------------------------------------------

    def subscribe(self, subscription: Subscription) -> None:
        """Store the address to push to. Raises :class:`~gatepost.errors.OutboxUnavailable`: nothing has changed."""
        before = self._state.receiver
        now = subscription.event_dest or before
        ops: list[Op] = []
        if before and receiver_of(before) != receiver_of(now):
            ops.append((REFUSALS_FORGOTTEN,))
            revived = self._within_capacity(sorted(self._cursor.dead))
            if revived:
                ops.append((TAKEN_UP, revived))
        ops.append((SUBSCRIBED, subscription.event_dest, subscription.enabled, now))
        self._saver.decide(ops)
        if len(ops) == 3:
            log.info("outbox.dead_letters_taken_up", count=len(ops[1][1]), left=len(self._cursor.dead))
        self._saver.begin_log()  # so that it is in two files
        self._saver.keep_owner()

    def retry_dead(self, numbers: Sequence[int] | None, limit: int) -> list[int]:
        """Make dead letters pending again, as far as there is room; return which."""
        chosen = self._within_capacity(self._dead(numbers, limit))
        if chosen:
            self._saver.decide([(TAKEN_UP, chosen)])
        return chosen

    def discard_dead(self, numbers: Sequence[int] | None, limit: int) -> list[int]:
        """Drop dead letters; return which."""
        chosen, now = self._dead(numbers, limit), self._now()
        ops: list[Op] = []
        for number in chosen:
            facts = self._segments.facts(number)
            lane, happened = (RECORDS, None) if facts is None else (facts.lane, facts.happened_at)
            ops.append((DROPPED, number, "discarded", lane, happened, now))
        if ops:
            self._saver.decide(ops)
        return chosen

    def _dead(self, numbers: Sequence[int] | None, limit: int) -> list[int]:
        dead = self._cursor.dead
        found = sorted(dead) if numbers is None else [each for each in dict.fromkeys(numbers) if each in dead]
        return found[:limit]

    def _within_capacity(self, numbers: Sequence[int]) -> list[int]:
        return list(numbers[: max(0, self._settings.capacity - len(self._cursor.waiting))])

    # --- owner ------------------------------------------------------------------------------------------------

    @property
    def subscription(self) -> Subscription | None:
        """Return the subscription."""
        return self._state.subscription

    @property
    def serial(self) -> str | None:
        """Return the serial of the terminal that owns the events."""
        return self._state.serial

    def belongs_to(self, serial: str) -> None:
        """Store the owner. On a disk that takes nothing it is stored later."""
        self._state.do(SERIAL, serial)
        self._saver.begin_log()  # so that it is in two files
        self._saver.keep_owner()

    def newest_records(self, count: int) -> list[bytes]:
        """Return the heads of the newest records."""
        heads: list[bytes] = []
        for segment in reversed(self._segments.lanes[RECORDS]):
            for number in reversed(segment.columns.numbers):
                with contextlib.suppress(OSError):
                    body = self._segments.read(number)
                    if body is not None:
                        heads.append(decode_body(body)[1])
                if len(heads) == count:
                    return heads
        return heads

    # --- the disk -------------------------------------------------------------------------------------------------

    @property
    def storage_error(self) -> str | None:
        """Return why the disk takes no writes now; ``None`` while it does."""
        return self._saver.storage_error

    def flush(self) -> None:
        """Write pending changes. What the disk does not take is kept, and the status reports it."""
        self._saver.flush()

    def tidy(self) -> None:
        """Delete unneeded segments, and start a new file of the state if it is due."""
        self._space.tidy()
        self._saver.begin_log_if_due()

    def try_again(self) -> None:
        """Try whether the disk takes writes again, and then write what is pending."""
        self._saver.try_again()

    def close(self) -> None:
        """Write pending changes, and close the files."""
        self._saver.close()

    # --- status --------------------------------------------------------------------------------------------------

    def status(self) -> OutboxStatus:
        """Return the ledger and the figures around it."""
        return status_of(
            self._state,
            self._segments,
            settings=self._settings,
            files=self._files,
            now=self._now(),
            shortened=self._space.shortened,
            unsaved=self._saver.unsaved,
            storage_error=self._saver.storage_error,
        )

    def copy(self) -> tuple[list[Segment], Snapshot]:
        """Return a copy that another thread may read."""
        segments = [segment.copy() for segment in self._segments.all]
        return segments, self._state.copy()


def _cause(error: JournalUnavailable) -> OSError:
    cause = error.__cause__
    return cause if isinstance(cause, OSError) else OSError(5, str(error))
