"""The desk: the projector, the store, API and console, and the jobs. No push waits for it.

Rules:

* With the role ``ingest`` there is no console, and what concerns the whole database is left to other receivers.
* Stop: the requests of others first, then what the journal still holds is listed, then the store is closed. Each step
  has a bound, and a kill in between loses nothing that was acknowledged.

Flow of a request: ingest → local socket → :meth:`DeskApp.app` → Litestar.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import cast

import structlog

from gatepost.journal.folder import Folder
from gatepost.receiver.api.access.authorization import PARTS
from gatepost.receiver.api.application import MakePages, Pages, framework
from gatepost.receiver.api.streaming import close as close_streams
from gatepost.receiver.desk.parts import DeskParts
from gatepost.receiver.http.asgi import Application, Receive, Scope, Send
from gatepost.receiver.http.head import head_as_get
from gatepost.receiver.http.url_prefix import ROOT, below, checked_prefix
from gatepost.receiver.processes.desk_proxy import as_it_was_asked
from gatepost.receiver.processes.wake import Wake
from gatepost.settings import Origin, ReceiverSettings
from gatepost.store.interface import Store

__all__ = ["DeskApp"]

log = structlog.get_logger(__name__)


class DeskApp(DeskParts):
    """The desk on one event loop. ``async with`` starts and stops it; :attr:`app` is what it serves."""

    def __init__(
        self,
        store: Store,
        journal: Folder,
        settings: ReceiverSettings,
        *,
        pages: MakePages | None = None,
        origins: Mapping[str, Origin] | None = None,
        appended: Wake,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make the parts and the application. ``appended`` is set when the journal has more.

        ``origins``: where settings are set. Raises :class:`~gatepost.errors.SettingsError` for what only shows when it
        is put together.
        """
        self._prefix = checked_prefix(settings.path_prefix)
        super().__init__(
            store,
            journal,
            settings,
            origins=origins or {},
            appended=appended,
            paths=lambda: [route.path for route in self.api.routes],
            now=now,
            monotonic=monotonic,
        )
        made = (
            Pages()
            if pages is None
            else pages(store, settings, self.projector.lag, self.ingests.heard, lambda: self.keeper.asks)
        )
        self._parts = {**self.for_routes(), "unknown_page": made.unknown, **made.parts}
        self.api = framework(made.routes, tuple(self._parts))
        self._served = head_as_get(cast("Application", made.around(self.api)))
        self._tasks: list[asyncio.Task[None]] = []
        self.stop_timeout_s = settings.stop_timeout_s
        """How long a stop may take to list what the journal holds."""

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request that an ingest hands on, as an ASGI application."""
        ROOT.set(self._prefix)
        scope = as_it_was_asked(scope)
        # As ASGI has it: the path with its prefix, whether the proxy left it there or not.
        path = self._prefix + below(self._prefix, scope["path"])
        asked = {**scope, "root_path": self._prefix, "path": path, PARTS: self._parts}
        try:
            await self._served(asked, receive, send)
        except Exception as error:
            # Half-way through an answer nothing can be said any more: the server cuts the connection when we return.
            # The kind only, as in api/problem_details.py.
            log.error("api.broke_off", kind=_kind(error))
        finally:
            await close_streams(asked)

    async def __aenter__(self) -> DeskApp:
        await self.housekeeping.begin()
        self.projector.start()
        if self.archiving is not None:
            self.archiving.start()
        # Of its own journal, its own images and its own disk each receiver keeps care, whatever its role.
        steps = [self.housekeeping.run(), self.keeper.run(), self.watcher.run()]
        if self.settings.role != "ingest":
            steps += [
                self.live.run(),
                self.mover.run(),
                self.forwarding.run(),
                self.fleet.run(),
                self.histories.run(),
            ]
        self._tasks = [asyncio.create_task(step) for step in steps]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.table.stop_refreshing()
        await self.fleet.close()
        await self.finder.close()
        if self.archiving is not None:
            self.archiving.stop()
        self.table.errands.give_up()
        self.access.doors.close()
        await self.housekeeping.note_all_groups()
        self.ingests.close()
        listed = await asyncio.to_thread(self.projector.close, timeout_s=self.stop_timeout_s)
        if listed:
            await self.housekeeping.take_leave()
        log.info("desk.stopped", listed=listed)


def _kind(error: BaseException) -> str:
    """Return the kind of an error, without what frameworks wrap around it."""
    while isinstance(error, BaseExceptionGroup) or error.__cause__ is not None:
        error = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__ or error
    return type(error).__name__
