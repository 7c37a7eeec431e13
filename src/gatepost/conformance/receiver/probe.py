"""Push to one receiver under examination, and keep every request and response for the report.

Rules:

- The URL is enough. Every push is an event that the protocol page allows, unless the rule is about one that it forbids.
- A push has a connection of its own, unless the rule is about connections.
- Some receivers take pushes only at a terminal's own address, and reply to others with HTTP 403 and JSON that says so.
  That refuses the sender, not the event, so the rule counts as not tried.

Flow: a rule asks for pushes → :class:`Connection` → :func:`~gatepost.conformance.acknowledgement.acknowledged` → the
rule's finding.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from gatepost.conformance.acknowledgement import JSON, reply_of, unconnected, wants_address
from gatepost.conformance.raw_http import (
    Answer,
    Connection,
    Header,
    NoResponse,
    Target,
    request,
    show,
    shown,
)
from gatepost.conformance.rule import Exchange, NotTried
from gatepost.conformance.sample_pushes import Samples, write

__all__ = ["Api", "Limits", "Probe"]

PAGES = 5
"""Pages of 200 items that are read of a list. A check leaves some hundred events."""

SETTLE_STEPS = 100
SETTLE_STEP_S = 0.05
"""How often, and how many seconds apart, the receiver is asked whether it lists what it has acknowledged."""

MAX_EXCHANGES = 12
"""Exchanges that a finding shows: of more, the first and the last ones."""


class Limits(Struct, frozen=True, kw_only=True):
    """The time-outs and the number of parallel pushes of a check."""

    timeout_s: float = 10.0
    """Seconds to connect, and to wait for each reply."""
    slow_s: float = 6.0
    """Seconds that the slow sender takes for one push."""
    at_once: int = 64
    """Pushes at the same moment."""
    continue_s: float = 1.0
    """Seconds to wait for ``100 Continue``, as libcurl does, which much firmware is built on."""


class Api(Struct, frozen=True):
    """The receiver's API, and the token to read it with ("": none)."""

    target: Target
    token: str = ""


class Probe:
    """A receiver under examination. ``rand`` makes events unique, ``now`` (Unix seconds) dates them."""

    def __init__(
        self,
        target: Target,
        *,
        limits: Limits | None = None,
        ca_file: str | None = None,
        api: Api | None = None,
        rand: random.Random | None = None,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.target = target
        self.limits = limits or Limits()
        self.ca_file = ca_file
        self.api = api
        self.sleep = sleep
        self.samples = Samples(rand or random.Random(), now)  # noqa: S311 (makes names, no secrets)
        self._exchanges: list[Exchange] = []

    async def push(self, body: bytes | dict[str, Any], *, headers: Sequence[Header] = (JSON,)) -> Answer:
        """Push one event on a connection of its own."""
        data = body if isinstance(body, bytes) else write(body)
        head, data = request(self.target, data, headers)
        return await self.exchange(head, data)

    async def exchange(self, *parts: bytes) -> Answer:
        """Send these bytes on a connection of their own, and read one response."""
        try:
            async with Connection.open(self.target, timeout_s=self.limits.timeout_s) as connection:
                await connection.send(*parts)
                answer = await connection.read()
        except OSError as error:
            answer = unconnected(error)
        self.note(b"".join(parts), answer)
        return answer

    async def listed(self, what: str, query: str = "") -> list[dict[str, Any]]:
        """Return the newest ``records`` or ``alarms`` that the receiver lists; ``query`` narrows them.

        Raises NotTried if the API cannot be read.
        """
        await self._settle()
        items: list[dict[str, Any]] = []
        cursor = ""
        for _ in range(PAGES):
            page = await self._read(f"{what}?limit=200{query}{cursor}")
            items += page.get("items", [])
            if not page.get("next_cursor"):
                break
            cursor = f"&cursor={quote(str(page['next_cursor']))}"
        return items

    async def _settle(self) -> None:
        """Wait until the receiver lists what it has acknowledged, as far as its ``stats`` tell."""
        for _ in range(SETTLE_STEPS):
            try:
                journal = (await self._read("stats")).get("journal")
            except NotTried:
                return
            if not (isinstance(journal, dict) and journal.get("events")):
                return
            await self.sleep(SETTLE_STEP_S)

    async def _read(self, what: str) -> dict[str, Any]:
        if self.api is None:
            raise NotTried(
                "what was stored is seen only through the receiver's API: give --api and a token",
                "只有通过接收端的 API 才能看到存储结果：请给出 --api 与令牌",
            )
        headers = [("Authorization", f"Bearer {self.api.token}")] if self.api.token else []
        target = self.api.target.at(f"{self.api.target.path.rstrip('/')}/api/v1/{what}")
        head, body = request(target, b"", headers, method="GET")
        try:
            async with Connection.open(target, timeout_s=self.limits.timeout_s) as connection:
                await connection.send(head, body)
                answer = await connection.read()
        except OSError as error:
            answer = unconnected(error)
        found = reply_of(answer)
        if isinstance(answer, NoResponse) or answer.status != 200 or found is None:
            why = answer.why if isinstance(answer, NoResponse) else f"HTTP {answer.status}"
            name = what.partition("?")[0]
            raise NotTried(
                f"the receiver's API does not list {name}: {why}; see --api and --api-token",
                f"接收端的 API 无法列出 {name}：{why}；请检查 --api 与 --api-token",
            )
        return found

    def note(self, sent: bytes, answer: Answer, *, remark: str = "") -> None:
        """Keep an exchange for the report. Raises NotTried if the reply refuses the sender."""
        text = show(sent)
        self._exchanges.append(Exchange(f"({remark})\n{text}" if remark else text, shown(answer)))
        if (said := wants_address(answer)) is not None:
            raise NotTried(
                f"the receiver takes pushes only at a terminal's own address (HTTP 403: {said}); "
                "give the address with the token that it shows for a terminal",
                f"该接收端只接受发往终端专属地址的推送（HTTP 403：{said}）；请给出接收端为某台终端显示的带令牌的地址",
            )

    def collect(self) -> tuple[Exchange, ...]:
        """Return the exchanges since the last call, shortened."""
        noted, self._exchanges = self._exchanges, []
        if len(noted) > MAX_EXCHANGES:
            half = MAX_EXCHANGES // 2
            noted = noted[:half] + noted[-half:]
        return tuple(noted)
