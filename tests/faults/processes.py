"""Terminals as real processes, and how they are ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class TerminalProcess:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def end(self, number: signal.Signals) -> dict[str, Any]:
        """Send the signal, wait for the end, and answer what it said last (nothing after SIGKILL)."""
        self._process.send_signal(number)
        out, err = await asyncio.wait_for(self._process.communicate(), 20)
        expected = -signal.SIGKILL if number is signal.SIGKILL else 0
        assert self._process.returncode == expected, err.decode()
        said: dict[str, Any] = {} if number is signal.SIGKILL else json.loads(out.splitlines()[-1])
        return said


@asynccontextmanager
async def terminal(folder: Path, *, hasty: bool = False) -> AsyncIterator[TerminalProcess]:
    """A process that pushes what the folder's outbox holds; killed at the end if the test has not ended
    it. ``hasty``: with short time limits, for a receiver that hangs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.faults.terminal_process",
        str(folder),
        *(["hasty"] if hasty else []),
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        ready = await asyncio.wait_for(process.stdout.readline(), 20)
        if not ready:
            _, err = await process.communicate()
            raise AssertionError(err.decode())
        yield TerminalProcess(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
