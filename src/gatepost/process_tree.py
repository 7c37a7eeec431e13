"""A process and those that it started: to signal all of them, and to wait until all are gone. Linux (proc(5))."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["gone", "members", "signal_all"]

LOOK_S = 0.005


def members(pid: int) -> list[int]:
    """Return a process and all that it started, itself first; of one that is gone, itself alone."""
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):
            found += map(int, Path(f"/proc/{one}/task/{one}/children").read_text("ascii").split())
    return found


def signal_all(pids: Iterable[int], number: int) -> None:
    """Send a signal to each; one that is gone gets none."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


async def gone(pids: Iterable[int]) -> None:
    """Wait until every process has ended; whether its parent was told of it does not matter."""
    for pid in pids:
        while _runs(pid):  # noqa: ASYNC110 - only asking tells
            await asyncio.sleep(LOOK_S)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False
