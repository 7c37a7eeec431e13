"""One server of the cell as a process: started, killed, asked for its log.

Rules: the process ends with the run, also if that is killed (``prctl(2)``). Its output goes to a file in its folder. It
is started in a session of its own, so that Ctrl-C reaches the run alone.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from gatepost.errors import GatepostError
from gatepost.process_tree import gone, members, signal_all
from gatepost.torture.system.launcher import die_with_the_parent

__all__ = ["Service", "ServiceError", "Unprivileged", "unprivileged"]

LAST_BYTES = 2000
NOBODY = 65534
"""A user without rights."""


class ServiceError(GatepostError):
    """A server of the cell does not start."""


class Unprivileged(Struct, frozen=True):
    """How a program is started that refuses to be root."""

    words: tuple[str, ...] = ()
    """The first words of its command."""
    owner: int | None = None
    """The id of the user that has to own its files, if that is another one."""


NAMESPACE = ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}")
"""Of our own files it is the owner there, whatever its user is called (``user_namespaces(7)``)."""
SWITCH = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")


def unprivileged() -> Unprivileged:
    """Find how a program is started that refuses to be root."""
    if os.geteuid() != 0:
        return Unprivileged()
    tried = subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False)  # noqa: S603 (words of our own)
    return Unprivileged(SWITCH, NOBODY) if tried.returncode else Unprivileged(NAMESPACE)


class Service:
    """A server. ``words`` are its command."""

    def __init__(
        self,
        name: str,
        words: Sequence[str | Path],
        folder: Path,
        *,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.words = list(words)
        self._log = folder / f"{name.replace(' ', '-')}.log"
        self._environment = {**os.environ, **(environment or {})}
        self._process: asyncio.subprocess.Process | None = None

    @property
    def runs(self) -> bool:
        """Return whether the process runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def pids(self) -> list[int]:
        """Return the process and those that it started."""
        return members(self._process.pid) if self._process is not None and self.runs else []

    async def start(self) -> None:
        """Start it, unless it runs."""
        if self.runs:
            return
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.words, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                env=self._environment, start_new_session=True, preexec_fn=die_with_the_parent,
            )  # fmt: skip

    async def kill(self) -> None:
        """End it and all that it started, with SIGKILL."""
        await self.kill_only(self.pids)

    async def kill_only(self, pids: Sequence[int]) -> None:
        """End these processes with SIGKILL."""
        signal_all(pids, signal.SIGKILL)
        await gone(pids)
        if self._process is not None and self._process.pid in pids:
            await self._process.wait()

    def check(self) -> None:
        """Raise ServiceError if it has ended."""
        if not self.runs:
            raise ServiceError(f"{self.name} has ended; it said: {self.last_words()}")

    def last_words(self) -> str:
        """Return the end of its log."""
        try:
            return self._log.read_bytes()[-LAST_BYTES:].decode("utf-8", "replace")
        except OSError:
            return "nothing"
