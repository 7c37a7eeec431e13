"""The two ends as processes: started, signalled, limited in disk space, and started again.

Rules:

- A process is ready when it has printed its address. Its log is read, and the last lines are kept.
- A caller announces that it ends a process. A process that ends unannounced has died, and that is a finding.
- A disk that takes nothing is made with ``RLIMIT_FSIZE`` (``prlimit(2)``) on the running process: writes beyond the
  limit fail with EFBIG. That needs no privileges and affects this process alone. Full and read-only disks: ``disks``.
- One disk fails in one way at a time. No process is started on a full disk, see ``well``.

Flow: ``start`` → ready → signals, limits → ``wait`` → ``start`` again.
"""

import asyncio
import os
import re
import resource
import signal
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from gatepost.errors import GatepostError
from gatepost.process_tree import gone, members, signal_all
from gatepost.torture.system.disks import Disk, SizeLimit
from gatepost.torture.system.launcher import ClockFile

__all__ = ["LAUNCHER", "Died", "End", "EndError"]

LAUNCHER = (sys.executable, "-m", "gatepost.torture.system.launcher")

START_S = 180.0
STOP_S = 40.0
KEPT_LINES = 40

_ADDRESS = re.compile(r"http://127\.0\.0\.1:[0-9]+")


class EndError(GatepostError):
    """One of the ends cannot be started."""


class Died(Struct, frozen=True):
    """A process that ended unannounced."""

    name: str
    code: int
    log: tuple[str, ...]


class End:
    """One end. ``words``: the command without ``gatepost``; ``{port}`` becomes the port that it had before."""

    def __init__(
        self,
        name: str,
        words: Sequence[str],
        folder: Path,
        *,
        launcher: Sequence[str] = LAUNCHER,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.folder = folder
        self.died: list[Died] = []
        self.address = ""
        self.up = asyncio.Event()
        """Set while the process is ready."""
        self.well = asyncio.Event()
        """Set while its disk is neither full nor read-only."""
        self.well.set()
        self.disk: Disk = SizeLimit(self.limit, self.largest_file)
        self.clock = ClockFile(folder.with_name(f"{folder.name}.clock"))
        self._launcher = tuple(launcher)
        self._words = tuple(words)
        self.environment = {**os.environ, **(environment or {})}
        self._process: asyncio.subprocess.Process | None = None
        self._told = False
        self._log: deque[str] = deque(maxlen=KEPT_LINES)
        self._readers: list[asyncio.Task[None]] = []
        self._watch: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2] or 0)

    @property
    def log(self) -> tuple[str, ...]:
        """Return the last lines of its log."""
        return tuple(self._log)

    async def start(self) -> None:
        """Start the process and wait until it is ready. Raises EndError."""
        self._told = False
        words = [word.replace("{port}", str(self.port)) for word in self._words]
        self._process = await asyncio.create_subprocess_exec(
            *self._launcher,
            str(self.clock.path),
            *words,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment,
        )
        self._readers = [asyncio.create_task(self._keep_log())]
        try:
            async with asyncio.timeout(START_S):
                self.address = await self._said()
        except TimeoutError:
            await self.kill()
            raise EndError(
                f"the {self.name} was not ready within {START_S:g} s; it said: {self._tail()}"
            ) from None
        self._watch = asyncio.create_task(self._watched(self._process))
        self.up.set()

    async def kill(self) -> None:
        """Send SIGKILL to it and to every process that it started."""
        pids = self.members()
        self._tell(signal.SIGKILL)
        await self.wait()
        await gone(pids)

    async def term(self) -> bool:
        """Send SIGTERM; tell whether it ended in time. If not, kill it."""
        self._tell(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_S):
                await self.wait()
        except TimeoutError:
            await self.kill()
            return False
        return True

    def pause(self) -> None:
        """Stop it with SIGSTOP."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue it with SIGCONT."""
        self._send(signal.SIGCONT)

    async def wait(self) -> None:
        """Wait until the process has ended."""
        process = self._process
        if process is None:
            return
        await process.wait()
        await asyncio.gather(*self._readers, *([self._watch] if self._watch else []), return_exceptions=True)

    def limit(self, size: int | None) -> bool:
        """Let no file of it grow beyond ``size`` bytes; 0: no writes at all; ``None``: no limit.

        Return whether there was a process to limit. One that is only starting is not limited, because it may give up.
        """
        if not self.up.is_set():
            return False
        soft = resource.RLIM_INFINITY if size is None else size
        limited = 0
        for pid in self.members():
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))
                limited += 1
        return limited > 0

    def largest_file(self) -> int:
        """Return the size of the largest file in its data folder, in bytes."""
        sizes = [0]
        for path in self.folder.rglob("*"):
            with suppress(OSError):
                sizes.append(path.stat().st_size)
        return max(sizes)

    # -- below

    def _tell(self, number: signal.Signals) -> None:
        self._told = True
        self.up.clear()
        self._send(number)

    def _send(self, number: signal.Signals) -> None:
        """Signal it; with SIGKILL, SIGSTOP and SIGCONT, all its children as well."""
        pids = self.members()
        signal_all(pids[:1] if number == signal.SIGTERM else pids, number)

    def members(self) -> list[int]:
        """Return the process and its children."""
        if self._process is None or self._process.returncode is not None:
            return []
        return members(self._process.pid)

    async def _said(self) -> str:
        assert self._process is not None and self._process.stdout is not None  # noqa: S101, PT018 (start made it)
        while line := await self._process.stdout.readline():
            found = _ADDRESS.search(line.decode())
            if found:
                self._readers.append(asyncio.create_task(_drained(self._process.stdout)))
                return found[0]
        code = await self._process.wait()
        await asyncio.gather(*self._readers)
        raise EndError(f"the {self.name} ended with code {code} instead of starting; it said: {self._tail()}")

    async def _keep_log(self) -> None:
        assert self._process is not None and self._process.stderr is not None  # noqa: S101, PT018 (start made it)
        while line := await self._process.stderr.readline():
            self._log.append(line.decode("utf-8", "replace").rstrip())

    async def _watched(self, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        self.up.clear()
        if not self._told:
            self.died.append(Died(self.name, code, self.log))

    def _tail(self) -> str:
        return " | ".join(list(self._log)[-5:]) or "nothing"


async def _drained(stream: asyncio.StreamReader) -> None:
    while await stream.read(65536):
        pass
