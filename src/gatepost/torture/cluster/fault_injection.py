"""Carry a fault out on a cell, and take it back.

Rules: what was ended is started again, and the next fault comes when the cell is whole. Where another node has to lead,
the time until a push is acknowledged again is measured.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from gatepost.errors import GatepostError
from gatepost.process_tree import gone, signal_all
from gatepost.torture.cluster.cell import Cell
from gatepost.torture.cluster.fault_plan import FAILOVERS, LOSSES, OUTSIDE, Fault, Kind
from gatepost.torture.cluster.servers.database import NODES, STEADY_S, Node
from gatepost.torture.system.processes import End

__all__ = ["FaultError", "Inflictor"]

SIGKILL = 9
LOOK_S = 0.1
THERE_S = 60.0
"""For how long a process is waited for that is to be killed."""


class FaultError(GatepostError):
    """A fault cannot be carried out."""


class Inflictor:
    """Faults of one cell. ``acknowledged`` returns when a push was acknowledged that came after the call."""

    def __init__(
        self,
        cell: Cell,
        *,
        acknowledged: Callable[[], Awaitable[None]],
        sleep: Callable[[float], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.late: list[str] = []
        """Receivers that did not stop in time when asked to."""
        self.failovers_s: list[float] = []
        """How long it took each time until another node led and a push was acknowledged."""
        self.after_promotion_s: list[float] = []
        """The part of it from the moment at which another node led."""
        self._led = 0.0
        self._cell = cell
        self._acknowledged = acknowledged
        self._sleep = sleep
        self._clock = clock
        self._deeds: Mapping[Kind, Callable[[Fault], Awaitable[None]]] = {
            Kind.KILL_RECEIVER: self._kill_receiver,
            Kind.KILL_INGEST: self._kill_ingest,
            Kind.KILL_DESK: self._kill_desk,
            Kind.TERM_RECEIVER: self._term_receiver,
            Kind.KILL_POSTGRES: self._kill_postgres,
            Kind.KILL_PATRONI: self._kill_patroni,
            Kind.KILL_ETCD: self._kill_etcd,
            Kind.KILL_BUCKET: self._kill_bucket,
            Kind.CUT_BUCKET: self._cut_bucket,
            Kind.KILL_STANDBY_NODE: self._kill_standby,
            Kind.KILL_LEADER_NODE: self._kill_leader,
            Kind.CUT_LEADER: self._cut_leader,
            Kind.LOSE_STANDBY_NODE: self._kill_standby,
            Kind.LOSE_LEADER_NODE: self._kill_leader,
        }

    async def inflict(self, fault: Fault) -> None:
        """Do it, wait as long as it lasts, and make the cell whole again."""
        await self._sleep(fault.pause)
        began = self._clock()
        await self._deeds[fault.kind](fault)
        if fault.kind in FAILOVERS:
            await self._acknowledged()
            now = self._clock()
            self.failovers_s.append(round(now - began, 1))
            self.after_promotion_s.append(round(now - self._led, 1))
        else:
            await self._sleep(fault.seconds)
        await self._cell.heal(steady_s=0.0 if fault.kind in OUTSIDE else STEADY_S)
        await self._acknowledged()

    def _end(self, fault: Fault) -> End:
        return self._cell.receivers[fault.target]

    async def _kill_receiver(self, fault: Fault) -> None:
        await self._end(fault).kill()

    async def _kill_ingest(self, fault: Fault) -> None:
        await self._kill_child(fault, "gatepost-ingest")

    async def _kill_desk(self, fault: Fault) -> None:
        await self._kill_child(fault, "gatepost-desk")

    async def _kill_child(self, fault: Fault, name: str) -> None:
        end = self._clock() + THERE_S
        while not (pids := [pid for pid in self._end(fault).members()[1:] if _name(pid) == name]):
            if self._clock() > end:  # the one that was killed before has to come up again
                raise FaultError(f"{self._end(fault).name} has no process {name}")
            await self._sleep(LOOK_S)
        signal_all(pids, SIGKILL)
        await gone(pids)

    async def _term_receiver(self, fault: Fault) -> None:
        end = self._end(fault)
        if not await end.term():
            self.late.append(end.name)

    async def _kill_postgres(self, _: Fault) -> None:
        leader = await self._cell.database.await_leader()
        await leader.kill_postgres()

    async def _kill_patroni(self, fault: Fault) -> None:
        await self._cell.nodes[fault.target].patroni.kill()

    async def _kill_etcd(self, fault: Fault) -> None:
        await self._cell.nodes[fault.target].etcd.kill()

    async def _kill_bucket(self, _: Fault) -> None:
        await self._cell.bucket.kill()

    async def _cut_bucket(self, _: Fault) -> None:
        self._cell.bucket.relay.silence()

    async def _kill_standby(self, fault: Fault) -> None:
        leader = await self._cell.database.await_leader()
        others = [node for node in self._cell.nodes if node is not leader]
        await self._kill_node(others[fault.target % (NODES - 1)], fault)

    async def _kill_leader(self, fault: Fault) -> None:
        leader = await self._cell.database.await_leader()
        await self._kill_node(leader, fault)
        await self._await_another(leader)

    async def _kill_node(self, node: Node, fault: Fault) -> None:
        await self._cell.kill_node(node)
        if fault.kind in LOSSES:
            await self._cell.lose_disk(node)

    async def _cut_leader(self, _: Fault) -> None:
        leader = await self._cell.database.await_leader()
        leader.off_the_network()
        await self._await_another(leader)

    async def _await_another(self, leader: Node) -> None:
        await self._cell.database.await_leader(but=leader)
        self._led = self._clock()


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text("utf-8").strip()
    except OSError:
        return ""
