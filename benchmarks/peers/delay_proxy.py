"""A network that is far away: a TCP proxy that passes every byte on half a round trip later, in both directions.

Run: `python -m benchmarks.peers.delay_proxy LISTEN_PORT TARGET_PORT RTT_MS`. Loopback only; bytes keep their order.
"""

import asyncio
import sys
from typing import cast

import uvloop


class Side(asyncio.Protocol):
    """One end of a proxied connection; `other` is where its bytes go, `delay` seconds later."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.other: Side | None = None
        self.transport: asyncio.Transport | None = None
        self.waiting: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        asyncio.get_running_loop().call_later(self.delay, self._forward, data)

    def connection_lost(self, exc: Exception | None) -> None:
        asyncio.get_running_loop().call_later(self.delay, self._close_other)

    def _forward(self, data: bytes) -> None:
        if self.other is None or self.other.transport is None:
            self.waiting.append(data)
        else:
            self.other.transport.write(data)

    def _close_other(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()

    def join(self, other: "Side") -> None:
        """Tie two ends together and send what had come before."""
        self.other, other.other = other, self
        for data in self.waiting:
            self._forward(data)
        self.waiting.clear()


async def main(listen: int, target: int, rtt_ms: float) -> None:
    """Serve until the process is ended."""
    loop = asyncio.get_running_loop()
    delay = rtt_ms / 2000
    opening: set[asyncio.Task[None]] = set()

    async def connect(near: Side) -> None:
        _, far = await loop.create_connection(lambda: Side(delay), "127.0.0.1", target)
        near.join(far)

    class Near(Side):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            task = loop.create_task(connect(self))
            opening.add(task)
            task.add_done_callback(opening.discard)

    server = await loop.create_server(lambda: Near(delay), "127.0.0.1", listen)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
