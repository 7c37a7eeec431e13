"""Do 2,000 terminals with open connections and 0.2 events a second each get through, without a refusal and in time?

Each terminal keeps one connection from a loopback address of its own and posts events with a 30 KB JPEG at random times
(a Poisson process); the time of an event runs from the moment it was due, so that waiting in the client counts too.
The connections are made in the first seconds and are no part of the figure.
"""

import asyncio
import json
import random
import resource
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.bench import Bench
from benchmarks.payloads import bodies, run_id
from benchmarks.programs import BenchmarkError, free_port, gatepost, start
from benchmarks.report import Row

TERMINALS = 2_000
EVENTS_PER_SECOND = 0.2
REPLY_SECONDS = 10.0


@dataclass
class Tally:
    """What the fleet met."""

    seconds: list[float] = field(default_factory=list)
    refused: int = 0
    again: int = 0
    why: set[str] = field(default_factory=set)

    def percentile(self, q: float) -> float:
        """Milliseconds."""
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(len(self.seconds) * q))] * 1e3


def run(bench: Bench) -> list[Row]:
    """Measure one fleet for `seconds` × `rounds` × 2."""
    folder = bench.folder("fleet")
    port = free_port()
    terminals = bench.sized(TERMINALS)
    raise_file_limit(terminals + 200)
    command = gatepost("serve", "--data", folder / "data", "--listen", f"127.0.0.1:{port}")
    with start("receiver", command, folder=folder, port=port) as receiver:
        tally = asyncio.run(_fleet(port, terminals, seconds=bench.seconds * bench.rounds * 2))
        peak = receiver.peak_mb()
    shutil.rmtree(folder)
    if not tally.seconds:
        raise BenchmarkError(f"nothing was acknowledged: {tally.why}")
    bench.say(
        f"{len(tally.seconds)} acknowledged, {tally.again} after connecting again, "
        f"{tally.refused} refused {sorted(tally.why)[:3]}"
    )
    what = f"{terminals:,} terminals"
    return [
        Row(what=f"{what}: refused or lost", value=tally.refused, unit="events", target=0, at_most=True),
        Row(what=f"{what}: half within", value=tally.percentile(0.5), unit="ms"),
        Row(what=f"{what}: 99 % within", value=tally.percentile(0.99), unit="ms", target=20, at_most=True),
        Row(what=f"{what}: peak resident memory", value=peak, unit="MB", target=350, at_most=True),
    ]


def raise_file_limit(files: int) -> None:
    """Let this process, and what it starts, have so many open files, as far as the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(files, hard), hard))


async def _fleet(port: int, terminals: int, *, seconds: float) -> Tally:
    tally = Tally()
    body = bodies(run_id(), image=True)
    rand = random.Random(2000)
    begins = time.perf_counter() + 2 + terminals / 1000
    jobs = [
        _terminal(port, n, body, random.Random(rand.random()), tally, begins=begins, ends=begins + seconds)
        for n in range(terminals)
    ]
    await asyncio.gather(*jobs)
    return tally


async def _terminal(
    port: int,
    number: int,
    body: Callable[[int], bytes],
    rand: random.Random,
    tally: Tally,
    *,
    begins: float,
    ends: float,
) -> None:
    await asyncio.sleep(number / 1000)
    link = Link(port, f"127.1.{number // 200}.{1 + number % 200}")
    try:
        await link.connect()
        sent = 0
        due = begins + rand.expovariate(EVENTS_PER_SECOND)
        while due < ends:
            await asyncio.sleep(due - time.perf_counter())
            sent += 1
            event = body(number * 1000 + sent)
            try:
                await asyncio.wait_for(link.post(event), REPLY_SECONDS)
            except (asyncio.IncompleteReadError, ConnectionError):
                tally.again += 1  # closed while idle: a terminal connects again and pushes again
                await link.connect()
                await asyncio.wait_for(link.post(event), REPLY_SECONDS)
            tally.seconds.append(time.perf_counter() - due)
            due += rand.expovariate(EVENTS_PER_SECOND)
    except (BenchmarkError, OSError, asyncio.IncompleteReadError, TimeoutError) as error:
        tally.refused += 1
        tally.why.add(repr(error))
    finally:
        link.close()


class Link:
    """One terminal's connection."""

    def __init__(self, port: int, own: str) -> None:
        self._port = port
        self._own = own
        self._writer: asyncio.StreamWriter | None = None

    async def connect(self) -> None:
        """Connect, or connect again. Raises OSError."""
        self.close()
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._port, local_addr=(self._own, 0)
        )

    def close(self) -> None:
        """Close without waiting. Idempotent."""
        if self._writer is not None:
            self._writer.close()

    async def post(self, body: bytes) -> None:
        """Post one event and read the whole answer; anything but `code` 200 is a BenchmarkError."""
        assert self._writer is not None
        self._writer.write(
            b"POST /Record HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        reply = await self._reader.readexactly(length)
        if json.loads(reply).get("code") != 200:
            raise BenchmarkError(f"answered {reply[:200]!r}")
