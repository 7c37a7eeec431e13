"""One receiver under examination: pushes to it, and remembers what was sent and what came back.

Rules:

- It needs nothing but the URL. Every push is an event that the page allows, unless the rule is about one that is not.
- A push has a connection of its own, unless the rule is about connections.
- A receiver that takes pushes only at a terminal's own address (HTTP 403 that says so in the page's JSON) refuses the
  sender, not the event: whatever was to be seen is then not tried, see :func:`wants_address`.
- What a reply means is read here, by the page alone: HTTP 200 and a JSON object whose ``code`` is the integer 200.

Flow: a rule asks for pushes → :class:`Connection` → :func:`acknowledged` → the rule's finding.
"""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from gatepost.conformance.raw_http import (
    Answer,
    Connection,
    Header,
    Nothing,
    Target,
    request,
    show,
    shown,
)
from gatepost.conformance.rule import Exchange, Finding, NotTried, Words, failed, passed
from gatepost.conformance.sample_pushes import Samples, write

__all__ = ["JSON", "Api", "Limits", "Probe", "acknowledged", "all_taken", "reply_of", "why_not"]

JSON: Header = ("Content-Type", "application/json")

PAGES = 5
"""Of 200 that are read of a listing: a check leaves some hundred events."""

SETTLE_STEPS = 100
SETTLE_STEP_S = 0.05
"""How often, and after how long, it is asked whether the receiver lists what it has acknowledged."""

MAX_EXCHANGES = 12
"""That a finding shows; of more pushes the first and the last ones."""


class Limits(Struct, frozen=True, kw_only=True):
    """How long and how hard a receiver is tried."""

    timeout_s: float = 10.0
    """For connecting and for each reply."""
    slow_s: float = 6.0
    """How long the slow sender takes for one push."""
    at_once: int = 64
    """Pushes at the same moment."""
    continue_s: float = 1.0
    """How long ``100 Continue`` is waited for; libcurl, which much firmware is built on, waits this long."""


class Api(Struct, frozen=True):
    """Where the receiver lists what it has, and the token to read it with ("" for none)."""

    target: Target
    token: str = ""


class Probe:
    """The receiver at ``target``. ``rand`` makes events new, ``now`` (Unix seconds) dates them."""

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
        self.samples = Samples(rand or random.Random(), now)  # noqa: S311 (names events, guards nothing)
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

        Raises NotTried if it cannot be asked.
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
        if isinstance(answer, Nothing) or answer.status != 200 or found is None:
            why = answer.why if isinstance(answer, Nothing) else f"HTTP {answer.status}"
            name = what.partition("?")[0]
            raise NotTried(
                f"the receiver's API does not list {name}: {why}; see --api and --api-token",
                f"接收端的 API 无法列出 {name}：{why}；请检查 --api 与 --api-token",
            )
        return found

    def note(self, sent: bytes, answer: Answer, *, remark: str = "") -> None:
        """Remember an exchange for the report. Raises NotTried if the answer refuses the sender."""
        text = show(sent)
        self._exchanges.append(Exchange(f"({remark})\n{text}" if remark else text, shown(answer)))
        if (said := wants_address(answer)) is not None:
            raise NotTried(
                f"the receiver takes pushes only at a terminal's own address (HTTP 403: {said}); "
                "give the address with the token that it shows for a terminal",
                f"该接收端只接受发往终端专属地址的推送（HTTP 403：{said}）；请给出接收端为某台终端显示的带令牌的地址",
            )

    def collect(self) -> tuple[Exchange, ...]:
        """Answer what was noted since the last time, shortened."""
        noted, self._exchanges = self._exchanges, []
        if len(noted) > MAX_EXCHANGES:
            half = MAX_EXCHANGES // 2
            noted = noted[:half] + noted[-half:]
        return tuple(noted)


def unconnected(error: OSError) -> Nothing:
    """Put a failure to connect into words."""
    what = str(error) or type(error).__name__
    return Nothing(
        "no connection: timed out" if isinstance(error, TimeoutError) else f"no connection: {what}"
    )


def reply_of(answer: Answer) -> dict[str, Any] | None:
    """Answer the JSON object that came back, or None."""
    if isinstance(answer, Nothing):
        return None
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def acknowledged(answer: Answer) -> bool:
    """Tell whether a terminal may forget the event: HTTP 200 and ``code`` the integer 200 (响应结构)."""
    reply = reply_of(answer)
    return (
        reply is not None
        and not isinstance(answer, Nothing)
        and answer.status == 200
        and type(reply.get("code")) is int
        and reply["code"] == 200
    )


def wants_address(answer: Answer) -> str | None:
    """Return the message of a refusal that is about who pushes: a missing token, or a terminal that is unknown.

    Receivers may give every terminal an address of its own with a token in it (``event_dest`` is theirs to choose).
    """
    reply = reply_of(answer)
    if reply is None or isinstance(answer, Nothing) or answer.status != 403:
        return None
    message = str(reply.get("message", ""))
    known = type(reply.get("code")) is int and any(word in message.lower() for word in _SENDER)
    return message[:120] if known else None


_SENDER = ("token", "terminal", "令牌", "终端")


def why_not(answer: Answer) -> Words:
    """Say in a few words why this is no acknowledgement."""
    if isinstance(answer, Nothing):
        return Words(answer.why, f"无应答（{answer.why}）")
    reply = reply_of(answer)
    if answer.status in (401, 403):
        return Words(
            f"HTTP {answer.status}: terminals cannot log in", f"HTTP {answer.status}：终端无法提供认证"
        )
    if reply is None:
        return Words(
            f"HTTP {answer.status}, and the reply is no JSON object",
            f"HTTP {answer.status}，应答不是 JSON 对象",
        )
    code = reply.get("code", "(none)")
    message = str(reply.get("message", ""))[:120]
    return Words(
        f"HTTP {answer.status}, code {code!r} {message}".strip(),
        f"HTTP {answer.status}，code 为 {code!r} {message}".strip(),
    )


def all_taken(cases: Sequence[tuple[str, Answer]], *, what: Words) -> Finding:
    """Pass if every case was acknowledged; else say which was not, and why. ``what`` names the cases."""
    broken = [(name, why_not(answer)) for name, answer in cases if not acknowledged(answer)]
    if not broken:
        count = len(cases)
        return passed(f"{count} of {count} {what.en} acknowledged", f"{what.zh} {count} 项，全部应答成功")
    few = broken[:3]
    en = "; ".join(f"{name}: {why.en}" for name, why in few)
    zh = "；".join(f"{name}：{why.zh}" for name, why in few)
    more = len(broken) - len(few)
    return failed(
        f"{len(broken)} of {len(cases)} {what.en} not acknowledged: {en}"
        + (f"; and {more} more" if more else ""),
        f"{what.zh} {len(cases)} 项中 {len(broken)} 项未被确认：{zh}" + (f"；另有 {more} 项" if more else ""),
    )
