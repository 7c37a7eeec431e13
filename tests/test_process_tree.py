import asyncio
import signal
import sys

from tests.receiver.kit import until

from gatepost.process_tree import gone, members, signal_all

SCRIPT = "import os, time; [os.fork() for _ in range(2)]; time.sleep(600)"
"""A process with two children, one of which has one."""


async def test_a_process_is_signalled_with_all_that_it_started_and_all_are_gone() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SCRIPT)
    await until(lambda: len(members(process.pid)) == 4)
    pids = members(process.pid)
    assert pids[0] == process.pid
    signal_all(pids, signal.SIGKILL)
    assert await process.wait() == -signal.SIGKILL
    await asyncio.wait_for(gone(pids), 20)
    assert members(process.pid) == [process.pid]
    signal_all(pids, signal.SIGKILL)  # of none that is there
