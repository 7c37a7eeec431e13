"""Carry a fault out, and take it back.

Rules: a fault lasts as long as the plan says. Its task heals it, also when the run ends during it. A fault that was not
possible is not counted: a terminal that is down cannot be subscribed, for example.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

from gatepost.conformance.acknowledgement import JSON
from gatepost.conformance.raw_http import Answer, Connection, NoResponse, Target, request
from gatepost.conformance.terminal.session import SUBSCRIBE, code_of
from gatepost.torture.event_source import EventSource
from gatepost.torture.fault_plan import ALL, DESTINATION, LINE, Fault, Kind
from gatepost.torture.system.destination import Destination
from gatepost.torture.system.processes import End, EndError
from gatepost.torture.system.proxy import Proxy, Traffic

__all__ = ["SystemUnderTest", "inflict", "subscribe"]

ASK_S = 5.0
SURGE_S = 0.1
LOOK_S = 0.05
"""Seconds between two looks whether a full disk has refused something."""
MET_S = 10.0
"""Seconds for which it stays full for that, at most."""


class SystemUnderTest:
    """Everything that faults are applied to. ``done`` counts faults, ``met`` counts what they hit."""

    def __init__(
        self,
        terminals: Sequence[End],
        lines: Sequence[Proxy],
        receiver: End,
        *,
        traffic: Traffic | None = None,
        destination: Destination | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.terminals = terminals
        self.lines = lines
        self.receiver = receiver
        self.sleep = sleep
        self.traffic = Traffic() if traffic is None else traffic
        self.destination = destination or Destination()
        self.done: Counter[str] = Counter()
        self.met: Counter[str] = Counter()
        self.late: list[str] = []
        """Ends that did not stop in time after SIGTERM."""
        self.issuers: Sequence[EventSource] = ()
        self.places = [0] * len(terminals)
        """Which of the two ports of its proxy each terminal is subscribed to."""


async def inflict(system: SystemUnderTest, fault: Fault) -> None:
    """Carry a fault out, wait as long as it lasts, and take it back."""
    await system.sleep(fault.pause)
    if fault.kind in LINE:
        await _on_the_line(system, fault)
    elif fault.kind in DESTINATION:
        await _at_the_destination(system, fault)
    elif fault.kind in _PROCESSES:
        await _PROCESSES[fault.kind](system, fault)
    else:
        await _STATE[fault.kind](system, fault)


async def subscribe(system: SystemUnderTest, number: int, *, enabled: bool = True) -> bool:
    """Subscribe terminal ``number`` to its port, through its HTTP service; tell whether it agreed."""
    end = system.terminals[number]
    dest = f"http://127.0.0.1:{system.lines[number].ports[system.places[number]]}/Record"
    answer = await _ask(end, {"event_dest": dest, "enabled": enabled})
    return code_of(answer) == 200


async def _ask(end: End, value: dict[str, object]) -> Answer:
    target = Target.parse(f"{end.address}{SUBSCRIBE}")
    head, body = request(target, json.dumps(value).encode(), (JSON,))
    try:
        async with Connection.open(target, timeout_s=ASK_S) as connection:
            await connection.send(head, body)
            return await connection.read()
    except OSError as error:
        return NoResponse(str(error))


async def _on_the_line(system: SystemUnderTest, fault: Fault) -> None:
    lines = system.lines if fault.target == ALL else [system.lines[fault.target]]
    try:
        for line in lines:
            await line.break_(fault.kind, fault.amount)
        system.done[fault.kind] += 1
        await system.sleep(fault.seconds)
    finally:
        for line in lines:
            await line.heal()


async def _at_the_destination(system: SystemUnderTest, fault: Fault) -> None:
    """Break the destination until it received a request: after other faults a forwarder waits for a while."""
    met = system.destination.met
    await system.destination.break_(fault.kind)
    try:
        system.done[fault.kind] += 1
        before = met.total()
        await system.sleep(fault.seconds)
        passed = 0.0
        while fault.kind is not Kind.DESTINATION_REFUSE and met.total() == before and passed < MET_S:
            await system.sleep(LOOK_S)
            passed += LOOK_S
    finally:
        await system.destination.heal()


def _end(system: SystemUnderTest, fault: Fault) -> End:
    return system.receiver if "receiver" in fault.kind else system.terminals[fault.target]


def _hit(system: SystemUnderTest, fault: Fault) -> Sequence[EventSource]:
    """Return the event sources whose events meet the fault."""
    return system.issuers if "receiver" in fault.kind else [system.issuers[fault.target]]


@contextmanager
def _surge(system: SystemUnderTest, fault: Fault) -> Iterator[None]:
    for issuer in _hit(system, fault):
        issuer.surge(True)
    try:
        yield
    finally:
        for issuer in _hit(system, fault):
            issuer.surge(False)


async def _kill(system: SystemUnderTest, fault: Fault) -> None:
    end = _end(system, fault)
    # A kill between two events proves little, so it comes during a surge.
    with _surge(system, fault):
        await system.sleep(SURGE_S * (1 + fault.amount))
        await end.kill()
    system.done[fault.kind] += 1
    await system.sleep(fault.seconds * 0.3)
    await _start(end)


async def _term(system: SystemUnderTest, fault: Fault) -> None:
    end = _end(system, fault)
    await _ended(system, end)
    system.done[fault.kind] += 1
    await system.sleep(fault.seconds * 0.3)
    await _start(end)


async def _ended(system: SystemUnderTest, end: End) -> None:
    if not await end.term():
        system.late.append(end.name)


async def _start(end: End) -> None:
    """Start an end once its disk has space. Other tests start one on a full disk."""
    await end.well.wait()
    await end.start()


async def _stop(system: SystemUnderTest, fault: Fault) -> None:
    end = _end(system, fault)
    end.pause()
    try:
        system.done[fault.kind] += 1
        await system.sleep(fault.seconds)
    finally:
        end.resume()


async def _read_only(system: SystemUnderTest, fault: Fault) -> None:
    """Make the disk read-only for the running process.

    On a real disk also for one that is started there after a kill.
    """
    end = _end(system, fault)
    if not end.well.is_set() or not end.up.is_set():
        return
    end.well.clear()
    try:
        if not end.disk.protect():
            return
        system.done[fault.kind] += 1
        await system.sleep(fault.seconds / 2)
        if end.disk.real:
            system.met["EROFS"] += 1
            await end.kill()
            await _start_there(system, end)
        await system.sleep(fault.seconds / 2)
    finally:
        end.disk.release()
        end.well.set()
    if end.disk.real:
        # A terminal that started on a read-only disk has no local socket until it is started again, as its log says.
        if end.up.is_set():
            await _ended(system, end)
        await _start(end)


async def _start_there(system: SystemUnderTest, end: End) -> None:
    """Start an end on a read-only disk: a terminal pushes its backlog, a receiver refuses to start."""
    try:
        await end.start()
    except EndError as error:
        if end is not system.receiver or "cannot be written to" not in str(error):
            raise
        system.met["refused to start"] += 1
    else:
        system.met["started read-only"] += 1


async def _subscribe_again(system: SystemUnderTest, fault: Fault) -> None:
    if await subscribe(system, fault.target):
        system.done[fault.kind] += 1


async def _move(system: SystemUnderTest, fault: Fault) -> None:
    system.places[fault.target] ^= 1
    if await subscribe(system, fault.target):
        system.done[fault.kind] += 1


async def _switch_off(system: SystemUnderTest, fault: Fault) -> None:
    if await subscribe(system, fault.target, enabled=False):
        system.done[fault.kind] += 1
    await system.sleep(fault.seconds)
    await subscribe(system, fault.target)


async def _disk_full(system: SystemUnderTest, fault: Fault) -> None:
    end = _end(system, fault)
    if not end.well.is_set() or not end.up.is_set():
        return
    end.well.clear()
    try:
        if end.disk.fill():
            system.done[fault.kind] += 1
            system.met["ENOSPC"] += end.disk.real
            system.met[f"met {fault.kind}"] += await _met(system, fault)
    finally:
        end.disk.free()
        end.well.set()


async def _met(system: SystemUnderTest, fault: Fault) -> bool:
    """Wait as long as the fault lasts; tell whether an end refused something meanwhile.

    A real disk stays full until that happened, because a slow machine may write nothing there in the planned time. A
    terminal deletes delivered history first, so it gets a surge of events.
    """
    end, before = _end(system, fault), _refusals(system, fault)
    longest = MET_S if end.disk.real else fault.seconds
    passed = 0.0
    with _surge(system, fault) if end is not system.receiver else nullcontext():
        while passed < longest and end.up.is_set() and _refusals(system, fault) == before:
            await system.sleep(LOOK_S)
            passed += LOOK_S
    if passed < fault.seconds:
        await system.sleep(fault.seconds - passed)
    return _refusals(system, fault) > before


def _refusals(system: SystemUnderTest, fault: Fault) -> int:
    if "receiver" in fault.kind:
        return system.traffic.turned_away
    return system.issuers[fault.target].refusals["outbox-unavailable"]


async def _disk_fails(system: SystemUnderTest, fault: Fault) -> None:
    end = _end(system, fault)
    if end.limit(0):
        system.done[fault.kind] += 1
    try:
        await system.sleep(fault.seconds)
    finally:
        end.limit(None)


async def _turn_clock(system: SystemUnderTest, fault: Fault) -> None:
    end = _end(system, fault)
    # Small jumps do as much harm as large ones, and are more frequent.
    scale = random.Random(fault.amount).choice((1.0, 0.01, 0.0001))  # noqa: S311 (a plan, no secret)
    end.clock.set(fault.amount * scale)
    system.done[fault.kind] += 1


Deed = Callable[[SystemUnderTest, Fault], Awaitable[None]]

_PROCESSES: dict[Kind, Deed] = {
    Kind.KILL_TERMINAL: _kill,
    Kind.KILL_RECEIVER: _kill,
    Kind.TERM_TERMINAL: _term,
    Kind.TERM_RECEIVER: _term,
    Kind.STOP_TERMINAL: _stop,
    Kind.STOP_RECEIVER: _stop,
    Kind.TERMINAL_READ_ONLY: _read_only,
    Kind.RECEIVER_READ_ONLY: _read_only,
}

_STATE: dict[Kind, Deed] = {
    Kind.SUBSCRIBE_AGAIN: _subscribe_again,
    Kind.MOVE: _move,
    Kind.SWITCH_OFF: _switch_off,
    Kind.TERMINAL_DISK_FULL: _disk_full,
    Kind.TERMINAL_DISK_FAILS: _disk_fails,
    Kind.RECEIVER_DISK_FULL: _disk_full,
    Kind.RECEIVER_DISK_FAILS: _disk_fails,
    Kind.TERMINAL_CLOCK: _turn_clock,
    Kind.RECEIVER_CLOCK: _turn_clock,
}
