"""PostgreSQL on three nodes: Patroni chooses the leader, etcd keeps who it is.

Rules:

- A commit returns when the leader and one of the others have it on disk (``synchronous_mode: quorum``, strict).
- A node's servers are reached through relays of its own, and so does it reach etcd: closing or silencing them takes the
  node off the network, while its processes run.
- Data is in a folder of the user that PostgreSQL runs as, for it refuses to be root.

Source: Patroni's documentation, "YAML Configuration Settings" and "Replication modes"; etcd's, "Configuration flags".
"""

import asyncio
import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from gatepost.conformance.raw_http import Connection, NoResponse, Target, request
from gatepost.process_tree import gone, members, signal_all
from gatepost.torture.cluster.servers.programs import Programs
from gatepost.torture.cluster.servers.relay import Relay
from gatepost.torture.cluster.servers.service import Service, ServiceError, Unprivileged

__all__ = ["NODES", "PORTS", "STEADY_S", "TTL_S", "Database", "Node"]

NODES = 3
PORTS = 4 * NODES
"""How many ports it needs."""
TTL_S = 20
"""After how long without a word of the leader another one is chosen: the least that Patroni takes."""
LOOP_S = 1
RETRY_S = 5
CONNECT_S = 2
"""For how long a receiver tries a node that says nothing, before it tries the next one."""
STEADY_S = 3.0 * LOOP_S
UP_S = 120.0
"""For coming up, on a machine that does much else."""
LOOK_S = 0.2
ASK_S = 2.0
NAME = "gatepost"
READY = ("running", "streaming")
SHARED_MEMORY_LINE = 6
"""Of ``postmaster.pid``, counted from 0: key and number of the segment."""


