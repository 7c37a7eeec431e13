"""One destination: read the feed, send, and commit the results.

Rules:

* One *turn* at a time changes the progress: it takes the results of attempts, reads pages, claims the next events, and
  commits all of it in one transaction. Between turns, workers send.
* An event is sent only after its attempt was committed, and is settled only when that was committed. After a crash,
  events under way are sent again, and those that were settled after them or since the last commit.
* Events that are refused together are sent again one by one. Any of them may be the cause, so none is counted as
  refused.
* An event is rendered from the store just before it is sent, so that erased data is not in it.
* If a commit finds another owner, the forwarder ends. Nothing since is stored.

Flow: :meth:`Forwarder.once` → workers → ``Sink.send`` → the next turn.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence

import structlog
from msgspec.structs import replace

from gatepost.errors import StoreError, StoreUnavailable
from gatepost.forward.forwarder.circuit_breaker import CircuitBreaker
from gatepost.forward.forwarder.commits import Commits
from gatepost.forward.forwarder.outcomes import Outcomes
from gatepost.forward.forwarder.pace import Pace
from gatepost.forward.forwarder.packer import OLD, Packer
from gatepost.forward.forwarder.parcels import Parcel, Sent
from gatepost.forward.forwarder.reader import PAGE, Reader
from gatepost.forward.forwarder.surroundings import Lost, Surroundings
from gatepost.forward.options.destination import BURST, Destination
from gatepost.forward.options.notify import NotifyOptions
from gatepost.forward.options.secrets import decode_secrets
from gatepost.forward.progress.progress import Item, Progress
from gatepost.forward.sinks import Closed, Result, Sink, hidden
from gatepost.retry import Backoff
from gatepost.store.forwarding.destinations import DestinationRow
from gatepost.wire import Unreachable

__all__ = ["Forwarder"]

log = structlog.get_logger(__name__)

CLAIMED = 512
"""Claimed events without a result, at most."""

CLAIMED_BYTES = 8 * 1024 * 1024
"""Their bytes, at most. A single event may be larger."""

GATHER_S = 0.05
"""Seconds for which results are gathered for one commit while there is more to send."""

GATHERED = 256
"""Results that are committed at once."""

YIELD_S = 1.0
"""Seconds between turns during a burst of pushes, which needs the processor."""

EXPIRE_S = 1.0
"""Seconds between searches for events that are too old. Events to be sent are checked each time."""


class Forwarder:
    """Sends to one destination. Made and used on one event loop."""

    def __init__(
        self, row: DestinationRow, told: Destination, sink: Sink, fence: int, around: Surroundings
    ) -> None:
        """``fence``: of this process's lease."""
        self.row = row
        # Replayed events may have any age.
        self._told = told if row.replay_of is None else replace(told, max_age_s=None)
        self._secrets = decode_secrets(row.secrets).values()
        self._sink = sink
        self._around = around
        self._policy = Backoff(max_refusals=told.max_refusals)
        self._breaker = CircuitBreaker(self._policy, around.rand, is_away=row.is_away)
        self._outcomes = Outcomes(row.name, self._policy, self._breaker, around)
        self._outcomes.is_closed = row.closed_at is not None
        self._packer = Packer(row, self._told, self._breaker, self._outcomes, around)
        self._progress: Progress | None = None
        self._reader: Reader | None = None
        self._commits = Commits(around.destinations, row, fence)
        self._expired_at = around.monotonic()
        gather_s = (told.notify or NotifyOptions()).gather_s if told.kind == "notify" else 0.0
        self._pace = Pace(around.monotonic(), rate=row.rate, gather_s=gather_s, full=BURST)
        self._ready: deque[Parcel] = deque()
        self._unsent: list[Parcel] = []
        """Claimed events that were not sent, because the destination could not be reached meanwhile."""
        self._sent: list[Sent] = []
        self._claimed = 0
        """Number of claimed events without a result."""
        self._claimed_bytes = 0
        self._turning: asyncio.Future[tuple[list[Parcel], bool]] | None = None
        self._work = asyncio.Event()
        self._bell = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._is_finished = row.finished_at is not None

    # --- from outside -----------------------------------------------------------------------------------------

    @property
    def failures(self) -> int:
        """Return the failures in a row to reach the destination."""
        return self._breaker.failures

    @property
    def has_begun(self) -> bool:
        """Return whether it has loaded its progress, so that its settings are valid."""
        return self._progress is not None

    @property
    def wait_s(self) -> float:
        """Return the seconds until the next attempt may begin."""
        return self._breaker.wait(self._around.monotonic())

    def wake(self, row: DestinationRow | None = None) -> None:
        """Note that the feed has more events, or that the held terminals have changed.

        ``row``: the destination now, with the same revision.
        """
        if row is not None:
            self.row = row
        self._bell.set()

    async def run(self) -> None:
        """Send until cancelled. Raises :class:`Lost`, and any defect."""
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
            try:
                await asyncio.gather(*workers, return_exceptions=True)
                await self._finish()
            finally:  # also where the database takes too long, and what waits for it is cancelled once more
                await self._sink.close()

    async def once(self) -> float | None:
        """Do one turn; return the seconds until the next one; ``None``: only when something happens.

        Raises :class:`~gatepost.errors.StoreUnavailable`, and :class:`Lost`.
        """
        self._bell.clear()
        sent, self._sent = self._sent, []
        unsent, self._unsent = self._unsent, []
        back = [*(one.parcel for one in sent), *unsent]
        self._claimed -= sum(len(parcel.items) for parcel in back)
        self._claimed_bytes -= sum(parcel.size for parcel in back)
        self._turning = asyncio.ensure_future(self._around.in_thread(lambda: self._turn(sent, unsent)))
        # A turn is always completed, also when cancelled.
        parcels, more = await asyncio.shield(self._turning)
        self._claimed += sum(len(parcel.items) for parcel in parcels)
        self._claimed_bytes += sum(parcel.size for parcel in parcels)
        self._ready.extend(parcels)
        if self._ready:
            self._work.set()
        return 0.0 if more else self._pause()

    async def push_once(self) -> None:
        """Do a turn, send all claimed events, and commit the results. In place of :meth:`run`, for tests."""
        await self.once()
        while self._ready:
            await self._send(self._ready.popleft())
        await self.once()
        self._take_back()

    async def close(self) -> None:
        """Close the connections. Only needed after :meth:`push_once`."""
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
        if self.row.paused_at is not None or self._outcomes.is_closed or self._is_full:
            return 0
        tick = self._around.monotonic()
        room = self._breaker.room(max(0, CLAIMED - self._claimed), self._claimed, tick)
        return self._pace.room(room, tick)

    @property
    def _is_full(self) -> bool:
        return self._claimed >= CLAIMED or self._claimed_bytes >= CLAIMED_BYTES

    def _pause(self) -> float | None:
        progress, around = self._progress, self._around
        if (
            progress is None
            or self.row.paused_at is not None
            or self._outcomes.is_closed
            or self._is_finished
        ):
            return None
        expires = EXPIRE_S if self._told.max_age_s is not None and progress.cursor.waiting else None
        if self._is_full or (self._claimed and self._breaker.failures):
            return expires
        due = progress.cursor.next_due()
        if self._breaker.failures and progress.cursor.waiting:
            wait = self._breaker.wait(around.monotonic())
        elif due is None:
            return expires
        else:
            wait = due - around.now()
        wait = max(0.001, wait, self._pace.wait(around.monotonic()))
        return wait if expires is None else min(wait, expires)

    # --- a turn, on a thread ----------------------------------------------------------------------------------

    def _turn(self, sent: Sequence[Sent], unsent: Sequence[Parcel]) -> tuple[list[Parcel], bool]:
        """Return the events to send, and whether there is more to read at once."""
        reader = self._reader = self._reader or Reader(self.row, self._told, self._around)
        progress = self._progress = self._progress or self._commits.load(self._told)
        self._take_in(progress, sent, unsent)
        self._expire(progress)
        room = self._room()
        more = self._read(reader, progress, room)
        self._packer.has_given_up = False
        has_gathered = self._pace.has_gathered(progress.untried, self._around.monotonic())
        claimed = self._claim(progress, room if has_gathered else 0)
        try:
            self._commits.commit(progress, self.row.changes)
            self._finish_replay(progress)
            parcels = self._packer.pack(progress, claimed, reader.fresh, CLAIMED_BYTES - self._claimed_bytes)
        except BaseException:
            progress.give_back(claimed)
            raise
        self._pace.spend(len(claimed))
        reader.fresh.clear()
        return parcels, more or self._packer.has_given_up

    def _claim(self, progress: Progress, room: int) -> list[Item]:
        """Return the next events to send. Those that are too old are dropped, also unread ones."""
        now = self._around.now()
        if not room:
            return []
        claimed = progress.probe(now) if self._breaker.failures else progress.claim(room, now)
        if self._told.max_age_s is None:
            return claimed
        old = [item for item in claimed if self._packer.is_old(item.happened_at_ms)]
        progress.give_back(old)
        for item in old:
            self._packer.give_up(progress, item, OLD)
        return [item for item in claimed if item not in old]

    def _take_in(self, progress: Progress, sent: Sequence[Sent], unsent: Sequence[Parcel]) -> None:
        self._outcomes.note_all(progress, sent, unsent)
        self._packer.forget(progress.cursor.waiting)

    def _read(self, reader: Reader, progress: Progress, room: int) -> bool:
        """Read the next events to send; return whether there is more to read at once.

        No more than this turn sends, as far as known, because an event that is rendered later is read twice.
        """
        if self.row.paused_at is not None or self._outcomes.is_closed or self._is_finished:
            return False
        is_all_sent = not (self._breaker.failures or self.row.rate or self._told.order == "terminal")
        limit = min(PAGE, room - progress.untried) if is_all_sent else PAGE
        if limit <= 0:
            return False
        has_more = reader.read(progress, limit)
        return has_more and (not is_all_sent or progress.untried < room)

    def _finish_replay(self, progress: Progress) -> None:
        if self.row.replay_of is not None and not self._is_finished and progress.is_finished:
            self._is_finished = True
            progress.gathered.note_finished(int(self._around.now() * 1000))
            self._commits.commit(progress, self.row.changes)

    def _expire(self, progress: Progress) -> None:
        age, tick = self._told.max_age_s, self._around.monotonic()
        if age is not None and tick - self._expired_at >= EXPIRE_S:
            self._expired_at = tick
            if progress.expire(int((self._around.now() - age) * 1000), OLD):
                self._outcomes.forget(progress.cursor.waiting)

    def _end(self) -> None:
        if self._progress is None:
            return
        self._take_back()
        self._take_in(self._progress, self._sent, self._unsent)
        self._commits.commit(self._progress, self.row.changes)

    # --- sending ----------------------------------------------------------------------------------------------

    async def _worker(self) -> None:
        while True:
            while not self._ready:
                self._work.clear()
                await self._work.wait()
            await self._send(self._ready.popleft())

    def _take_back(self) -> None:
        """Stop sending claimed events."""
        self._unsent.extend(self._ready)
        self._ready.clear()

    async def _send(self, parcel: Parcel) -> None:
        began, at_ms = self._around.monotonic(), int(self._around.now() * 1000)
        try:
            results = await self._sink.send(parcel.outgoing)
        except Exception as error:
            # A defect does not concern the event.
            log.exception("forwarder.sink_failed", destination=self.row.name)
            failed = Result(outcome=Unreachable(f"a defect of gatepost: {type(error).__name__}; see its log"))
            results = [failed] * len(parcel.items)
        took_ms = round((self._around.monotonic() - began) * 1000)
        results = [hidden(result, self._secrets) for result in results]
        self._sent.append(Sent(parcel, results, at_ms, took_ms))
        if any(isinstance(result.outcome, (Unreachable, Closed)) for result in results):
            self._take_back()
        if not self._ready or len(self._sent) >= GATHERED:
            self._bell.set()
        elif self._timer is None or self._timer.when() <= asyncio.get_running_loop().time():
            self._timer = asyncio.get_running_loop().call_later(GATHER_S, self._bell.set)
