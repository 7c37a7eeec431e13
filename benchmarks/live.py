"""How long after its acknowledgement does an event reach 50 readers of the live stream, at 500 events a second?

SQLite, no image. The readers and the senders are one other process; an event's time is from the moment its sender has
the reply to the moment a reader has the event. Every reader must get every acknowledged event exactly once.
"""

import asyncio
import re
import time
from collections.abc import Sequence
from statistics import median

import uvloop

from benchmarks.bench import Bench
from benchmarks.payloads import bodies, run_id
from benchmarks.programs import BenchmarkError, api_token, free_port, gatepost, start
from benchmarks.report import Row

READERS = 50
STREAMS = 20
"""Of one account, or of one token that has none: `receiver/api/access/shares.py`."""
RATE = 500
SENDERS = 16
LIMIT_MS = 100
UUID = re.compile(rb'"uuid":"([0-9a-f-]{36})"')


def run(bench: Bench) -> list[Row]:
    """Follow `rounds` runs; the median of their figures counts."""
    folder = bench.folder("live")
    port = free_port()
    command = gatepost("serve", "--data", folder / "data", "--listen", f"127.0.0.1:{port}")
    found: list[list[float]] = []
    with start("receiver", command, folder=folder, port=port) as receiver:
        tokens = [
            api_token(folder / "data", name=f"benchmark {first}") for first in range(0, READERS, STREAMS)
        ]
        for _ in range(bench.rounds):
            before = receiver.cpu_seconds()
            delays = uvloop.run(_measure(port, tokens, seconds=bench.seconds))
            cores = (receiver.cpu_seconds() - before) / bench.seconds
            found.append([_part(delays, share) for share in (0.5, 0.99, 1.0)] + [cores])
            bench.say("  p50 {:.0f} ms, p99 {:.0f} ms, slowest {:.0f} ms, {:.2f} cores".format(*found[-1]))
        memory = receiver.peak_mb()
    half, most, slowest, cores = (median(column) for column in zip(*found, strict=True))
    what = f"{RATE} events/s to {READERS} readers: from the reply to a reader,"
    return [
        Row(what=f"{what} half of them", value=half, unit="ms", at_most=True),
        Row(what=f"{what} 99 of 100", value=most, unit="ms", target=LIMIT_MS, at_most=True),
        Row(what=f"{what} the slowest", value=slowest, unit="ms", at_most=True),
        Row(what="processor of the receiver", value=cores, unit="cores", at_most=True),
        Row(what="peak resident memory", value=memory, unit="MB", target=350, at_most=True),
    ]


def _part(delays: list[float], share: float) -> float:
    return sorted(delays)[min(len(delays) - 1, int(len(delays) * share))] * 1000


async def _measure(port: int, tokens: Sequence[str], *, seconds: float) -> list[float]:
    """Every delay of every reader, in seconds. Raises BenchmarkError where an event is missing or repeated."""
    readers = [_Reader() for _ in range(READERS)]
    loop = asyncio.get_running_loop()
    for number, reader in enumerate(readers):
        token = tokens[number // STREAMS]
        transport, _ = await loop.create_connection(lambda reader=reader: reader, "127.0.0.1", port)  # type: ignore[misc]
        head = f"GET /api/v1/live HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n"
        transport.write(head.encode())
        await asyncio.wait_for(reader.begun.wait(), 30)
        if reader.refusal:
            raise BenchmarkError(f"reader {number + 1} of the live stream got {reader.refusal}")
    acknowledged = await _send(port, seconds=seconds)
    await asyncio.sleep(1.0)  # whatever takes longer than this is missing
    delays: list[float] = []
    for reader in readers:
        if reader.seen.keys() != acknowledged.keys() or reader.repeated:
            missing = len(acknowledged.keys() - reader.seen.keys())
            raise BenchmarkError(f"a reader misses {missing} events and has {reader.repeated} twice")
        delays += [max(0.0, reader.seen[uuid] - at) for uuid, at in acknowledged.items()]
        reader.close()
    return delays


class _Reader(asyncio.Protocol):
    """Notes when each event came."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.refusal = ""
        """What it got instead of a stream."""
        self.seen: dict[bytes, float] = {}
        self.repeated = 0
        self._rest = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream's: uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if not self.begun.is_set():
            self._rest += data
            head, end, body = self._rest.partition(b"\r\n\r\n")
            status = head.partition(b"\r\n")[0]
            if end and b" 200 " not in status:
                self.refusal = f"{status!r} {body[:200]!r}"
            if self.refusal or b"id: " in body:
                self._rest = b""
                self.begun.set()
            return
        data = self._rest + data
        done = 0
        for match in UUID.finditer(data):
            self.repeated += match[1] in self.seen
            self.seen[match[1]] = now
            done = match.end()
        self._rest = data[max(done, len(data) - 64) :]

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


async def _send(port: int, *, seconds: float) -> dict[bytes, float]:
    """Push `RATE` events a second; when each was acknowledged, by its uuid."""
    body, acknowledged = bodies(run_id(), image=False), dict[bytes, float]()
    count, begin = round(RATE * seconds), time.perf_counter()

    async def sender(first: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for n in range(first, count, SENDERS):
            await asyncio.sleep(begin + n / RATE - time.perf_counter())
            push = body(n)
            head = f"POST /Record HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(push)}\r\n"
            writer.write(head.encode() + b"Content-Type: application/json\r\n\r\n" + push)
            reply = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", reply)
            text = await reader.readexactly(int(length[1]) if length else 0)
            if b" 200 " not in reply.partition(b"\r\n")[0] or b'"code":200' not in text:
                raise BenchmarkError(f"a push was answered {reply[:60]!r} {text[:100]!r}")
            uuid = UUID.search(push)
            assert uuid is not None
            acknowledged[uuid[1]] = time.perf_counter()
        writer.close()

    await asyncio.gather(*(sender(first) for first in range(SENDERS)))
    return acknowledged
