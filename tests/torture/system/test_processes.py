"""Processes are started, signalled, starved of disk; a small program stands for gatepost."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gatepost.torture.system.processes import Died, End, EndError

# Says its address, then writes a growing file ten times a second and logs whether it could.
PROGRAM = """
import signal, sys, time
words = sys.argv[2:]
if "broken" in words:
    print("cannot be started", file=sys.stderr); sys.exit(3)
signal.signal(signal.SIGTERM, signal.SIG_IGN if "stubborn" in words else lambda *_: sys.exit(0))
print("ready: http://127.0.0.1:%s;" % (words[-1] if words[-1] != "0" else 5005), flush=True)
with open(words[0] + "/file", "ab", buffering=0) as file:
    while "mortal" not in words:
        try:
            file.write(b"x" * 1000)
            print("written", file=sys.stderr, flush=True)
        except OSError as error:
            print(error.strerror, file=sys.stderr, flush=True)
        time.sleep(0.02)
"""

Make = Callable[..., End]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    made: list[End] = []

    def maker(*words: str) -> End:
        folder = tmp_path / "data"
        end = End("end", (str(folder), *words, "{port}"), folder, launcher=(sys.executable, "-c", PROGRAM))
        made.append(end)
        return end

    yield maker
    for end in made:
        end.resume()
        await end.kill()
        end.clock.close()


async def logged(end: End, words: str) -> None:
    async with asyncio.timeout(30):
        while not end.log or end.log[-1] != words:  # noqa: ASYNC110 (the log has no event of its own)
            await asyncio.sleep(0.01)


async def test_an_end_is_ready_when_it_has_said_its_address_and_keeps_its_port(make: Make) -> None:
    end = make()
    await end.start()
    assert (end.address, end.port, end.up.is_set()) == ("http://127.0.0.1:5005", 5005, True)
    await end.kill()
    assert not end.up.is_set()
    await end.start()
    assert end.port == 5005
    assert await end.term()
    assert end.died == []


async def test_an_end_that_does_not_start_says_why(make: Make) -> None:
    with pytest.raises(EndError, match=r"code 3.*cannot be started"):
        await make("broken").start()


async def test_an_end_that_ends_unasked_has_died(make: Make) -> None:
    end = make("mortal")
    await end.start()
    async with asyncio.timeout(30):
        await end.wait()
    assert end.died == [Died("end", 0, ())]
    assert not end.up.is_set()


async def test_an_end_that_does_not_stop_when_asked_to_is_killed_and_told_of(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatepost.torture.system.processes.STOP_S", 0.1)
    end = make("stubborn")
    await end.start()
    assert not await end.term()
    assert end.died == []


async def test_a_disk_that_takes_nothing_fails_writes_until_it_is_lifted(make: Make) -> None:
    end = make()
    await end.start()
    await logged(end, "written")
    assert end.limit(0)
    await logged(end, "File too large")
    assert end.limit(None)
    await logged(end, "written")
    assert end.largest_file() >= 1000


async def test_an_end_that_is_not_up_cannot_be_limited(make: Make) -> None:
    end = make()
    assert not end.limit(0)
    await end.start()
    await end.kill()
    assert not end.limit(0)


async def test_a_paused_end_does_nothing_until_it_is_resumed(make: Make) -> None:
    end = make()
    await end.start()
    await logged(end, "written")
    end.pause()
    await asyncio.sleep(0.05)  # what was on its way into the log arrives
    size = end.largest_file()
    await asyncio.sleep(0.1)  # five times its own pace
    assert end.largest_file() == size
    end.resume()
    async with asyncio.timeout(30):
        while end.largest_file() == size:  # noqa: ASYNC110 (a file has no event)
            await asyncio.sleep(0.01)
