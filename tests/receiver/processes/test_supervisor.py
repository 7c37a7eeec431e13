"""A supervisor and its children as real processes that are really killed."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from tests.receiver.kit import until

SCRIPT = Path(__file__).with_name("supervised.py")


class Supervised:
    """A supervisor in a process of its own, and what it and its children said."""

    def __init__(self, process: asyncio.subprocess.Process, errors: Path) -> None:
        self.process = process
        self._errors = errors

    async def line(self) -> str:
        assert self.process.stdout is not None
        return (await asyncio.wait_for(self.process.stdout.readline(), 20)).decode().strip()

    async def started(self) -> dict[str, int]:
        """Wait until all are ready; return the process of each child."""
        pids = {}
        while (line := await self.line()) != "ready":
            name, pid = line.split()
            pids[name] = int(pid)
        return pids

    def told(self, number: int) -> None:
        os.kill(self.process.pid, number)

    async def ended(self) -> int:
        return await asyncio.wait_for(self.process.wait(), 20)

    def logs(self) -> list[str]:
        return self._errors.read_text().splitlines()


@contextlib.asynccontextmanager
async def supervised(folder: Path, *kinds: str) -> AsyncIterator[Supervised]:
    errors = folder / "errors"
    with errors.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(SCRIPT), *kinds, stdout=asyncio.subprocess.PIPE, stderr=stderr
        )
    try:
        yield Supervised(process, errors)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        assert process.stdout is not None
        await process.stdout.read()  # until its children have ended, too: a pipe must not outlive the test


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_a_signal_stops_every_child(tmp_path: Path) -> None:
    async with supervised(tmp_path, "steady", "steady", "steady") as made:
        pids = await made.started()
        assert sorted(pids) == ["child-0", "child-1", "child-2"]
        made.told(signal.SIGTERM)
        assert {await made.line() for _ in pids} == {f"child-{place} SIGTERM" for place in range(3)}
        assert await made.ended() == 0
        assert all(is_gone(pid) for pid in pids.values())
        assert made.logs() == []


async def test_a_child_that_is_killed_is_one_line_and_a_new_process_and_the_other_goes_on(
    tmp_path: Path,
) -> None:
    async with supervised(tmp_path, "steady", "steady") as made:
        pids = await made.started()
        waits = []
        for number in range(1, 4):
            os.kill(pids["child-1"], signal.SIGKILL)
            name, pid = (await made.line()).split()
            assert (name, int(pid) != pids["child-1"]) == ("child-1", True)
            pids["child-1"] = int(pid)
            assert len(made.logs()) == number
            assert "child=child-1" in made.logs()[-1]
            assert "how=SIGKILL" in made.logs()[-1]
            found = re.search(r"starts_again_in_s=([0-9.]+)", made.logs()[-1])
            assert found is not None
            waits.append(float(found[1]))
        assert waits == [0.2, 0.4, 0.8]
        assert not is_gone(pids["child-0"])
        made.told(signal.SIGINT)
        assert {await made.line() for _ in pids} == {"child-0 SIGTERM", "child-1 SIGTERM"}
        assert await made.ended() == 0


async def test_a_child_that_cannot_be_started_now_is_started_later_and_the_other_goes_on(
    tmp_path: Path,
) -> None:
    async with supervised(tmp_path, "steady", "steady", "--no-memory") as made:
        pids = await made.started()
        os.kill(pids["child-1"], signal.SIGKILL)
        name, pid = (await made.line()).split()
        assert (name, int(pid) != pids["child-1"]) == ("child-1", True)
        assert len(made.logs()) == 2
        assert "not started: Resource temporarily unavailable" in made.logs()[-1]
        assert not is_gone(pids["child-0"])


async def test_a_log_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), "steady", "steady", stdout=asyncio.subprocess.PIPE, stderr=writer
    )
    os.close(writer)
    os.close(reader)
    made = Supervised(process, tmp_path / "errors")
    pids = await made.started()
    os.kill(pids["child-1"], signal.SIGKILL)
    assert (await made.line()).startswith("child-1 ")
    assert not is_gone(pids["child-0"])
    made.told(signal.SIGTERM)
    assert {await made.line() for _ in pids} == {"child-0 SIGTERM", "child-1 SIGTERM"}
    assert await made.ended() in (0, 120)  # 120 is Python's own, where standard error cannot be flushed


async def test_a_child_that_is_killed_before_all_are_ready_is_said(tmp_path: Path) -> None:
    async with supervised(tmp_path, "late", "steady") as made:
        names = dict([(await made.line()).split() for _ in range(2)])
        os.kill(int(names["child-0"]), signal.SIGHUP)  # does nothing before it is taken
        os.kill(int(names["child-0"]), signal.SIGKILL)
        assert await made.ended() == 1
        (line,) = made.logs()
        assert "supervisor.child_ended child=child-0 how=SIGKILL" in line


async def test_what_ends_before_all_are_ready_is_the_end_of_all(tmp_path: Path) -> None:
    async with supervised(tmp_path, "steady", "fails") as made:
        pid = int((await made.line()).split()[1])
        assert await made.ended() == 7
        assert is_gone(pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_all_at_once(tmp_path: Path, number: signal.Signals) -> None:
    async with supervised(tmp_path, "stubborn", "steady") as made:
        pids = await made.started()
        made.told(signal.SIGTERM)
        assert {await made.line() for _ in range(2)} == {"child-0 SIGTERM", "child-1 SIGTERM"}

        def has_ended() -> bool:
            if made.process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    made.told(number)
            return made.process.returncode is not None

        await until(has_ended)
        assert made.process.returncode in (-number, 1)  # 1: the time to stop was over before
        assert all(is_gone(pid) for pid in pids.values())


async def test_a_child_that_does_not_stop_in_time_is_killed(tmp_path: Path) -> None:
    async with supervised(tmp_path, "stubborn", "steady") as made:
        await made.started()
        made.told(signal.SIGTERM)
        assert {await made.line() for _ in range(2)} == {"child-0 SIGTERM", "child-1 SIGTERM"}
        assert await made.ended() == 1
        (line,) = made.logs()
        assert "supervisor.child_killed" in line
        assert "child=child-0" in line


async def test_no_child_outlives_the_supervisor(tmp_path: Path) -> None:
    async with supervised(tmp_path, "stubborn", "steady") as made:
        pids = await made.started()
        made.told(signal.SIGKILL)
        assert await made.ended() == -signal.SIGKILL
        await until(lambda: all(is_gone(pid) for pid in pids.values()))


async def test_a_hang_up_is_passed_on(tmp_path: Path) -> None:
    async with supervised(tmp_path, "steady", "steady") as made:
        await made.started()
        made.told(signal.SIGHUP)
        assert {await made.line() for _ in range(2)} == {"child-0 SIGHUP", "child-1 SIGHUP"}
        made.told(signal.SIGTERM)
        assert {await made.line() for _ in range(2)} == {"child-0 SIGTERM", "child-1 SIGTERM"}
        assert await made.ended() == 0
