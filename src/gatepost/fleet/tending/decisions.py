"""Decide what is done with an adopted terminal: look at it, set its address again, or ask a person. Pure.

Rules:

* An adopted terminal is verified every five minutes, more or less a fifth, and at once when it comes back.
* Its address is set again only where it differs, at most three times an hour: then another tool takes it, and a person
  is asked.
* A wrong password, another certificate or another serial stops it until a person has looked.
* One that does not say where it pushes to after its address was set cannot be verified: what counts is what arrives.
  One that has said so before has forgotten it, and its address is set again. One that never said so may have forgotten
  it where it was away, or where nothing arrived for a day: it is set once more then.

Flow: :func:`next_step` → the client does it → :func:`compared` → :func:`after` → what is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from gatepost.wire import Subscription
from gatepost.wire.subscription import without_credentials

__all__ = [
    "EVERY_S",
    "MAX_SETS",
    "QUIET_S",
    "Found",
    "Kept",
    "State",
    "Step",
    "after",
    "came_back",
    "compared",
    "next_step",
    "resumed",
    "was_set",
]

EVERY_S = 300.0
"""Between two looks at a terminal, more or less a fifth."""

FIRST_AGAIN_S, LAST_AGAIN_S = 15.0, 900.0
"""Between two tries to reach one that is away: the first pause and the longest."""

QUIET_S = 86_400.0
"""After so long in which nothing arrived of a terminal that shows no address, its address is set once more."""

MAX_SETS, WITHIN_S = 3, 3600.0
"""So often an address is set again within so long."""

State = Literal["adopted", "ours", "away", "contested", "stopped"]
"""``adopted``: set, and nothing arrived yet; ``ours``: it pushes to us; ``contested``: others set its address, too;
``stopped``: a person has to look, see :attr:`Kept.reason`."""

Step = Literal["nothing", "verify", "set"]

Found = Literal[
    "ours", "differs", "silent", "away", "wrong account", "another terminal", "another certificate"
]
"""The result of a look. ``silent``: the terminal does not say where it pushes to."""


class Kept(Struct, frozen=True, kw_only=True):
    """Hold what is kept of an adopted terminal. Times are in Unix seconds."""

    state: State = "adopted"
    due_at: float = 0.0
    """When it is looked at next."""
    failures: int = 0
    """How often in a row it was away."""
    sets: tuple[float, ...] = ()
    """When its address was set within the last hour."""
    must_set: bool = False
    """The next step is to set its address."""
    shows: bool = False
    """It has shown the address that was set: if it shows none any more, it has forgotten it."""
    reason: str = ""
    """Why it is stopped or contested, for the person who looks."""


def compared(told: Subscription | None, ours: str) -> Found:
    """Return what a terminal's subscription says about the address that we gave it.

    A terminal may show an address without what is secret in it.
    """
    if told is None:
        return "silent"
    is_ours = told.event_dest in (ours, without_credentials(ours))
    return "ours" if is_ours and told.enabled else "differs"


def next_step(kept: Kept, *, now: float) -> Step:
    """Return what to do with a terminal now."""
    if kept.state == "stopped" or now < kept.due_at:
        return "nothing"
    return "set" if kept.must_set and len(_recent(kept, now)) < MAX_SETS else "verify"


def after(
    kept: Kept,
    found: Found,
    *,
    now: float,
    rand: Callable[[], float],
    has_arrived: bool,
    is_quiet: bool = False,
) -> Kept:
    """Return what is kept after a look. ``rand``: in [0, 1).

    ``has_arrived``: events of it arrived since it was set. ``is_quiet``: for :data:`QUIET_S` there were neither events
    nor was it set.
    """
    if found == "away":
        failures = kept.failures + 1
        pause = min(LAST_AGAIN_S, FIRST_AGAIN_S * 2.0 ** min(failures - 1, 10))
        due_at = now + pause * (0.8 + 0.4 * rand())
        return replace(kept, state="away", failures=failures, due_at=due_at)
    if found in _STOPS:
        return replace(kept, state="stopped", failures=0, must_set=False, reason=_STOPS[found])
    calm = replace(kept, failures=0, due_at=now + EVERY_S * (0.8 + 0.4 * rand()))
    if found == "ours":
        return replace(calm, state="ours", must_set=False, shows=True, reason="")
    if found == "silent" and not kept.shows:
        was_set_before = (has_arrived or bool(kept.sets)) and not kept.must_set
        may_have_forgotten = (kept.failures > 0 or is_quiet) and len(_recent(kept, now)) < MAX_SETS
        if was_set_before and not may_have_forgotten:  # to set it once more would be to set it for ever
            return replace(calm, state="ours" if has_arrived else "adopted", must_set=False, reason="")
    if len(_recent(kept, now)) >= MAX_SETS:
        return replace(calm, state="contested", must_set=False, reason=_CONTESTED)
    return replace(calm, state="adopted", must_set=True, due_at=now)


def was_set(kept: Kept, *, now: float) -> Kept:
    """Return what is kept after its address was set: it is read back at once."""
    sets = (*_recent(kept, now), now)
    return replace(kept, sets=sets, must_set=False, state="adopted", due_at=now)


def came_back(kept: Kept, *, now: float) -> Kept:
    """Return what is kept after a terminal that was silent pushed again or was seen: it is looked at now."""
    return kept if kept.state == "stopped" else replace(kept, due_at=min(kept.due_at, now), failures=0)


def resumed(kept: Kept, *, now: float) -> Kept:
    """Return what is kept after a person has looked."""
    return replace(
        kept, state="adopted", due_at=now, failures=0, sets=(), must_set=False, shows=False, reason=""
    )


def _recent(kept: Kept, now: float) -> tuple[float, ...]:
    # A clock that was set back leaves moments that lie ahead: they count as now.
    return tuple(min(at, now) for at in kept.sets if now - at < WITHIN_S)


_STOPS = {
    "wrong account": "its user name or password is wrong; give the right ones, it is not tried again by itself",
    "another terminal": "another terminal replies at its address; look for its new address",
    "another certificate": "it shows another certificate; adopt it again if it was reset or replaced",
}

_CONTESTED = (
    "its address was set to another one three times within an hour; find out which other tool sets it"
)
