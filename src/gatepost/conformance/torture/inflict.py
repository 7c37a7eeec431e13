"""Carries a fault out, and takes it back.

Rules: each fault lasts as long as the plan says and is healed by whoever made it, also when the run ends in its middle.
What could not be done (a terminal that is down cannot be subscribed) is not counted as done.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from gatepost.conformance.probe import JSON
from gatepost.conformance.raw_http import Answer, Connection, Nothing, Target, request
from gatepost.conformance.torture.ends import End
from gatepost.conformance.torture.faults import ALL, LINE, Fault, Kind
from gatepost.conformance.torture.issuer import Issuer
from gatepost.conformance.torture.proxy import Line
from gatepost.conformance.visit import SUBSCRIBE, code_of

__all__ = ["House", "inflict", "subscribe"]

ASK_S = 5.0
SURGE_S = 0.1


class House:
    """Everything that faults are done to. ``done`` counts those that were."""

    def __init__(
        self,
        terminals: Sequence[End],
        lines: Sequence[Line],
        receiver: End,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.terminals = terminals
        self.lines = lines
        self.receiver = receiver
        self.sleep = sleep
        self.done: Counter[str] = Counter()
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
        return Nothing(str(error))


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


def _end(house: House, fault: Fault) -> End:
    return house.receiver if "receiver" in fault.kind else house.terminals[fault.target]


async def _kill(house: House, fault: Fault) -> None:
    end = _end(house, fault)
    hit = house.issuers if end is house.receiver else [house.issuers[fault.target]]
    # Between two events a kill proves little, so it comes in the middle of many.
    for issuer in hit:
        issuer.surge(True)
    try:
        await house.sleep(SURGE_S * (1 + fault.amount))
        await end.kill()
    finally:
        for issuer in hit:
            issuer.surge(False)
    house.done[fault.kind] += 1
    await house.sleep(fault.seconds * 0.3)
    await end.start()


async def _term(house: House, fault: Fault) -> None:
    end = _end(house, fault)
    if not await end.term():
        house.late.append(end.name)
    house.done[fault.kind] += 1
    await house.sleep(fault.seconds * 0.3)
    await end.start()


async def _stop(house: House, fault: Fault) -> None:
    end = _end(house, fault)
    end.pause()
    try:
        house.done[fault.kind] += 1
        await house.sleep(fault.seconds)
    finally:
        end.resume()


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
    await _limited(house, fault, end.largest_file())


async def _disk_fails(house: House, fault: Fault) -> None:
    await _limited(house, fault, 0)


async def _limited(house: House, fault: Fault, size: int) -> None:
    end = _end(house, fault)
    if end.limit(size):
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
