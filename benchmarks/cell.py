"""What do quorum commit and more receivers on one database cost?

*Quorum*: a receiver whose pushes are acknowledged after the commit (`acknowledge_after = "store"`), on PostgreSQL with
two standbys of which one has each commit on disk, against one on a single PostgreSQL; no image, `wrk -t1 -c64`, in
turns. *CPU of an event*: one to four receivers on one PostgreSQL take 200 events a second each; what they and the
database use meanwhile is divided by the events. The rate is fixed, because with more load more events share a commit.
"""

import asyncio
import os
import shutil
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import median

import aiohttp

from benchmarks.bench import Bench
from benchmarks.cell_servers import STANDBYS, cluster
from benchmarks.load import wrk
from benchmarks.payloads import bodies, run_id, write_template
from benchmarks.probe import post_one, stored
from benchmarks.programs import BenchmarkError, Program, free_port, gatepost, start
from benchmarks.report import Row

EVENTS_PER_SECOND = 200
"""To each receiver."""
RECEIVERS = (1, 2, 3, 4)
AT_ONCE = 32
LISTED_S = 120.0
SETTLED_S = 3.0
"""For what a receiver does once after its start."""


def run(bench: Bench) -> list[Row]:
    """Measure quorum commit, then one to four receivers."""
    return [_quorum(bench), *_receivers(bench)]


def _quorum(bench: Bench) -> Row:
    folder = bench.folder("cell-quorum")
    template = write_template(folder / "wrk", image=False)
    rates: dict[str, list[float]] = {"one": [], "quorum": []}
    with ExitStack() as stack:
        ports = {}
        for name in rates:
            url, _ = stack.enter_context(cluster(folder / name, standbys=STANDBYS if name == "quorum" else 0))
            ports[name], _ = _receiver(stack, folder / f"receiver-{name}", url, after="store")
        for _ in range(bench.rounds):
            for name, port in ports.items():
                rates[name].append(wrk(port, template, seconds=bench.seconds).rate)
                bench.say(f"  {name} {rates[name][-1]:,.0f}/s")
    shutil.rmtree(folder)
    return Row(
        what="quorum commit on three nodes, acknowledged after it, no image",
        value=median(rates["quorum"]),
        unit="/s",
        peer="one PostgreSQL",
        peer_value=median(rates["one"]),
        target=0.8,
    )


def _receivers(bench: Bench) -> list[Row]:
    folder = bench.folder("cell-receivers")
    spent: dict[int, list[float]] = {count: [] for count in RECEIVERS}
    with ExitStack() as stack:
        url, servers = stack.enter_context(cluster(folder / "pg", standbys=0))
        for turn in range(bench.rounds):
            for count, found in spent.items():
                with ExitStack() as receivers:
                    running = [
                        _receiver(receivers, folder / f"{turn}-{count}-{number}", url)
                        for number in range(count)
                    ]
                    time.sleep(SETTLED_S)
                    found.append(_microseconds(bench, url, running, servers))
                bench.say(f"  {count} receivers: {found[-1]:,.0f} µs an event")
    shutil.rmtree(folder)
    one = median(spent[1])
    return [
        Row(
            what=f"CPU time of an event with {count} receivers",
            value=median(spent[count]),
            unit="µs",
            peer="1 receiver",
            peer_value=one,
            target=1.15,
            at_most=True,
        )
        for count in RECEIVERS[1:]
    ]


def _receiver(stack: ExitStack, data: Path, url: str, *, after: str = "journal") -> tuple[int, Program]:
    port = free_port()
    command = gatepost("serve", "--data", data, "--listen", f"127.0.0.1:{port}", "--database", url)
    env = {"GATEPOST_ACKNOWLEDGE_AFTER": after}
    program = stack.enter_context(
        start(data.name, command, folder=data.parent / f"{data.name}.out", env=env, port=port)
    )
    post_one(port, bodies(run_id(), image=False)(0))
    return port, program


def _microseconds(
    bench: Bench, url: str, receivers: list[tuple[int, Program]], servers: list[Program]
) -> float:
    """Return the CPU time of receivers and database for an event, from the first push until all are listed."""
    database = url.replace("postgresql://", "postgresql+psycopg://")
    programs = [*servers, *(program for _, program in receivers)]
    rate = EVENTS_PER_SECOND * len(receivers)
    count = max(100, round(rate * bench.seconds))
    before, spent = stored(database), sum(map(_cpu_seconds, programs))
    asyncio.run(_push([port for port, _ in receivers], count, rate=rate))
    end = time.monotonic() + LISTED_S
    while stored(database) < before + count:
        if time.monotonic() > end:
            raise BenchmarkError(
                f"{count} events were acknowledged, and {stored(database) - before} are listed"
            )
        time.sleep(0.05)
    return (sum(map(_cpu_seconds, programs)) - spent) / count * 1e6


def _cpu_seconds(program: Program) -> float:
    """Return the CPU time of a program's processes, those included that have ended: PostgreSQL has one a connection."""
    ticks = 0
    for pid in program.pids:
        with suppress(
            FileNotFoundError, ProcessLookupError
        ):  # it has ended meanwhile, and counts at its parent
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


async def _push(ports: list[int], count: int, *, rate: float) -> None:
    """Push so many events at the rate, to one receiver after the other, each at its moment or as soon as it can be."""
    body, begins = bodies(run_id(), image=False), time.perf_counter()
    left = iter(range(count))

    async def worker(session: aiohttp.ClientSession) -> None:
        for number in left:
            await asyncio.sleep(max(0.0, begins + number / rate - time.perf_counter()))
            url = f"http://127.0.0.1:{ports[number % len(ports)]}/Record"
            async with session.post(url, data=body(number)) as reply:
                text = await reply.read()
                if reply.status != 200:
                    raise BenchmarkError(f"a push got {reply.status}: {text[:200]!r}")

    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(headers=headers) as session:
        await asyncio.gather(*(worker(session) for _ in range(AT_ONCE)))
