"""A process that records and drains as fast as it can, until somebody kills it.

Started once, it forks for every line ``FOLDER SEED ROUND`` on its standard input, so that a hundred processes cost no
hundred imports. What a child did goes to standard output, a line a step, after it was done: ``P pid`` at the start,
``L ok`` when the ledger of the outbox that it found adds up, ``A name`` when ``put()`` had returned, ``D name`` when an
event was delivered (and not yet acknowledged).
"""

import asyncio
import os
import random
import sys
from pathlib import Path

import structlog
from tests.terminal.outbox_kit import alarm, assert_the_ledger_adds_up, name, record

from gatepost.retry import DeadLetter, Done, RetryAt, Step
from gatepost.terminal.outbox.outbox import Outbox

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # what is said has its own words

WINDOW = 4

SIZES = (0, 100, 30_000, 200_000)
"""Bytes of a photograph; the large ones fill segments within a few rounds."""


def say(what: str) -> None:
    os.write(1, what.encode() + b"\n")


async def work(folder: Path, seed: int, turn: int) -> None:
    rand = random.Random(seed * 1000 + turn)
    outbox = await Outbox.open(folder / "outbox")
    await assert_the_ledger_adds_up(outbox)
    say("L ok")
    await asyncio.gather(
        *(record_for_ever(outbox, f"{turn}-{hand}", rand) for hand in range(3)), drain(outbox, rand)
    )


async def record_for_ever(outbox: Outbox, hand: str, rand: random.Random) -> None:
    number = 0
    while True:
        number += 1
        if rand.random() < 0.2:
            trace = f"{hand}-{number}"
            await outbox.put(alarm(trace, 1))
            say(f"A {trace}:1")
        else:
            event = record(image=rand.randbytes(rand.choice(SIZES)))
            uuid = f"{hand}-{number}"
            await outbox.put(type(event)(uuid=uuid, image=event.image))
            say(f"A {uuid}")


async def drain(outbox: Outbox, rand: random.Random) -> None:
    now = 1_700_000_000.0
    while True:
        now += 1
        results: list[tuple[int, Step]] = []
        for event in await outbox.claim(WINDOW, now=now):
            step: Step = rand.choice((Done(), Done(), RetryAt(now + 2, refused=True), DeadLetter("no")))
            if isinstance(step, Done):
                say(f"D {name(event)}")
            results.append((event.id, step))
        await outbox.settle(results)


def main() -> None:
    for line in sys.stdin:
        folder, seed, turn = line.rsplit(" ", 2)
        pid = os.fork()
        if pid == 0:
            say(f"P {os.getpid()}")
            try:
                asyncio.run(work(Path(folder), int(seed), int(turn)))
            finally:
                os._exit(1)
        _, status = os.waitpid(pid, 0)
        say(f"X {status}")


if __name__ == "__main__":
    main()
