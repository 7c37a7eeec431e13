"""``/api/v1/system``: versions, disk, journal, images, database, and what retention deletes next."""

from __future__ import annotations

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from gatepost.receiver.api.access.authorization import ADMIN, EVERY_SITE
from gatepost.receiver.observability.system import System, SystemState

__all__ = ["SystemController", "TheSystem"]

TheSystem = NamedDependency[SkipValidation[System]]


class SystemController(Controller):
    path = "/api/v1/system"
    tags = ("system",)

    @get(opt=ADMIN | EVERY_SITE, sync_to_thread=True, summary="How the receiver stands")
    def system(self, system: TheSystem) -> SystemState:
        """Ask file system, journal and database. Counts of what is due stop at 100,000."""
        return system.state()
