"""A terminal as its own process, for tests that end it: ``python -m tests.faults.terminal_process FOLDER [hasty]``.

It pushes what the folder's outbox holds until SIGTERM, with the settings of the tests. On standard
output, as JSON lines: ``{"ready": pid}``, and at an orderly end ``{"peak_kb": …, "cpu_until_push_s": …}``,
the CPU seconds that it took from the start of the interpreter to the first push.
"""

import asyncio
import json
import signal
import sys
import time
from pathlib import Path

from tests.faults.line import HASTY, settings

from gatepost.terminal import Terminal


async def main(folder: str, *how: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    cpu_until_push = None
    async with Terminal("T1", folder, settings=settings(**(HASTY if how else {}))) as terminal:
        print(json.dumps({"ready": True}), flush=True)  # noqa: T201 - the test reads it
        while not stop.is_set():
            if cpu_until_push is None and terminal.pushing().in_flight:
                cpu_until_push = time.process_time()
            try:
                async with asyncio.timeout(0.01 if cpu_until_push is None else None):
                    await stop.wait()
            except TimeoutError:
                continue
    # not getrusage: its peak begins with that of the process that started this one
    (peak,) = (
        line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line
    )
    print(json.dumps({"peak_kb": int(peak), "cpu_until_push_s": cpu_until_push}), flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
