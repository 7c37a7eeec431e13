"""What the tests of managing terminals share: a receiver that manages them, on either database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec.structs import force_setattr
from tests.fleet.double import ADMIN, Double
from tests.receiver.kit import Answer, Running, serving
from tests.store.conftest import Opener

from gatepost.settings import ReceiverSettings

PATH = "/api/v1/fleet"
LOOPBACK = {"fleet_networks": ("127.0.0.0/8",)}


class House:
    """A receiver, and terminals that push to it once they are adopted."""

    def __init__(self, receiver: Running, folder: Path) -> None:
        self.receiver = receiver
        self.fleet = receiver.desk.fleet
        self._folder = folder
        self._stack = AsyncExitStack()

    async def close(self) -> None:
        await self._stack.aclose()

    async def stop(self) -> None:
        """End the jobs, as a receiver that stops does."""
        for task in self.receiver.desk._tasks:
            task.cancel()
        await asyncio.gather(*self.receiver.desk._tasks, return_exceptions=True)

    async def double(self, serial: str = "SN-7", *options: str) -> Double:
        """Open a terminal."""
        double = Double(self._folder / serial, serial, *options)
        self._stack.push_async_callback(double.close)
        return await double.open()

    async def call(self, method: str, path: str = "", body: Any = None) -> Answer:
        data = b"" if body is None else json.dumps(body).encode()
        host = f"127.0.0.1:{self.receiver.port}"  # by which terminals reach it, too
        return await self.receiver.request(method, PATH + path, data, {"Host": host})

    async def adopt(self, double: Double, **more: Any) -> dict[str, Any]:
        """Adopt a terminal over the API."""
        reply = await self.call("POST", "/adopt", account(double) | more)
        assert reply.status == 201, reply.body
        found: dict[str, Any] = reply.json
        return found

    async def verify(self, terminal_id: int) -> dict[str, Any]:
        reply = await self.call("POST", f"/{terminal_id}/verify")
        assert reply.status == 200, reply.body
        found: dict[str, Any] = reply.json
        return found

    async def show(self, terminal_id: int) -> dict[str, Any]:
        reply = await self.call("GET", f"/{terminal_id}")
        assert reply.status == 200, reply.body
        found: dict[str, Any] = reply.json
        return found


def account(double: Double) -> dict[str, Any]:
    """Return what a person types to adopt a terminal."""
    return {"address": double.address, "username": ADMIN.username, "password": ADMIN.password}


@asynccontextmanager
async def house(open_store: Opener, folder: Path, **settings: Any) -> AsyncIterator[House]:
    """Run a receiver that may talk to terminals on this machine."""
    async with serving(
        open_store(), ReceiverSettings(**(LOOPBACK | settings)), journal=folder / "journal", real_time=True
    ) as receiver:
        # A terminal of these tests replies, however busy the machine is.
        force_setattr(receiver.desk.fleet.around, "timeout_s", 60.0)
        made = House(receiver, folder)
        try:
            yield made
        finally:
            await made.close()
