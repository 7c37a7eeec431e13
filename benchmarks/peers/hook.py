"""A web server that takes every request and keeps nothing of it: what events are forwarded to.

python -m benchmarks.peers.hook PORT
"""

import asyncio
import re
import sys

import uvloop

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_REPLY = b"HTTP/1.1 204 No Content\r\n\r\n"


class _Hook(asyncio.Protocol):
    """Replies to each request once it is whole."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream's: uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while (end := self._rest.find(b"\r\n\r\n")) >= 0:
            found = _LENGTH.search(self._rest, 0, end + 2)
            whole = end + 4 + (int(found[1]) if found else 0)
            if len(self._rest) < whole:
                return
            del self._rest[:whole]
            assert self._transport is not None
            self._transport.write(_REPLY)


async def main(port: int) -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(_Hook, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
