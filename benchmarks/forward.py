"""How fast do events leave for a webhook, and what does that cost the ingest?

SQLite and PostgreSQL, no images, as CloudEvents. The destination is another process, which takes everything. The peer
is an aiohttp client that sends bodies of the same size to it, with as many requests under way. Each side is a process
of its own. Then pushes come in as fast as they are answered, with three destinations and without; and one by one while
nothing else happens.
"""

import asyncio
import http.client
import shutil
import sys
import time
from contextlib import closing
from pathlib import Path
from statistics import median

import aiohttp
import uvloop
from aiohttp import web

from benchmarks.bench import Bench
from benchmarks.forward_roles import IN_FLIGHT, destination, role
from benchmarks.load import wrk
from benchmarks.payloads import bodies, run_id, write_template
from benchmarks.programs import BenchmarkError, free_port, gatepost, postgres, start
from benchmarks.report import Row
from benchmarks.stocked import stock, stock_into
from gatepost.store.postgres.store import PostgresStore
from gatepost.store.sqlite.store import SqliteStore

RECORDS = 20_000
BACKLOG = 1_000_000
IDLE = 1_000
"""Destinations that have nothing to be sent."""
LOOPBACK = {"GATEPOST_FORWARD_NETWORKS": "127.0.0.0/8"}


def run(bench: Bench) -> list[Row]:
    """Fill a store, and empty it into a destination `rounds` times in each way."""
    folder = bench.folder("forward")
    count, backlog = bench.sized(RECORDS), bench.sized(BACKLOG)
    bench.say(f"storing {count:,} and {backlog:,} records")
    stock(folder / "data", count)
    stock(folder / "backlog", backlog)
    port = free_port()
    hook = [sys.executable, "-m", "benchmarks.peers.hook", str(port)]
    found: dict[str, list[dict[str, float]]] = {}
    with start("hook", hook, folder=folder, port=port), postgres(folder / "pg") as database:
        with closing(PostgresStore.open(database)) as store:
            stock_into(store, count)
        url = f"http://127.0.0.1:{port}/"
        for _ in range(bench.rounds):
            for name, told in (
                ("peer", ["client", url, str(count)]),
                ("single", ["send", str(folder / "data"), url, "1", str(count)]),
                ("batch", ["send", str(folder / "data"), url, "64", str(count)]),
                ("postgres", ["send", database, url, "1", str(count)]),
                ("backlog", ["send", str(folder / "backlog"), url, "1", str(count)]),
            ):
                found.setdefault(name, []).append(role(*told))
                bench.say(f"  {name}: {found[name][-1]}")
        idle = role("idle", str(folder / "data"), url, str(bench.sized(IDLE)), str(bench.seconds * 2))
        ingest = _ingest(bench, folder, url)
    delays = _delays(bench, folder)
    shutil.rmtree(folder)
    rate = {name: median(one["rate"] for one in runs) for name, runs in found.items()}
    memory = {name: median(one["mb"] for one in runs) for name, runs in found.items()}
    client = f"aiohttp client, {IN_FLIGHT} in flight"
    return [
        _row("events a second, one a request", rate["single"], client, rate["peer"], 0.7),
        _row("events a second, one a request, PostgreSQL", rate["postgres"], client, rate["peer"], 0.7),
        _row("events a second, 64 a request", rate["batch"], "one a request", rate["single"], 2),
        _row(
            f"events a second with {backlog:,} waiting",
            rate["backlog"],
            f"with {count:,}",
            rate["single"],
            0.8,
        ),
        Row(
            what="memory more with them",
            value=memory["backlog"] - memory["single"],
            unit="MB",
            target=20,
            at_most=True,
        ),
        _row("pushes a second with 3 destinations", ingest[1], "with none", ingest[0], 0.95),
        Row(
            what="from the reply to the destination, 99 of 100",
            value=delays,
            unit="ms",
            target=100,
            at_most=True,
        ),
        Row(
            what=f"{bench.sized(IDLE):,} idle destinations",
            value=idle["cores"] * 100,
            unit="% of a core",
            target=2,
            at_most=True,
        ),
    ]


def _row(what: str, value: float, peer: str, peer_value: float, target: float) -> Row:
    return Row(what=what, value=value, unit="/s", peer=peer, peer_value=peer_value, target=target)


def _ingest(bench: Bench, folder: Path, url: str) -> tuple[float, float]:
    """Pushes acknowledged a second without destinations, and with three."""
    template = write_template(folder / "wrk", image=False)
    rates: dict[int, list[float]] = {0: [], 3: []}
    for _ in range(bench.rounds):
        for number, found in rates.items():
            data = folder / f"ingest-{number}"
            shutil.rmtree(data, ignore_errors=True)
            _destinations(data, url, number)
            port = free_port()
            with start("receiver", _receiver(data, port), folder=folder, port=port, env=LOOPBACK):
                _first_push(port)
                found.append(wrk(port, template, seconds=bench.seconds).rate)
        bench.say(f"  pushes: {rates[0][-1]:.0f} without, {rates[3][-1]:.0f} with 3 destinations")
    return median(rates[0]), median(rates[3])


def _first_push(port: int) -> None:
    """Wait until a receiver takes pushes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(
        "POST", "/Record", bodies(run_id(), image=False)(0), {"Content-Type": "application/json"}
    )
    if connection.getresponse().status != 200:
        raise BenchmarkError("the receiver does not take pushes")
    connection.close()


def _receiver(data: Path, port: int) -> list[str]:
    listen = f"127.0.0.1:{port}"
    return gatepost("serve", "--data", data, "--listen", listen)


def _destinations(data: Path, url: str, count: int) -> None:
    with closing(SqliteStore.open(data)) as store:
        for number in range(count):
            destination(store, url, name=str(number))


def _delays(bench: Bench, folder: Path) -> float:
    """Milliseconds from the reply to a push to the request to a destination, of 99 of 100."""
    port, hook = free_port(), free_port()
    data = folder / "delays"
    _destinations(data, f"http://127.0.0.1:{hook}/", 1)
    with start("receiver", _receiver(data, port), folder=folder, port=port, env=LOOPBACK):
        return uvloop.run(_measure_delays(port, hook, max(20, round(20 * bench.seconds))))


async def _measure_delays(port: int, hook: int, count: int) -> float:
    seen: list[float] = []

    async def take(request: web.Request) -> web.Response:
        await request.read()
        seen.append(time.perf_counter())
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", hook).start()
    body, delays = bodies(run_id(), image=False), []
    async with aiohttp.ClientSession() as session:
        for number in range(count + 1):
            async with session.post(f"http://127.0.0.1:{port}/Record", data=body(number)) as reply:
                await reply.read()
            began, before = time.perf_counter(), number
            while len(seen) <= before:
                if time.perf_counter() - began > 30:
                    raise BenchmarkError("an event did not reach the destination")
                await asyncio.sleep(0.001)
            delays.append(max(0.0, seen[before] - began) * 1000)
            await asyncio.sleep(0.03)
    await runner.cleanup()
    return sorted(delays[1:])[int(0.99 * (count - 1))]
