"""A whole run: a cell, terminals, faults one after another, and the judgement.

Flow: the cell is up → terminals record and push → faults for the given time, and until each was done as often as it has
to be → the outboxes drain → every receiver lists → what was issued is compared with it.
"""

import asyncio
import random
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from msgspec import Struct

from gatepost.terminal.outbox.types import State
from gatepost.torture.cluster import read_api
from gatepost.torture.cluster.cell import After, Cell
from gatepost.torture.cluster.fault_injection import Inflictor
from gatepost.torture.cluster.fault_plan import ALL, JOURNAL, Kind, plan
from gatepost.torture.cluster.judge import Evidence, judge
from gatepost.torture.cluster.report import Outcome
from gatepost.torture.cluster.servers.database import NODES
from gatepost.torture.cluster.servers.programs import Programs
from gatepost.torture.cluster.servers.service import unprivileged
from gatepost.torture.cluster.terminals import Terminals
from gatepost.torture.oracle import Fate, Oracle

__all__ = ["Campaign", "Settings"]

DRAIN_S = 180.0


class Settings(Struct, frozen=True, kw_only=True):
    """The settings of a run."""

    programs: Programs
    seed: int = 1
    seconds: float = 600.0
    """How long faults go on, at least."""
    times: int = 1
    """How often each kind is done at least."""
    kinds: Sequence[Kind] = ()
    """Which; none: all that ``after`` bears."""
    terminals: int = 3
    rate: float = 15.0
    """Events a second, each terminal."""
    after: After = "store"
    again_s: float | None = None
    """Within how many seconds pushes have to be acknowledged again when another node leads."""


class Campaign:
    """One run in ``folder``, which is empty. ``say`` is told how it goes."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        *,
        say: Callable[[str], None] = lambda _: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._say = say
        self._sleep = sleep
        self._clock = clock
        seed = settings.seed
        self._oracle = Oracle(random.Random(f"{seed}/events"), time.time)  # noqa: S311 (makes events, guards nothing)
        self._cell = Cell(
            folder,
            settings.programs,
            secrets.token_hex(16),
            after=settings.after,
            rights=unprivileged(),
            sleep=sleep,
            clock=clock,
        )
        self._terminals = Terminals(
            folder,
            self._oracle,
            count=settings.terminals,
            rate=settings.rate,
            rand=random.Random(f"{seed}/times"),  # noqa: S311 (as above)
            sleep=sleep,
            clock=clock,
        )
        self._happened: Counter[str] = Counter()
        self._inflictor = Inflictor(
            self._cell, acknowledged=self._terminals.acknowledged, sleep=sleep, clock=clock
        )

    async def run(self) -> Outcome:
        """Run it. Raises EndError, ServiceError if a part of the cell cannot be started."""
        began = self._clock()
        try:
            await self._cell.start()
            self._say(f"the cell is up after {self._clock() - began:.0f} s")
            await self._terminals.start(self._cell.destination)
            recording = asyncio.create_task(self._terminals.run())
            await self._torment(recording)
            self._terminals.stop_recording()
            await recording
            return await self._judged(began)
        finally:
            await self._terminals.close()
            await self._cell.stop()

    @property
    def _kinds(self) -> Sequence[Kind]:
        return self._settings.kinds or (ALL if self._settings.after == "store" else JOURNAL)

    async def _torment(self, recording: asyncio.Task[None]) -> None:
        await self._terminals.acknowledged()
        ends = self._clock() + self._settings.seconds
        for fault in plan(self._settings.seed, self._kinds, nodes=NODES):
            if recording.done():
                break  # it failed, which its caller sees
            if self._clock() >= ends and all(
                self._happened[kind] >= self._settings.times for kind in self._kinds
            ):
                return
            began = self._clock()
            await self._inflictor.inflict(fault)
            self._happened[fault.kind] += 1
            self._say(f"{self._happened.total()} {fault.kind} {self._clock() - began:.1f} s")

    async def _judged(self, began: float) -> Outcome:
        terminals, cell = self._terminals, self._cell
        undrained = await terminals.drain(DRAIN_S)
        words = ("tokens", "create", "--role", "viewer", "--name", "torture")
        token = (await asyncio.to_thread(cell.command, *words)).split()[-1]
        addresses = [end.address for end in cell.receivers]
        listed = await read_api.everything(addresses, token)
        evidence = Evidence(
            issued=self._oracle.issued,
            accepted=frozenset(self._oracle.names(Fate.ACCEPTED)),
            listed=listed,
            others=[await read_api.names(address, token) for address in addresses[1:]],
            waiting=await terminals.held(State.PENDING),
            dead=await terminals.held(State.DEAD),
            ledgers=await terminals.ledgers(),
            died=[died for end in cell.receivers for died in end.died],
            late=self._inflictor.late,
            undrained=undrained,
            failovers_s=self._inflictor.failovers_s,
            again_s=self._settings.again_s,
            happened=self._happened,
            wanted=dict.fromkeys(map(str, self._kinds), self._settings.times),
        )
        return Outcome(
            seed=self._settings.seed,
            seconds=round(self._clock() - began, 1),
            acknowledge_after=self._settings.after,
            happened=dict(sorted(self._happened.items())),
            failovers_s=self._inflictor.failovers_s,
            after_promotion_s=self._inflictor.after_promotion_s,
            judgement=judge(evidence),
        )
