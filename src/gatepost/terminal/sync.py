"""A terminal for programs without an event loop.

:class:`SyncTerminal` has no logic of its own: it runs a :class:`~gatepost.terminal.Terminal` in a thread and waits for
its results.
"""

import asyncio
import random
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from gatepost.errors import OutboxUnavailable
from gatepost.settings import TerminalSettings
from gatepost.terminal.outbox.outbox import HistoryPage, HistoryQuery, OutboxStatus
from gatepost.terminal.outbox.types import Stored
from gatepost.terminal.terminal import Terminal, TerminalKeywords
from gatepost.wire import Alarm, Record, Subscription

__all__ = ["SyncTerminal"]

T = TypeVar("T")


class SyncTerminal:
    """A :class:`Terminal` for programs without an event loop: ``with SyncTerminal("SN1", "/var/lib/door") as door:``.

    It takes the same arguments, has the same guarantees, and raises the same errors. Several threads may use it at
    once. Those that record at the same time share one commit.
    """

    def __init__(
        self,
        serial: str,
        data: Path | str,
        *,
        settings: TerminalSettings | None = None,
        now: Callable[[], float] = time.time,
        rand: random.Random | None = None,
        **keywords: Unpack[TerminalKeywords],
    ) -> None:
        self._terminal = Terminal(serial, data, settings=settings, now=now, rand=rand, **keywords)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        loop = asyncio.new_event_loop()
        self._loop = loop
        self._thread = threading.Thread(
            target=loop.run_forever, name=f"terminal {self._terminal.serial}", daemon=True
        )
        self._thread.start()
        try:
            self._do(self._terminal.__aenter__())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop, as :meth:`Terminal.close` does. Idempotent."""
        if self._loop is not None:
            try:
                self._do(self._terminal.close())
            finally:
                self._end()

    def record(self, record: Record) -> int:
        """See :meth:`Terminal.record`."""
        return self._do(self._terminal.record(record))

    def alarm(self, alarm: Alarm) -> int:
        """See :meth:`Terminal.alarm`."""
        return self._do(self._terminal.alarm(alarm))

    def subscribe(self, event_dest: str, *, enabled: bool = True) -> None:
        """See :meth:`Terminal.subscribe`."""
        self._do(self._terminal.subscribe(event_dest, enabled=enabled))

    def subscription(self) -> Subscription | None:
        """See :meth:`Terminal.subscription`."""
        return self._do(self._terminal.subscription())

    def status(self) -> OutboxStatus:
        """See :meth:`Terminal.status`."""
        return self._do(self._terminal.status())

    def history(self, query: HistoryQuery | None = None) -> HistoryPage:
        """See :meth:`Terminal.history`."""
        return self._do(self._terminal.history(query))

    def dead_letters(self, limit: int = 100, *, after: int = 0) -> tuple[Stored, ...]:
        """See :meth:`Terminal.dead_letters`."""
        return self._do(self._terminal.dead_letters(limit, after=after))

    def retry_dead(self, ids: Sequence[int] | None = None) -> list[int]:
        """See :meth:`Terminal.retry_dead`."""
        return self._do(self._terminal.retry_dead(ids))

    def discard_dead(self, ids: Sequence[int] | None = None) -> list[int]:
        """See :meth:`Terminal.discard_dead`."""
        return self._do(self._terminal.discard_dead(ids))

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop is None:
            work.close()
            raise OutboxUnavailable("the terminal is not running; use it inside 'with SyncTerminal(…)'")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _end(self) -> None:
        loop, self._loop = self._loop, None
        if loop is not None and self._thread is not None:
            asyncio.run_coroutine_threadsafe(loop.shutdown_default_executor(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            self._thread.join()
            loop.close()
