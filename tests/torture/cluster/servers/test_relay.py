"""The port in front of a server, with real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gatepost.torture.cluster.servers.relay import Relay


@asynccontextmanager
async def echo(word: bytes = b"") -> AsyncIterator[int]:
    """A server that repeats what it is sent, after its own word."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(word + data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


class Client:
    """A connection to a relay."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def of(cls, relay: Relay) -> "Client":
        return cls(*await asyncio.open_connection("127.0.0.1", relay.port))

    async def ask(self, data: bytes) -> bytes:
        self._writer.write(data)
        return await self.heard()

    async def heard(self) -> bytes:
        try:
            return await self._reader.read(100)
        except OSError:
            return b""

    def close(self) -> None:
        self._writer.transport.abort()


async def test_what_is_sent_comes_back_and_the_end_of_it_is_passed_on() -> None:
    async with echo() as port:
        relay = Relay(lambda: [port])
        await relay.open()
        client = await Client.of(relay)
        assert await client.ask(b"one") == b"one"
        client._writer.write_eof()
        assert await client.heard() == b""
        client.close()
        await relay.close()


async def test_a_relay_that_is_closed_ends_connections_and_takes_none_until_it_is_opened_on_its_port() -> (
    None
):
    async with echo() as port:
        relay = Relay(lambda: [port])
        await relay.open()
        client = await Client.of(relay)
        assert await client.ask(b"one") == b"one"
        before = relay.port
        await relay.close()
        assert await client.heard() == b""
        client.close()
        with pytest.raises(OSError, match="Connect call failed"):
            await Client.of(relay)
        await relay.open()
        assert relay.port == before
        client = await Client.of(relay)
        assert await client.ask(b"two") == b"two"
        client.close()
        await relay.close()


async def test_a_silent_relay_carries_nothing_and_ends_what_was_silent_when_it_is_opened() -> None:
    async with echo() as port:
        relay = Relay(lambda: [port])
        await relay.open()
        old = await Client.of(relay)
        assert await old.ask(b"one") == b"one"
        relay.silence()
        new = await Client.of(relay)
        heard = [asyncio.create_task(client.ask(b"two")) for client in (old, new)]
        await relay.open()
        assert [await one for one in heard] == [b"", b""]
        for client in (old, new):
            client.close()
        client = await Client.of(relay)
        assert await client.ask(b"three") == b"three"
        client.close()
        await relay.close()


async def test_connections_go_to_each_server_in_turn_and_past_one_that_is_gone() -> None:
    async with echo(b"1") as one, echo(b"2") as two:
        gone = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        nobody = gone.sockets[0].getsockname()[1]
        gone.close()
        relay = Relay(lambda: [one, nobody, two])
        await relay.open()
        heard = set()
        for _ in range(3):
            client = await Client.of(relay)
            heard.add(await client.ask(b"x"))
            client.close()
        assert heard == {b"1x", b"2x"}
        await relay.close()
