"""A slow link as a TCP proxy over real sockets: so many bytes a second for all connections together.

Rules: connections take turns, a piece each; bytes come in the order in which they were sent; what passed is counted.
With ``buffer`` the link holds next to nothing of its own, like a wire, and the sender's kernel sees the bytes that got
through. Without it the link acknowledges as much as a socket takes, and sends it on when it can, like a modem.

    async with SlowLink(receiver.port, rate=4096) as link:
        … http://127.0.0.1:{link.port}/Record
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Coroutine
from dataclasses import dataclass, field

PIECE = 512
WIRE = 4096
"""A receive buffer so small that the link is a wire; the kernel takes twice as much."""

LATE_S = 0.2
"""Seconds that the link may make up for."""


@dataclass
class Direction:
    """There or back: whose turn it is, from when on the link is free, and how many bytes passed."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    free_at: float = 0.0
    passed: int = 0


@dataclass
class SlowLink:
    """From its ``port`` to ``target`` on 127.0.0.1.

    ``rate``: bytes a second, in each direction. ``delay_s``: what a byte takes from end to end. ``cut_every_s``: all
    connections are cut so often. ``buffer``: the size of its receive buffers, in bytes.
    """

    target: int
    rate: float
    delay_s: float = 0.0
    cut_every_s: float | None = None
    buffer: int | None = WIRE
    port: int = 0
    connections: int = 0
    cuts: int = 0
    _listener: socket.socket = field(default_factory=socket.socket)
    _there: Direction = field(default_factory=Direction)
    _back: Direction = field(default_factory=Direction)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> SlowLink:
        if (
            self.buffer is not None
        ):  # before listen(): connections that are accepted have it from their first byte
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.buffer)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._start(self._accept(), self._tasks)
        if self.cut_every_s is not None:
            self._start(self._cut(self.cut_every_s), self._tasks)
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = self._tasks | self._open
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        self._listener.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/Record"

    @property
    def passed(self) -> int:
        """How many bytes were sent on towards the target."""
        return self._there.passed

    def _start(self, work: Coroutine[None, None, None], tasks: set[asyncio.Task[None]]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _accept(self) -> None:
        while True:
            near, _ = await asyncio.get_running_loop().sock_accept(self._listener)
            self.connections += 1
            self._start(self._serve(near), self._open)

    async def _cut(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)  # the loss is the behaviour itself; no test waits for it
            self.cuts += 1
            for task in tuple(self._open):
                task.cancel()

    async def _serve(self, near: socket.socket) -> None:
        far = socket.socket()
        try:
            near.setblocking(False)
            far.setblocking(False)
            await asyncio.get_running_loop().sock_connect(far, ("127.0.0.1", self.target))
            async with asyncio.TaskGroup() as ways:
                self._pump(ways, near, far, self._there)
                self._pump(ways, far, near, self._back)
        except* (OSError, EOFError):
            pass  # one of the ends is gone
        finally:
            with contextlib.suppress(OSError):  # closed with RST: cut is cut
                near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            near.close()
            far.close()

    def _pump(
        self, ways: asyncio.TaskGroup, source: socket.socket, sink: socket.socket, direction: Direction
    ) -> None:
        on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        ways.create_task(self._take(source, on_the_way, direction))
        ways.create_task(self._hand_on(sink, on_the_way, direction))

    async def _take(
        self, source: socket.socket, on_the_way: asyncio.Queue[tuple[float, bytes]], direction: Direction
    ) -> None:
        loop = asyncio.get_running_loop()
        while piece := await loop.sock_recv(source, PIECE):
            async with direction.turn:
                # What this process was late by, up to a limit, it makes up for: the link itself is never late.
                since = max(direction.free_at, loop.time() - LATE_S)
                direction.free_at = since + len(piece) / self.rate
                await asyncio.sleep(direction.free_at - loop.time())
            on_the_way.put_nowait((loop.time() + self.delay_s, piece))
        on_the_way.put_nowait((loop.time() + self.delay_s, b""))

    async def _hand_on(
        self, sink: socket.socket, on_the_way: asyncio.Queue[tuple[float, bytes]], direction: Direction
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, piece = await on_the_way.get()
            await asyncio.sleep(due - loop.time())
            if not piece:
                raise EOFError
            direction.passed += len(piece)
            await loop.sock_sendall(sink, piece)
