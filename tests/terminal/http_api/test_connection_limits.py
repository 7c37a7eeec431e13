import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web

from gatepost.terminal.http_api.connection_limits import Connections


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class House:
    """A web server behind the connections, which answers when it is told to."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.answer = asyncio.Event()
        self.answer.set()
        self.server = web.Server(self.handle)
        self.connections = Connections(self.server, now=clock, limit=2, idle_s=15)
        self.arrived = asyncio.Event()
        self.port = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.connections.busy(request.protocol)
        self.arrived.set()
        await self.answer.wait()
        self.connections.idle(request.protocol)
        return web.Response(text="yes")

    async def visit(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect, and wait until the server knows it: or has hung up."""
        before = set(self.server.connections)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        await eventually(lambda: set(self.server.connections) - before or reader.at_eof())
        return reader, writer


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House(Clock())
    listener = await asyncio.get_running_loop().create_server(house.connections, "127.0.0.1", 0)
    house.port = listener.sockets[0].getsockname()[1]
    yield house
    listener.close()
    await house.server.shutdown(1)


async def eventually(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 (the server has no event that a test could await)
            await asyncio.sleep(0.001)


async def ended(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(5):
        try:
            return await reader.read(1) == b""
        except ConnectionError:
            return True


async def test_one_connection_more_than_the_limit_is_closed_unread(house: House) -> None:
    kept = [await house.visit() for _ in range(2)]
    reader, writer = await house.visit()
    assert await ended(reader)
    for _, other in [*kept, (reader, writer)]:
        other.close()


async def test_a_closed_connection_makes_room(house: House) -> None:
    for _ in range(20):
        reader, writer = await house.visit()
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).endswith(b"yes")
        writer.close()
        await eventually(lambda: not house.server.connections)


async def test_a_connection_that_stops_in_the_middle_of_a_header_is_closed(house: House) -> None:
    reader, writer = await house.visit()
    writer.write(b"GET / HTTP/1.1\r\nHos")
    assert house.connections.sweep() == 0
    house.clock.now += 14.9
    assert house.connections.sweep() == 0
    house.clock.now += 0.1
    assert house.connections.sweep() == 1
    assert await ended(reader)
    writer.close()


async def test_a_connection_that_is_being_answered_is_left_alone(house: House) -> None:
    house.answer.clear()
    reader, writer = await house.visit()
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(5):
        await house.arrived.wait()
    house.connections.sweep()
    house.clock.now += 1000
    assert house.connections.sweep() == 0
    house.answer.set()
    assert (await reader.read()).endswith(b"yes")
    writer.close()
