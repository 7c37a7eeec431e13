"""Carries a fault out, and takes it back.

Rules: each fault lasts as long as the plan says and is healed by whoever made it, also when the run ends in its middle.
What could not be done (a terminal that is down cannot be subscribed) is not counted as done.
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
from gatepost.torture.event_source import Issuer
from gatepost.torture.fault_plan import ALL, DESTINATION, LINE, Fault, Kind
from gatepost.torture.system.destination import Destination
from gatepost.torture.system.processes import End, EndError
from gatepost.torture.system.proxy import Line, Traffic

__all__ = ["House", "inflict", "subscribe"]

ASK_S = 5.0
SURGE_S = 0.1
LOOK_S = 0.05
"""How often is looked whether a full disk has refused something."""
MET_S = 10.0
"""For how long it may stay full for that, at most."""


class House:
    """Everything that faults are done to. ``done`` counts those that were, ``met`` what came of some."""

    def __init__(
        self,
        terminals: Sequence[End],
        lines: Sequence[Line],
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
        """Ends that did not stop in time when asked to."""
        self.issuers: Sequence[Issuer] = ()
        self.places = [0] * len(terminals)
        """At which of the two ports of its line each terminal is subscribed."""


async def inflict(house: House, fault: Fault) -> None:
    """Do it, wait as long as it lasts, undo it."""
    await house.sleep(fault.pause)
    if fault.kind in LINE:
        await _on_the_line(house, fault)
    elif fault.kind in DESTINATION:
        await _at_the_destination(house, fault)
    elif fault.kind in _PROCESSES:
        await _PROCESSES[fault.kind](house, fault)
    else:
        await _STATE[fault.kind](house, fault)


async def subscribe(house: House, number: int, *, enabled: bool = True) -> bool:
    """Subscribe terminal ``number`` at its place, through its HTTP service; tell whether it said yes."""
    end = house.terminals[number]
    dest = f"http://127.0.0.1:{house.lines[number].ports[house.places[number]]}/Record"
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


async def _on_the_line(house: House, fault: Fault) -> None:
    lines = house.lines if fault.target == ALL else [house.lines[fault.target]]
    try:
        for line in lines:
            await line.break_(fault.kind, fault.amount)
        house.done[fault.kind] += 1
        await house.sleep(fault.seconds)
    finally:
        for line in lines:
            await line.heal()


async def _at_the_destination(house: House, fault: Fault) -> None:
    """Break it until it was asked for something: after other faults a forwarder waits for a while."""
    met = house.destination.met
    await house.destination.break_(fault.kind)
    try:
        house.done[fault.kind] += 1
        before = met.total()
        await house.sleep(fault.seconds)
        passed = 0.0
        while fault.kind is not Kind.DESTINATION_REFUSE and met.total() == before and passed < MET_S:
            await house.sleep(LOOK_S)
            passed += LOOK_S
    finally:
        await house.destination.heal()


def _end(house: House, fault: Fault) -> End:
    return house.receiver if "receiver" in fault.kind else house.terminals[fault.target]


def _hit(house: House, fault: Fault) -> Sequence[Issuer]:
    """Whose events meet the fault."""
    return house.issuers if "receiver" in fault.kind else [house.issuers[fault.target]]


@contextmanager
def _surge(house: House, fault: Fault) -> Iterator[None]:
    for issuer in _hit(house, fault):
        issuer.surge(True)
    try:
        yield
    finally:
        for issuer in _hit(house, fault):
            issuer.surge(False)


async def _kill(house: House, fault: Fault) -> None:
    end = _end(house, fault)
    # Between two events a kill proves little, so it comes in the middle of many.
    with _surge(house, fault):
        await house.sleep(SURGE_S * (1 + fault.amount))
        await end.kill()
    house.done[fault.kind] += 1
    await house.sleep(fault.seconds * 0.3)
    await _start(end)


async def _term(house: House, fault: Fault) -> None:
    end = _end(house, fault)
    await _ended(house, end)
    house.done[fault.kind] += 1
    await house.sleep(fault.seconds * 0.3)
    await _start(end)


async def _ended(house: House, end: End) -> None:
    if not await end.term():
        house.late.append(end.name)


async def _start(end: End) -> None:
    """Start it, once there is space: whether it starts without is another question, which other tests ask."""
    await end.well.wait()
    await end.start()


async def _stop(house: House, fault: Fault) -> None:
    end = _end(house, fault)
    end.pause()
    try:
        house.done[fault.kind] += 1
        await house.sleep(fault.seconds)
    finally:
        end.resume()


async def _read_only(house: House, fault: Fault) -> None:
    """Under the running process; and, on a real disk, under one that is started there, once it was killed."""
    end = _end(house, fault)
    if not end.well.is_set() or not end.up.is_set():
        return
    end.well.clear()
    try:
        if not end.disk.protect():
            return
        house.done[fault.kind] += 1
        await house.sleep(fault.seconds / 2)
        if end.disk.real:
            house.met["EROFS"] += 1
            await end.kill()
            await _start_there(house, end)
        await house.sleep(fault.seconds / 2)
    finally:
        end.disk.release()
        end.well.set()
    if end.disk.real:
        # A terminal that began on a read-only disk has no door until it is started again, as its log says.
        if end.up.is_set():
            await _ended(house, end)
        await _start(end)


async def _start_there(house: House, end: End) -> None:
    """A terminal starts on a read-only disk and pushes what it has; a receiver says that it cannot be."""
    try:
        await end.start()
    except EndError as error:
        if end is not house.receiver or "cannot be written to" not in str(error):
            raise
        house.met["refused to start"] += 1
    else:
        house.met["started read-only"] += 1


async def _subscribe_again(house: House, fault: Fault) -> None:
    if await subscribe(house, fault.target):
        house.done[fault.kind] += 1


async def _move(house: House, fault: Fault) -> None:
    house.places[fault.target] ^= 1
    if await subscribe(house, fault.target):
        house.done[fault.kind] += 1


async def _switch_off(house: House, fault: Fault) -> None:
    if await subscribe(house, fault.target, enabled=False):
        house.done[fault.kind] += 1
    await house.sleep(fault.seconds)
    await subscribe(house, fault.target)


async def _disk_full(house: House, fault: Fault) -> None:
    end = _end(house, fault)
    if not end.well.is_set() or not end.up.is_set():
        return
    end.well.clear()
    try:
        if end.disk.fill():
            house.done[fault.kind] += 1
            house.met["ENOSPC"] += end.disk.real
            house.met[f"met {fault.kind}"] += await _met(house, fault)
    finally:
        end.disk.free()
        end.well.set()


async def _met(house: House, fault: Fault) -> bool:
    """Wait as long as the fault lasts; tell whether an end refused something meanwhile.

    A real disk stays full until that was so, for a slow machine may bring nothing there in the time of the plan. A
    terminal lets delivered history go first, so it gets a surge of events.
    """
    end, before = _end(house, fault), _refusals(house, fault)
    longest = MET_S if end.disk.real else fault.seconds
    passed = 0.0
    with _surge(house, fault) if end is not house.receiver else nullcontext():
        while passed < longest and end.up.is_set() and _refusals(house, fault) == before:
            await house.sleep(LOOK_S)
            passed += LOOK_S
    if passed < fault.seconds:
        await house.sleep(fault.seconds - passed)
    return _refusals(house, fault) > before


def _refusals(house: House, fault: Fault) -> int:
    if "receiver" in fault.kind:
        return house.traffic.turned_away
    return house.issuers[fault.target].refusals["outbox-unavailable"]


async def _disk_fails(house: House, fault: Fault) -> None:
    end = _end(house, fault)
    if end.limit(0):
        house.done[fault.kind] += 1
    try:
        await house.sleep(fault.seconds)
    finally:
        end.limit(None)


async def _turn_clock(house: House, fault: Fault) -> None:
    end = _end(house, fault)
    # Small jumps are as bad as large ones, and more frequent.
    scale = random.Random(fault.amount).choice((1.0, 0.01, 0.0001))  # noqa: S311 (a plan, no secret)
    end.clock.set(fault.amount * scale)
    house.done[fault.kind] += 1


Deed = Callable[[House, Fault], Awaitable[None]]

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
