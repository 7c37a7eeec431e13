"""A cell: three nodes with PostgreSQL and a receiver each, a bucket, and one address for terminals.

Rules: a node is what stands on one machine: etcd, Patroni with PostgreSQL, a receiver. The bucket is on none of them.
"""

import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from gatepost.torture.cluster.servers import bucket, database
from gatepost.torture.cluster.servers.bucket import Bucket
from gatepost.torture.cluster.servers.database import NODES, STEADY_S, Database, Node
from gatepost.torture.cluster.servers.ports import free_ports
from gatepost.torture.cluster.servers.programs import Programs
from gatepost.torture.cluster.servers.relay import Relay
from gatepost.torture.cluster.servers.service import ServiceError, Unprivileged
from gatepost.torture.system.processes import End, EndError

__all__ = ["After", "Cell"]

After = Literal["journal", "store"]

AGAIN_S = 120.0
"""For how long a receiver is started again and again while the database is away, as a service manager does."""
COMMAND_S = 60.0


class Cell:
    """The cell, in an empty folder. ``after``: what an acknowledgement waits for."""

    def __init__(
        self,
        folder: Path,
        programs: Programs,
        secret: str,
        *,
        after: After,
        rights: Unprivileged,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if rights.owner is not None:
            folder.chmod(0o711)
        ports = free_ports(database.PORTS + bucket.PORTS)
        ours, theirs = ports[: database.PORTS], ports[database.PORTS :]
        self.database = Database(folder, programs, secret, ours, rights=rights, sleep=sleep, clock=clock)
        self.bucket = Bucket(folder / "bucket", programs, secret, theirs, sleep=sleep, clock=clock)
        self.receivers: list[End] = []
        self.entrance = Relay(lambda: [end.port for end in self.receivers if end.up.is_set()])
        self._folder = folder
        self._after = after
        self._sleep = sleep
        self._clock = clock
        self._settings = folder / "receiver.toml"

    @property
    def nodes(self) -> Sequence[Node]:
        """Return the nodes of the database; the receiver of the same number is on the same node."""
        return self.database.nodes

    @property
    def destination(self) -> str:
        """Return where terminals push to."""
        return f"http://127.0.0.1:{self.entrance.port}/Record"

    @property
    def environment(self) -> Mapping[str, str]:
        """Return the variables of a command that works on the cell."""
        return {**self.bucket.environment, "GATEPOST_DATABASE": self.database.url}

    async def start(self) -> None:
        """Start all of it. Raises EndError, ServiceError."""
        await asyncio.gather(self.database.start(), self.bucket.start())
        self._settings.write_text(
            f'packs = "{self.bucket.packs}"\nacknowledge_after = "{self._after}"\nretry_after_s = 1\n',
            encoding="utf-8",
        )
        for number in range(NODES):
            data = self._folder / f"receiver-{number}"
            words: tuple[str, ...] = ("serve", "--data", str(data), "--listen", "127.0.0.1:{port}")
            words += ("--config", str(self._settings))
            self.receivers.append(End(f"receiver {number}", words, data, environment=self.environment))
        # All at once, on an empty database: each has to come up at its first start.
        await asyncio.gather(*(end.start() for end in self.receivers))
        await self.entrance.open()

    async def start_receiver(self, end: End) -> None:
        """Start a receiver, again and again until it is ready. Raises EndError."""
        ends = self._clock() + AGAIN_S
        while not end.up.is_set():
            try:
                await end.start()
            except EndError:
                if self._clock() > ends:
                    raise
                await self._sleep(0.5)

    async def kill_node(self, node: Node) -> None:
        """End everything that is on a node with SIGKILL."""
        await asyncio.gather(node.kill(), self.receivers[node.number].kill())

    async def lose_disk(self, node: Node) -> None:
        """Delete what the database and the receiver of a node that was killed have on its disk."""
        await node.lose_disk()
        await asyncio.to_thread(shutil.rmtree, self.receivers[node.number].folder, ignore_errors=True)

    async def heal(self, *, steady_s: float = STEADY_S) -> None:
        """Start what does not run, open every way, and wait until PostgreSQL has its three nodes for so long."""
        for node in self.nodes:
            await node.on_the_network()
            await node.start()
        await self.bucket.start()
        await asyncio.gather(*(self.start_receiver(end) for end in self.receivers))
        await self.database.well(steady_s=steady_s)

    def command(self, *words: str) -> str:
        """Run ``gatepost`` on the first receiver's data; return what it prints. Raises ServiceError."""
        done = subprocess.run(  # noqa: S603 (our own program)
            [sys.executable, "-m", "gatepost.cli", *words, "--data", str(self.receivers[0].folder)],
            env=self.receivers[0].environment, capture_output=True, text=True, check=False, timeout=COMMAND_S,
        )  # fmt: skip
        if done.returncode:
            raise ServiceError(f"gatepost {words[0]} failed: {done.stderr.strip()}")
        return done.stdout

    async def stop(self) -> None:
        """End everything with SIGKILL."""
        await self.entrance.close()
        for end in self.receivers:
            await end.kill()
            end.clock.close()
        await self.bucket.stop()
        await self.database.stop()