class Node:
    """One node: etcd, Patroni and its PostgreSQL."""

    def __init__(
        self, number: int, folder: Path, programs: Programs, ports: Sequence[int], *, rights: Unprivileged
    ) -> None:
        self.number = number
        self.folder = folder
        self.data = folder / "postgres"
        self._client_port, self._peer_port, self._server_port, self._api_port = ports
        self._owner = rights.owner
        folder.mkdir()
        folder.chmod(0o700)
        self.server = Relay(lambda: [self._server_port])
        self.api = Relay(lambda: [self._api_port])
        self.to_etcd: list[Relay] = []
        self.etcd = Service(f"etcd {number}", [], folder)
        config = folder / "patroni.json"
        self.patroni = Service(
            f"patroni {number}",
            [*rights.words, programs.patroni, config],
            folder,
            environment={"PATRONI_LOG_LEVEL": "INFO", "HOME": str(folder)},
        )

    @property
    def peer(self) -> str:
        """Return where the other nodes' etcd reaches this one's."""
        return f"http://127.0.0.1:{self._peer_port}"

    @property
    def client_port(self) -> int:
        """Return the port of etcd."""
        return self._client_port

    @property
    def relays(self) -> list[Relay]:
        """Return all ways to this node and from it to etcd."""
        return [self.server, self.api, *self.to_etcd]

    def postgres(self) -> list[int]:
        """Return the processes of PostgreSQL, the first of them the one that started the others."""
        try:
            pid = int((self.data / "postmaster.pid").read_text("ascii").split()[0])
            is_ours = str(self.data) in Path(f"/proc/{pid}/cmdline").read_text("utf-8")
        except (OSError, ValueError, IndexError):
            return []
        return members(pid) if is_ours else []

    def write(self, programs: Programs, nodes: "Sequence[Node]", password: str) -> None:
        """Write Patroni's settings, and the command of etcd."""
        client = f"http://127.0.0.1:{self._client_port}"
        self.etcd.words = [
            programs.etcd, "--name", f"n{self.number}", "--data-dir", self.folder / "etcd",
            "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", self.peer, "--initial-advertise-peer-urls", self.peer,
            "--initial-cluster", ",".join(f"n{node.number}={node.peer}" for node in nodes),
            "--initial-cluster-token", NAME,
        ]  # fmt: skip
        path = self.folder / "patroni.json"
        path.write_text(json.dumps(self._patroni(programs, password)), encoding="utf-8")
        path.chmod(0o600)
        if self._owner is not None:
            for one in (self.folder, path):
                os.chown(one, self._owner, -1)

    def _patroni(self, programs: Programs, password: str) -> dict[str, Any]:
        """Return the settings of Patroni."""
        return {
            "scope": NAME,
            "name": f"n{self.number}",
            "restapi": {
                "listen": f"127.0.0.1:{self._api_port}",
                "connect_address": f"127.0.0.1:{self.api.port}",
            },
            # Only through the relays: what etcd says of itself would lead around them.
            "etcd3": {"hosts": [f"127.0.0.1:{relay.port}" for relay in self.to_etcd], "use_proxies": True},
            "bootstrap": {
                "dcs": {
                    "ttl": TTL_S,
                    "loop_wait": LOOP_S,
                    "retry_timeout": RETRY_S,
                    "synchronous_mode": "quorum",
                    "synchronous_mode_strict": True,
                    "postgresql": {"use_pg_rewind": False, "use_slots": True},
                },
                "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "data-checksums"],
            },
            "postgresql": self._server(programs, password),
        }

    def _server(self, programs: Programs, password: str) -> dict[str, Any]:
        """Return the settings of PostgreSQL, as Patroni has them."""
        accounts = {
            "superuser": {"username": NAME, "password": password},
            "replication": {"username": "replicator", "password": password},
        }
        return {
            "listen": f"127.0.0.1:{self._server_port}",
            "connect_address": f"127.0.0.1:{self.server.port}",
            "data_dir": str(self.data),
            "bin_dir": str(programs.postgres),
            "pgpass": str(self.folder / "pgpass"),
            "authentication": accounts,
            # Commits of a leader that no other node has were never acknowledged: its data is copied again.
            "remove_data_directory_on_diverged_timelines": True,
            "remove_data_directory_on_rewind_failure": True,
            "basebackup": [{"checkpoint": "fast"}],
            "pg_hba": [
                "local all all scram-sha-256",
                "host replication all 127.0.0.1/32 scram-sha-256",
                "host all all 127.0.0.1/32 scram-sha-256",
            ],
            "parameters": {
                "shared_buffers": "32MB",
                "max_connections": 100,
                "wal_sender_timeout": "5s",
                "wal_receiver_timeout": "5s",
                "unix_socket_directories": "",
                # In its own folder: what is killed leaves nothing in /dev/shm.
                "dynamic_shared_memory_type": "mmap",
            },
        }

    async def start(self) -> None:
        """Start what does not run."""
        await self.etcd.start()
        await self.patroni.start()

    async def kill(self) -> None:
        """End all of it with SIGKILL: Patroni first, which would start PostgreSQL again."""
        postgres = self.postgres()
        signal_all([*self.patroni.pids, *self.etcd.pids, *postgres], 9)
        await self.patroni.kill()
        await self.kill_postgres(postgres)
        await self.etcd.kill()

    async def kill_postgres(self, pids: Sequence[int] | None = None) -> None:
        """End PostgreSQL with SIGKILL. Its shared memory goes with it, as with a machine that loses its power."""
        found = self.postgres() if pids is None else pids
        segment = self._shared_memory()
        signal_all(found, 9)
        await gone(found)
        if segment is not None:
            await asyncio.to_thread(
                subprocess.run, ["ipcrm", "-m", segment], capture_output=True, check=False
            )

    def _shared_memory(self) -> str | None:
        """Return the number of the segment that PostgreSQL has in System V's shared memory (``shmget(2)``)."""
        try:
            lines = (self.data / "postmaster.pid").read_text("ascii").splitlines()
            return lines[SHARED_MEMORY_LINE].split()[1]
        except (OSError, ValueError, IndexError):
            return None

    async def lose_disk(self) -> None:
        """Delete the data of PostgreSQL; nothing of the node may run."""
        await asyncio.to_thread(shutil.rmtree, self.data, ignore_errors=True)

    def off_the_network(self) -> None:
        """Silence every way to this node and from it to etcd."""
        for relay in self.relays:
            relay.silence()

    async def on_the_network(self) -> None:
        """Open them again."""
        for relay in self.relays:
            await relay.open()

    async def members(self) -> list[dict[str, Any]]:
        """Return what Patroni here says of all nodes; nothing if it says nothing."""
        answer = await _ask("GET", self._api_port, "/cluster")
        found: list[dict[str, Any]] = answer.get("members", [])
        return found

    async def standbys(self) -> int:
        """Return how many nodes may lead without a loss, as etcd here has it."""
        key = base64.b64encode(f"/service/{NAME}/sync".encode()).decode()
        answer = await _ask("POST", self._client_port, "/v3/kv/range", json.dumps({"key": key}).encode())
        if not answer.get("kvs"):
            return 0
        value = json.loads(base64.b64decode(answer["kvs"][0]["value"]))
        return len((value.get("sync_standby") or "").split(",")) if value.get("sync_standby") else 0


