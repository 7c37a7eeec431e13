"""What the receiver's tests share: a receiver on a real socket, a sender of raw bytes, and events to send."""

import asyncio
import atexit
import contextlib
import functools
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import argon2
import pybase64
from msgspec import Struct

from gatepost.journal.folder import Folder
from gatepost.journal.packs.packs import Packs
from gatepost.process_tree import gone, members, signal_all
from gatepost.receiver.api.application import MakePages
from gatepost.receiver.auth.issuing import issue_token
from gatepost.receiver.desk.app import DeskApp
from gatepost.receiver.http.connections.limits import Guard, Limits
from gatepost.receiver.http.server import Certificate, Place, Server, listen, listen_locally
from gatepost.receiver.ingest.app import IngestApp
from gatepost.receiver.processes.desk_line import DeskLine
from gatepost.receiver.processes.desk_proxy import DeskProxy
from gatepost.receiver.processes.wake import Wake
from gatepost.settings import Origin, ReceiverSettings
from gatepost.store.accounts.accounts import Accounts
from gatepost.store.interface import AlarmQuery, AlarmRow, RecordQuery, RecordRow, Store
from gatepost.store.postgres.store import PostgresStore
from gatepost.store.sqlite.data_folder import JOURNAL
from gatepost.store.sqlite.second_process import accounts_of
from gatepost.store.sqlite.store import SqliteStore

JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffd9")
SUCCESS = {"code": 200, "message": "success", "data": {}}

PATIENCE_S = 120.0
"""How long tests wait for what is sure to happen, on a machine that may have much else to do."""

