"""Run retention while the receiver runs: the loop around :class:`gatepost.store.privacy.retention.Retention`.

Rules:

* A step at a time, with a pause after each, so that a push never waits for more than one short transaction.
* The first one comes a minute after the start: whoever notices a wrong setting in the log still has the time.
* What was deleted is counted, and one line a round in the audit log says so.
* What a wrong clock or a slip in a setting would delete waits until it is confirmed
  (:mod:`gatepost.store.privacy.permitted`), and the log says so each hour.

Flow: :meth:`RetentionJob.run` → :meth:`RetentionJob.once`, a step → the next one at once while there is more, else in a
minute.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date

import structlog

from gatepost.errors import JournalError, StoreError
from gatepost.settings import ReceiverSettings
from gatepost.store.accounts.accounts import Accounts
from gatepost.store.accounts.names import PROGRAM
from gatepost.store.conversion.values import DAY_MS
from gatepost.store.images.encryption import ImageKeys
from gatepost.store.images.key_rotation import Resealing
from gatepost.store.interface import PrunableStore
from gatepost.store.people.moving import finish
from gatepost.store.privacy.erasure import Erased, Whom, erase
from gatepost.store.privacy.permitted import Ask, Finished, Plan, confirm, finish_round, plan_round
from gatepost.store.privacy.person_matcher import PersonMatcher
from gatepost.store.privacy.retention import Kept, Limits, Retention, Step
from gatepost.store.privacy.terminal_removal import Removed, remove_terminal

__all__ = ["RetentionJob", "limits_of"]

log = structlog.get_logger(__name__)

PAUSE_S = 0.05
"""Between two steps."""

ROUND_S = 60.0
"""Between two rounds, and before the first."""

_SAID_EVERY_S = 3600.0


def since_boot() -> float:
    """Return seconds of a clock that is never set, and goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def limits_of(settings: ReceiverSettings) -> Limits:
    return Limits(
        images_days=settings.retention_images_days,
        stranger_images_days=settings.retention_stranger_images_days,
        records_days=settings.retention_records_days,
        quarantine_days=settings.retention_quarantine_days,
        audit_days=settings.retention_audit_days,
    )


