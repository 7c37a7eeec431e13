"""A terminal of some hundred lines that keeps the contract, with places to break it at.

Rules: it listens on 127.0.0.1; its events happen when ``happen`` is called, a second apart by its own clock; it pushes
one at a time, oldest first and refused ones last, until each is acknowledged. It stores nothing on disk.

    async with TinyTerminal() as terminal:
        terminal.happen(3)
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import uuid
from typing import Any, Self
from urllib.parse import urlsplit

IDENTITY = {"sn": "TINY1", "model": "tiny", "timestamp": "1700000000000", "account": "admin"}
JPEG = base64.b64encode(b"\xff\xd8\xff\xd9").decode()
PAUSE_S = 0.01


class TinyTerminal:
    """``user`` is the account it wants, if any."""

    def __init__(self, user: tuple[str, str] | None = None) -> None:
        self.user = user
        self.subscription: dict[str, Any] | None = None
        self.waiting: list[dict[str, Any]] = []
        self.past: list[dict[str, Any]] = []
        self.attempts = 0
        self.port = 0
        self._clock = 1_700_000_000
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self._keep(asyncio.create_task(self._pushing()))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def happen(self, count: int = 1) -> None:
        for _ in range(count):
            self._clock += 1
            event = self.make(self._clock)
            self.waiting.append(event)
            self.past.append(event)

    async def happens(self, count: int) -> None:
        self.happen(count)

    # -- what a subclass may break

    def make(self, at: int) -> dict[str, Any]:
        data = {
            "deviceSN": "TINY1", "uuid": str(uuid.uuid4()), "recognitionType": 1, "timestamp": at, "pass": True,
            "recognizeScore": 0.9, "rgb_image": JPEG, "user": {"name": "王五", "user_id": "5", "type": 1, "groups": []},
        }  # fmt: skip
        return {"type": 0, "data": data}

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> bytes | None:
        """Answer a request of the service; None hangs up."""
        if path == "/v2/datasync/ping":
            return self.reply(200)
        if path == "/v1/auth/login":
            return self.login(json.loads(body))
        if not self.known(headers.get("authorization", "")):
            return self.reply(401, "Unauthorized")
        if path == "/v1/event/records":
            items = [event["data"] for event in self.history()]
            return self.reply(200, data={"offset": 0, "limit": 100, "count": len(items), "items": items})
        if path != "/v1/event/subscribe":
            return self.reply(404, "Not Found")
        if method == "GET":
            return self.reply(200, data=self.subscription)
        return self.subscribe(body)

    def history(self) -> list[dict[str, Any]]:
        return [event for event in self.past if event not in self.waiting]

    def login(self, wanted: dict[str, Any]) -> bytes:
        if self.user is None or (wanted["username"], wanted["password"]) != self.user:
            return self.reply(1001, "Password Wrong")
        return self.reply(200, data={"token": "token-of-today"})

    def known(self, authorization: str) -> bool:
        if self.user is None:
            return True
        basic = base64.b64encode(":".join(self.user).encode()).decode()
        return authorization in (f"Basic {basic}", "Bearer token-of-today")

    def subscribe(self, body: bytes) -> bytes | None:
        try:
            value = json.loads(body)
            self.check(value)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return self.reply(400, str(error))
        self.subscription = {"event_dest": value["event_dest"], "enabled": value["enabled"]}
        return self.reply(200)

    def check(self, value: Any) -> None:
        dest, enabled = value["event_dest"], value["enabled"]
        if len(dest) > 1024 or not dest.startswith(("http://", "https://")) or not urlsplit(dest).hostname:
            raise ValueError("event_dest")
        if not isinstance(enabled, bool):
            raise TypeError("enabled")

    def reply(
        self, code: int, msg: str = "OK", data: Any = None, headers: dict[str, str] = IDENTITY
    ) -> bytes:
        body = json.dumps({"code": code, "msg": msg, "data": data}).encode()
        lines = [f"HTTP/1.1 {200 if code == 200 else 400} X", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def may_push(self) -> bool:
        return self.subscription is not None and self.subscription["enabled"]

    def pick(self) -> dict[str, Any]:
        return self.waiting[0]

    def delivered(self, status: int, body: bytes) -> bool:
        if not 200 <= status < 300:
            return False
        for charset in ("utf-8-sig", "utf-16", "gbk"):
            with contextlib.suppress(ValueError, TypeError, KeyError):
                return bool(json.loads(body.decode(charset).strip("\0 \t\r\n"))["code"] == 200)
        return False

    def unreachable(self, event: dict[str, Any], error: Exception) -> None:
        """What happens to an event that got no reply: nothing."""

    def refused(self, event: dict[str, Any], status: int) -> None:
        """Let the others by."""
        self.waiting.remove(event)
        self.waiting.append(event)

    def request(self, event: dict[str, Any], path: str, host: str) -> bytes:
        body = json.dumps(event, ensure_ascii=False).encode()
        lines = [
            f"POST {path} HTTP/1.1",
            f"Host: {host}",
            "Content-Type: application/json",
            "Connection: close",
        ]
        lines += [f"{name}: {value}" for name, value in IDENTITY.items()]
        lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    timeout_s: float | None = 0.1
    """For a reply."""

    # -- below

    async def _pushing(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                if not self.waiting or not self.may_push():
                    await asyncio.sleep(PAUSE_S)
                    continue
                event = self.pick()
                self.attempts += 1
                try:
                    async with asyncio.timeout(self.timeout_s):
                        status, body = await self._post(event)
                except (OSError, asyncio.IncompleteReadError, ValueError) as error:
                    self.unreachable(event, error)
                    await asyncio.sleep(PAUSE_S)
                    continue
                if self.delivered(status, body):
                    self.done(event)
                else:
                    self.refused(event, status)

    def done(self, event: dict[str, Any]) -> None:
        self.waiting.remove(event)

    async def _post(self, event: dict[str, Any]) -> tuple[int, bytes]:
        assert self.subscription is not None
        parts = urlsplit(self.subscription["event_dest"])
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            writer.write(self.request(event, parts.path, parts.netloc))
            head = await self.head(reader)
            length = next(
                int(line.split(":")[1])
                for line in head.splitlines()
                if line.lower().startswith("content-length")
            )
            return int(head.split()[1]), await reader.readexactly(length)
        finally:
            writer.transport.abort()

    async def head(self, reader: asyncio.StreamReader) -> str:
        lines = [await reader.readline()]
        while lines[-1].strip():
            lines.append(await reader.readline())
        return b"".join(lines).decode("latin-1")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._keep(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                raw = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *rest = raw.split("\r\n")
                pairs = (line.partition(":") for line in rest if line)
                headers = {name.lower(): value.strip() for name, _, value in pairs}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                method, path, _ = first.split(" ")
                writer.write(self.answer(method, path, headers, body) or b"")
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            self._tasks.discard(task)
            writer.close()