# A password of this process costs next to nothing to hash; what a hash costs is no matter of these tests.
_hasher = argon2.PasswordHasher.__init__
_hasher.__defaults__ = (1, 8, 1, *(_hasher.__defaults__ or ())[3:])


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
    cookies: dict[str, str] = {}
    """What it sets, by name."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Sender:
    """One connection, on which anything can be written."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int, *, source: str = "127.0.0.1") -> "Sender":
        """Open a connection from a loopback address."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0)))

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()

    async def write_push(self, event: Any) -> None:
        """Push an event, and do not wait for the reply."""
        await self.write(request("POST", "/Record", body(event)))

    async def answer(self, timeout: float = PATIENCE_S) -> Answer:
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
            told = [line.partition(": ")[2] for line in lines if line.lower().startswith("set-cookie:")]
            cookies = dict(one.partition(";")[0].split("=", 1) for one in told)
            return Answer(int(lines[0].split(" ")[1]), headers, body, cookies)

    async def ended(self, timeout: float = PATIENCE_S) -> bytes:
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


UUID = "4d3987c1-a3b3-470b-9fb7-e114772c069c"
"""The id of :func:`record`, and the trace of :func:`alarm`: both are real ones."""
TRACE = "SPX-1684381418208-004-3Adb4v"


def request(method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
    """Write a request as a terminal would."""
    lines = {"Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": str(len(body))}
    lines.update(headers or {})
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body


def record(**data: Any) -> dict[str, Any]:
    """A push of type 0, as the page has it."""
    known: dict[str, Any] = {
        "deviceSN": "SN-1", "recognitionType": 1, "entry_mode": 1, "abnormal_type": 0, "uuid": UUID,
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
        "trace_id": TRACE,
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

    def __init__(self, ingest: IngestApp, desk: DeskApp, store: Store, port: int, clock: Clock) -> None:
        self.ingest = ingest
        self.desk = desk
        self._store = store
        self.port = port
        self.push_port = port
        """Another one where pushes have an address of their own."""
        self.clock = clock
        """Of the guard: time-outs pass with :meth:`pass_time`."""
        self.senders: list[Sender] = []

    @property
    def store(self) -> Store:
        """The store, once everything is listed that was acknowledged before."""
        self.settle()
        return self._store

    def settle(self) -> None:
        """Wait until everything is listed that was acknowledged before, unless the store is away."""
        projector = self.desk.projector
        if not projector.lag().is_away:
            projector.catch_up()

    async def flush(self) -> None:
        """Hand what was counted to the store, once every terminal is there that pushed."""
        self.settle()
        await until(lambda: not self.ingest.directory._provisional)
        await self.ingest.flush()

    @functools.cached_property
    def token(self) -> str:
        """A token for the API, sent along with every request to it."""
        return issue_token(Accounts(self._store), "test", "admin", by="test", now_ms=0)[0]

    async def connect(self) -> Sender:
        """Open a connection; it is closed with the receiver."""
        self.senders.append(await Sender.connect(self.port))
        return self.senders[-1]

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Answer:
        if path.startswith("/api/"):
            headers = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        if not path.startswith("/Record"):
            self.settle()
        sender = await Sender.connect(self.port)
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
        self.ingest.guard.sweep()
        await asyncio.sleep(0)

    def records(self, **query: Any) -> list[RecordRow]:
        return list(self.store.records(RecordQuery(**{"limit": 1000, **query})).items)

    def alarms(self, **query: Any) -> list[AlarmRow]:
        return list(self.store.alarms(AlarmQuery(**{"limit": 1000, **query})).items)


@contextlib.asynccontextmanager
async def serving(
    store: Store,
    settings: ReceiverSettings | None = None,
    *,
    journal: Path | None = None,
    real_time: bool = False,
    certificate: Certificate | None = None,
    pages: MakePages | None = None,
    origins: Mapping[str, Origin] | None = None,
) -> AsyncIterator[Running]:
    """Run a receiver in this process, on a port of its own; with ``real_time`` time-outs pass by themselves.

    ``journal``: the folder of its journal; left out, that of the store's data folder, or an empty one.
    """
    settings = settings or ReceiverSettings()
    clock = Clock(0.0)
    monotonic = time.monotonic if real_time else clock
    async with contextlib.AsyncExitStack() as stack:
        if journal is None:
            folder = store.folder if isinstance(store, SqliteStore) else stack.enter_context(_temporary())
            journal = folder / JOURNAL
        if isinstance(store, PostgresStore) and store.packs is None:
            store.packs = Packs(Folder.open(journal))
        appended = Wake()
        stack.callback(appended.close)
        desk = await stack.enter_async_context(
            DeskApp(
                store,
                Folder.open(journal),
                settings,
                pages=pages,
                origins=origins,
                appended=appended,
                now=time.time,
                monotonic=monotonic,
            )
        )
        local = stack.enter_context(_temporary())
        lines = await asyncio.start_unix_server(desk.ingests.accept, sock=listen_locally(local / "lines")[0])
        stack.callback(lines.close)
        requests = listen_locally(local / "requests")
        guard = Guard(Limits.of(settings).of_desk(), now=monotonic, shares_address=lambda _: True)
        await stack.enter_async_context(
            _served(Server(desk.app, Place(requests, guard), stop_timeout_s=5, stopping=desk.live.close))
        )
        line, proxy = DeskLine(str(local / "lines")), DeskProxy(str(local / "requests"))
        ingest = await stack.enter_async_context(
            IngestApp(
                Folder.open(journal),
                settings,
                line,
                await line.connect(),
                pages=proxy,
                on_append=appended.set,
                now=time.time,
                monotonic=monotonic,
            )
        )
        shared = listen("127.0.0.1:0")
        apart = listen(settings.ingest_listen) if settings.ingest_listen else []
        servers = [
            Server(
                ingest.pages_alone if apart else ingest.app,
                Place(shared, ingest.pages_guard, certificate),
                stop_timeout_s=5,
                stopping=proxy.stop,
            )
        ]
        if apart:
            place = Place(apart, ingest.guard, certificate)
            servers.append(Server(ingest.pushes_alone, place, stop_timeout_s=5))
        for server in servers:
            await stack.enter_async_context(_served(server))
        running = Running(ingest, desk, store, shared[0].getsockname()[1], clock)
        running.push_port = apart[0].getsockname()[1] if apart else running.port
        try:
            yield running
        finally:
            for sender in running.senders:
                await sender.close()


@contextlib.asynccontextmanager
async def _served(server: Server) -> AsyncIterator[None]:
    """Run a server; it is started when this begins, and stopped when this ends."""
    task = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started)
        yield
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, PATIENCE_S)
        for bound in server.place.sockets:
            bound.close()


@contextlib.contextmanager
def _temporary() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gatepost-journal-") as name:
        yield Path(name)


@functools.cache
def _empty() -> Path:
    """A data folder with a store in which nothing happened yet: to copy is quicker than to make one."""
    made = tempfile.TemporaryDirectory(prefix="gatepost-empty-")
    atexit.register(made.cleanup)
    folder = Path(made.name) / "data"
    SqliteStore.open(folder).close()
    return folder


def opened(folder: Path) -> SqliteStore:
    """Open the store in ``folder``, or a new one."""
    if not folder.exists():
        shutil.copytree(_empty(), folder)
    return SqliteStore.open(folder)


@contextlib.asynccontextmanager
async def receiving(
    folder: Path,
    *,
    real_time: bool = False,
    certificate: Certificate | None = None,
    pages: MakePages | None = None,
    origins: Mapping[str, Origin] | None = None,
    **settings: Any,
) -> AsyncIterator[Running]:
    """Run a receiver on SQLite in ``folder``."""
    store = opened(folder)
    try:
        values = ReceiverSettings(**settings)
        async with serving(
            store, values, real_time=real_time, certificate=certificate, pages=pages, origins=origins
        ) as running:
            yield running
    finally:
        store.close()


async def until(condition: Callable[[], bool], timeout: float = PATIENCE_S) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - what is waited for is seen from outside only
            await asyncio.sleep(0.005)


class Process:
    """``gatepost serve`` as a process of its own."""

    def __init__(
        self, process: asyncio.subprocess.Process, port: int, errors: Path, folder: Path, database: str | None
    ) -> None:
        self.process = process
        self.port = port
        self.errors = errors
        self._folder = folder
        self._database = database
        self.announced = ""
        """What it said at its start."""
        self.senders: list[Sender] = []

    @functools.cached_property
    def token(self) -> str:
        """A token for the API, made as one is made beside a receiver that runs."""
        if self._database is None:
            with accounts_of(self._folder) as accounts:
                return issue_token(accounts, "test", "admin", by="test", now_ms=0)[0]
        with contextlib.closing(PostgresStore.open(self._database)) as store:
            return issue_token(Accounts(store), "test", "admin", by="test", now_ms=0)[0]

    @classmethod
    async def start(cls, folder: Path, *options: str, port: int = 0, before: Sequence[str] = ()) -> "Process":
        """Start it and wait until it listens. ``before`` is what it is started by, such as a tracer."""
        errors = folder.parent / f"{folder.name}.log"
        with errors.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *before, sys.executable, "-m", "gatepost.cli", "serve",
                "--data", str(folder), "--listen", f"127.0.0.1:{port}", *options,
                stdout=asyncio.subprocess.PIPE, stderr=log, env={**os.environ, "GATEPOST_LANG": "en"},
            )  # fmt: skip
        assert process.stdout is not None
        async with asyncio.timeout(180):
            line = (await process.stdout.readline()).decode()
        found = re.search(r"listening on https?://127\.0\.0\.1:(\d+)", line)
        if found is None:
            await process.wait()
            raise AssertionError(f"the receiver did not start: {line!r} {errors.read_text()}")
        database = options[options.index("--database") + 1] if "--database" in options else None
        made = cls(process, int(found[1]), errors, folder, database)
        made.announced = line
        return made

    async def connect(self) -> Sender:
        """Open a connection; it is closed with the process."""
        self.senders.append(await Sender.connect(self.port))
        return self.senders[-1]

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Answer:
        if path.startswith("/api/"):
            headers = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        sender = await Sender.connect(self.port)
        try:
            return await sender.request(method, path, body, headers)
        finally:
            await sender.close()

    async def settle(self, timeout: float = PATIENCE_S) -> None:
        """Wait until everything is listed that was acknowledged before."""
        async with asyncio.timeout(timeout):
            while (await self.request("GET", "/api/v1/stats")).json["journal"]["events"]:  # noqa: ASYNC110 - only asking tells
                await asyncio.sleep(0.01)

    async def everything(self, what: str = "records") -> list[dict[str, Any]]:
        """Every item of a list, page by page, once everything acknowledged is listed."""
        await self.settle()
        items: list[dict[str, Any]] = []
        cursor = ""
        while True:
            answer = (await self.request("GET", f"/api/v1/{what}?limit=1000{cursor}")).json
            items += answer["items"]
            if answer["next_cursor"] is None:
                return items
            cursor = f"&cursor={quote(answer['next_cursor'])}"

    def resident_bytes(self) -> int:
        """How much memory its processes have; what they share is counted once (PSS, proc(5))."""
        total = 0
        for pid in members(self.process.pid):
            found = re.search(r"^Pss: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
            assert found is not None
            total += int(found[1]) * 1024
        return total

    async def kill(self) -> None:
        """End it without a warning (SIGKILL)."""
        for sender in self.senders:
            sender.writer.transport.abort()
        pids = members(self.process.pid)
        signal_all(pids, signal.SIGKILL)
        await self.process.wait()
        await gone(pids)
        assert self.process.stdout is not None
        await self.process.stdout.read()  # to the end of what it said: a pipe must not outlive the test

    async def stop(self, timeout: float = 30.0) -> int:
        """End it as a service manager does (SIGTERM); answer the exit code."""
        for sender in self.senders:
            sender.writer.transport.abort()
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), timeout)

    async def stop_all(self) -> None:
        """Stop what was started through another program, such as a tracer: it ends when its child does."""
        for sender in self.senders:
            sender.writer.transport.abort()
        signal_all(members(self.process.pid)[1:2], signal.SIGTERM)
        await asyncio.wait_for(self.process.wait(), PATIENCE_S)
