"""The state of a destination, and the reason. Pure.

The process with the lease knows whether the destination can be reached. For another process's destination this is read
from what that process stored.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from gatepost.errors import SettingsError
from gatepost.forward.options.destination import decode
from gatepost.store.forwarding.destinations import DestinationRow

__all__ = ["Reach", "Standing", "State", "standing"]

State = Literal["running", "waiting", "paused", "closed", "broken", "finished"]
"""``waiting``: it cannot be reached; ``closed``: it said that it wants no more; ``broken``: its settings cannot be
used; ``finished``: of a replay."""


class Reach(Struct, frozen=True, kw_only=True):
    """The view of a destination that the sending process has."""

    failures: int
    """Failures in a row to reach it."""
    wait_s: float
    """Seconds until the next attempt may begin."""


class Standing(Struct, frozen=True, kw_only=True):
    """The state of a destination."""

    state: State
    why: str = ""
    """The reason, of ``waiting``, ``closed`` and ``broken``."""
    wait_s: float | None = None
    """Of ``waiting``: seconds until the next attempt, where this process makes it."""


def standing(row: DestinationRow, *, trouble: str | None = None, reach: Reach | None = None) -> Standing:
    """Return the state of a destination. ``trouble``: why this process cannot begin to send to it."""
    if row.finished_at is not None:
        return Standing(state="finished")
    if row.closed_at is not None:
        return Standing(state="closed", why=row.closed_why or "")
    broken = trouble or _broken(row)
    if broken:
        return Standing(state="broken", why=broken)
    if row.paused_at is not None:
        return Standing(state="paused")
    if reach is not None:
        if reach.failures and row.ledger.waiting:
            return Standing(state="waiting", why=row.failure or "", wait_s=reach.wait_s)
        return Standing(state="running")
    if row.is_away and row.ledger.waiting:
        return Standing(state="waiting", why=row.failure or "")
    return Standing(state="running")


def _broken(row: DestinationRow) -> str:
    try:
        decode(row.config)
    except SettingsError as error:
        return str(error)
    return ""
