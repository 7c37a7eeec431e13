"""A fault lasts as long as it should, is counted if it was done, and is undone by whoever did it."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from gatepost.torture.fault_injection import LOOK_S, MET_S, SystemUnderTest, inflict
from gatepost.torture.fault_plan import ALL, Fault, Kind
from gatepost.torture.system.processes import EndError


@dataclass
class Fake:
    """Stands for an end, a line or an issuer, and remembers what was done to it."""

    name: str = "fake"
    done: list[Any] = field(default_factory=list)
    address: str = "http://127.0.0.1:1"
    ports: list[int] = field(default_factory=lambda: [11, 12])
    folder: Path = Path("/nowhere")
    in_time: bool = True
    real: bool = False
    refuses_to_start: str = ""
    up: asyncio.Event = field(default_factory=asyncio.Event)
    well: asyncio.Event = field(default_factory=asyncio.Event)
    refusals: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.up.set()
        self.well.set()

    @property
    def clock(self) -> "Fake":
        return self

    @property
    def disk(self) -> "Fake":
        return self

    def fill(self) -> bool:
        self.done.append("fill")
        return True

    def free(self) -> None:
        self.done.append("free")

    def protect(self) -> bool:
        self.done.append("protect")
        return True

    def release(self) -> None:
        self.done.append("release")

    def set(self, seconds: float) -> None:
        self.done.append(("clock", seconds))

    async def break_(self, kind: Kind, amount: float) -> None:
        self.done.append(("break", kind))

    async def heal(self) -> None:
        self.done.append("heal")

    async def kill(self) -> None:
        self.up.clear()
        self.done.append("kill")

    async def term(self) -> bool:
        self.done.append("term")
        return self.in_time

    async def start(self) -> None:
        self.done.append("start")
        if said := self.refuses_to_start:
            self.refuses_to_start = ""
            raise EndError(said)
        self.up.set()

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
    system: SystemUnderTest


@pytest.fixture
def setting() -> Setting:
    terminals, lines, issuers = ([Fake(), Fake()] for _ in range(3))
    receiver, waits = Fake("receiver"), []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    system = SystemUnderTest(cast(Any, terminals), cast(Any, lines), cast(Any, receiver), sleep=sleep)
    system.issuers = cast(Any, issuers)
    return Setting(terminals, lines, receiver, issuers, waits, system)


def fault(kind: Kind, target: int = 1) -> Fault:
    return Fault(kind, target, 1.0, 0.5, 0.25)


async def test_a_line_is_broken_and_healed_and_so_are_all_of_them(setting: Setting) -> None:
    await inflict(setting.system, fault(Kind.HANG))
    assert setting.lines[1].done == [("break", Kind.HANG), "heal"]
    assert setting.lines[0].done == []
    await inflict(setting.system, fault(Kind.DELAY, ALL))
    assert setting.lines[0].done == [("break", Kind.DELAY), "heal"]
    assert setting.waits == [0.5, 1.0, 0.5, 1.0]
    assert setting.system.done == {Kind.HANG: 1, Kind.DELAY: 1}


async def test_a_kill_comes_in_the_middle_of_a_surge_and_the_end_is_started_again(setting: Setting) -> None:
    await inflict(setting.system, fault(Kind.KILL_TERMINAL))
    assert setting.terminals[1].done == ["kill", "start"]
    assert [issuer.done for issuer in setting.issuers] == [[], [("surge", True), ("surge", False)]]
    await inflict(setting.system, fault(Kind.KILL_RECEIVER))
    assert setting.receiver.done == ["kill", "start"]
    assert setting.issuers[0].done == [("surge", True), ("surge", False)]


async def test_an_end_that_does_not_stop_in_time_is_told_of(setting: Setting) -> None:
    setting.receiver.in_time = False
    await inflict(setting.system, fault(Kind.TERM_RECEIVER))
    assert setting.system.late == ["receiver"]
    assert setting.receiver.done == ["term", "start"]


@pytest.mark.parametrize(
    ("kind", "done"),
    [
        (Kind.STOP_TERMINAL, ["pause", "resume"]),
        (Kind.TERMINAL_DISK_FULL, ["fill", "free"]),
        (Kind.TERMINAL_DISK_FAILS, [("limit", 0), ("limit", None)]),
        (Kind.TERMINAL_READ_ONLY, ["protect", "release"]),
    ],
)
async def test_what_lasts_is_taken_back_also_when_the_run_is_cancelled(
    setting: Setting, kind: Kind, done: list[Any]
) -> None:
    await inflict(setting.system, fault(kind))
    assert setting.terminals[1].done == done
    setting.terminals[1].done.clear()
    began = asyncio.Event()

    async def for_ever(seconds: float) -> None:
        if seconds != 0.5 or "protect" in setting.terminals[1].done:
            began.set()
            await asyncio.Event().wait()

    setting.system.sleep = for_ever
    running = asyncio.create_task(inflict(setting.system, fault(kind)))
    await began.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert setting.terminals[1].done == done


async def test_a_clock_is_turned_and_stays_so(setting: Setting) -> None:
    await inflict(setting.system, fault(Kind.RECEIVER_CLOCK))
    ((what, seconds),) = setting.receiver.done
    assert what == "clock"
    assert 0 < abs(seconds) <= 0.25


async def test_what_could_not_be_done_is_not_counted(setting: Setting) -> None:
    for kind in (Kind.SUBSCRIBE_AGAIN, Kind.MOVE, Kind.SWITCH_OFF):
        await inflict(setting.system, fault(kind))  # nobody listens at the terminal's address
    assert setting.system.done.total() == 0
    assert setting.system.places == [0, 1]


async def test_a_terminal_with_a_full_disk_gets_a_surge_until_it_refuses_something(setting: Setting) -> None:
    setting.terminals[1].real = True
    issuer = setting.issuers[1]

    async def refused(seconds: float) -> None:
        setting.waits.append(seconds)
        if seconds < 0.5 and len(setting.waits) == 4:
            issuer.refusals["outbox-unavailable"] += 1

    setting.system.sleep = refused
    await inflict(setting.system, fault(Kind.TERMINAL_DISK_FULL))
    assert setting.terminals[1].done == ["fill", "free"]
    assert issuer.done == [("surge", True), ("surge", False)]
    assert setting.waits[1:4] == [LOOK_S] * 3
    assert sum(setting.waits[1:]) == pytest.approx(1.0)
    assert setting.system.met == {"ENOSPC": 1, "met terminal-disk-full": 1}


async def test_a_real_disk_stays_full_until_the_receiver_has_turned_a_push_away(setting: Setting) -> None:
    setting.receiver.real = True

    async def late(seconds: float) -> None:
        setting.waits.append(seconds)
        setting.system.traffic.turned_away += len(setting.waits) == 60

    setting.system.sleep = late
    await inflict(setting.system, fault(Kind.RECEIVER_DISK_FULL))
    assert setting.system.met["met receiver-disk-full"] == 1
    assert setting.waits == [0.5, *[LOOK_S] * 59]
    assert [issuer.done for issuer in setting.issuers] == [[], []]


async def test_a_real_disk_does_not_stay_full_for_ever(setting: Setting) -> None:
    setting.receiver.real = True
    await inflict(setting.system, fault(Kind.RECEIVER_DISK_FULL))
    assert sum(setting.waits) == pytest.approx(0.5 + MET_S, abs=2 * LOOK_S)
    assert setting.system.met["met receiver-disk-full"] == 0
    assert setting.receiver.done == ["fill", "free"]


async def test_nothing_is_waited_for_at_an_end_that_went_down_on_a_full_disk(setting: Setting) -> None:
    setting.receiver.real = True

    async def killed(seconds: float) -> None:
        setting.waits.append(seconds)
        if seconds == LOOK_S:
            setting.receiver.up.clear()

    setting.system.sleep = killed
    await inflict(setting.system, fault(Kind.RECEIVER_DISK_FULL))
    assert setting.waits == [0.5, LOOK_S, pytest.approx(1.0 - LOOK_S)]


async def test_nobody_starts_on_a_full_disk(setting: Setting) -> None:
    end = setting.terminals[1]
    end.well.clear()
    killing = asyncio.create_task(inflict(setting.system, fault(Kind.KILL_TERMINAL)))
    async with asyncio.timeout(30):
        while "kill" not in end.done:  # noqa: ASYNC110 (a list has no event)
            await asyncio.sleep(0)
    assert "start" not in end.done
    end.well.set()
    await killing
    assert end.done == ["kill", "start"]


async def test_a_terminal_starts_on_a_real_read_only_disk_and_again_when_it_is_well(setting: Setting) -> None:
    setting.terminals[1].real = True
    await inflict(setting.system, fault(Kind.TERMINAL_READ_ONLY))
    assert setting.terminals[1].done == ["protect", "kill", "start", "release", "term", "start"]
    assert setting.system.met == {"EROFS": 1, "started read-only": 1}


async def test_a_receiver_says_that_it_cannot_be_on_a_real_read_only_disk(setting: Setting) -> None:
    setting.receiver.real = True
    setting.receiver.refuses_to_start = "it said: /data cannot be written to"
    await inflict(setting.system, fault(Kind.RECEIVER_READ_ONLY))
    assert setting.receiver.done == ["protect", "kill", "start", "release", "start"]
    assert setting.system.met == {"EROFS": 1, "refused to start": 1}


@pytest.mark.parametrize("kind", [Kind.RECEIVER_READ_ONLY, Kind.TERMINAL_READ_ONLY])
async def test_an_end_that_does_not_start_and_does_not_say_why_is_an_error(
    setting: Setting, kind: Kind
) -> None:
    for end in (setting.receiver, setting.terminals[1]):
        end.real = True
        end.refuses_to_start = "a traceback"
    with pytest.raises(EndError, match="a traceback"):
        await inflict(setting.system, fault(kind))


@pytest.mark.parametrize("what", ["up", "well"])
async def test_the_disk_of_an_end_that_is_down_or_has_trouble_already_is_left_alone(
    setting: Setting, what: str
) -> None:
    getattr(setting.receiver, what).clear()
    for kind in (Kind.RECEIVER_DISK_FULL, Kind.RECEIVER_READ_ONLY):
        await inflict(setting.system, fault(kind))
    assert setting.receiver.done == []
    assert setting.system.done.total() == 0


async def test_a_destination_stays_broken_until_it_was_asked_for_something(setting: Setting) -> None:
    destination = setting.system.destination
    await destination.open()
    try:
        asked = iter(range(3))

        async def sleep(seconds: float) -> None:
            setting.waits.append(seconds)
            if next(asked, None) is None:
                destination.met["met destination-busy"] += 1

        setting.system.sleep = sleep
        await inflict(setting.system, fault(Kind.DESTINATION_BUSY))
        assert setting.waits == [0.5, 1.0, LOOK_S, LOOK_S]
        await inflict(setting.system, fault(Kind.DESTINATION_REFUSE))
        assert setting.waits[4:] == [0.5, 1.0]
        assert setting.system.done == {Kind.DESTINATION_BUSY: 1, Kind.DESTINATION_REFUSE: 1}
    finally:
        await destination.close()
