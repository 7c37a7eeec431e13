"""How long do six passages with 30 KB JPEGs take over a link of 4 KB/s, against what the link needs for their bytes?

The link is the proxy of the tests, and so is the receiver, which reads a push to its end before it replies; nginx does
not. As a wire the link holds next to nothing itself; as a modem it acknowledges whole pushes and sends them on later.
What it needs is the bytes that it passed on, at its rate.
"""

import asyncio
import itertools
import time

from tests.faults.bad_receiver import BadReceiver, good
from tests.faults.slow_link import WIRE, SlowLink

from benchmarks.backlog import SERIAL, opened, passages
from benchmarks.bench import Bench
from benchmarks.programs import BenchmarkError
from benchmarks.report import Row
from gatepost.terminal import Terminal

PASSAGES = 6
RATE = 4096
LONGEST_SECONDS = 300.0


def run(bench: Bench) -> list[Row]:
    """Push them over each kind of link once: a minute each, and the rate is the link's own."""
    rows = []
    for kind, buffer in (("a wire", WIRE), ("a modem", None)):
        took, need = asyncio.run(_push(bench, kind, buffer))
        bench.say(f"  {kind} {took:.1f} s, the link needs {need:.1f} s")
        rows.append(
            Row(
                what=f"{PASSAGES} passages over 4 KB/s, {kind}",
                value=took,
                unit="s",
                peer="the link itself",
                peer_value=need,
                target=1.3,
                at_most=True,
            )
        )
    return rows


async def _push(bench: Bench, kind: str, buffer: int | None) -> tuple[float, float]:
    """Seconds from the subscription to the last delivery, and those that the link needs for as many bytes."""
    data = bench.folder(f"slow-link-{kind.replace(' ', '-')}")
    async with opened(data) as terminal:
        for passage in itertools.islice(passages(), PASSAGES):
            await terminal.record(passage)
    async with (
        BadReceiver(good) as receiver,
        SlowLink(receiver.port, rate=RATE, buffer=buffer) as link,
        Terminal(SERIAL, data) as terminal,
    ):
        began = time.monotonic()
        await terminal.subscribe(link.url)
        while (await terminal.status()).delivered < PASSAGES:
            if time.monotonic() - began > LONGEST_SECONDS:
                raise BenchmarkError(f"{PASSAGES} passages took more than {LONGEST_SECONDS:g} s")
            await asyncio.sleep(0.1)
        took = time.monotonic() - began
        if len(receiver.requests) != PASSAGES:
            raise BenchmarkError("some passages were sent twice")
        return took, link.passed / RATE
