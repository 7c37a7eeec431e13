"""Watch the installation itself, and tell what happens to it: a terminal that fell silent, a disk nearly full.

Rules:

* What is wrong is told once, and told again when it is over: the conditions that stand are in the store, so that
  neither a restart nor a second receiver tells it twice.
* A terminal that is held or retired is not watched. One that never sent anything is not silent.
* Between wrong and right lies some room, so that what is just at its bound is not told again and again.

Flow: :meth:`Watcher.run` → :meth:`Watcher.once`: the facts, and :func:`observe` what they say that was not told yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime

import structlog
from msgspec import Struct

from gatepost.errors import StoreError
from gatepost.receiver.jobs.projector.lag import Lag
from gatepost.receiver.terminals.presence import last_heard, presence
from gatepost.store.interface import Store, TerminalRow
from gatepost.store.query.notices import NewNotice, NoticeKind, Notices

__all__ = ["Facts", "Watcher", "observe"]

log = structlog.get_logger(__name__)

ROUND_S = 15.0

CLOCK_WRONG_MS = 5 * 60_000
CLOCK_RIGHT_MS = 60_000

BEHIND_S = 60.0
CAUGHT_UP_S = 5.0

Condition = tuple[NoticeKind, str]


class Facts(Struct, frozen=True, kw_only=True):
    """How the installation is at one moment."""

    now: datetime
    terminals: Sequence[TerminalRow]
    heard: Mapping[int, int]
    """When terminals last pushed, by id: Unix milliseconds."""
    host: str
    """The name of this machine."""
    lag: Lag
    has_room: bool
    """The disk has more room than ``min_free_bytes``."""
    locked: Collection[str]
    """Accounts that no unknown device may try to log in to."""
    closed: Mapping[int, str]
    """The names of destinations that want no more events, by id."""
    broken: Collection[str]
    """The names of destinations to which this machine cannot begin to send."""


def observe(facts: Facts, standing: Collection[Condition]) -> list[NewNotice]:
    """Return what was not told yet. Pure."""
    found: list[NewNotice] = []
    for row in facts.terminals:
        found += _of_terminal(row, facts, standing)
    found += _of_journal(facts, standing)
    found += _ended_or_begun(
        "disk.low", "disk.enough", facts.host, facts.has_room, not facts.has_room, standing
    )
    # Each receiver counts attempts to log in for itself, and knows where it cannot send to.
    here = f"{facts.host} "
    locked = {here + name: name for name in facts.locked}
    found += _of_each("login.locked", "login.unlocked", locked, standing, of=here)
    closed = {str(number): name for number, name in facts.closed.items()}
    found += _of_each("destination.closed", "destination.resumed", closed, standing)
    broken = {here + name: name for name in facts.broken}
    found += _of_each("destination.broken", "destination.repaired", broken, standing, of=here)
    return found


def _of_terminal(row: TerminalRow, facts: Facts, standing: Collection[Condition]) -> Iterator[NewNotice]:
    if row.state in ("held", "retired"):
        return
    subject = str(row.id)
    if row.state == "new" and ("terminal.new", subject) not in standing:
        yield NewNotice(kind="terminal.new", subject=subject, terminal_id=row.id)
    last = last_heard(row.last_seen, facts.heard.get(row.id))
    how = presence(last, row.interval_ms, now=facts.now)
    if how == "offline" and ("terminal.offline", subject) not in standing and last is not None:
        silent_s = round((facts.now - last).total_seconds())
        yield NewNotice(
            kind="terminal.offline", subject=subject, terminal_id=row.id, detail={"silent_s": silent_s}
        )
    if how == "online" and ("terminal.offline", subject) in standing:
        yield NewNotice(kind="terminal.back", subject=subject, terminal_id=row.id)
    error_ms = row.clock_error_ms
    if error_ms is None:
        return
    is_told = ("terminal.clock_wrong", subject) in standing
    detail = {"error_s": round(error_ms / 1000)}
    if abs(error_ms) > CLOCK_WRONG_MS and not is_told:
        yield NewNotice(kind="terminal.clock_wrong", subject=subject, terminal_id=row.id, detail=detail)
    if abs(error_ms) < CLOCK_RIGHT_MS and is_told:
        yield NewNotice(kind="terminal.clock_right", subject=subject, terminal_id=row.id, detail=detail)


def _of_journal(facts: Facts, standing: Collection[Condition]) -> list[NewNotice]:
    lag = facts.lag
    return _ended_or_begun(
        "journal.behind",
        "journal.caught_up",
        facts.host,
        lag.oldest_s < CAUGHT_UP_S and not lag.is_away,
        lag.oldest_s > BEHIND_S,
        standing,
        {"events": lag.events, "oldest_s": round(lag.oldest_s)},
    )


def _ended_or_begun(
    begins: NoticeKind,
    ends: NoticeKind,
    subject: str,
    is_over: bool,
    is_wrong: bool,
    standing: Collection[Condition],
    detail: Mapping[str, str | float] | None = None,
) -> list[NewNotice]:
    is_told = (begins, subject) in standing
    if is_wrong and not is_told:
        return [NewNotice(kind=begins, subject=subject, detail=detail or {"host": subject})]
    if is_over and is_told:
        return [NewNotice(kind=ends, subject=subject, detail={"host": subject})]
    return []


def _of_each(
    begins: NoticeKind,
    ends: NoticeKind,
    wrong: Mapping[str, str],
    standing: Collection[Condition],
    *,
    of: str = "",
) -> Iterator[NewNotice]:
    for subject, name in wrong.items():
        if (begins, subject) not in standing:
            yield NewNotice(kind=begins, subject=subject, detail={"name": name})
    for kind, subject in standing:
        if kind == begins and subject.startswith(of) and subject not in wrong:
            yield NewNotice(
                kind=ends, subject=subject, detail={"name": subject.removeprefix(of)} if of else {}
            )


class Watcher:
    """Tells notices, by the store of one receiver. Every method but :meth:`run` blocks."""

    def __init__(
        self,
        store: Store,
        notices: Notices,
        *,
        host: str,
        heard: Mapping[int, int],
        lag: Callable[[], Lag],
        has_room: Callable[[], bool],
        locked: Callable[[], Collection[str]],
        broken: Callable[[], Collection[str]],
        on_told: Callable[[], None],
        now: Callable[[], float],
        is_away: Callable[[], bool],
    ) -> None:
        """``on_told`` is called, on the thread of the caller, after notices were added."""
        self._store = store
        self._notices = notices
        self._host = host
        self._heard = heard
        self._lag = lag
        self._has_room = has_room
        self._locked = locked
        self._broken = broken
        self._on_told = on_told
        self._now = now
        self._is_away = is_away

    def once(self) -> int:
        """Look once; return how many notices were added. Raises :class:`~gatepost.errors.StoreUnavailable`."""
        now = self._now()
        facts = Facts(
            now=datetime.fromtimestamp(now, UTC),
            terminals=self._store.terminals(),
            heard=dict(self._heard),
            host=self._host,
            lag=self._lag(),
            has_room=self._has_room(),
            locked=self._locked(),
            closed=self._notices.closed_destinations(),
            broken=self._broken(),
        )
        told = self._notices.tell(observe(facts, self._notices.standing()), now_ms=int(now * 1000))
        if told:
            self._on_told()
        return told

    async def run(self) -> None:
        """Look every :data:`ROUND_S` seconds, until it is cancelled."""
        while True:
            await asyncio.sleep(ROUND_S)
            try:
                await asyncio.to_thread(self.once)
            except StoreError as error:
                tell = log.debug if self._is_away() else log.warning
                tell("watcher.failed", why=str(error))
