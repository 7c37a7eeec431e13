"""What replies as a terminal and means harm: adopting, tending and fetching end soon, in little memory, with words."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress

import pytest
from tests.fleet.double import ADMIN
from tests.fleet.history_kit import Desk
from tests.fleet.kit import House

from gatepost.fleet.client import TerminalClient
from gatepost.fleet.failures import FleetError
from gatepost.fleet.history.fetching import NotReadable, fetch
from gatepost.fleet.history.records import Window
from gatepost.store.base import BaseStore


def reply(body: bytes, *heads: str) -> bytes:
    """Return a whole reply, with a length unless one is given."""
    lines = ["HTTP/1.1 200 OK", "sn: SN-7", *heads]
    if not any(head.lower().startswith(("content-length", "transfer-encoding")) for head in heads):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def envelope(data: str) -> bytes:
    return b'{"code":200,"msg":"OK","data":' + data.encode() + b"}"


LISTED = envelope('{"total":9,"items":[' + "0," * 200_000 + "0]}")
HARM = {
    "nested without end": reply(b"[" * 60_000),
    "nested in the data": reply(envelope("[" * 30_000 + "]" * 30_000)),
    "nested in a list": reply(envelope('{"total":1,"items":[' + "[" * 25_000 + "]" * 25_000 + "]}")),
    "many values": reply(LISTED),
    "compressed": reply(gzip.compress(bytes(50_000_000)), "Content-Encoding: gzip"),
    "a length too long": reply(envelope("null"), "Content-Length: 9000"),
    "a length too short": reply(envelope("null"), "Content-Length: 5"),
    "two lengths": reply(envelope("null"), "Content-Length: 5", "Content-Length: 50"),
    "no length that can be": reply(b"", "Content-Length: -1"),
    "chunks that are none": reply(b"zz\r\nx\r\n", "Transfer-Encoding: chunked"),
    "a head without end": b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 200_000,
    "sent elsewhere": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
    "no HTTP": b"\0\xff" * 100,
    "nothing": b"",
}
"""What a peer sends, and then closes."""


class Peer:
    """A terminal until :attr:`harm` is set; then that is the reply to what begins with :attr:`to`."""

    def __init__(self) -> None:
        self.serial = "SN-7"
        self.harm: bytes | None = None
        self.to = "/"
        self.pause_s = 0.0
        """Between two bytes; 0: all of it at once."""
        self.asked: list[str] = []
        self.closes = True
        """Whether it closes the connection after its harm."""
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()

    @property
    def address(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = head.partition("content-length: ")[2].partition("\r")[0]
                await reader.readexactly(int(length or 0))
                path = head.split()[1]
                self.asked.append(path)
                if self.harm is None or not path.startswith(self.to):
                    data = {"token": "t"} if path.endswith("login") else None
                    body = envelope(json.dumps(data))
                    writer.write(reply(body).replace(b"SN-7", self.serial.encode()))
                    await writer.drain()
                    continue
                for at in range(len(self.harm)) if self.pause_s else ():
                    writer.write(self.harm[at : at + 1])
                    await asyncio.sleep(self.pause_s)
                writer.write(b"" if self.pause_s else self.harm)
                await writer.drain()
                if self.closes:
                    break
        writer.close()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    made = Peer()
    await made.open()
    yield made
    await made.close()


async def test_whoever_adopts_is_told_in_words_and_nothing_is_stored(desk: House, peer: Peer) -> None:
    order = {"address": peer.address, "username": ADMIN.username, "password": ADMIN.password}
    for peer.to in ("/v2/datasync/ping", "/v1/auth/login"):
        for name, peer.harm in HARM.items():
            found = await desk.call("POST", "/adopt", order)

            assert (found.status, ADMIN.password in str(found.json)) == (409, False), name
            assert len(found.json["detail"]) > 20, name
    assert (await desk.call("GET")).json["items"] == []


async def test_one_that_is_tended_is_away_and_comes_back(desk: House, peer: Peer) -> None:
    order = {"address": peer.address, "username": ADMIN.username, "password": ADMIN.password}
    made = await desk.call("POST", "/adopt", order)
    which = made.json["terminal_id"]
    for name, peer.harm in HARM.items():
        found = await desk.verify(which)

        assert (found["state"], bool(found["said"])) == ("away", True), name
    peer.harm = None
    assert (await desk.verify(which))["state"] != "away"


@pytest.fixture
def fetching(open_store: Callable[[], BaseStore]) -> Iterator[Desk]:
    made = Desk(open_store())
    yield made
    made.close()


async def test_a_fetch_is_asked_again_later_or_ends_with_a_reason(fetching: Desk, peer: Peer) -> None:
    peer.to = "/v1/event/records"
    for number, (name, peer.harm) in enumerate(HARM.items()):
        peer.serial = f"SN-{number}"
        job = await fetching.fetch(fetching.ask(fetching.adopt(peer.address, peer.serial)))

        assert job.state in ("waiting", "failed"), name
        assert job.reason, name
        assert fetching.rows() == [], name


async def test_bytes_that_come_one_by_one_end_in_time(peer: Peer) -> None:
    peer.harm, peer.pause_s = reply(envelope("null"), "Content-Length: 9000"), 0.05
    async with TerminalClient(peer.address, timeout_s=0.3) as client:
        with pytest.raises(FleetError, match="does not reply in time"):
            await client.look()
    assert peer.asked == ["/v2/datasync/ping"]


async def test_a_window_takes_no_more_than_its_part_of_memory(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatepost.fleet.history.fetching.MAX_BYTES", 1024 * 1024)
    items = [{"uuid": str(number), "rgb_image": "A" * 11_000} for number in range(100)]
    peer.harm, peer.to = reply(envelope(json.dumps({"total": 900, "items": items}))), "/v1/event/records"
    peer.closes = False
    async with TerminalClient(peer.address) as client:
        assert await fetch(client, Window(0, 99)) == 2
        with pytest.raises(NotReadable, match="more than 1 MB"):
            await fetch(client, Window(7, 7))
