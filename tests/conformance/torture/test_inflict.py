"""A fault lasts as long as it should, is counted if it was done, and is undone by whoever did it."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from gatepost.conformance.torture.faults import ALL, Fault, Kind
from gatepost.conformance.torture.inflict import House, inflict


@dataclass
class Fake:
    """Stands for an end, a line or an issuer, and remembers what was done to it."""

    name: str = "fake"
    done: list[Any] = field(default_factory=list)
    address: str = "http://127.0.0.1:1"
    ports: list[int] = field(default_factory=lambda: [11, 12])
    folder: Path = Path("/nowhere")
    in_time: bool = True

    @property
    def clock(self) -> "Fake":
        return self

    def set(self, seconds: float) -> None:
        self.done.append(("clock", seconds))

    async def break_(self, kind: Kind, amount: float) -> None:
        self.done.append(("break", kind))

    async def heal(self) -> None:
        self.done.append("heal")

    async def kill(self) -> None:
        self.done.append("kill")

    async def term(self) -> bool:
        self.done.append("term")
        return self.in_time

    async def start(self) -> None:
        self.done.append("start")

    def pause(self) -> None:
        self.done.append("pause")

    def resume(self) -> None:
        self.done.append("resume")

    def limit(self, size: int | None) -> bool:
        self.done.append(("limit", size))
        return True

    def largest_file(self) -> int:
        return 4096

    def surge(self, on: bool) -> None:
        self.done.append(("surge", on))


@dataclass
class Setting:
    terminals: list[Fake]
    lines: list[Fake]
    receiver: Fake
    issuers: list[Fake]
    waits: list[float]
    house: House


@pytest.fixture
def setting() -> Setting:
    terminals, lines, issuers = ([Fake(), Fake()] for _ in range(3))
    receiver, waits = Fake("receiver"), []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    house = House(cast(Any, terminals), cast(Any, lines), cast(Any, receiver), sleep=sleep)
    house.issuers = cast(Any, issuers)
    return Setting(terminals, lines, receiver, issuers, waits, house)


def fault(kind: Kind, target: int = 1) -> Fault:
    return Fault(kind, target, 1.0, 0.5, 0.25)


async def test_a_line_is_broken_and_healed_and_so_are_all_of_them(setting: Setting) -> None:
    await inflict(setting.house, fault(Kind.HANG))
    assert setting.lines[1].done == [("break", Kind.HANG), "heal"]
    assert setting.lines[0].done == []
    await inflict(setting.house, fault(Kind.DELAY, ALL))
    assert setting.lines[0].done == [("break", Kind.DELAY), "heal"]
    assert setting.waits == [0.5, 1.0, 0.5, 1.0]
    assert setting.house.done == {Kind.HANG: 1, Kind.DELAY: 1}


async def test_a_kill_comes_in_the_middle_of_a_surge_and_the_end_is_started_again(setting: Setting) -> None:
    await inflict(setting.house, fault(Kind.KILL_TERMINAL))
    assert setting.terminals[1].done == ["kill", "start"]
    assert [issuer.done for issuer in setting.issuers] == [[], [("surge", True), ("surge", False)]]
    await inflict(setting.house, fault(Kind.KILL_RECEIVER))
    assert setting.receiver.done == ["kill", "start"]
    assert setting.issuers[0].done == [("surge", True), ("surge", False)]


async def test_an_end_that_does_not_stop_in_time_is_told_of(setting: Setting) -> None:
    setting.receiver.in_time = False
    await inflict(setting.house, fault(Kind.TERM_RECEIVER))
    assert setting.house.late == ["receiver"]
    assert setting.receiver.done == ["term", "start"]


@pytest.mark.parametrize(
    ("kind", "done"),
    [
        (Kind.STOP_TERMINAL, ["pause", "resume"]),
        (Kind.TERMINAL_DISK_FULL, [("limit", 4096), ("limit", None)]),
        (Kind.TERMINAL_DISK_FAILS, [("limit", 0), ("limit", None)]),
    ],
)
async def test_what_lasts_is_taken_back_also_when_the_run_is_cancelled(
    setting: Setting, kind: Kind, done: list[Any]
) -> None:
    await inflict(setting.house, fault(kind))
    assert setting.terminals[1].done == done
    setting.terminals[1].done.clear()
    began = asyncio.Event()

    async def for_ever(seconds: float) -> None:
        if seconds == 1.0:
            began.set()
            await asyncio.Event().wait()

    setting.house.sleep = for_ever
    running = asyncio.create_task(inflict(setting.house, fault(kind)))
    await began.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert setting.terminals[1].done == done


async def test_a_clock_is_turned_and_stays_so(setting: Setting) -> None:
    await inflict(setting.house, fault(Kind.RECEIVER_CLOCK))
    ((what, seconds),) = setting.receiver.done
    assert what == "clock"
    assert 0 < abs(seconds) <= 0.25


async def test_what_could_not_be_done_is_not_counted(setting: Setting) -> None:
    for kind in (Kind.SUBSCRIBE_AGAIN, Kind.MOVE, Kind.SWITCH_OFF):
        await inflict(setting.house, fault(kind))  # nobody listens at the terminal's address
    assert setting.house.done.total() == 0
    assert setting.house.places == [0, 1]
