"""``/healthz`` and ``/readyz``: for whoever starts, stops and balances processes."""

from __future__ import annotations

from litestar import Controller, get
from msgspec import Struct

from gatepost.errors import StoreError, StoreUnavailable
from gatepost.receiver.api.access import OPEN
from gatepost.receiver.api.shapes import TheStore

__all__ = ["Health", "HealthController"]


class Health(Struct, frozen=True):
    """``ok``; what is wrong is told as any error is."""

    status: str


class HealthController(Controller):
    opt = OPEN
    tags = ("health",)

    @get("/healthz", sync_to_thread=False, summary="Is the process alive?")
    def healthz(self) -> Health:
        return Health("ok")

    @get("/readyz", sync_to_thread=True, summary="Can it store and read?")
    def readyz(self, store: TheStore) -> Health:
        try:
            store.peers()
        except StoreError as error:
            raise StoreUnavailable(str(error)) from error
        return Health("ok")
