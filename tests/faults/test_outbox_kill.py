"""Processes that are killed, and computers that lose power, at moments that nobody chose."""

import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.outbox_child import WINDOW
from tests.terminal.outbox_kit import assert_the_ledger_adds_up, outbox_in

from gatepost.terminal.outbox.outbox import State
from gatepost.wire import Alarm, Record, decode

ROOT = Path(__file__).parents[2]

ROUNDS = 30
SEEDS = (1, 2, 3, 4)
MOST_S = 0.06
"""Seconds of a child's life at most, from when it has opened the outbox."""


class Children:
    """The processes, one after the other, and what they said."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.outbox_child"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._in, self._out = self.process.stdin, self.process.stdout.fileno()
        self._rest = b""
        self.pid = 0
        self.accepted: set[str] = set()
        self.delivered: Counter[str] = Counter()

    def start(self, folder: Path, seed: int, turn: int) -> None:
        self._in.write(f"{folder} {seed} {turn}\n".encode())
        self._in.flush()
        self.pid = int(self.listen_for("P")[2:])
        assert self.listen_for("L", "X") == "L ok"

    def listen_for(self, *kinds: str, seconds: float = 120.0) -> str:
        """Listen until a line of one of these kinds comes; answer it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for line in self.listen(end - time.monotonic(), one=True):
                if line[0] in kinds:
                    return line
        raise AssertionError(f"none of {kinds} came")

    def listen(self, seconds: float, *, one: bool = False) -> Iterator[str]:
        """Answer what is said within this time, or only the next line."""
        end = time.monotonic() + seconds
        while True:
            while b"\n" in self._rest:
                text, self._rest = self._rest.split(b"\n", 1)
                yield self._heard(text.decode())
                if one:
                    return
            if not select.select([self._out], [], [], max(0.0, end - time.monotonic()))[0]:
                return
            more = os.read(self._out, 65_536)
            assert more, "the process that forks is gone"
            self._rest += more

    def _heard(self, line: str) -> str:
        if line[0] == "A":
            self.accepted.add(line[2:])
        elif line[0] == "D":
            self.delivered[line[2:]] += 1
        return line

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        assert self.listen_for("X") == f"X {int(signal.SIGKILL)}"

    def stop_the_clock(self) -> None:
        """Stop the process where it is, between two instructions of any of its threads."""
        os.kill(self.pid, signal.SIGSTOP)
        end = time.monotonic() + 30
        while any(state != "T" for state in self._states()):
            assert time.monotonic() < end
        for _ in self.listen(0):
            pass

    def _states(self) -> Iterator[str]:
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            yield (task / "stat").read_text().rpartition(")")[2].split()[0]

    def close(self) -> None:
        self._in.close()
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def children() -> Iterator[Children]:
    children = Children()
    yield children
    children.close()


async def subscribe(folder: Path) -> None:
    folder.mkdir()
    async with outbox_in(folder):
        pass


async def names_in(folder: Path, *states: State) -> list[str]:
    names: list[str] = []
    async with outbox_in(folder) as outbox:
        await assert_the_ledger_adds_up(outbox)
        async for line in outbox.export(states):
            event = decode(line).event
            if isinstance(event, Alarm):
                names.append(f"{event.trace_id}:{event.status}")
            else:
                assert isinstance(event, Record)
                names.append(str(event.uuid))
    return names


@pytest.mark.timeout(900)
@pytest.mark.parametrize("rounds", [ROUNDS, pytest.param(100, marks=pytest.mark.soak)])
@pytest.mark.parametrize("seed", SEEDS)
async def test_every_event_whose_record_returned_is_delivered_or_still_there_after_many_kills(
    tmp_path: Path, children: Children, seed: int, rounds: int
) -> None:
    await subscribe(folder := tmp_path / "data")
    rand = random.Random(seed)
    for turn in range(rounds):
        children.start(folder, seed, turn)
        while (
            not turn and len(children.accepted) <= rounds
        ):  # once, however slow the disk: so that there is something
            children.listen_for("A")
        for _ in children.listen(rand.uniform(0, MOST_S)):
            pass
        children.kill()
    kept = await names_in(folder, State.PENDING, State.DEAD)
    assert len(children.accepted) > rounds
    assert children.accepted <= children.delivered.keys() | set(kept)
    assert len(kept) == len(set(kept))


@pytest.mark.parametrize("seed", SEEDS)
async def test_what_a_kill_sends_twice_is_at_most_what_was_in_flight(
    tmp_path: Path, children: Children, seed: int
) -> None:
    await subscribe(folder := tmp_path / "data")
    rand = random.Random(seed)
    kept: set[str] = set()
    for turn in range(5):
        before = children.delivered.copy()
        children.start(folder, seed, turn)
        for _ in children.listen(rand.uniform(0, MOST_S)):
            pass
        children.kill()
        kept = set(await names_in(folder, State.PENDING, State.DEAD))
        # Of this life only: what an earlier kill sends twice may be a dead letter by now.
        assert len((children.delivered - before).keys() & kept) <= WINDOW
    again = len(children.delivered.keys() & kept)
    assert sum(count - 1 for count in children.delivered.values()) + again <= 5 * WINDOW


@pytest.mark.parametrize("seed", SEEDS)
async def test_every_event_whose_record_returned_is_in_a_copy_of_the_files_taken_in_the_middle_of_writing(
    tmp_path: Path, children: Children, seed: int
) -> None:
    await subscribe(folder := tmp_path / "data")
    rand = random.Random(seed)
    for turn in range(10):
        children.start(folder, seed, turn)
        for _ in children.listen(rand.uniform(0, MOST_S)):
            pass
        children.stop_the_clock()
        copy = tmp_path / f"copy-{turn}"
        shutil.copytree(folder, copy)
        if turn % 2:
            # What lay behind the last sync may be anything after a power cut.
            for kind in ("*.events", "state-*"):
                for path in sorted((copy / "outbox").glob(kind))[
                    -1:
                ]:  # of a child just begun there may be none
                    with path.open("ab") as file:
                        file.write(rand.randbytes(10_000))
        children.kill()
        there = await names_in(copy, *State)
        # Alarms that were delivered are in no history.
        assert children.accepted <= set(there) | {name for name in children.delivered if name.endswith(":1")}
        shutil.rmtree(copy)


def test_a_kill_at_each_call_to_the_disk_between_holes_indexes_and_state_costs_no_event(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.outbox_steps", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["calls"] > 100
    assert found["holes"] > 5
