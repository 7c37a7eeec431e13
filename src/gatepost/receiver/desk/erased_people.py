"""Let go of people in memory who were erased, by whichever process of this database."""

from __future__ import annotations

import asyncio

from gatepost.errors import StoreUnavailable
from gatepost.receiver.jobs.forgetting import Forgetting
from gatepost.receiver.jobs.projector.projector import Projector
from gatepost.receiver.live_stream import Live
from gatepost.receiver.processes.ingests import PATIENCE_S, Ingests
from gatepost.receiver.processes.link import Forget
from gatepost.store.interface import Store

__all__ = ["ErasedPeople"]


class ErasedPeople:
    """Clears what the processes of one receiver hold of them. Made on the loop of the ingests' lines."""

    def __init__(
        self, store: Store, forgetting: Forgetting, live: Live, ingests: Ingests, projector: Projector
    ) -> None:
        self._store = store
        self._forgetting = forgetting
        self._live = live
        self._ingests = ingests
        self._projector = projector
        self._loop = asyncio.get_running_loop()
        self._has_traces = False
        """A person was erased, and not every ingest has let go of what it holds."""

    async def forget(self) -> None:
        """Let go of people in memory if a person was erased since the last call."""
        if await asyncio.to_thread(self._forgetting.once):
            self._has_traces = True
            self._live.forget()
        if self._has_traces:
            await asyncio.to_thread(self.drop_traces)
            self._has_traces = False

    def drop_traces(self) -> None:
        """Delete samples of refused bodies that may hold an erased person, and what the journal has listed. Blocks.

        Raises :class:`~gatepost.errors.StoreUnavailable`: do it again.
        """
        forgotten = asyncio.run_coroutine_threadsafe(self._ingests.call(Forget()), self._loop)
        try:
            forgotten.result(2 * PATIENCE_S)
        except TimeoutError:
            raise StoreUnavailable("the ingest did not let go of what it holds; try again") from None
        if self._projector.is_running:
            self._projector.let_go()
        self._store.drop_refusal_samples()
