"""One destination: read the feed, send, and commit what came of it.

Rules:

* One *turn* at a time touches what is known of events: it takes in what attempts have ended with, reads pages, claims
  what goes next, and commits all of it in one transaction. Between turns, workers send.
* An event is sent only after its attempt was committed, and is settled only when that was committed. A crash sends
  again what was under way, and what was settled behind it or since the last commit.
* Events that are refused together are each sent again alone: one of them may be what was refused, and no other is
  counted as refused for it.
* What is sent is rendered from the store just before: what was erased while it waited is not in it. Where an image
  cannot be read then, its event waits, and others go on; after :data:`IMAGE_S` it is sent without.
* A commit that finds another owner ends the forwarder: nothing of what it did since is stored.

Flow: :meth:`Forwarder.once` → workers → ``Sink.send`` → the next turn.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Literal, Protocol, TypeVar

import structlog
from msgspec import Struct
from msgspec.structs import replace

from gatepost.errors import GatepostError, ImageUnavailable, StoreError, StoreUnavailable
from gatepost.forward.destination import BURST, Destination, NotifyOptions, decode_secrets, queries
from gatepost.forward.gate import Gate
from gatepost.forward.image_links import ImageLink, ImageLinks
from gatepost.forward.progress import DELETED, Item, Progress
from gatepost.forward.shape import Shaper, event_id
from gatepost.forward.sinks import Closed, LeftOut, Outgoing, Result, Sink, hidden
from gatepost.retry import Backoff, RetryAt, next_step
from gatepost.store.interface import (
    FORWARD_KINDS,
    FeedKind,
    Forwarded,
    ForwardQuery,
    Notice,
    NoticeQuery,
    RecordQuery,
    RecordRow,
    StepQuery,
    Store,
    ToForward,
    happened_at,
    received_at,
)
from gatepost.store.people.people import People
from gatepost.store.query.destinations import AttemptRow, DestinationRow, Destinations, Step
from gatepost.wire import Delivered, Refused, Unreachable

__all__ = ["Forwarder", "InThread", "Lost", "Surroundings"]

log = structlog.get_logger(__name__)

T = TypeVar("T")

PAGE = 256
"""Events that are read at once."""

PROBED = 32
"""Events that are read to try one of them behind one that is refused."""

AHEAD = 512
"""Events of a kind that are read ahead: after a crash at most so many are sent again."""

CLAIMED = 256
"""Events that may be claimed and not settled."""

CLAIMED_BYTES = 8 * 1024 * 1024
"""The same in bytes; a single event may be larger."""

BATCH_BYTES = 1024 * 1024
"""Of the events that are sent together; a single one may be larger."""

GATHER_S = 0.02
"""While there is more to send, outcomes are gathered so long for one commit."""

GATHERED = 64
"""So many outcomes are not gathered any longer."""

KEPT_TRIES = 20
"""Of the attempts of one commit that are kept: failed ones before others."""

YIELD_S = 1.0
"""So long a forwarder waits between turns in a burst, which needs the processor for what is acknowledged."""

EXPIRE_S = 1.0
"""So often events are looked for that are too old; those that are to be sent are looked at each time."""

IMAGE_S = 3600.0
"""So long an event waits for its image, where that cannot be read; then it is sent without."""

OLD = "older than max_age_s"
"""Why an event was dropped."""


class Lost(GatepostError):
    """Another process sends to this destination, or it is deleted."""


class InThread(Protocol):
    """Calls something that blocks, on a thread."""

    def __call__(self, call: Callable[[], T], /) -> Awaitable[T]: ...


class Surroundings(Struct, frozen=True):
    """Hold what every forwarder of a receiver is handed."""

    store: Store
    destinations: Destinations
    people: People
    source: Callable[[], str]
    """Returns which receiver it is, as a URI; it may block."""
    now: Callable[[], float]
    """Unix seconds."""
    monotonic: Callable[[], float]
    """Seconds of a clock that is never set."""
    rand: Callable[[], float]
    """In [0, 1)."""
    in_thread: InThread
    links: ImageLinks
    is_behind: Callable[[], bool] = bool
    """Whether much is acknowledged and not yet listed: then a forwarder waits between turns. By default it is not."""


class _Parcel(Struct):
    """Events that are sent together."""

    items: list[Item]
    outgoing: list[Outgoing]
    epoch: int
    size: int
    """In bytes."""
    is_alone: bool = False
    """It was refused, by itself or in a batch: nothing is sent together with it."""
    note: str = ""
    """What is missing of what is sent, and why."""


class _Sent(Struct, frozen=True):
    """Hold what came of sending a parcel."""

    parcel: _Parcel
    results: Sequence[Result]
    at_ms: int
    took_ms: int

    @property
    def was_made(self) -> bool:
        """Return whether anything of it was sent."""
        return not all(isinstance(result.outcome, LeftOut) for result in self.results)


class Forwarder:
    """Sends to one destination. Made and used on one event loop."""

    def __init__(
        self, row: DestinationRow, told: Destination, sink: Sink, fence: int, around: Surroundings
    ) -> None:
        """``fence``: of the lease that this process has."""
        self.row = row
        # What is replayed was asked for, however old it is.
        self._told = told if row.replay_of is None else replace(told, max_age_s=None)
        self._secrets = decode_secrets(row.secrets)
        self._sink = sink
        self._fence = fence
        self._around = around
        self._policy = Backoff(max_refusals=told.max_refusals)
        self._gate = Gate(self._policy, around.rand)
        self._shaper: Shaper | None = None
        self._progress: Progress | None = None
        self._queries: dict[FeedKind, ForwardQuery] = {}
        self._changes = row.changes
        self._steps = 0
        self._uncommitted: Step | None = None
        self._fresh: dict[int, Forwarded] = {}
        """What this turn has read."""
        self._delivered = 0
        self._failed: dict[int, int] = {}
        """Of events that did not get through: how many had been delivered then."""
        self._alone: set[int] = set()
        """Of those that wait: what was in a batch that was refused, and is sent alone."""
        self._imageless: dict[int, float] = {}
        """Of those that wait: since when the image could not be read."""
        self._expired_at = around.monotonic()
        self._given_up = False
        """This turn has put something off or given it up, which another one commits."""
        self._gather_s = (told.notify or NotifyOptions()).gather_s if told.kind == "notify" else 0.0
        self._gathering_since: float | None = None
        self._allowance = 0.0
        self._allowed_at = around.monotonic()
        self._ready: deque[_Parcel] = deque()
        self._unsent: list[_Parcel] = []
        """What was claimed and is not sent: the destination could not be reached meanwhile."""
        self._sent: list[_Sent] = []
        self._claimed = 0
        """How many events are claimed of which no result is known yet."""
        self._claimed_bytes = 0
        self._turning: asyncio.Future[tuple[list[_Parcel], bool]] | None = None
        self._work = asyncio.Event()
        self._bell = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = row.closed_at is not None
        self._is_finished = row.finished_at is not None

    # --- from outside -----------------------------------------------------------------------------------------

    @property
    def failures(self) -> int:
        """Return how often in a row the destination could not be reached."""
        return self._gate.failures

    @property
    def has_begun(self) -> bool:
        """Return whether it knows from where it goes on: nothing of its settings kept it from that."""
        return self._progress is not None

    @property
    def wait_s(self) -> float:
        """Return the seconds until the next attempt may begin."""
        return self._gate.wait(self._around.monotonic())

    def wake(self, row: DestinationRow | None = None) -> None:
        """Say that the feed has more, or another terminal is held.

        ``row``: the destination as it is now, with the same revision.
        """
        if row is not None:
            self.row = row
        self._bell.set()

    async def run(self) -> None:
        """Send until it is cancelled. Raises :class:`Lost`, and whatever is a defect of ours."""
        workers = [asyncio.create_task(self._worker()) for _ in range(self._told.in_flight)]
        try:
            while True:
                if self._around.is_behind():
                    await asyncio.sleep(YIELD_S)
                pause = await self._patient_turn()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._bell.wait()
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            await self._finish()
            await self._sink.close()

    async def once(self) -> float | None:
        """Do one turn; return the seconds until the next one, if nothing happens before; ``None``: only then.

        Raises :class:`~gatepost.errors.StoreUnavailable`, and :class:`Lost`.
        """
        self._bell.clear()
        sent, self._sent = self._sent, []
        unsent, self._unsent = self._unsent, []
        back = [*(one.parcel for one in sent), *unsent]
        self._claimed -= sum(map(_size, back))
        self._claimed_bytes -= sum(parcel.size for parcel in back)
        self._turning = asyncio.ensure_future(self._around.in_thread(lambda: self._turn(sent, unsent)))
        # Whoever cancels us, a turn comes to its end.
        parcels, more = await asyncio.shield(self._turning)
        self._claimed += sum(map(_size, parcels))
        self._claimed_bytes += sum(parcel.size for parcel in parcels)
        self._ready.extend(parcels)
        if self._ready:
            self._work.set()
        return 0.0 if more else self._pause()

    async def push_once(self) -> None:
        """Do a turn, send all that it claimed, and commit what came of it. In place of :meth:`run`, for tests."""
        await self.once()
        while self._ready:
            await self._send(self._ready.popleft())
        await self.once()
        self._take_back()

    async def close(self) -> None:
        """Let go of connections; needed after :meth:`push_once` alone."""
        await self._sink.close()

    async def _finish(self) -> None:
        """Commit what is known, at the end."""
        if self._turning is not None and not self._turning.done():
            (turned,) = await asyncio.gather(self._turning, return_exceptions=True)
            if not isinstance(turned, BaseException):
                self._ready.extend(turned[0])
        with contextlib.suppress(StoreError, Lost):
            await self._around.in_thread(self._end)

    async def _patient_turn(self) -> float | None:
        try:
            return await self.once()
        except StoreUnavailable as error:
            log.debug("forwarder.store_away", destination=self.row.name, why=str(error))
            return self._policy.delay(1, self._around.rand)

    def _room(self) -> int:
        """Return how many events may be claimed now."""
        if self.row.paused_at is not None or self._is_closed or self._is_full:
            return 0
        tick = self._around.monotonic()
        room = self._gate.room(max(0, CLAIMED - self._claimed), self._claimed, tick)
        rate = self.row.rate
        if rate is not None:
            most = max(1.0, rate / 4)
            self._allowance = min(most, self._allowance + (tick - self._allowed_at) * rate)
            self._allowed_at = tick
            room = min(room, int(self._allowance))
        return room

    @property
    def _is_full(self) -> bool:
        return self._claimed >= CLAIMED or self._claimed_bytes >= CLAIMED_BYTES

    def _pause(self) -> float | None:
        progress, around = self._progress, self._around
        if progress is None or self.row.paused_at is not None or self._is_closed or self._is_finished:
            return None
        expires = EXPIRE_S if self._told.max_age_s is not None and progress.cursor.waiting else None
        if self._is_full or (self._claimed and self._gate.failures):
            return expires
        due = progress.cursor.next_due()
        if self._gate.failures and progress.cursor.waiting:
            wait = self._gate.wait(around.monotonic())
        elif due is None:
            return expires
        else:
            wait = due - around.now()
        if self.row.rate is not None:
            wait = max(wait, (1.0 - self._allowance) / self.row.rate)
        wait = max(0.001, wait, self._gather_left())
        return wait if expires is None else min(wait, expires)

    # --- a turn, on a thread ----------------------------------------------------------------------------------

    def _turn(self, sent: Sequence[_Sent], unsent: Sequence[_Parcel]) -> tuple[list[_Parcel], bool]:
        """Return what is to be sent, and whether there is more to be read at once."""
        progress = self._progress or self._load()
        self._note_all(progress, sent, unsent)
        self._expire(progress)
        room = self._room()
        more = self._read(progress, room)
        self._given_up = False
        claimed = self._claim(progress, room if self._has_gathered(progress) else 0)
        try:
            self._commit(progress)
            self._finish_replay(progress)
            parcels = self._render(progress, claimed)
        except BaseException:
            progress.give_back(claimed)
            raise
        self._allowance -= len(claimed)
        self._fresh.clear()
        return parcels, more or self._given_up

    def _claim(self, progress: Progress, room: int) -> list[Item]:
        """Return what is to be sent next. What is too old is given up, also if it waited unread."""
        now = self._around.now()
        if not room:
            return []
        claimed = progress.probe(now) if self._gate.failures else progress.claim(room, now)
        old = [item for item in claimed if self._is_old(item.happened_at_ms)]
        progress.give_back(old)
        for item in old:
            self._give_up(progress, item, OLD)
        return [item for item in claimed if item not in old]

    def _has_gathered(self, progress: Progress) -> bool:
        """Return whether what waits has waited long enough for more of the same burst, or is a message's fill."""
        if not self._gather_s or not progress.untried:
            self._gathering_since = None
            return True
        if self._gathering_since is None:
            self._gathering_since = self._around.monotonic()
        return progress.untried >= BURST or not self._gather_left()

    def _gather_left(self) -> float:
        """Return the seconds until what gathers is sent."""
        if self._gathering_since is None:
            return 0.0
        return max(0.0, self._gathering_since + self._gather_s - self._around.monotonic())

    def _is_old(self, happened_at_ms: float) -> bool:
        age = self._told.max_age_s
        return age is not None and happened_at_ms < (self._around.now() - age) * 1000

    def _load(self) -> Progress:
        store = self._around.store
        of_records, of_alarms, of_notices = queries(self._told.filter, store.sites())
        # No terminal has the id 0.
        self._queries = {
            "record": of_records or RecordQuery(terminal=0),
            "alarm": of_alarms or StepQuery(terminal=0),
            # No terminal pushes one.
            "notice": NoticeQuery() if self._told.shape == "push" else of_notices,
        }
        loaded = self._around.destinations.load(self.row.id)
        if loaded is None:
            raise Lost(f"the destination {self.row.name} is deleted")
        self._changes, self._steps = loaded.changes, loaded.steps
        self._progress = Progress(
            loaded, keep_order=self._told.order == "terminal", max_refusals=self._told.max_refusals
        )
        return self._progress

    def _note_all(self, progress: Progress, sent: Sequence[_Sent], unsent: Sequence[_Parcel]) -> None:
        """Take in what came of attempts, and what was not sent."""
        for parcel in unsent:
            progress.give_back(parcel.items)
        for one in sent:
            for item, result in zip(one.parcel.items, one.results, strict=True):
                self._note(progress, item, result, one)
        waiting = progress.cursor.waiting
        self._alone &= waiting.keys()
        self._imageless = {number: at for number, at in self._imageless.items() if number in waiting}
        self._keep_tries(progress, sent)

    def _note(self, progress: Progress, item: Item, result: Result, sent: _Sent) -> None:
        outcome, now = result.outcome, self._around.now()
        if isinstance(outcome, LeftOut):
            progress.left_out(item)
            self._failed.pop(item.number, None)
            return
        if isinstance(outcome, Closed):
            self._is_closed = True
            progress.note_closed(sent.at_ms, outcome.reason)
            progress.retry(item, now, outcome.reason)
            log.error("forwarder.closed", destination=self.row.name, why=outcome.reason.partition(":")[0])
            return
        if isinstance(outcome, Unreachable):
            self._note_unreachable(progress, item, outcome, sent.parcel.epoch)
            return
        if self._gate.reached():
            progress.cursor.hasten()
            log.info("forwarder.recovered", destination=self.row.name)
        self._failed.pop(item.number, None)
        if isinstance(outcome, Delivered):
            self._delivered += 1
            progress.delivered(item, sent.at_ms)
            return
        if len(sent.parcel.items) > 1:  # it says nothing of one of them
            self._alone.add(item.number)
            progress.retry(item, now, outcome.reason)
            return
        step = next_step(
            outcome,
            refusals=progress.refusals(item.number),
            delivered_since=progress.accepted_since(item.number),
            failures=0,
            now=now,
            rand=self._around.rand,
            policy=self._policy,
        )
        if isinstance(step, RetryAt):
            progress.retry(item, step.at, step.reason, refusal=outcome.kind)
        else:
            progress.bury(item, outcome.reason, now)
            log.warning("forwarder.dead_letter", destination=self.row.name, why=outcome.kind)

    def _note_unreachable(self, progress: Progress, item: Item, outcome: Unreachable, epoch: int) -> None:
        # Where others got through since this one failed, it is this one: nothing else has to wait for it.
        before = self._failed.get(item.number)
        if before is None or self._delivered == before:
            was_reached = not self._gate.failures
            self._gate.failed(epoch, outcome.retry_after_s, self._around.monotonic())
            if was_reached and self._gate.failures:
                log.warning("forwarder.unreachable", destination=self.row.name, why=outcome.reason)
        self._failed[item.number] = self._delivered
        attempts = progress.attempts(item.number)
        due = self._around.now() + self._policy.delay(attempts, self._around.rand)
        progress.retry(item, due, outcome.reason)

    def _keep_tries(self, progress: Progress, sent: Sequence[_Sent]) -> None:
        rows = [_attempt_row(one) for one in sent if one.was_made]
        rows.sort(key=lambda row: row.outcome == "delivered")
        for row in sorted(rows[:KEPT_TRIES], key=lambda row: row.at_ms):
            progress.note_try(row)

    def _read(self, progress: Progress, room: int) -> bool:
        """Read what is to be sent next; return whether more is to be read at once.

        No more than goes out in this turn, where that can be told: what is rendered later is read a second time.
        """
        if self.row.paused_at is not None or self._is_closed or self._is_finished:
            return False
        around, store = self._around, self._around.store
        is_all_sent = not (self._gate.failures or self.row.rate or self._told.order == "terminal")
        limit = min(PAGE, room - progress.untried) if is_all_sent else PAGE
        if limit <= 0:
            return False
        end, held = around.destinations.horizon()
        for track in progress.wanted(end, held, limit=AHEAD):
            query = self._queries[track.kind]
            most = min(limit, PROBED) if progress.is_blocked(track) else limit
            if track.terminal_id is None:
                page = store.to_forward(track.place, query, most, until=track.until)
            else:
                page = store.to_forward_of(
                    track.terminal_id, track.place, track.until or track.place, query, most
                )
            page = self._in_span(page)
            progress.read(track, page)
            self._fresh.update(page.chosen)
        has_room = not is_all_sent or progress.untried < room
        return has_room and bool(progress.wanted(end, held, limit=AHEAD))

    def _in_span(self, page: ToForward) -> ToForward:
        """Leave out what was not received in the span of a replay: ids are not in the order of receipt."""
        span = self.row.span
        if span is None:
            return page
        chosen = {
            number: row
            for number, row in page.chosen.items()
            if span[0] <= received_at(row).timestamp() * 1000 < span[1]
        }
        return replace(page, chosen=chosen)

    def _give_up(self, progress: Progress, item: Item, why: str) -> None:
        progress.dropped(item, why)
        self._given_up = True

    def _finish_replay(self, progress: Progress) -> None:
        if self.row.replay_of is not None and not self._is_finished and progress.is_finished:
            self._is_finished = True
            progress.note_finished(int(self._around.now() * 1000))
            self._commit(progress)

    def _expire(self, progress: Progress) -> None:
        age, tick = self._told.max_age_s, self._around.monotonic()
        if age is not None and tick - self._expired_at >= EXPIRE_S:
            self._expired_at = tick
            if progress.expire(int((self._around.now() - age) * 1000), OLD):
                waiting = progress.cursor.waiting
                self._failed = {number: at for number, at in self._failed.items() if number in waiting}

    def _commit(self, progress: Progress) -> None:
        """Store what was done. What cannot be stored now is kept for the next turn."""
        if self.row.changes > self._changes:
            self._take_over(progress)
        while True:
            step = self._uncommitted or progress.take_step()
            if step.is_empty:
                return
            self._uncommitted = step
            verdict = self._around.destinations.commit(
                self.row.id, self._fence, step, changes=self._changes, steps=self._steps
            )
            if verdict == "lost":
                raise Lost(f"another process sends to {self.row.name}, or it is deleted")
            if verdict == "changed":
                self._take_over(progress)
                continue
            self._steps += 1
            self._uncommitted = None

    def _take_over(self, progress: Progress) -> None:
        loaded = self._around.destinations.load(self.row.id)
        if loaded is None:
            raise Lost(f"the destination {self.row.name} is deleted")
        progress.note_changes(loaded, self._uncommitted)
        self._changes = loaded.changes

    def _render(self, progress: Progress, claimed: Sequence[Item]) -> list[_Parcel]:
        rows = self._rows_of(claimed)
        people = self._person_ids(rows.values())
        parcels: list[_Parcel] = []
        total = 0
        for at, item in enumerate(claimed):
            row = rows.get(item.event_id)
            if row is None:
                self._give_up(progress, item, DELETED)
                continue
            if self._is_old(happened_at(row).timestamp() * 1000):
                progress.give_back([item])
                self._give_up(progress, item, OLD)
                continue
            if total and total + self._claimed_bytes >= CLAIMED_BYTES:
                progress.give_back(claimed[at:])
                break
            try:
                outgoing, note = self._outgoing(item, row, people), ""
            except ImageUnavailable as error:
                if self._waits_for_image(progress, item, str(error)):
                    continue
                outgoing = self._outgoing(item, row, people, with_image=False)
                note = f"sent without its image: {error}"
            size = len(outgoing.body) + len(outgoing.image or b"")
            total += size
            is_alone = item.number in self._alone or progress.refusals(item.number) > 0
            if is_alone or not parcels or not self._has_place(parcels[-1], size):
                parcels.append(_Parcel([item], [outgoing], self._gate.epoch, size, is_alone, note))
                continue
            last = parcels[-1]
            last.note = last.note or note
            last.items.append(item)
            last.outgoing.append(outgoing)
            last.size += size
        return parcels

    def _has_place(self, parcel: _Parcel, size: int) -> bool:
        return (
            not parcel.is_alone and len(parcel.items) < self._told.batch and parcel.size + size <= BATCH_BYTES
        )

    def _rows_of(self, claimed: Sequence[Item]) -> dict[int, Forwarded]:
        rows = {item.event_id: self._fresh[item.event_id] for item in claimed if item.event_id in self._fresh}
        for kind in FORWARD_KINDS:
            again = [item.event_id for item in claimed if item.kind == kind and item.event_id not in rows]
            if again:
                rows.update(self._around.store.forwarded_again(kind, again))
        return rows

    def _person_ids(self, rows: Iterable[Forwarded]) -> dict[tuple[int, int], str]:
        if self._told.shape == "push":
            return {}
        return self._around.people.ids(
            (row.person.identity_id, row.terminal_id)
            for row in rows
            if isinstance(row, RecordRow) and row.person is not None
        )

    def _waits_for_image(self, progress: Progress, item: Item, why: str) -> bool:
        """Try an event later of which the image cannot be read now; False where it has waited for long enough."""
        tick, now = self._around.monotonic(), self._around.now()
        if tick - self._imageless.setdefault(item.number, tick) >= IMAGE_S:
            return False
        progress.retry(item, now + self._policy.delay(progress.attempts(item.number), self._around.rand), why)
        self._given_up = True
        return True

    def _outgoing(
        self, item: Item, row: Forwarded, people: dict[tuple[int, int], str], *, with_image: bool = True
    ) -> Outgoing:
        image = original = link = None
        if not isinstance(row, Notice):
            said = row if isinstance(row, RecordRow) else row.step
            if said.has_image and self._told.images == "inline" and with_image:
                image = self._around.store.image(item.event_id)
            if said.has_image and self._told.images == "link" and with_image:
                link = self._link(item.event_id)
            if self._told.shape == "push":
                original = said.original or b""
                if with_image:
                    original = self._around.store.original(item.event_id, original)
        person_id = ""
        if isinstance(row, RecordRow) and row.person is not None:
            person_id = people.get((row.person.identity_id, row.terminal_id), "")
        is_replay = self.row.replay_of is not None
        shaper = self._shaper = self._shaper or Shaper(self._told.shape, self._around.source())
        body = shaper.body(
            row, person_id=person_id, image=image, link=link, original=original, is_replay=is_replay
        )
        return Outgoing(
            id=event_id(row),
            event_id=item.event_id,
            kind=item.kind,
            body=body,
            content_type=shaper.content_type,
            row=row,
            image=image,
            is_replay=is_replay,
        )

    def _link(self, event_id: int) -> str:
        until = int(self._around.now() + self._told.image_link_s)
        return self._around.links.make(ImageLink(event_id, self.row.replay_of or self.row.id, until))

    def _end(self) -> None:
        if self._progress is None:
            return
        self._take_back()
        self._note_all(self._progress, self._sent, self._unsent)
        self._commit(self._progress)

    # --- sending ----------------------------------------------------------------------------------------------

    async def _worker(self) -> None:
        while True:
            while not self._ready:
                self._work.clear()
                await self._work.wait()
            await self._send(self._ready.popleft())

    def _take_back(self) -> None:
        """Let nothing more be sent of what is claimed."""
        self._unsent.extend(self._ready)
        self._ready.clear()

    async def _send(self, parcel: _Parcel) -> None:
        began, at_ms = self._around.monotonic(), int(self._around.now() * 1000)
        try:
            results = await self._sink.send(parcel.outgoing)
        except Exception as error:
            # A defect of ours says nothing about the event.
            log.exception("forwarder.sink_failed", destination=self.row.name)
            failed = Result(outcome=Unreachable(f"a defect of gatepost: {type(error).__name__}; see its log"))
            results = [failed] * len(parcel.items)
        took_ms = round((self._around.monotonic() - began) * 1000)
        results = [hidden(result, self._secrets) for result in results]
        self._sent.append(_Sent(parcel, results, at_ms, took_ms))
        if any(isinstance(result.outcome, Unreachable | Closed) for result in results):
            self._take_back()
        if not self._ready or len(self._sent) >= GATHERED:
            self._bell.set()
        elif self._timer is None or self._timer.when() <= asyncio.get_running_loop().time():
            self._timer = asyncio.get_running_loop().call_later(GATHER_S, self._bell.set)


def _size(parcel: _Parcel) -> int:
    return len(parcel.items)


def _attempt_row(sent: _Sent) -> AttemptRow:
    made = [
        (item, result)
        for item, result in zip(sent.parcel.items, sent.results, strict=True)
        if not isinstance(result.outcome, LeftOut)
    ]
    worst = max((result for _, result in made), key=_badness)
    outcome = worst.outcome
    why = "" if isinstance(outcome, Delivered) else outcome.reason
    said = "; ".join(filter(None, (sent.parcel.note, worst.reply or why)))
    return AttemptRow(
        at_ms=sent.at_ms,
        took_ms=sent.took_ms,
        event_id=made[0][0].event_id,
        events=len(made),
        outcome=_NAMES[_badness(worst)],
        status=worst.status,
        reply=said,
    )


_NAMES: tuple[Literal["delivered", "refused", "unreachable", "closed"], ...] = (
    "delivered",
    "refused",
    "unreachable",
    "closed",
)


def _badness(result: Result) -> int:
    if isinstance(result.outcome, Delivered):
        return 0
    if isinstance(result.outcome, Refused):
        return 1
    return 2 if isinstance(result.outcome, Unreachable) else 3
