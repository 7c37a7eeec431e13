"""A reader of server-sent events on a bare connection, which keeps the place as a browser does."""

import asyncio
import json
from typing import Any, NamedTuple

from tests.receiver.kit import Running, Sender, request


class Event(NamedTuple):
    id: int
    kind: str
    data: Any


class Listener:
    """Open it with :meth:`open`."""

    def __init__(self, sender: Sender, status: int, headers: dict[str, str]) -> None:
        self.sender = sender
        self.status = status
        self.headers = headers
        self.place = -1
        """The ``Last-Event-ID``."""
        self._text = b""

    @classmethod
    async def open(cls, running: Running, query: str = "", **headers: str | None) -> "Listener":
        """Ask for the stream, once what was pushed before is listed; where it is given, read on to its first place.

        With a token, unless ``Authorization`` is ``None``.
        """
        running.settle()
        sender = await running.connect()
        told = {"Authorization": f"Bearer {running.token}", **headers}
        await sender.write(
            request(
                "GET",
                f"/api/v1/live{query}",
                headers={name: value for name, value in told.items() if value is not None},
            )
        )
        async with asyncio.timeout(20):
            head = (await sender.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            found = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in head[1:] if line)}
            listener = cls(sender, int(head[0].split(" ")[1]), found)
            while listener.status == 200 and listener.place < 0:
                assert await listener._block() is None
        return listener

    async def event(self) -> Event | None:
        """The next event; ``None`` at the end of the stream."""
        async with asyncio.timeout(20):
            while True:
                try:
                    if (event := await self._block()) is not None:
                        return event
                except EOFError:
                    return None

    async def events(self, count: int) -> list[Event]:
        found = [await self.event() for _ in range(count)]
        return [event for event in found if event is not None]

    async def close(self) -> None:
        await self.sender.close()

    async def _block(self) -> Event | None:
        while b"\n\n" not in self._text:
            size = int(await self.sender.reader.readline() or b"0", 16)
            if size == 0:
                raise EOFError
            self._text += (await self.sender.reader.readexactly(size + 2))[:-2]
        block, _, self._text = self._text.partition(b"\n\n")
        fields = dict(line.split(": ", 1) for line in block.decode().split("\n") if not line.startswith(":"))
        self.place = int(fields["id"])
        if "data" not in fields:
            return None
        return Event(self.place, fields["event"], json.loads(fields["data"]))
