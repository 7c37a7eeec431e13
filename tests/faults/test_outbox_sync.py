"""The sync of the outbox is real: a trace of system calls shows one between the event in the file and the answer."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.terminal.outbox_kit import outbox_in

ROOT = Path(__file__).parents[2]

SCRIPT = """
import asyncio, os, sys
from pathlib import Path
from tests.terminal.outbox_kit import JPEG, outbox_in, record

async def put(outbox, number):
    await outbox.put(record(number, image=JPEG * 20))
    os.write(1, b"accepted uuid-%d." % number)

async def main():
    async with outbox_in(Path(sys.argv[1])) as outbox:
        for first in range(100, 120, int(sys.argv[2])):
            await asyncio.gather(*(put(outbox, number) for number in range(first, first + int(sys.argv[2]))))

asyncio.run(main())
"""

WRITTEN = re.compile(r"pwrite64\(\d+<[^>]*\.events>")
SYNCED = re.compile(r"fdatasync\(\d+<[^>]*\.events>\)? *(= 0)?")


@pytest.mark.parametrize("together", [1, 10], ids=["one by one", "ten at once"])
async def test_between_an_event_in_the_file_and_the_answer_lies_a_sync(tmp_path: Path, together: int) -> None:
    async with outbox_in(tmp_path / "data"):
        pass
    trace = tmp_path / "trace"
    subprocess.run(
        [
            *(
                "strace",
                "-f",
                "-y",
                "-s",
                "400000",
                "-e",
                "trace=pwrite64,fdatasync,fsync,write",
                "-o",
                trace,
            ),
            *(sys.executable, "-c", SCRIPT, tmp_path / "data", str(together)),
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    in_file: set[str] = set()
    on_disk: set[str] = set()
    answered: set[str] = set()
    syncing: dict[str, set[str]] = {}
    syncs = 0
    for line in trace.read_text(errors="replace").splitlines():
        thread = line.split()[0]
        names = set(re.findall(r"uuid-\d+", line))
        if WRITTEN.search(line):
            in_file |= names
        elif SYNCED.search(line):
            if "unfinished" in line:
                syncing[thread] = set(in_file)
            else:
                on_disk |= in_file
                syncs += 1
        elif "fdatasync resumed" in line and thread in syncing:
            on_disk |= syncing.pop(thread)
            syncs += 1
        elif "accepted uuid" in line:
            answered |= names
            assert names <= on_disk
    assert len(answered) == 20
    assert syncs >= 20 // together
