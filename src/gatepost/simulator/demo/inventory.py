"""Compare what a receiver lists, read through its own API, with what the terminals recorded.

Rules:

- Everything is read by cursor, page after page, and compared as sets of events, never by counts alone.
- A record is identified by its `uuid`, a step of an alarm by `trace_id` and `status`, an image by its SHA-256.
- An API that asks for a token (401) gets one: `token()` is called once, when that happens.

Flow: `read(url)` → `Inventory`; `compare(expected, inventory)` → a `Verdict` per terminal.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any

import aiohttp
import msgspec
from msgspec import Struct

from gatepost.errors import GatepostError
from gatepost.wire import Alarm, Record

PAGE = 200
IMAGES_AT_ONCE = 8
SETTLE_S = 60.0
SETTLE_STEP_S = 0.02
"""Seconds to wait until the receiver's journal is listed, and between two looks."""


class ApiError(GatepostError):
    """The receiver's API did not reply as documented."""


class Stored(Struct, frozen=True):
    """An event that a receiver lists: its key, its terminal, the digest of its image."""

    key: str
    terminal: str | None
    image: str | None


class Expected(Struct, frozen=True):
    """An event that a terminal recorded."""

    key: str
    image: str | None

    @classmethod
    def of(cls, event: Record | Alarm) -> Expected:
        """Return key and digest: `uuid` or `trace_id/status`, and the digest of the JPEG."""
        name = event.uuid or "" if isinstance(event, Record) else f"{event.trace_id}/{event.status}"
        return cls(name, digest(event.image))


class Verdict(Struct, frozen=True, kw_only=True):
    """The comparison of one terminal. `recorded` and `stored` must be equal, and all else 0."""

    recorded: int
    stored: int
    """Different events of this terminal that are listed."""
    duplicates: int
    lost: int
    misfiled: int
    """Events that are listed under another terminal."""
    altered: int
    """Images that differ from what was recorded, byte for byte."""

    @property
    def holds(self) -> bool:
        return self.recorded == self.stored and not (
            self.duplicates or self.lost or self.misfiled or self.altered
        )


class Inventory(Struct, frozen=True):
    """Everything that a receiver lists, and its own figures."""

    events: tuple[Stored, ...]
    stats: Mapping[str, Any]


def digest(image: bytes | None) -> str | None:
    """Return the SHA-256 in hexadecimal; ``None`` without an image."""
    return hashlib.sha256(image).hexdigest() if image else None


def compare(
    recorded: Mapping[str, Iterable[Expected]], inventory: Inventory
) -> tuple[dict[str, Verdict], list[Stored]]:
    """Compare what each terminal recorded (by serial) with what is stored.

    Return a verdict per serial, and what is stored and was never recorded.
    """
    found = Counter(event.key for event in inventory.events)
    by_key = {event.key: event for event in inventory.events}
    verdicts, known = {}, set[str]()
    for serial, events in recorded.items():
        expected = {event.key: event.image for event in events}
        known |= expected.keys()
        there = [by_key[key] for key in expected if key in by_key]
        verdicts[serial] = Verdict(
            recorded=len(expected),
            stored=len(there),
            duplicates=sum(found[event.key] - 1 for event in there),
            lost=len(expected) - len(there),
            misfiled=sum(event.terminal != serial for event in there),
            altered=sum(event.image != expected[event.key] for event in there),
        )
    return verdicts, [event for event in inventory.events if event.key not in known]


class Api:
    """The API of a receiver: `async with Api("http://127.0.0.1:8080", token=…) as api:`. Raises ApiError."""

    def __init__(self, url: str, *, token: Callable[[], Awaitable[str]] | None = None) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._headers: dict[str, str] = {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Api:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session:
            await self._session.close()

    async def get(self, path: str, params: Mapping[str, str | int] | None = None) -> bytes:
        """Return the body of a 200 reply."""
        assert self._session is not None  # noqa: S101 - used inside `async with`
        for _ in range(2):
            try:
                async with self._session.get(
                    self._url + path, params=params, headers=self._headers
                ) as answer:
                    body = await answer.read()
                    status = answer.status
            except (aiohttp.ClientError, TimeoutError) as error:
                raise ApiError(f"GET {path} failed: {error or type(error).__name__}") from None
            if status == 200:
                return body
            if status != 401 or self._headers or self._token is None:
                break
            self._headers = {"authorization": f"Bearer {await self._token()}"}
        raise ApiError(f"GET {path} answered HTTP {status}: {body[:200].decode(errors='replace')}")

    async def items(self, path: str) -> AsyncIterator[dict[str, Any]]:
        """Yield every item of a list, page after page."""
        cursor: str | None = None
        while True:
            page = msgspec.json.decode(
                await self.get(path, {"limit": PAGE, **({"cursor": cursor} if cursor else {})})
            )
            for item in page["items"]:
                yield item
            cursor = page["next_cursor"]
            if cursor is None:
                return

    async def settle(self) -> None:
        """Wait until the receiver has listed everything that it acknowledged. Raises ApiError."""
        try:
            async with asyncio.timeout(SETTLE_S):
                while msgspec.json.decode(await self.get("/api/v1/stats"))["journal"]["events"]:  # noqa: ASYNC110 - only asking tells
                    await asyncio.sleep(SETTLE_STEP_S)
        except TimeoutError:
            raise ApiError(f"the receiver's journal was not listed within {SETTLE_S:.0f} s") from None

    async def inventory(self, *, images: bool = True) -> Inventory:
        """Read everything that was acknowledged before. `images`: fetch every image, to compare its bytes."""
        await self.settle()
        listed: list[tuple[str, str | None, str | None]] = []
        async for record in self.items("/api/v1/records"):
            listed.append((record["uuid"] or f"#{record['id']}", record["terminal"], record["image"]))
        async for alarm in self.items("/api/v1/alarms"):
            for step in alarm["history"]:
                listed.append((f"{alarm['trace_id']}/{step['status']}", alarm["terminal"], step.get("image")))
        a_few = asyncio.Semaphore(IMAGES_AT_ONCE)

        async def stored(key: str, terminal: str | None, image: str | None) -> Stored:
            if not image or not images:
                return Stored(key, terminal, None)
            async with a_few:
                return Stored(key, terminal, digest(await self.get(image)))

        events = await asyncio.gather(*(stored(*entry) for entry in listed))
        return Inventory(tuple(events), msgspec.json.decode(await self.get("/api/v1/stats")))
