"""Hold what fetching and counting histories needs of the receiver around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from msgspec import Struct

from gatepost.fleet.client import TerminalClient
from gatepost.store.query.notices import Notices
from gatepost.store.receivers.leases import Leases
from gatepost.store.terminals.adopted import AdoptedRow
from gatepost.store.terminals.fleet import Adopted
from gatepost.store.terminals.fleet_jobs import FleetJobs
from gatepost.store.types.arrivals import Arrival

__all__ = ["LEASE_MS", "Around", "Talk"]

LEASE_MS = 15_000

Talk = Callable[[AdoptedRow], AbstractAsyncContextManager[TerminalClient]]
"""Open a terminal's service, logged in. Raises :class:`~gatepost.fleet.failures.FleetError`."""


class Around(Struct, frozen=True, kw_only=True):
    """Hold what is handed in."""

    jobs: FleetJobs
    adopted: Adopted
    leases: Leases
    notices: Notices
    talk: Talk
    take: Callable[[Sequence[Arrival]], None]
    """Append arrivals to the journal. Blocks."""
    taken: Callable[[], None] = lambda: None
    """Have what was appended listed soon. Any thread."""
    catch_up: Callable[[], None]
    """Wait until the journal is listed. Blocks."""
    secret: bytes
    owner: str
    now: Callable[[], float]
    monotonic: Callable[[], float]
    told: Callable[[], None] = lambda: None
    """Called after notices were added. Any thread."""
