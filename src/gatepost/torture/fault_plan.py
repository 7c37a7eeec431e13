"""Plan which fault happens to what, and when, from a seed. Pure.

Rules:

- Four tracks run at the same time, so that faults coincide: the network, the processes, the state of the ends
  (subscription, disk, clock), and the destination. The faults of one track never overlap.
- A track begins with each of its kinds once, in an order drawn from the seed, so that a short run misses none. It goes
  on at random.
- The same seed makes the same plan. How much of the plan is carried out depends on the machine.
"""

import random
from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct

__all__ = ["ALL", "DESTINATION", "LINE", "PROCESSES", "STATE", "TRACKS", "Fault", "Kind", "plan"]

ALL = -1
"""The target of a fault of every proxy."""


class Kind(StrEnum):
    """The kinds of faults."""

    REFUSE = "refuse"
    HANG = "hang"
    RESET = "reset"
    DELAY = "delay"
    DUPLICATE = "duplicate"
    TRUNCATE = "truncate"
    LOSE_REPLY = "lose-reply"
    CUT_REPLY = "cut-reply"
    THROTTLE = "throttle"
    IMPOSTOR = "impostor"

    KILL_TERMINAL = "kill-terminal"
    TERM_TERMINAL = "term-terminal"
    STOP_TERMINAL = "stop-terminal"
    KILL_RECEIVER = "kill-receiver"
    TERM_RECEIVER = "term-receiver"
    STOP_RECEIVER = "stop-receiver"
    TERMINAL_READ_ONLY = "terminal-read-only"
    RECEIVER_READ_ONLY = "receiver-read-only"

    SUBSCRIBE_AGAIN = "subscribe-again"
    MOVE = "move"
    SWITCH_OFF = "switch-off"
    TERMINAL_DISK_FULL = "terminal-disk-full"
    TERMINAL_DISK_FAILS = "terminal-disk-fails"
    RECEIVER_DISK_FULL = "receiver-disk-full"
    RECEIVER_DISK_FAILS = "receiver-disk-fails"
    TERMINAL_CLOCK = "terminal-clock"
    RECEIVER_CLOCK = "receiver-clock"

    DESTINATION_REFUSE = "destination-refuse"
    DESTINATION_HANGS = "destination-hangs"
    DESTINATION_LOSES_REPLY = "destination-loses-reply"
    DESTINATION_BUSY = "destination-busy"
    DESTINATION_FAILS = "destination-fails"


LINE = (
    Kind.REFUSE, Kind.HANG, Kind.RESET, Kind.DELAY, Kind.DUPLICATE, Kind.TRUNCATE, Kind.LOSE_REPLY, Kind.CUT_REPLY,
    Kind.THROTTLE, Kind.IMPOSTOR,
)  # fmt: skip
"""Faults by the proxies."""

PROCESSES = (
    Kind.KILL_TERMINAL, Kind.TERM_TERMINAL, Kind.STOP_TERMINAL, Kind.KILL_RECEIVER, Kind.TERM_RECEIVER,
    Kind.STOP_RECEIVER, Kind.TERMINAL_READ_ONLY, Kind.RECEIVER_READ_ONLY,
)  # fmt: skip
"""Faults by signals. A read-only disk is among them, because two tracks must not start one process."""

STATE = (
    Kind.SUBSCRIBE_AGAIN, Kind.MOVE, Kind.SWITCH_OFF, Kind.TERMINAL_DISK_FULL, Kind.TERMINAL_DISK_FAILS,
    Kind.RECEIVER_DISK_FULL, Kind.RECEIVER_DISK_FAILS, Kind.TERMINAL_CLOCK, Kind.RECEIVER_CLOCK,
)  # fmt: skip
"""Faults of subscription, disk and clock."""

DESTINATION = (
    Kind.DESTINATION_REFUSE, Kind.DESTINATION_HANGS, Kind.DESTINATION_LOSES_REPLY, Kind.DESTINATION_BUSY,
    Kind.DESTINATION_FAILS,
)  # fmt: skip
"""Faults by the destination."""

TRACKS = (LINE, PROCESSES, STATE, DESTINATION)

LONGEST_S = {Kind.HANG: 3.0, Kind.STOP_TERMINAL: 2.0, Kind.STOP_RECEIVER: 3.0}
LONGEST_OTHER_S = 1.5
LONGEST_PAUSE_S = 0.8

TERMINAL_CLOCK_S = 30 * 86_400.0
RECEIVER_CLOCK_S = 1.5 * 86_400.0
"""Not more: a receiver whose clock is months off deletes by its retention, as it must."""


class Fault(Struct, frozen=True):
    """One fault."""

    kind: Kind
    target: int
    """The number of the terminal or proxy, or :data:`ALL`."""
    seconds: float
    """Its duration."""
    pause: float
    """Seconds without a fault before it."""
    amount: float
    """By kind: seconds that a clock is off, seconds of delay, or a number to choose by."""


def plan(seed: int, track: tuple[Kind, ...], *, terminals: int) -> Iterator[Fault]:
    """Return the faults of one track, without an end."""
    rand = random.Random(f"{seed}/{track[0]}/{len(track)}")  # noqa: S311 (a plan, no secret)
    for kind in rand.sample(track, len(track)):
        yield _fault(kind, rand, terminals)
    while True:
        yield _fault(rand.choice(track), rand, terminals)


def _fault(kind: Kind, rand: random.Random, terminals: int) -> Fault:
    target = rand.randrange(terminals)
    if kind in LINE and rand.random() < 0.3:
        target = ALL
    amount = rand.random()
    if kind is Kind.TERMINAL_CLOCK:
        amount = rand.uniform(-TERMINAL_CLOCK_S, TERMINAL_CLOCK_S)
    elif kind is Kind.RECEIVER_CLOCK:
        amount = rand.uniform(-RECEIVER_CLOCK_S, RECEIVER_CLOCK_S)
    longest = LONGEST_S.get(kind, LONGEST_OTHER_S)
    return Fault(kind, target, rand.uniform(0.2, longest), rand.uniform(0.05, LONGEST_PAUSE_S), amount)
