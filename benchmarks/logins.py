"""How long does a request wait while 40 clients try passwords without pause, each time from another address?

SQLite, 200 terminals. A receiver behind a proxy takes the addresses of the clients from its header; every attempt names
another account, so no attempt is held back, and each costs a hash of 64 MB or a 429. Meanwhile one client lists the
terminals, one request after the other. The clients are another process.
"""

import asyncio
import http.client
import itertools
import json
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from statistics import median

import uvloop

from benchmarks.bench import Bench
from benchmarks.programs import BenchmarkError, api_token, free_port, gatepost, start
from benchmarks.report import Row
from gatepost.store.interface import NewTerminal
from gatepost.store.sqlite.store import SqliteStore

CLIENTS = 40
TERMINALS = 200
LIMIT_MS = 100
MEMORY_MB = 400
"""Of all processes: 250 as ever, and two hashes of 64 MB."""

TRIED = (401, 429)
"""A password was compared, or too many log in at once."""


def run(bench: Bench) -> list[Row]:
    """List without logins and with them, in turns; each figure is the median of the rounds."""
    folder, port = bench.folder("logins"), free_port()
    _stock(folder / "data")
    command = gatepost("serve", "--data", folder / "data", "--listen", f"127.0.0.1:{port}")
    alone: list[tuple[float, float]] = []
    beside: list[tuple[float, float]] = []
    tried: list[float] = []
    with start(
        "receiver", command, folder=folder, env={"GATEPOST_TRUSTED_PROXIES": "127.0.0.1"}, port=port
    ) as receiver:
        token = api_token(folder / "data")
        for _ in range(bench.rounds):
            alone.append(_listing(port, token, seconds=bench.seconds))
            with _clients(port) as counted:
                beside.append(_listing(port, token, seconds=bench.seconds))
            tried.append(counted[401] / bench.seconds)
            bench.say(
                "  alone p50 {:.0f} ms, p99 {:.0f} ms;".format(*alone[-1])
                + " during logins p50 {:.0f} ms, p99 {:.0f} ms;".format(*beside[-1])
                + f" {counted[401]} compared, {counted[429]} held off"
            )
        memory = receiver.peak_mb()
    rows = []
    for when, found, target in (("no logins", alone, None), (f"{CLIENTS} that log in", beside, LIMIT_MS)):
        half, most = (median(column) for column in zip(*found, strict=True))
        what = f"GET /api/v1/terminals, {TERMINALS} terminals, {when}:"
        rows += [
            Row(what=f"{what} half within", value=half, unit="ms", at_most=True),
            Row(what=f"{what} 99 % within", value=most, unit="ms", target=target, at_most=True),
        ]
    return [
        *rows,
        Row(what="passwords compared meanwhile", value=median(tried), unit="/s"),
        Row(what="peak resident memory", value=memory, unit="MB", target=MEMORY_MB, at_most=True),
    ]


def _stock(data: object) -> None:
    store = SqliteStore.open(data)  # type: ignore[arg-type]
    store.ensure_terminals([NewTerminal(f"SN-{number:04}", 0) for number in range(TERMINALS)])
    store.close()


def _listing(port: int, token: str, *, seconds: float) -> tuple[float, float]:
    """List the terminals again and again; return in how many ms half of the replies came, and 99 of 100."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    took: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.perf_counter()
        connection.request("GET", "/api/v1/terminals", headers={"Authorization": f"Bearer {token}"})
        reply = connection.getresponse()
        text = reply.read()
        took.append((time.perf_counter() - began) * 1000)
        if reply.status != 200 or len(json.loads(text)["items"]) != TERMINALS:
            raise BenchmarkError(f"the list of terminals is answered with {reply.status} {text[:200]!r}")
    connection.close()
    took.sort()
    return median(took), took[min(len(took) - 1, int(len(took) * 0.99))]


@contextmanager
def _clients(port: int) -> Iterator[Counter[int]]:
    """Have the clients try, from before until after; yield what becomes the number of replies by status."""
    counted: Counter[int] = Counter()
    ours, theirs = multiprocessing.Pipe()
    clients = multiprocessing.get_context("spawn").Process(target=_try_all, args=(port, theirs), daemon=True)
    clients.start()
    try:
        if not ours.poll(30):
            raise BenchmarkError("the clients that log in do not start")
        ours.recv()
        yield counted
        ours.send("stop")
        if not ours.poll(30):
            raise BenchmarkError("the clients that log in do not end")
        counted.update(ours.recv())
    finally:
        clients.kill()
        clients.join()
    if not counted[401] or counted.keys() - set(TRIED):
        raise BenchmarkError(f"the clients that log in got {dict(counted)}")


def _try_all(port: int, line: Connection) -> None:
    uvloop.run(_try(port, line))


async def _try(port: int, line: Connection) -> None:
    counted: Counter[int] = Counter()
    numbers = itertools.count()
    tasks = [asyncio.create_task(_one(port, numbers, counted)) for _ in range(CLIENTS)]
    while not counted:  # noqa: ASYNC110 - the replies come from another process
        await asyncio.sleep(0.01)
    counted.clear()
    line.send("trying")
    await asyncio.to_thread(line.recv)
    line.send(dict(counted))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _one(port: int, numbers: Iterator[int], counted: Counter[int]) -> None:
    """Log in for ever on one connection, as another person from another address each time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        number = next(numbers)
        body = json.dumps({"name": f"person {number}", "password": "no password of anybody"}).encode()
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        head = (
            f"POST /api/v1/session HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            f"X-Forwarded-For: {address}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        length = next(int(one.partition(":")[2]) for one in lines if one.startswith("content-length:"))
        await reader.readexactly(length)
        counted[int(lines[0].split()[1])] += 1
