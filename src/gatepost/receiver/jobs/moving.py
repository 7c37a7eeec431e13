"""Moves of terminals, completed while the receiver runs: the loop around :class:`gatepost.store.people.moving.Moves`.

Rules:

* A step at a time, with a pause after each, so that a push never waits for more than one short transaction.
* A round comes at the start, at once after a terminal moved here, and every minute. What another process has left
  undone is found in the store.

Flow: :meth:`Mover.run` → :meth:`Mover.once`, a step → the next one at once while there is more, else a wait.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from gatepost.errors import StoreError
from gatepost.store.people.moving import Keyed, Moves

__all__ = ["Mover"]

log = structlog.get_logger(__name__)

PAUSE_S = 0.02
"""Between two steps."""

ROUND_S = 60.0
"""Between two rounds."""


class Mover:
    """Takes people's passages along with their terminals."""

    def __init__(self, store: Keyed, *, is_away: Callable[[], bool] = lambda: False) -> None:
        """``is_away`` returns whether the projector says that the store is away; its line in the log is then enough."""
        self._moves = Moves(store)
        self._is_away = is_away
        self._woken = asyncio.Event()
        self._changed = 0

    def wake(self) -> None:
        """Begin a round now. Call it on the event loop, after a terminal has moved."""
        self._woken.set()

    def once(self) -> bool:
        """Do one step; return whether there is more to do now. Blocks; for one thread at a time.

        Raises :class:`~gatepost.errors.StoreUnavailable`: later, then.
        """
        done = self._moves.once()
        if done is not None:
            self._changed += done
        elif self._changed:
            log.info("terminals.moved", rows=self._changed)
            self._changed = 0
        return done is not None

    async def run(self) -> None:
        """Go on for ever."""
        while True:
            self._woken.clear()
            try:
                more = await asyncio.to_thread(self.once)
            except StoreError as error:
                tell = log.debug if self._is_away() else log.warning
                tell("terminals.move_failed", why=str(error))
                more = False
            if more:
                await asyncio.sleep(PAUSE_S)
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), ROUND_S)
