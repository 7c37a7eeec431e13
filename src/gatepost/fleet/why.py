"""Tell why nothing arrives of a terminal: facts → findings → the one thing to do next. Pure.

Rules:

* Each check has one finding. What could not be looked at is said so, and is no fault.
* What to do next is that of the gravest finding, in the order of :data:`FIRST`: what has to be mended before anything
  else helps comes first.
* What is wrong is wrong now: a refusal counts while nothing was taken since.

Flow: :func:`findings` → :func:`next_of` → :mod:`gatepost.fleet.why_words` puts both into words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

__all__ = [
    "CHECKS",
    "CODES",
    "FIRST",
    "Check",
    "Facts",
    "Finding",
    "Known",
    "Level",
    "Looked",
    "Managed",
    "Refused",
    "Value",
    "findings",
    "next_of",
    "of_reason",
]

Level = Literal["good", "unknown", "look", "bad"]
"""``look``: it works, and a person should look; ``bad``: nothing arrives, or nothing is shown."""

Check = Literal["known", "reachable", "subscribed", "refused", "heard", "clock", "ids", "listed"]
CHECKS: tuple[Check, ...] = ("known", "reachable", "subscribed", "refused", "heard", "clock", "ids", "listed")
"""In the order in which they are told."""

Value = str | int | float | datetime
"""A number with a fraction is a span in seconds."""

CLOCK_OFF = timedelta(minutes=1)
"""Beyond it a terminal's clock is told."""

REFUSED_WITHIN = timedelta(days=7)
"""Older refusals say nothing of today."""

LISTED_WITHIN_S = 10.0
"""An event that waits longer to be listed is told."""


class Known(Struct, frozen=True, kw_only=True):
    """Hold what is stored of a terminal."""

    state: Literal["new", "approved", "held", "retired"]
    presence: Literal["online", "late", "offline", "never"]
    last_seen: datetime | None
    interval_s: float | None
    clock_error_s: float | None
    has_backlog: bool
    repeated_ids: int
    unusable_ids: int


class Managed(Struct, frozen=True, kw_only=True):
    """Hold what is known of a terminal's own service, which is managed from here."""

    address: str
    state: Literal["adopted", "ours", "away", "contested", "stopped"]
    found: str | None
    """The result of the last look, as :data:`gatepost.fleet.tending.decisions.Found` has it."""
    said: str
    """Its reply at that look, or why it could not be reached."""
    shown: str
    """Where it pushes to instead of here."""
    has_account: bool
    looked_at: datetime | None
    set_at: datetime | None
    """When its address was set."""


class Looked(Struct, frozen=True, kw_only=True):
    """Hold what replied just now at an address that is not managed from here."""

    address: str
    serial: str | None
    """``None``: no terminal did."""
    said: str
    """Why not."""


class Refused(Struct, frozen=True, kw_only=True):
    """Hold pushes that were refused alike."""

    reason: str
    peer: str
    path: str
    count: int
    last_at: datetime


class Facts(Struct, frozen=True, kw_only=True):
    """Hold everything that is looked at."""

    asked: str
    """A serial or an address."""
    now: datetime
    known: Known | None
    managed: Managed | None = None
    looked: Looked | None = None
    refused: tuple[Refused, ...] = ()
    unlisted: int = 0
    """Events that are acknowledged and not listed yet."""
    unlisted_s: float = 0.0
    """For how long the oldest of them waits."""
    is_store_away: bool = False


class Finding(Struct, frozen=True, kw_only=True):
    """Hold what one check has found."""

    check: Check
    level: Level
    code: str
    values: dict[str, Value] = {}


def findings(facts: Facts) -> list[Finding]:
    """Return what each check finds, in the order of :data:`CHECKS`."""
    return [*_known(facts), *_service(facts), *_refused(facts), *_pushes(facts), *_listed(facts)]


def next_of(found: Sequence[Finding]) -> Finding | None:
    """Return the finding that has to be mended first; ``None`` if there is nothing to do."""
    amiss = [one for one in found if one.level in ("bad", "look")]
    if not amiss:
        return next((one for one in found if one.code == "never_unmanaged"), None)
    return min(amiss, key=lambda one: (one.level != "bad", FIRST.index(one.code)))


def _known(facts: Facts) -> Iterator[Finding]:
    known = facts.known
    if known is None:
        yield Finding(check="known", level="bad", code="unknown", values={"asked": facts.asked})
    elif known.state == "retired":
        yield Finding(check="known", level="bad", code="retired")
    elif known.state == "held":
        yield Finding(check="known", level="bad", code="held")
    elif known.state == "new":
        yield Finding(check="known", level="look", code="new")
    else:
        yield Finding(check="known", level="good", code="approved")


def _service(facts: Facts) -> Iterator[Finding]:
    managed, looked = facts.managed, facts.looked
    if managed is None and looked is not None:
        yield _reply(looked)
        return
    if managed is None:
        yield Finding(check="reachable", level="unknown", code="unmanaged")
        return
    values: dict[str, Value] = {"address": managed.address}
    code = _STOPPED.get(managed.found or "")
    if not managed.has_account:
        code = "account_missing"
    if code is not None:
        yield Finding(check="reachable", level="bad", code=code, values=values)
        return
    if managed.found == "away":
        yield Finding(
            check="reachable",
            level="bad",
            code="away",
            values={**values, "said": managed.said or f"{managed.address} cannot be reached"},
        )
        return
    if managed.found is None or managed.looked_at is None:
        yield Finding(check="reachable", level="unknown", code="not_looked", values=values)
        if facts.known is None or facts.known.last_seen is None:
            yield Finding(check="subscribed", level="look", code="not_set_yet")
        return
    yield Finding(
        check="reachable", level="good", code="reached", values={**values, "when": managed.looked_at}
    )
    yield _subscribed(managed, facts.known)


