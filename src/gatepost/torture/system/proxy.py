"""A proxy between a terminal and the receiver, with faults on request.

Rules:

- It parses only the HTTP that it needs to break a push in the middle: heads, Content-Length, replies. Terminals of
  gatepost send no chunks.
- It counts what really happened: pushes, pushes of an event seen before, faults that met a push.
- It records the events whose acknowledgement it passed on completely, and the order of an alarm's steps.

Flow: connection → ``_one``: read a push → the fault of the moment, or forward → reply.
"""

import asyncio
import json
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

from msgspec import Struct, field

from gatepost.conformance.acknowledgement import acknowledged
from gatepost.conformance.raw_http import Answer, Connection, Response, Target
from gatepost.torture.fault_plan import Kind
from gatepost.torture.oracle import name_of

__all__ = ["Proxy", "Traffic"]

MAX_HEAD = 64 * 1024
UPSTREAM_S = 30.0
THROTTLE_PIECES = 8
THROTTLE_S = 1.2
LONGEST_DELAY_S = 0.4

# Replies that look like an acknowledgement and are none (响应结构: success is `code` 200 in JSON).
IMPOSTORS: tuple[bytes, ...] = (
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 18\r\n\r\n<h1>Log in</h1>   ",
    b'HTTP/1.1 200 OK\r\nContent-Length: 37\r\n\r\n{"code":500,"message":"no","data":{}}',
    b'HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n{"code":"200","message":"success","data":{}}',
    b'HTTP/1.1 404 Not Found\r\nContent-Length: 42\r\n\r\n{"code":200,"message":"success","data":{}}',
    b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 429 Too Many\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 503 Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
)


class Traffic(Struct):
    """The traffic of all proxies."""

    pushes: int = 0
    resends: int = 0
    """Pushes of an event that was seen before."""
    turned_away: int = 0
    """Pushes that the receiver itself refused."""
    met: Counter[str] = field(default_factory=Counter)
    """How many pushes or connections each kind of fault met."""
    seen: set[str] = set()
    acknowledged: set[str] = set()
    """Events whose acknowledgement was passed on completely."""
    defects: list[str] = []
    """Errors of the proxy itself. A run with any proves nothing."""
    disordered: list[str] = []
    """Steps of an alarm that came for the first time after a later step."""


class Proxy:
    """Forwards from the ports that it listens on to the receiver. It has two, so that ``event_dest`` can move."""

    def __init__(
        self,
        receiver: Callable[[], Target],
        traffic: Traffic,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.ports: list[int] = []
        self._receiver = receiver
        self._traffic = traffic
        self._sleep = sleep
        self._fault: Kind | None = None
        self._amount = 0.0
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._healed = asyncio.Event()
        self._steps: dict[str, int] = {}

    async def open(self, ports: int = 2) -> None:
        """Listen, on the ports that it had before if it had any."""
        for number in range(ports):
            port = self.ports[number] if number < len(self.ports) else 0
            server = await asyncio.start_server(
                self._serve, "127.0.0.1", port, limit=MAX_HEAD, reuse_address=True
            )
            self._servers.append(server)
            if not port:
                self.ports.append(server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Refuse connections, and cut open ones."""
        servers, self._servers = self._servers, []
        for server in servers:
            server.close()
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for server in servers:
            await server.wait_closed()

    async def break_(self, kind: Kind, amount: float) -> None:
        """Apply this fault to every push from now on."""
        self._amount = amount
        self._healed.clear()
        if kind is Kind.REFUSE:
            self._traffic.met[kind] += 1
            await self.close()
        self._fault = kind

    async def heal(self) -> None:
        """Forward again. Cut what hangs."""
        was, self._fault = self._fault, None
        self._healed.set()
        if was is Kind.REFUSE:
            await self.open(len(self.ports))

    # -- a connection of the terminal

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (a server's callback is a task)
        self._tasks.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
                while await self._one(reader, writer):
                    pass
        except asyncio.CancelledError:
            pass  # the proxy closes
        except Exception as error:
            self._traffic.defects.append(f"{type(error).__name__}: {error}")
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if self._met(Kind.HANG):
            await self._healed.wait()
            return False
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(_length(head))
        name = self._saw(body)
        if self._met(Kind.RESET):
            return _reset(writer)
        if self._met(Kind.IMPOSTOR):
            writer.write(IMPOSTORS[int(self._amount * 1000 + self._traffic.pushes) % len(IMPOSTORS)])
            await writer.drain()
            return True
        if self._met(Kind.TRUNCATE):
            await self._forward(head, body[: len(body) // 2], whole=False)
            return _reset(writer)
        if self._met(Kind.DELAY):
            await self._sleep(self._amount * LONGEST_DELAY_S)
        if self._met(Kind.DUPLICATE):
            answer, _ = await asyncio.gather(self._forward(head, body), self._forward(head, body))
        else:
            answer = await self._forward(head, body)
        return await self._pass_back(answer, writer, name)

    async def _pass_back(self, answer: Answer, writer: asyncio.StreamWriter, name: str) -> bool:
        if not isinstance(answer, Response) or self._met(Kind.LOSE_REPLY):
            return _reset(writer)
        raw = _raw(answer)
        if self._met(Kind.CUT_REPLY):
            writer.write(raw[: int(len(raw) * self._amount)])
            await writer.drain()
            return False
        if acknowledged(answer):
            self._traffic.acknowledged.add(name)
        writer.write(raw)
        await writer.drain()
        return True

    async def _forward(self, head: bytes, body: bytes, *, whole: bool = True) -> Answer:
        target = self._receiver()
        async with Connection.open(target, timeout_s=UPSTREAM_S) as upstream:
            await upstream.send(head)
            if self._met(Kind.THROTTLE):
                pause = THROTTLE_S * self._amount / THROTTLE_PIECES
                await upstream.trickle(body, pieces=THROTTLE_PIECES, pause_s=pause, sleep=self._sleep)
            else:
                await upstream.send(body)
            if not whole:
                upstream.finish()
            answer = await upstream.read()
        if whole and isinstance(answer, Response) and not acknowledged(answer):
            self._traffic.turned_away += 1
        return answer

    def _met(self, kind: Kind) -> bool:
        if self._fault is not kind:
            return False
        self._traffic.met[kind] += 1
        return True

    def _saw(self, body: bytes) -> str:
        traffic = self._traffic
        data = json.loads(body)["data"]
        name = name_of(data)
        traffic.pushes += 1
        if name in traffic.seen:
            traffic.resends += 1
            return name
        traffic.seen.add(name)
        if "trace_id" in data:
            latest = self._steps.get(data["trace_id"], 0)
            if data["status"] < latest:
                traffic.disordered.append(name)
            self._steps[data["trace_id"]] = max(latest, data["status"])
        return name


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0


def _raw(answer: Response) -> bytes:
    kept = [
        (n, v) for n, v in answer.headers if n not in ("content-length", "transfer-encoding", "connection")
    ]
    lines = [f"HTTP/1.1 {answer.status} X", *(f"{name}: {value}" for name, value in kept)]
    lines.append(f"Content-Length: {len(answer.body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + answer.body


def _reset(writer: asyncio.StreamWriter) -> bool:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False
