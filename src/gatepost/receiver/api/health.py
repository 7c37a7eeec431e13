"""Health checks for service managers and load balancers: ``/healthz`` and ``/readyz``.

Ready means that pushes are accepted: the journal can be written and has room. If the store is unavailable, ``status``
says so, with the number of events that are not listed yet.
"""

from __future__ import annotations

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import SkipValidation
from msgspec import Struct

from gatepost.errors import JournalError, StoreUnavailable
from gatepost.receiver.api.access import OPEN
from gatepost.receiver.api.shapes import TheProjector
from gatepost.receiver.group_commit import GroupCommit

__all__ = ["Health", "HealthController"]

TheGroupCommit = NamedDependency[SkipValidation[GroupCommit]]


class Health(Struct, frozen=True):
    """``ok``, or what is amiss though pushes are taken; what is wrong is told as any error is."""

    status: str


class HealthController(Controller):
    opt = OPEN
    tags = ("health",)

    @get("/healthz", sync_to_thread=False, summary="Is the process alive?")
    def healthz(self) -> Health:
        return Health("ok")

    @get("/readyz", sync_to_thread=True, summary="Does it take pushes?")
    def readyz(self, group_commit: TheGroupCommit, projector: TheProjector) -> Health:
        if group_commit.is_failing:
            raise StoreUnavailable(
                "the journal cannot be written, so pushes get 503; see the log, and make room on the disk"
            )
        if group_commit.is_full:
            raise StoreUnavailable(
                "the journal is full, or its disk nearly, so pushes get 503 until the store takes events again or there"
                " is room; see journal_max_bytes and min_free_bytes"
            )
        try:
            lag = projector.lag()
        except JournalError:
            raise StoreUnavailable("the journal cannot be read; see the log") from None
        if lag.is_away:
            return Health(f"store away, {lag.events} events behind")
        if lag.waiting:
            return Health(f"part of the journal waits: {'; '.join(lag.waiting)}")
        if lag.damaged:
            return Health(f"damaged places in the journal: {lag.damaged}; see gatepost check-store")
        return Health("ok")