class RetentionJob:
    """Deletes data that is past its retention, in small steps."""

    def __init__(
        self,
        store: PrunableStore,
        limits: Limits,
        *,
        now: Callable[[], float],
        running: Callable[[], float] = since_boot,
        keys: ImageKeys | None = None,
        catch_up: Callable[[], None] = lambda: None,
        forget: Callable[[], None] = lambda: None,
        on_erased: Callable[[], None] = lambda: None,
        forget_unlisted: Callable[[PersonMatcher, Sequence[int]], object] = lambda traces, terminals: None,
        oldest_unlisted: Callable[[], float | None] = lambda: None,
        expire_unlisted: Callable[[float], int] = lambda before: 0,
        is_away: Callable[[], bool] = lambda: False,
    ) -> None:
        """``now`` returns Unix seconds, and ``running`` those of a clock that is never set.

        ``keys`` are those that the store has.

        ``catch_up`` returns when everything that was acknowledged before is listed; it is called before an erasure.
        ``forget`` is called when people have left the store, so that they leave the memory as well; ``on_erased``
        only after somebody was erased. ``forget_unlisted`` and ``expire_unlisted`` delete what was acknowledged and
        cannot be listed: what is about a person, and what is older than a moment in Unix seconds; ``oldest_unlisted``
        returns when the oldest of it was set aside.

        ``is_away`` returns whether the projector says that the store is away; its line in the log is then enough.
        """
        self._store = store
        self._accounts = Accounts(store)
        self._now = now
        self._running = running
        self._began = running()
        self._finished: dict[str, tuple[float, int]] = {}
        """By part, when the round was planned that this process finished last, of ``running``, and before which day it
        deleted."""
        self._plan: Plan | None = None
        """Of the round that is under way."""
        self._planned_at = 0.0
        """When it was planned, of ``running``."""
        self.asks: tuple[Ask, ...] = ()
        """What is due and waits until it is confirmed."""
        self._said_at = -_SAID_EVERY_S
        self._catch_up = catch_up
        self._forget = forget
        self._on_erased = on_erased
        self._forget_unlisted = forget_unlisted
        self._oldest_unlisted = oldest_unlisted
        self._expire_unlisted = expire_unlisted
        self._is_away = is_away
        self.retention = Retention(store, limits)
        self._next_limits: Limits | None = None
        self.keys = keys or ImageKeys()
        self.resealing = Resealing(store, self.keys)
        self.deleted: Counter[str] = Counter()
        """By part, since the start of the process."""
        self.finished_at: float | None = None
        """When a round last came to its end, and nothing was left to do."""
        self.next_round_at: float | None = None
        """When it looks next; ``None``: it is at work, or has not begun."""
        self._round: Counter[str] = Counter()

    def now_ms(self) -> int:
        return int(self._now() * 1000)

    def once(self) -> Step:
        """Do one step. Blocks; for one thread at a time. Raises ``StoreUnavailable``: later, then."""
        if (limits := self._next_limits) is not None:
            # What was planned by the other limits is not gone on with, and not noted as finished.
            self.retention.limits, self._plan, self._next_limits = limits, None, None
        if self._plan is None:
            self._plan = self._permit()
        plan = self._plan
        step = self.retention.once(self.now_ms(), plan.before)
        sealed = None if step.more else self.resealing.once()
        if sealed is not None:
            self._round["resealed"] += sealed
            self.retention.dirty = True
            return Step("", 0)
        if step.deleted:
            self.deleted[step.part] += step.deleted
            self._round[step.part] += step.deleted
        if not step.more:
            self._tend_packs()
            if (before := plan.before.get("quarantine")) is not None:
                self._round["unlisted"] += self._expire_unlisted(before * DAY_MS / 1000)
            self._finish(plan)
            if self._round["records"] or self._round["erased"]:
                self._forget()
            if self._round.total():
                counts = {part: count for part, count in sorted(self._round.items()) if count}
                self._accounts.note(
                    now_ms=self.now_ms(), actor=PROGRAM, address="", action="retention", detail=counts
                )
                log.info("retention.deleted", **counts)
            self._round.clear()
        return step

    @property
    def limits(self) -> Limits:
        """Return the limits that hold from the next step on."""
        return self._next_limits or self.retention.limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        if limits != self.limits:
            self._next_limits, self.asks = limits, ()

    def _permit(self) -> Plan:
        """Plan a round, and say what has to be asked."""
        running, unlisted = self._running(), self._oldest_unlisted()
        plan = plan_round(
            self._store,
            self.retention.limits,
            now_ms=self.now_ms(),
            up_s=running - self._began,
            finished={part: Finished(running - at, before) for part, (at, before) in self._finished.items()},
            unlisted_ms=None if unlisted is None else int(unlisted * 1000),
        )
        self._planned_at = running
        self.asks = tuple(plan.asks.values())
        if self.asks and running - self._said_at >= _SAID_EVERY_S:
            self._said_at = running
            for ask in self.asks:
                log.error(
                    "retention.asks",
                    part=ask.part,
                    why=ask.why,
                    first=ask.first.isoformat(),
                    last=ask.last.isoformat(),
                    days=ask.days,
                    next="look at the clock and the settings retention_*, then confirm on the page System",
                )
        return plan

    def _finish(self, plan: Plan) -> None:
        """Note that the round is done."""
        up_s = self._running() - self._began
        for part in finish_round(self._store, self.retention.limits, plan, up_s=up_s):
            self._finished[part] = self._planned_at, plan.before[part]
        self._plan = None
        if not plan.asks:
            self.finished_at = self._now()

    def confirm(self, part: str, last: date) -> Ask | None:
        """Permit that what is asked of a part up to a day is deleted; ``None``: that is not what is asked now.

        Blocks; any thread may call it. Raises ``StoreUnavailable``.
        """
        ask = next((one for one in self.asks if one.part == part and one.last == last), None)
        if ask is not None:
            confirm(self._store, self.retention.limits, ask, now_ms=self.now_ms())
            self.asks = tuple(one for one in self.asks if one is not ask)
        return ask

    def _tend_packs(self) -> None:
        """Make the holes that could not be made before. What fails is tried again in the next round."""
        if self._store.packs is not None:
            try:
                self._store.packs.punch()
            except JournalError as error:
                log.warning("retention.packs_failed", why=str(error))
        if self.retention.trouble:
            log.warning("retention.packs_failed", why=self.retention.trouble)

    def prepare_erasure(self) -> None:
        """Finish moves of terminals, and list what waits in the journal, before it is looked up whom to erase.

        Blocks; any thread. Raises ``StoreUnavailable``.
        """
        self._catch_up()
        finish(self._store)

    def erase(self, whom: Whom) -> Erased:
        """Erase somebody. Blocks; any thread may call it."""
        done = erase(self._store, whom, now_ms=self.now_ms(), forget=self._forget_unlisted)
        self._on_erased()
        self._forget()
        if not done.scrubbed:
            self.retention.dirty = True
        self.deleted["erased"] += done.records + done.alarm_steps + done.quarantined
        return done

    def remove_terminal(self, terminal_id: int) -> Removed | None:
        """Delete a terminal with what it sent; ``None`` if there is none. Blocks; any thread may call it.

        Raises as :func:`~gatepost.store.privacy.terminal_removal.remove_terminal`.
        """
        self._catch_up()
        removed = remove_terminal(self._store, terminal_id)
        if removed is not None:
            self.retention.dirty = True
            self._forget()
        return removed

    def state(self) -> list[Kept]:
        """How it stands with every part. Blocks; any thread may call it."""
        return self.retention.state(self.now_ms(), self.limits)

    async def run(self) -> None:
        """Go on for ever."""
        pause = ROUND_S
        while True:
            self.next_round_at = self._now() + pause if pause == ROUND_S else None
            await asyncio.sleep(pause)
            try:
                step = await asyncio.to_thread(self.once)
            except (StoreError, JournalError) as error:
                tell = log.debug if self._is_away() else log.warning
                tell("retention.failed", why=str(error))
                pause = ROUND_S
            else:
                pause = PAUSE_S if step.more else ROUND_S
