"""What the receiver's tests share: a receiver on a real socket, a sender of raw bytes, and events to send."""

import asyncio
import contextlib
import functools
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pybase64
import uvicorn
from msgspec import Struct

from gatepost.receiver import app
from gatepost.receiver.connection import GuardedProtocol
from gatepost.settings import ReceiverSettings
from gatepost.store.sqlite import SqliteStore
from gatepost.store.store import AlarmQuery, AlarmRow, RecordQuery, RecordRow, Store

JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffd9")
SUCCESS = {"code": 200, "message": "success", "data": {}}


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, at: float = 1_700_000_000.0) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


class Answer(Struct, frozen=True):
    """One HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Sender:
    """One connection, on which anything can be written."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int, host: str = "127.0.0.1") -> "Sender":
        return cls(*await asyncio.open_connection(host, port))

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()

    async def answer(self, timeout: float = 20.0) -> Answer:
        """Read one response."""
        async with asyncio.timeout(timeout):
            head = await self.reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in lines[1:] if line)
            }
            if headers.get("transfer-encoding") == "chunked":
                body = b""
                while size := int(await self.reader.readline(), 16):
                    body += (await self.reader.readexactly(size + 2))[:-2]
                await self.reader.readexactly(2)
            else:
                body = await self.reader.readexactly(int(headers.get("content-length", "0")))
            return Answer(int(lines[0].split(" ")[1]), headers, body)

    async def ended(self, timeout: float = 20.0) -> bytes:
        """Wait until the other end has closed; answer what came before."""
        async with asyncio.timeout(timeout):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Answer:
        await self.write(request(method, path, body, headers))
        return await self.answer()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


def request(method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
    """Write a request as a terminal would."""
    lines = {"Host": "receiver", "Content-Type": "application/json", "Content-Length": str(len(body))}
    lines.update(headers or {})
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body


def record(**data: Any) -> dict[str, Any]:
    """A push of type 0, as the page has it."""
    known: dict[str, Any] = {
        "deviceSN": "SN-1", "recognitionType": 1, "entry_mode": 1, "abnormal_type": 0, "uuid": "u-1",
        "recognizeScore": 0.93, "mask": 0, "mode": 3, "rgb_image": "", "bodyTemperature": 0.0, "pass": True,
        "timestamp": 1_685_343_715,
        "user": {
            "name": "王五", "ic_number": "12345", "id_number": "", "job_number": "23385", "pin": "", "user_id": "5",
            "remark": "", "guest_time_start": 0, "guest_time_end": 0, "type": 1,
            "groups": [{"id": "3", "name": "测试3"}],
        },
    }  # fmt: skip
    return {"type": 0, "data": {**known, **data}}


def alarm(**data: Any) -> dict[str, Any]:
    """A push of type 1."""
    known = {
        "trace_id": "T-1",
        "code": 10001,
        "event_time": 1_684_381_433_398,
        "status": 1,
        "description": "",
    }
    return {"type": 1, "data": {**known, **data}}


def body(push: Any) -> bytes:
    return json.dumps(push, ensure_ascii=False).encode()


def base64(data: bytes) -> str:
    return pybase64.b64encode(data).decode()


class Running:
    """A receiver that answers on :attr:`port`."""

    def __init__(self, receiver: app.Receiver, store: Store, port: int, clock: Clock) -> None:
        self.receiver = receiver
        self.store = store
        self.port = port
        self.clock = clock
        """Of the guard: time-outs pass when it is put forward and :meth:`sweep` is called."""

    async def connect(self, host: str = "127.0.0.1") -> Sender:
        return await Sender.connect(self.port, host)

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Answer:
        sender = await self.connect()
        try:
            return await sender.request(method, path, body, headers)
        finally:
            await sender.close()

    async def push(self, event: Any, path: str = "/Record", headers: dict[str, str] | None = None) -> Answer:
        return await self.request("POST", path, event if isinstance(event, bytes) else body(event), headers)

    async def get(self, path: str) -> Answer:
        return await self.request("GET", path)

    async def pass_time(self, seconds: float) -> None:
        """Let the guard's clock go on, and let what that ends come to its end."""
        self.clock.at += seconds
        self.receiver.guard.sweep()
        await asyncio.sleep(0)

    def records(self, **query: Any) -> list[RecordRow]:
        return list(self.store.records(RecordQuery(**{"limit": 1000, **query})).items)

    def alarms(self, **query: Any) -> list[AlarmRow]:
        return list(self.store.alarms(AlarmQuery(**{"limit": 1000, **query})).items)


@contextlib.asynccontextmanager
async def serving(store: Store, settings: ReceiverSettings | None = None) -> AsyncIterator[Running]:
    """Run a receiver in this process, on a port of its own."""
    settings = settings or ReceiverSettings()
    clock = Clock(0.0)
    async with app.Receiver(store, settings, now=time.time, monotonic=clock) as receiver:
        sockets = app.listen("127.0.0.1:0")
        config = uvicorn.Config(
            receiver.app,
            http=functools.partial(GuardedProtocol, guard=receiver.guard),  # type: ignore[arg-type]
            ws="none",
            interface="asgi3",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=5,
        )
        started = asyncio.Event()
        server = app.Server(config, started.set)
        task = asyncio.create_task(server.serve(sockets=sockets))
        await asyncio.wait_for(started.wait(), 20)
        try:
            yield Running(receiver, store, sockets[0].getsockname()[1], clock)
        finally:
            server.force_exit = server.should_exit = True
            await asyncio.wait_for(task, 20)
            for each in sockets:
                each.close()


@contextlib.asynccontextmanager
async def receiving(folder: Path, **settings: Any) -> AsyncIterator[Running]:
    """Run a receiver on SQLite in ``folder``."""
    store = SqliteStore.open(folder)
    try:
        async with serving(store, ReceiverSettings(**settings)) as running:
            yield running
    finally:
        store.close()


async def until(condition: Callable[[], bool], timeout: float = 20.0) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - what is waited for is seen from outside only
            await asyncio.sleep(0.005)
