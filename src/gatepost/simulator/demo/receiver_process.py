"""A receiver as a process of its own, to be started, killed and started again.

Rules: it listens on loopback only. It ends with this process. Its output goes to a file in its folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
from pathlib import Path

import aiohttp

from gatepost.errors import GatepostError
from gatepost.process_tree import gone, members, signal_all

READY_S = 45.0


class ReceiverFailed(GatepostError):
    """The receiver did not start. The message has the last lines of its output."""


class ReceiverProcess:
    """`gatepost serve` on SQLite, in `folder`, on a free port that stays the same at every start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.password = secrets.token_urlsafe(12)
        """Password of the first administrator."""
        self._log = folder / "receiver.log"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def data(self) -> Path:
        return self.folder / "receiver"

    async def start(self) -> None:
        """Start it and wait until it replies. Raises ReceiverFailed."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *(
                    "-m",
                    "gatepost.cli",
                    "serve",
                    "--data",
                    str(self.data),
                    "--listen",
                    f"127.0.0.1:{self.port}",
                ),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "GATEPOST_ADMIN_PASSWORD": self.password},
                start_new_session=True,  # this process passes Ctrl-C on
            )
        try:
            async with asyncio.timeout(READY_S):
                await self._answers()
        except TimeoutError:
            raise ReceiverFailed(
                f"the receiver did not answer within {READY_S:.0f} s: {self._said()}"
            ) from None

    async def kill(self) -> None:
        """Send SIGKILL to all its processes, so that none can finish anything."""
        if self._process and self._process.returncode is None:
            pids = members(self._process.pid)
            signal_all(pids, signal.SIGKILL)
            await self._process.wait()
            await gone(pids)

    async def stop(self) -> None:
        """Send SIGTERM, and SIGKILL if it still runs after 15 s. Idempotent."""
        if self._process is None or self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(15):
                await self._process.wait()
        except TimeoutError:
            await self.kill()

    async def make_token(self) -> str:
        """Return an API token that may read. Raises ReceiverFailed if the command prints none."""
        command = ("tokens", "create", "--data", str(self.data), "--role", "viewer", "--name", "demo")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "gatepost.cli", *command),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        token = out.decode().split()[-1:]
        if process.returncode or not token:
            raise ReceiverFailed(f"'gatepost tokens create' failed: {(err or out).decode()[-400:].strip()}")
        return token[0]

    async def _answers(self) -> None:
        timeout = aiohttp.ClientTimeout(total=1.0)  # another program on the port may never reply
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                if self._process is None or self._process.returncode is not None:
                    raise ReceiverFailed(f"the receiver ended at its start: {self._said()}")
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with session.get(f"{self.url}/healthz") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.05)

    def _said(self) -> str:
        return self._log.read_text(errors="replace")[-600:].strip() or "it said nothing"


def free_port() -> int:
    """Return a port on loopback that no program listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