async def _ask(method: str, port: int, path: str, body: bytes = b"") -> dict[str, Any]:
    """Return what a server on this machine says; nothing if it says nothing."""
    target = Target.parse(f"http://127.0.0.1:{port}{path}")
    head, body = request(target, body, method=method)
    try:
        async with Connection.open(target, timeout_s=ASK_S) as connection:
            await connection.send(head, body)
            answer = await connection.read()
        found: dict[str, Any] = {} if isinstance(answer, NoResponse) else json.loads(answer.body)
    except (OSError, ValueError):
        return {}
    return found


class Database:
    """The three nodes."""

    def __init__(
        self,
        folder: Path,
        programs: Programs,
        password: str,
        ports: Sequence[int],
        *,
        rights: Unprivileged,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._programs = programs
        self._password = password
        self._sleep = sleep
        self._clock = clock
        self.nodes = [
            Node(number, folder / f"node-{number}", programs, ports[number::NODES], rights=rights)
            for number in range(NODES)
        ]
        for node in self.nodes:
            node.to_etcd = [Relay(partial(_etcd_of, one)) for one in self.nodes]

    @property
    def url(self) -> str:
        """Return the setting ``database`` of receivers."""
        hosts = ",".join(f"127.0.0.1:{node.server.port}" for node in self.nodes)
        return f"postgresql://{NAME}:{self._password}@{hosts}/{NAME}?connect_timeout={CONNECT_S}"

    async def start(self) -> None:
        """Start it, and make the database. Raises ServiceError."""
        for node in self.nodes:
            for relay in node.relays:
                await relay.open()
        for node in self.nodes:
            node.write(self._programs, self.nodes, self._password)
            await node.etcd.start()
        await self.well()
        await asyncio.to_thread(self._create)

    def _create(self) -> None:
        import psycopg

        url = self.url.replace(f"/{NAME}?", "/postgres?") + "&target_session_attrs=read-write"
        with psycopg.connect(url, autocommit=True) as db:
            db.execute(f"CREATE DATABASE {NAME}")

    async def leader(self, *, but: Node | None = None) -> Node | None:
        """Return the node that leads, as another one than ``but`` has it; nothing while there is none."""
        for node in self.nodes:
            if node is but:
                continue
            for one in await node.members():
                if one["role"] == "leader" and one["state"] in READY:
                    found = self.nodes[int(one["name"].removeprefix("n"))]
                    return None if found is but else found
        return None

    async def await_leader(self, *, but: Node | None = None) -> Node:
        """Wait until a node leads, and not ``but``. Raises ServiceError."""
        end = self._clock() + UP_S
        while (found := await self.leader(but=but)) is None:
            self._in_time(end)
            await self._sleep(LOOK_S)
        return found

    async def well(self, *, steady_s: float = STEADY_S) -> None:
        """Wait until one node leads, and each other one may lead without a loss. Raises ServiceError.

        That has to be so for a while: of what was ended a moment ago Patroni does not know yet. What ends meanwhile is
        started again, as a system's supervisor does: Patroni ends where it meets an etcd that is not ready yet.
        """
        end = self._clock() + UP_S
        since: float | None = None
        while since is None or self._clock() - since < steady_s:
            await self._sleep(LOOK_S)
            for node in self.nodes:
                await node.start()
            if not await self._is_well():
                self._in_time(end)
                since = None
            elif since is None:
                since = self._clock()

    async def _is_well(self) -> bool:
        for node in self.nodes:
            if not _is_whole(await node.members()) or await node.standbys() != NODES - 1:
                return False
        return True

    def _in_time(self, end: float) -> None:
        if self._clock() > end:
            said = " | ".join(node.patroni.last_words()[-700:] for node in self.nodes)
            raise ServiceError(f"PostgreSQL did not come up within {UP_S:.0f} s; it said: {said}")

    async def stop(self) -> None:
        """End everything with SIGKILL, and close every port."""
        for node in self.nodes:
            await node.kill()
            for relay in node.relays:
                await relay.close()


def _etcd_of(node: Node) -> Sequence[int]:
    return [node.client_port]


def _is_whole(members: Sequence[dict[str, Any]]) -> bool:
    roles = [one["role"] for one in members if one["state"] in READY]
    return len(members) == NODES and roles.count("leader") == 1 and roles.count("quorum_standby") == NODES - 1
