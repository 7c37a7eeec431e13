"""The contents of an outbox: events in their segments and what became of them, changed together.

Rules:

* An event counts as accepted when its frame is synced. What became of it is written to the state's log before anyone is
  told, and not synced, but for what a person has decided.
* An event that the disk does not give is read again each minute, and counts as damaged after some times: what comes
  behind it, such as the end of its alarm, does not wait for a sector that is gone.
* Where the disk does not let go of an event that was refused, its number is used up, and counts as dropped.
* A disk that takes nothing refuses events, and nothing else: results are kept in memory, and written when it does.
* **Space.** Where the disk is full, or has less than the reserve, whole segments go, which needs no space: those that
  are not needed, then, after damaged bytes that were set aside, those with delivered history alone, then the delivered
  history of others, whose bytes are given back to the disk, then, with
  ``drop-oldest``, the oldest of records, and for an alarm, where there are no records, the oldest of alarms. Nothing
  goes for what would not fit all the same.
* A disk whose space another program takes costs no more events than new ones need (:mod:`.shortage`).
* A segment is deleted when what is on disk says that it is not needed. Where the disk has no space for saying so, it is
  deleted first, and its space is used for that.
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
from gatepost.journal.format import HEADER_BYTES
from gatepost.retry import Done, RetryAt, Step
from gatepost.settings import TerminalSettings
from gatepost.terminal.logs import Log
from gatepost.terminal.outbox.admission import Room
from gatepost.terminal.outbox.disk_log import Trouble
from gatepost.terminal.outbox.loading import load
from gatepost.terminal.outbox.opening import explain, is_full
from gatepost.terminal.outbox.segments.frames import decode_body, frame_bytes
from gatepost.terminal.outbox.segments.segments import Segment
from gatepost.terminal.outbox.shortage import Shortage
from gatepost.terminal.outbox.state.owner import Owner, read_owner, write_owner
from gatepost.terminal.outbox.state.state import (
    ACCEPTED,
    CLAIMED,
    CLOCK_SET_BACK,
    DAMAGED,
    DEAD,
    DONE,
    DROPPED,
    FORGOTTEN,
    REFUSALS_FORGOTTEN,
    REFUSED_FULL,
    RETRY,
    SERIAL,
    SUBSCRIBED,
    TAKEN_UP,
    Looks,
    Op,
)
from gatepost.terminal.outbox.status import capacity_bytes, free_bytes, segment_bytes, status_of
from gatepost.terminal.outbox.types import ALARMS, DAMAGE, RECORDS, Claimed, NewEvent, OutboxStatus
from gatepost.wire import Subscription, receiver_of

__all__ = ["EVENT_BYTES", "MAX_DEAD", "Contents"]

log = Log(__name__)

MAX_DEAD = 10_000
"""Dead letters that are kept."""

EVENT_BYTES = 31_000
"""Of a record with an image of 30 KB, in a segment."""

DAY_S = 86_400.0
_GROWN_OLD = 1_000
"""Delivered records that are forgotten at once when nothing happens: a new event does not wait long for that."""
_TRIES = 3
"""How often space is made for the same events."""
READ_AGAIN_S = 60.0
"""Seconds after which an event is read again that the disk did not give."""
READS = 5
"""How often the disk may fail to give an event before it counts as damaged."""

RESERVE_BYTES = 64 * 1024
"""Kept back on the disk for what became of events."""

_ATTEMPTS = (CLAIMED, RETRY)
"""What does not use the reserve: without it an event is tried sooner, and without a delivery it is sent once more."""

_BLOCK = 4096
"""Bytes of a file system that are taken together."""
_ROUGHLY = 64
"""Bytes by which the size of a frame that is not written yet may be too large."""
_WORTH_BYTES = 4 * _BLOCK
"""For so many bytes a segment is opened, to give them back."""


class Contents:
    """One outbox that is written to. One thread at a time."""

    def __init__(
        self, path: Path, *, settings: TerminalSettings, files: Files, now: Callable[[], float]
    ) -> None:
        """Open it, or make it. Raises :class:`~gatepost.errors.OutboxError`."""
        self.path = path
        self.storage_error: str | None = None
        """Why the disk takes nothing now."""
        self._settings = settings
        self._files = files
        self._now = now
        self._segment_bytes = segment_bytes(path, settings, files)
        self._segments, self._state, self._log = load(
            path,
            max_refusals=settings.max_refusals,
            files=files,
            segment_bytes=self._segment_bytes,
            is_writer=True,
            now=now(),
        )
        self._cursor = self._state.cursor
        self._room = Room(self._state, self._segments, settings)
        self._trouble = Trouble()
        self._shortage = Shortage()
        self._reserved = path / "reserve"
        self._has_reserve = False
        self._shortened = 0
        self._unread: Counter[int] = Counter()
        """How often the disk did not give an event; a start counts from the beginning."""
        self._begin_log()
        self._keep_owner()
        self.tidy()
        self._recovered()

    # --- events come in -----------------------------------------------------------------------------------------

    def put(self, groups: Sequence[Sequence[NewEvent]]) -> list[list[int] | OutboxError]:
        """Store groups of events, each all or none, with one sync; return the numbers of each, or the refusal."""
        self._keep_free()
        try:
            return self._put(groups)
        except JournalUnavailable as error:
            cause = _cause(error)
        events = [event for group in groups for event in group]
        for _ in range(_TRIES):
            if not (is_full(cause) and self._make_space_for(events)):
                break
            try:
                return self._put(groups)
            except JournalUnavailable as error:
                cause = _cause(error)
        if len(groups) > 1:
            return [self.put([group])[0] for group in groups]
        self._shortage.refused()
        self._failed(cause, is_refused=True)
        return [explain(cause, self.path)]

    def _put(self, groups: Sequence[Sequence[NewEvent]]) -> list[list[int] | OutboxError]:
        now = self._now()
        results: list[list[int] | OutboxError] = []
        for group in groups:
            try:
                results.append(self._room.accept(group, now=now))
            except OutboxFull as error:
                results.append(error)
            except BaseException:
                self._room.take_back()
                raise
        stored = [number for numbers in results if isinstance(numbers, list) for number in numbers]
        if stored:
            try:
                self._segments.append()
            except BaseException:
                lost = [(number, self._segments.facts(number)) for number in stored]
                self._room.take_back()
                if self._segments.may_remain:
                    for number, facts in lost:
                        if facts is not None:
                            self._state.do(DROPPED, number, "disk", facts.lane, facts.happened_at, now)
                raise
            self._shortage.stored()
            self._state.do(ACCEPTED, self._cursor.last)
            for number in stored:
                if number not in self._cursor.waiting:
                    self._segments.left(number)
            self._recovered()
        self._room.keep()
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
        """Choose what to push next, and write the attempts; return it, and from when on there is more."""
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
        """Note what became of attempts. An event that was dropped meanwhile stays dropped."""
        now, state, count = self._now(), self._state, 0
        for number, step in results:
            count += 1
            lane, facts = self._cursor.waiting.get(number), self._segments.facts(number)
            if lane is None or facts is None:
                continue
            if isinstance(step, RetryAt):
                mark = state.delivered[lane + 2 * facts.with_image] if step.refused else None
                kind = step.kind if step.refused else None
                # At once is not the same as never tried: 0 is kept for that.
                state.do(RETRY, number, max(step.at, 0.001), step.reason, kind, mark, now)
            elif isinstance(step, Done):
                is_kept = lane == RECORDS and self._settings.history_events > 0
                state.do(DONE, number, now, lane, facts.with_image, is_kept)
            else:
                state.do(DEAD, number, now, step.reason)
        self._keep_dead_within_bound(now)
        self._trim_history(now, count + 64)

    def release(self, numbers: Sequence[int] | None) -> None:
        """Give claimed events back without a result."""
        self._cursor.release(numbers)

    def _keep_dead_within_bound(self, now: float) -> None:
        """Give up the oldest of too many dead letters, records before alarms."""
        surplus = len(self._cursor.dead) - MAX_DEAD
        if surplus > 0:
            facts = {number: self._segments.facts(number) for number in self._cursor.dead}
            order = sorted(
                facts, key=lambda number: (-(found.lane if (found := facts[number]) else 0), number)
            )
            for number in order[:surplus]:
                self._state.drop(number, "dead-letters", now)

    def grow_old(self) -> None:
        """Forget delivered records whose time has come, and delete the segments of which nothing else is needed."""
        self._trim_history(self._now(), _GROWN_OLD)
        self.flush()
        self._segments.finish_unneeded()
        self.tidy()

    def _trim_history(self, now: float, at_most: int) -> None:
        """Forget delivered records beyond the limits, a bounded number each time."""
        history = self._state.history
        surplus = len(history) - self._settings.history_events
        oldest = now - self._settings.history_days * DAY_S
        numbers: list[int] = []
        for number, at in history.items():
            if len(numbers) == at_most or (len(numbers) >= surplus and at >= oldest):
                break
            numbers.append(number)
        if numbers:
            self._state.do(FORGOTTEN, numbers)

    # --- what a person decides ------------------------------------------------------------------------------------

    def subscribe(self, subscription: Subscription) -> None:
        """Store where to push to. Raises :class:`~gatepost.errors.OutboxUnavailable`: nothing has changed then."""
        before = self._state.receiver
        now = subscription.event_dest or before
        ops: list[Op] = []
        if before and receiver_of(before) != receiver_of(now):
            ops.append((REFUSALS_FORGOTTEN,))
            revived = self._within_capacity(sorted(self._cursor.dead))
            if revived:
                ops.append((TAKEN_UP, revived))
        ops.append((SUBSCRIBED, subscription.event_dest, subscription.enabled, now))
        self._decide(ops)
        if len(ops) == 3:
            log.info("outbox.dead_letters_taken_up", count=len(ops[1][1]), left=len(self._cursor.dead))
        self._begin_log()  # so that it stands in two files
        self._keep_owner()

    def retry_dead(self, numbers: Sequence[int] | None, limit: int) -> list[int]:
        """Make dead letters pending again, as far as there is room; return which."""
        chosen = self._within_capacity(self._dead(numbers, limit))
        if chosen:
            self._decide([(TAKEN_UP, chosen)])
        return chosen

    def discard_dead(self, numbers: Sequence[int] | None, limit: int) -> list[int]:
        """Give dead letters up; return which."""
        chosen, now = self._dead(numbers, limit), self._now()
        ops: list[Op] = []
        for number in chosen:
            facts = self._segments.facts(number)
            lane, happened = (RECORDS, None) if facts is None else (facts.lane, facts.happened_at)
            ops.append((DROPPED, number, "discarded", lane, happened, now))
        if ops:
            self._decide(ops)
        return chosen

    def _dead(self, numbers: Sequence[int] | None, limit: int) -> list[int]:
        dead = self._cursor.dead
        found = sorted(dead) if numbers is None else [each for each in dict.fromkeys(numbers) if each in dead]
        return found[:limit]

    def _within_capacity(self, numbers: Sequence[int]) -> list[int]:
        return list(numbers[: max(0, self._settings.capacity - len(self._cursor.waiting))])

    def _decide(self, ops: Sequence[Op]) -> None:
        """Write operations, synced, and then apply them. Raises :class:`~gatepost.errors.OutboxUnavailable`."""
        self.flush()
        if not self._log.is_writable:
            self._begin_log()
        try:
            self._log.write(ops, sync=True)
        except OSError as error:
            self._failed(error, is_refused=True)
            raise explain(error, self.path) from error
        for op in ops:
            self._state.apply(op)

    # --- whose it is ------------------------------------------------------------------------------------------------

    @property
    def subscription(self) -> Subscription | None:
        """Return where to push to."""
        return self._state.subscription

    @property
    def serial(self) -> str | None:
        """Return whose events these are."""
        return self._state.serial

    def belongs_to(self, serial: str) -> None:
        """Remember whose events these are. On a disk that takes nothing it is remembered later."""
        self._state.do(SERIAL, serial)
        self._begin_log()  # so that it stands in two files
        self._keep_owner()

    def _keep_owner(self) -> None:
        """Write once more whose events these are and where they go, for where the state is lost."""
        if self._state.owner not in (Owner(), read_owner(self.path)):
            write_owner(self.path, self._state.owner, self._files)

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

    def flush(self) -> None:
        """Write what was done. What the disk does not take is kept, and the status says so."""
        state, ops = self._state, self._state.ops
        if ops or self._log.unwritten:
            state.ops = []
            try:
                if all(op[0] in _ATTEMPTS for op in (*ops, *self._log.unwritten)):
                    self._log.write(ops)
                else:
                    self._with_reserve(lambda: self._log.write(ops))
            except OSError as error:
                self._log.keep(ops)
                self._failed(error)
            except BaseException:
                self._log.keep(ops)
                raise
        told, state.told = state.told, []
        for tell in told:
            tell()

    def tidy(self) -> None:
        """Delete the segments that are not needed, and begin another file of the state where it is due."""
        if self._segments.has_empty:
            self._segments.has_empty = False
            self._remove(self._segments.empty())
        self._keep_within_budget()
        if self._log.is_due and self.storage_error is None:
            self._begin_log()

    def try_again(self) -> None:
        """See whether the disk takes something again, and then write what it did not take."""
        if self._log.is_writable:
            if not self._log.unwritten:
                self._state.ops.append((ACCEPTED, self._cursor.last))
            self.flush()
        else:
            self._begin_log()
        if self._free() >= self._segment_bytes:
            self._recovered()

    def close(self) -> None:
        """Write what was done, and let go of the files."""
        self.flush()
        with contextlib.suppress(OSError):
            self._log.write([], sync=True)
            self._mark(())
        self._segments.close()
        self._log.close()

    def _begin_log(self) -> OSError | None:
        """Begin another file of the state, with everything that was done; return why the disk did not take it."""
        ops, self._state.ops = self._state.ops, []
        try:
            self._with_reserve(lambda: self._log.begin(self._state.dump()))
        except OSError as error:
            self._state.ops = ops
            self._failed(error)
            return error
        return None

    def _failed(self, error: OSError, *, is_refused: bool = False) -> None:
        """Note that the disk does not take something. ``is_refused``: a caller is told so."""
        self.storage_error = str(explain(error, self.path))
        self._trouble.failed(self.storage_error, is_refused=is_refused, now=self._now())

    def _recovered(self) -> None:
        """Note that the disk takes everything."""
        if self.storage_error is not None and self._log.is_clean:
            self.storage_error = None
            self._trouble.ended(now=self._now())
        if self.storage_error is None:
            self._reserve()

    def _reserve(self) -> None:
        """Take some space now, for what became of events must be written on a full disk, too."""
        if self._has_reserve:
            return
        self._has_reserve = self._reserved.exists()
        if not self._has_reserve and self._free() >= 2 * self._segment_bytes:
            with contextlib.suppress(OSError):
                handle = self._files.create(self._reserved)
                try:
                    self._files.write(handle, bytes(RESERVE_BYTES), 0)
                finally:
                    self._files.close(handle)
                self._has_reserve = True

    def _with_reserve(self, write: Callable[[], None]) -> None:
        """Write, and on a full disk once more without the reserve. Raises ``OSError``."""
        try:
            write()
        except OSError as error:
            if not is_full(error) or not self._reserved.exists():
                raise
            self._files.remove(self._reserved)
            self._has_reserve = False
            write()

    # --- space ------------------------------------------------------------------------------------------------------

    def _free(self) -> int:
        """Return the bytes that the disk has left for this user."""
        return free_bytes(self.path, self._files)

    def _keep_free(self) -> None:
        """Let damaged bytes and history go before the disk is full."""
        while self._free() < 2 * self._segment_bytes:
            if not (self._segments.aside.drop_oldest() or self._forget_a_segment()):
                return
        self._shortage.ended()

    def _keep_within_budget(self) -> None:
        """Give bytes back that are not needed, where the files have more than the setting allows."""
        budget, segments = self._settings.capacity_bytes, self._segments
        if budget is None or self.storage_error is not None or not segments.has_waste:
            return
        while segments.held > budget and (segment := segments.wasteful) is not None:
            if not self._give_back(segment):
                return

    def _give_back(self, segment: Segment) -> int:
        """Give the bytes of a segment back that are not needed, once that is on disk; return how many."""
        self.flush()
        if self._save() is not None or not self._log.is_clean:
            return 0
        self._mark(())
        try:
            return self._segments.give_back(segment, self._state.is_needed)
        except OSError as error:
            # Nothing is refused for it: the segment stays as it is.
            log.warning("outbox.bytes_not_given_back", file=segment.path.name, error=str(error.strerror))
            segment.waste = 0
            segment.seen = (segment.live, segment.history)
            return 0

    def _make_space_for(self, events: Sequence[NewEvent]) -> bool:
        """Let go what these events need, and not much more; return whether something went."""
        lanes, held, is_made = {event.lane for event in events}, self._segments.held, False
        frames = sum(map(frame_bytes, events))
        # A segment begins with a header, has an index, and its last block is not full.
        needed = frames + len(lanes) * (HEADER_BYTES + 2 * _BLOCK)
        if needed > self._free() + self._may_go(lanes):
            return False
        going = (RECORDS, ALARMS) if ALARMS in lanes else (RECORDS,)
        while held - self._segments.held < needed + self._segment_bytes:
            if not (self._segments.aside.drop_oldest() or self._forget_a_segment()):
                if self._settings.overflow == "refuse-newest" or self._shortage.is_in_vain:
                    break
                files = self._segments.size()
                if self._shortage.others_take(files, slack=needed + self._segment_bytes // 4):
                    return any(self._drop_oldest(lane, frames) for lane in going) or is_made
                self._shortage.given_up(files)
                if not any(self._drop_a_segment(lane) for lane in going):
                    break
            is_made = True
            if self._free() >= needed:
                break
        return is_made

    def _may_go(self, lanes: set[int]) -> int:
        """Return the bytes that may go for events of these lanes."""
        segments = self._segments
        if self._settings.overflow == "drop-oldest":
            going = sum(segment.size for lane in lanes | {RECORDS} for segment in segments.lanes[lane])
        elif segments.makes_holes:
            going = self._state.history_bytes + sum(segment.waste for segment in segments.all)
        else:
            going = sum(segment.size for segment in segments.all if segment.history == segment.live)
        return going + segments.aside.count()[1]

    def _forget_a_segment(self) -> bool:
        """Let the oldest segment go that holds nothing but delivered history, else what others hold of it."""
        candidates = self._candidates(RECORDS) if self._state.history else self._segments.closed
        for segment in candidates:
            if segment.history and segment.history == segment.live:
                self._forget_history_of(segment)
                return bool(self._remove([segment]))
        if not self._segments.makes_holes:
            return False
        cursor = self._cursor
        for segment in self._segments.closed:
            if (segment.waste or segment.history) and segment.seen != (segment.live, segment.history):
                if (
                    self._segments.worth(segment, lambda one: one in cursor.waiting or one in cursor.dead)
                    >= _WORTH_BYTES
                ):
                    self._forget_history_of(segment)
                    return bool(self._give_back(segment))
                segment.seen = (segment.live, segment.history)
        return False

    def _history_of(self, segment: Segment) -> list[int]:
        return [number for number in segment.columns.numbers if number in self._state.history]

    def _forget_history_of(self, segment: Segment) -> None:
        numbers = self._history_of(segment)
        if numbers:
            if not self._shortened:
                log.warning("outbox.history_shortened", advice="the disk is full; the status counts on")
            self._shortened += len(numbers)
            self._state.do(FORGOTTEN, numbers)
            self.flush()

    def _drop_a_segment(self, lane: int) -> bool:
        """Drop the events of the oldest segment of a lane."""
        for segment in self._candidates(lane):
            numbers = segment.columns.numbers
            self._state.do(FORGOTTEN, [number for number in numbers if number in self._state.history])
            for number in numbers:
                if number in self._cursor.waiting or number in self._cursor.dead:
                    self._state.drop(number, "disk", self._now())
            self.flush()
            return bool(self._remove([segment]))
        return False

    def _drop_oldest(self, lane: int, needed: int) -> bool:
        """Drop so many bytes of the oldest events of a lane, and no more; return whether some went.

        It takes a file system that gives their blocks back, and a disk that takes what is said of it.
        """
        if not self._segments.makes_holes or self._save() is not None:
            return False
        left = needed = max(needed - self._free(), _BLOCK)
        for segment in self._candidates(lane):
            for at, number in enumerate(segment.columns.numbers):
                if left > _ROUGHLY and (number in self._cursor.waiting or number in self._cursor.dead):
                    self._state.drop(number, "disk", self._now())
                    left -= segment.bytes_of(at)
            if segment.waste:
                self._give_back(segment)
            if left <= _ROUGHLY:
                break
        if left < needed:
            self._shortage.gave()
        return left < needed

    def _candidates(self, lane: int) -> list[Segment]:
        """Return the segments of a lane by age; the last one is closed where it is the only one."""
        segments = self._segments.lanes[lane]
        if len(segments) == 1:
            self._segments.finish(lane)
        return [segment for segment in segments if not segment.is_open]

    def _remove(self, segments: Sequence[Segment]) -> int:
        """Delete segments that are not needed, once that is on disk; return how many.

        Where that finds no space, they go first, and it is written into theirs. A crash in between costs what became of
        their events: they count as dropped.
        """
        if not segments:
            return 0
        removed, error = 0, self._save()
        self._mark(segments)
        if error is None or is_full(error):
            try:
                for segment in segments:
                    self._segments.remove(segment)
                    removed += 1
            except OSError as failed:
                self._failed(failed)
            if error is not None:
                self._save()
                self._mark(segments)
        if removed < len(segments):
            self._segments.has_empty = True
        return removed

    def _mark(self, segments: Sequence[Segment]) -> None:
        """Note what is deleted, where what became of it is on disk."""
        up_to = self._segments.deleted_up_to
        for segment in segments:
            up_to[segment.lane] = max(up_to[segment.lane], segment.columns.numbers[-1])
        if self._log.is_clean:
            self._log.mark(up_to)

    def _save(self) -> OSError | None:
        """Write what was done, synced; return why the disk did not take it."""
        if not self._log.is_writable:
            return self._begin_log()
        try:
            self._with_reserve(lambda: self._log.write([], sync=True))
        except OSError as error:
            self._failed(error)
            return error
        return None

    # --- people look --------------------------------------------------------------------------------------------------

    def status(self) -> OutboxStatus:
        """Return the ledger and what stands around it."""
        unsaved = {op[1] for op in self._log.unwritten if op[0] in (DONE, DEAD, RETRY)}
        return status_of(
            self._state,
            self._segments,
            settings=self._settings,
            files=self._files,
            now=self._now(),
            shortened=self._shortened,
            unsaved=len(unsaved),
            storage_error=self.storage_error,
        )

    def capacity_bytes(self) -> int:
        """Return how many bytes it may hold: the setting, and at most what the file system allows."""
        return capacity_bytes(self._segments, self._settings, self._files)

    def copy(self) -> tuple[list[Segment], Looks]:
        """Return what another thread may read meanwhile."""
        segments = [segment.copy() for segment in self._segments.all]
        return segments, self._state.copy()


def _cause(error: JournalUnavailable) -> OSError:
    cause = error.__cause__
    return cause if isinstance(cause, OSError) else OSError(5, str(error))