def _reply(looked: Looked) -> Finding:
    if looked.serial is None:
        return Finding(check="reachable", level="bad", code="no_reply", values={"said": looked.said})
    values: dict[str, Value] = {"address": looked.address, "serial": looked.serial}
    return Finding(check="reachable", level="good", code="replies", values=values)


def _subscribed(managed: Managed, known: Known | None) -> Finding:
    if managed.state == "contested":
        values: dict[str, Value] = {"shown": managed.shown or "–"}
        return Finding(check="subscribed", level="bad", code="contested", values=values)
    if managed.found == "differs":
        values = {"shown": managed.shown or "–"}
        return Finding(check="subscribed", level="bad", code="other_address", values=values)
    seen = None if known is None else known.last_seen
    if managed.set_at is not None and (seen is None or seen < managed.set_at):
        return Finding(check="subscribed", level="look", code="no_event_yet", values={"when": managed.set_at})
    if managed.found == "silent":
        return Finding(check="subscribed", level="unknown", code="unsaid")
    if seen is None:  # its address was ours already, or the reply to the setting of it was lost
        return Finding(check="subscribed", level="look", code="never_sent")
    return Finding(check="subscribed", level="good", code="ours")


def _refused(facts: Facts) -> Iterator[Finding]:
    lately = [one for one in facts.refused if facts.now - one.last_at <= REFUSED_WITHIN]
    if not lately:
        yield Finding(check="refused", level="good", code="none_refused")
        return
    last = max(lately, key=lambda one: one.last_at)
    values: dict[str, Value] = {
        "count": sum(one.count for one in lately),
        "when": last.last_at,
        "peer": last.peer,
        "path": last.path or "/",
        "reason": last.reason,
    }
    taken = None if facts.known is None else facts.known.last_seen
    if taken is not None and taken > last.last_at:
        yield Finding(check="refused", level="unknown", code="refused_before", values=values)
    else:
        yield Finding(check="refused", level="bad", code=of_reason(last.reason), values=values)


def of_reason(reason: str) -> str:
    """Return the finding of a reason for which pushes are refused."""
    code = "refused_" + reason.replace(" ", "_")
    return code if code in FIRST else "refused_content"


def _pushes(facts: Facts) -> Iterator[Finding]:
    known = facts.known
    if known is None:
        return
    if known.last_seen is None:
        code = "never_unmanaged" if facts.managed is None else "never"
        yield Finding(check="heard", level="bad" if facts.managed is None else "unknown", code=code)
    else:
        values: dict[str, Value] = {"when": known.last_seen}
        if known.interval_s is not None:
            values["span"] = known.interval_s
        if known.presence == "offline":
            yield Finding(check="heard", level="bad", code="offline", values=values)
        elif known.presence == "late":
            yield Finding(check="heard", level="look", code="late", values=values)
        elif known.has_backlog:
            yield Finding(check="heard", level="look", code="backlog", values=values)
        else:
            yield Finding(check="heard", level="good", code="online", values=values)
    yield _clock(known)
    if known.repeated_ids or known.unusable_ids:
        code, count = (
            ("ids_repeat", known.repeated_ids) if known.repeated_ids else ("ids_unusable", known.unusable_ids)
        )
        yield Finding(check="ids", level="look", code=code, values={"count": count})


def _clock(known: Known) -> Finding:
    error = known.clock_error_s
    if error is None:
        return Finding(check="clock", level="unknown", code="clock_unknown")
    if abs(error) <= CLOCK_OFF.total_seconds():
        return Finding(check="clock", level="good", code="clock_right")
    code = "clock_ahead" if error > 0 else "clock_behind"
    return Finding(check="clock", level="look", code=code, values={"span": float(abs(error))})


def _listed(facts: Facts) -> Iterator[Finding]:
    if facts.unlisted and facts.is_store_away:
        yield Finding(check="listed", level="bad", code="store_away", values={"count": facts.unlisted})
    elif facts.unlisted and facts.unlisted_s > LISTED_WITHIN_S:
        yield Finding(check="listed", level="look", code="not_listed", values={"count": facts.unlisted})
    else:
        yield Finding(check="listed", level="good", code="listed")


_STOPPED = {
    "wrong account": "account_wrong",
    "another terminal": "another_terminal",
    "another certificate": "another_certificate",
}

FIRST: tuple[str, ...] = (
    "store_away",
    "retired",
    "refused_retired",
    "account_missing",
    "account_wrong",
    "another_terminal",
    "another_certificate",
    "contested",
    "refused_path",
    "refused_token_wrong",
    "refused_token_missing",
    "refused_address",
    "refused_unknown_terminal",
    "refused_quota",
    "refused_too_many_new_terminals",
    "refused_too_many_terminals",
    "refused_store_unavailable",
    "refused_busy",
    "refused_content",
    "held",
    "other_address",
    "away",
    "no_reply",
    "unknown",
    "never_unmanaged",
    "offline",
    "not_set_yet",
    "no_event_yet",
    "never_sent",
    "late",
    "not_listed",
    "new",
    "clock_behind",
    "clock_ahead",
    "ids_repeat",
    "ids_unusable",
    "backlog",
)
"""The faults, in the order in which they have to be mended."""

CODES: tuple[str, ...] = (
    *FIRST,
    *("approved", "unmanaged", "replies", "not_looked", "reached", "unsaid", "ours", "none_refused"),
    *("refused_before", "never", "online", "clock_unknown", "clock_right", "listed"),
)
"""Every finding."""
