"""Senders that remember what was acknowledged, while somebody kills the receiver or its database."""

import asyncio
import contextlib
import hashlib
import random
from collections.abc import Awaitable, Callable
from typing import Any

from tests.receiver.kit import SUCCESS, Process, Sender, alarm, base64, body, record

from gatepost.store.interface import AlarmQuery, RecordQuery, Store

SENDERS = 12
TERMINALS = 5


class Campaign:
    """Events by name, and which of them were acknowledged. An event is sent until it is."""

    def __init__(self, seed: int) -> None:
        self.rand = random.Random(seed)
        self.images: dict[str, bytes] = {}
        self.acknowledged: set[str] = set()
        self.refused: list[tuple[int, bytes]] = []
        self._waiting: list[str] = []
        self._made = 0

    def _next(self) -> str:
        """An event that was sent before and not acknowledged, as a terminal would; else a new one."""
        if self._waiting and self.rand.random() < 0.8:
            return self._waiting.pop(self.rand.randrange(len(self._waiting)))
        self._made += 1
        name = f"{'alarm' if self.rand.random() < 0.2 else 'record'}-{self._made}"
        if self.rand.random() < 0.7:
            self.images[name] = (
                b"\xff\xd8" + self.rand.randbytes(self.rand.choice([40, 4_000, 30_000])) + b"\xff\xd9"
            )
        return name

    def push(self, name: str) -> bytes:
        """The body of an event, the same each time."""
        image = base64(self.images[name]) if name in self.images else ""
        if name.startswith("alarm"):
            return body(alarm(trace_id=name, alarm_photo=image))
        return body(record(uuid=name, deviceSN=_serial(name), rgb_image=image))

    async def send(self, port: int, told: Callable[[], None]) -> None:
        """Push until the connection breaks."""
        name = None
        sender = None
        try:
            sender = await Sender.connect(port)
            while True:
                name = self._next()
                answer = await sender.request("POST", "/Record", self.push(name), {"sn": _serial(name)})
                if answer.status == 503:
                    self._waiting.append(name)
                elif answer.status == 200 and answer.json == SUCCESS:
                    self.acknowledged.add(name)
                    told()
                else:
                    self.refused.append((answer.status, answer.body))
                name = None
        except (OSError, asyncio.IncompleteReadError):
            if name is not None:
                self._waiting.append(name)
        finally:
            if sender is not None:
                with contextlib.suppress(OSError):
                    await sender.close()

    async def round(self, process: Process, end: Callable[[], Awaitable[None]]) -> None:
        """Send, and ``end`` it all at a moment that only the seed knows."""
        loop = asyncio.get_running_loop()
        enough = asyncio.Event()
        countdown = self.rand.randint(1, 250)

        def told() -> None:
            nonlocal countdown
            countdown -= 1
            if countdown == 0:
                # Some moment of the commits that follow.
                loop.call_later(self.rand.uniform(0, 0.01), enough.set)

        senders = [asyncio.create_task(self.send(process.port, told)) for _ in range(SENDERS)]
        async with asyncio.timeout(60):
            await enough.wait()
            await end()
            await asyncio.gather(*senders)

    def check(self, store: Store) -> None:
        """Everything that was acknowledged is there once, with its image."""
        records = self._records(store)
        alarms = self._alarms(store)
        names = [row["name"] for row in records + alarms]
        assert len(names) == len(set(names)), "stored twice"
        missing = sorted(self.acknowledged.difference(names))
        # Whether they were lost or only not found is the first question then.
        assert not missing, (
            f"{len(missing)} acknowledged not listed: {missing[:9]}; {len(names)} are; {store.stats()}"
        )
        assert self.refused == []
        for row in records + alarms:
            expected = self.images.get(row["name"])
            found = store.image(row["id"]) if row["has_image"] else None
            assert _digest(found) == _digest(expected), row["name"]

    @staticmethod
    def _records(store: Store) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        cursor = None
        while True:
            page = store.records(RecordQuery(limit=1000, cursor=cursor))
            rows += [{"name": row.uuid, "id": row.id, "has_image": row.has_image} for row in page.items]
            cursor = page.next_cursor
            if cursor is None:
                return rows

    @staticmethod
    def _alarms(store: Store) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        cursor = None
        while True:
            page = store.alarms(AlarmQuery(limit=1000, cursor=cursor))
            for row in page.items:
                (step,) = row.history
                rows.append({"name": row.trace_id, "id": step.id, "has_image": step.has_image})
            cursor = page.next_cursor
            if cursor is None:
                return rows


def _serial(name: str) -> str:
    """Of the terminal whose event it is."""
    return f"SN-{int(name.split('-')[1]) % TERMINALS}"


def _digest(image: bytes | None) -> str | None:
    return None if image is None else hashlib.sha256(image).hexdigest()
