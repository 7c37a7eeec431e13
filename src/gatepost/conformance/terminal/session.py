"""One terminal under examination: requests to its HTTP service, and a receiver for its pushes.

Rules:

- The subscription that was found is restored in every case. If it cannot be read, or is not shown whole, nothing is
  changed and no rule that would change it is tried.
- A report shows no names, numbers of people, passwords or tokens. Portraits are cut short.
- Events are caused by a command, if one was given. Otherwise a person is asked to pass the terminal.

Flow: ``remember`` → rules ask, subscribe, cause, disturb → ``restore``.
"""

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import pybase64
from msgspec import Struct

from gatepost.conformance.acknowledgement import JSON, reply_of, unconnected
from gatepost.conformance.raw_http import Answer, Connection, Header, NoResponse, Target, request, show, shown
from gatepost.conformance.rule import Exchange, Finding, NotTried, Verdict, Words, failed, passed, warned
from gatepost.conformance.terminal.fake_receiver import FakeReceiver, ReceivedPush, ReplyFault
from gatepost.wire.subscription import HIDDEN

__all__ = ["SUBSCRIBE", "Timeouts", "TerminalSession", "code_of", "discreet"]

SUBSCRIBE = "/v1/event/subscribe"


class Timeouts(Struct, frozen=True, kw_only=True):
    """How long to wait for a terminal, in seconds."""

    reply_s: float = 10.0
    """A response of its HTTP service."""
    event_s: float = 120.0
    """An event that was caused. A person has to walk to the door."""
    resend_s: float = 120.0
    """An event that is pushed again. Firmware waits up to a minute."""
    quiet_s: float = 5.0
    """Silence after which the terminal has nothing left to push."""
    outage_s: float = 10.0
    """Length of the outage."""
    outage_events: int = 3
    """Number of events that are caused during the outage."""


Cause = Callable[[int], Awaitable[None]]


class TerminalSession:
    """A terminal under examination. ``event_dest`` is the address at which it reaches ``receiver``.

    ``cause`` makes a number of events happen, or asks a person for them. ``certain``: it makes them itself, so an event
    that does not arrive was not pushed. ``user``: the account and its password.
    """

    def __init__(
        self,
        target: Target,
        receiver: FakeReceiver,
        *,
        event_dest: str,
        cause: Cause,
        timeouts: Timeouts | None = None,
        user: tuple[str, str] | None = None,
        certain: bool = True,
    ) -> None:
        self.target = target
        self.receiver = receiver
        self.event_dest = event_dest
        self.timeouts = timeouts or Timeouts()
        self.user = user
        self.certain = certain
        self.caused = 0
        self.found: dict[str, Any] | None = None
        """The subscription that was found: ``{"event_dest", "enabled"}``, or ``None`` where there was none."""
        self._cause = cause
        self._remembered = False
        self._is_hidden = False
        self._refuses_strangers = False
        self._subscribed = False
        self._restored: Finding | None = None
        self._exchanges: list[Exchange] = []
        self._shown = 0

    # -- its HTTP service

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes | dict[str, Any] = b"",
        *,
        headers: Sequence[Header] | None = None,
    ) -> Answer:
        """Send a request to the terminal's HTTP service, with the account unless ``headers`` are given."""
        data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        extra = list(self.basic() if headers is None else headers)
        if data:
            extra.append(JSON)
        head, data = request(self.target.at(path), data, extra, method=method)
        try:
            async with Connection.open(self.target, timeout_s=self.timeouts.reply_s) as connection:
                await connection.send(head, data)
                answer = await connection.read()
        except OSError as error:
            answer = unconnected(error)
        self._exchanges.append(Exchange(discreet(show(head + data)), discreet(shown(answer))))
        return answer

    def basic(self, password: str | None = None) -> tuple[Header, ...]:
        """Return the header of HTTP Basic, if an account was given. ``password``: another one."""
        if self.user is None:
            return ()
        name, own = self.user
        pair = f"{name}:{own if password is None else password}".encode()
        return (("Authorization", f"Basic {pybase64.b64encode(pair).decode()}"),)

    # -- the subscription

    async def remember(self) -> None:
        """Read the present subscription, to restore it later."""
        answer = await self.ask("GET", SUBSCRIBE)
        reply = reply_of(answer)
        self._refuses_strangers = code_of(answer) == 401
        if reply is None or reply.get("code") != 200 or "data" not in reply:
            return
        data = reply["data"]
        if data is not None and not isinstance(data, dict):
            return
        self._is_hidden = data is not None and HIDDEN in str(data.get("event_dest"))
        if self._is_hidden:
            return
        self.found = data or None
        self._remembered = True

    def needs_account(self) -> None:
        """Raise NotTried if the terminal asks for an account and none was given."""
        if self.user is None and self._refuses_strangers:
            raise NotTried("the terminal asks for an account; give --user", "终端要求账号；请用 --user 给出")

    async def subscribe(self, event_dest: str | None = None, *, enabled: bool = True) -> Answer:
        """Set the receiver's address, or ``event_dest``. Raises NotTried if the present one could not be restored."""
        if self._is_hidden:
            raise NotTried(
                "the address that is there is not shown whole and could not be restored, so nothing was changed;"
                " set one without a token before this check",
                "终端未完整显示现有的推送地址，检查后无法恢复，因此未做更改；检查前请先设置不含令牌的地址",
            )
        if not self._remembered:
            self.needs_account()
            raise NotTried(
                "the subscription that is there cannot be read, so nothing was changed",
                "无法读取现有的推送配置，因此未做更改",
            )
        value = {"event_dest": event_dest or self.event_dest, "enabled": enabled}
        return await self.ask("POST", SUBSCRIBE, value)

    async def restore(self) -> Finding:
        """Restore the subscription that was found. A second call returns the first finding."""
        if self._restored is None:
            self._restored = await self._restore()
        return self._restored

    async def _restore(self) -> Finding:
        if not self._remembered:
            return Finding(Verdict.NOT_TRIED, Words("nothing was changed", "未做任何更改"))
        if self.found is None:
            answer = await self.subscribe(enabled=False)
            if code_of(answer) != 200:
                return failed(
                    "nothing was configured before, and pushing cannot be switched off",
                    "原先未配置，且无法关闭推送",
                )
            return warned(
                "nothing was configured before, which cannot be restored: pushing is switched off",
                "原先未配置，无法恢复为空：已关闭推送",
            )
        known = {name: self.found.get(name) for name in ("event_dest", "enabled")}
        answer = await self.ask("POST", SUBSCRIBE, known)
        now = reply_of(await self.ask("GET", SUBSCRIBE)) or {}
        if code_of(answer) != 200 or not isinstance(now.get("data"), dict):
            return failed(f"set it by hand: {json.dumps(known)}", f"请手动恢复：{json.dumps(known)}")
        if {name: now["data"].get(name) for name in known} != known:
            return failed(f"set it by hand: {json.dumps(known)}", f"请手动恢复：{json.dumps(known)}")
        return passed("as it was found", "已恢复原配置")

    # -- its pushes

    async def ready(self) -> None:
        """Subscribe, unless a rule has done so already. Raises NotTried if the terminal refuses."""
        if not self._subscribed:
            answer = await self.subscribe()
            if code_of(answer) != 200:
                why = said(answer)
                raise NotTried(f"it cannot be subscribed: {why.en}", f"无法设置推送配置：{why.zh}")
            self._subscribed = True

    async def cause(self, count: int = 1) -> None:
        """Make ``count`` events happen. Raises NotTried as :meth:`ready` does."""
        await self.ready()
        self.caused += count
        await self._cause(count)

    async def event(self) -> ReceivedPush:
        """Cause an event, and return its first push. Raises NotTried if none comes."""
        before = len(self.receiver.arrived)
        known = self.receiver.names()

        def new() -> bool:
            return any(push.name not in known for push in self.receiver.arrived[before:])

        await self.cause()
        if not await self.receiver.wait(new, timeout_s=self.timeouts.event_s):
            raise self.none_came(self.timeouts.event_s)
        return next(push for push in self.receiver.arrived[before:] if push.name not in known)

    def none_came(self, limit: float) -> NotTried:
        """Return the error for a rule that got no event within ``limit`` seconds."""
        if self.certain:
            return NotTried(f"no event was pushed within {limit:g} s", f"{limit:g} 秒内没有收到事件")
        return NotTried(
            f"no event was pushed within {limit:g} s; pass the terminal when asked, or make events with --cause",
            f"{limit:g} 秒内没有收到事件；请按提示通过终端，或用 --cause 产生事件",
        )

    async def victim(self, *hows: ReplyFault) -> str:
        """Cause an event with these faults, one per push, and return its name. Raises NotTried if none comes."""
        self.receiver.misbehave(*hows)
        await self.event()
        if not await self.receiver.wait(
            lambda: self.receiver.victim is not None, timeout_s=self.timeouts.event_s
        ):
            self.receiver.misbehave()
            raise self.none_came(self.timeouts.event_s)
        return str(self.receiver.victim)

    def pushes(self, name: str) -> list[ReceivedPush]:
        """Return every push of the event with this name."""
        return [push for push in self.receiver.arrived if push.name == name]

    async def disturbed(self, *hows: ReplyFault) -> Finding:
        """Apply these faults to a new event, one per push, and find out whether it is pushed again after each."""
        limit = self.timeouts.resend_s
        try:
            victim = await self.victim(*hows)
            for count, how in enumerate(hows, 1):
                if not await self.receiver.wait(
                    lambda count=count: len(self.pushes(victim)) > count,  # type: ignore[misc]
                    timeout_s=limit,
                ):
                    after = f" after {how}" if len(hows) > 1 else ""
                    return failed(
                        f"the event was not pushed again within {limit:g} s{after}: it is lost",
                        f"{limit:g} 秒内未重新推送{f'（{how}）' if after else ''}：该事件已丢失",
                    )
        finally:
            self.receiver.misbehave()
        first, last = self.pushes(victim)[0], self.pushes(victim)[len(hows)]
        waited = last.at - first.at
        return passed(f"pushed again after {waited:.1f} s", f"{waited:.1f} 秒后重新推送")

    async def not_understood(self, hows: Sequence[ReplyFault]) -> list[ReplyFault]:
        """Acknowledge a new event in each of these forms, and return those after which it was pushed again.

        The wait is twice as long as the terminal took to push a refused event again. If none was refused before, one
        is. Raises NotTried if no event comes, or if a refused one is not pushed again.
        """
        if self._pause() is None and (await self.disturbed(ReplyFault.REFUSED)).verdict is Verdict.FAIL:
            raise NotTried(
                "the terminal does not push a refused event again, so nothing can be seen",
                "终端不会重新推送被拒绝的事件，因此无法观察",
            )
        victims = {how: await self.victim(how) for how in hows}
        self.receiver.misbehave()
        wait = 2 * (self._pause() or 0.0) + self.timeouts.quiet_s
        await self.receiver.wait(
            lambda: all(len(self.pushes(name)) > 1 for name in victims.values()), timeout_s=wait
        )
        return [how for how, name in victims.items() if len(self.pushes(name)) > 1]

    def _pause(self) -> float | None:
        """Return the longest time so far from a refused first push to the second one, in seconds."""
        waits = []
        for push in self.receiver.arrived:
            if push.answered == ReplyFault.REFUSED and len(again := self.pushes(push.name)) > 1:
                waits.append(again[1].at - again[0].at)
        return max(waits, default=None)

    def collect(self) -> tuple[Exchange, ...]:
        """Return the exchanges and pushes since the last call, shortened."""
        exchanges, self._exchanges = self._exchanges, []
        pushes, self._shown = self.receiver.arrived[self._shown :], len(self.receiver.arrived)
        seen = [Exchange(_pushed(push), f"({push.answered})") for push in pushes]
        both = exchanges + seen
        return tuple(both if len(both) <= 12 else both[:6] + both[-6:])


def code_of(answer: Answer) -> int | None:
    """Return the ``code`` of a reply; ``None`` without one."""
    code = (reply_of(answer) or {}).get("code")
    return code if type(code) is int else None


def said(answer: Answer) -> Words:
    """Return the response in a few words."""
    if isinstance(answer, NoResponse):
        return Words(answer.why, f"无应答（{answer.why}）")
    reply = reply_of(answer)
    if reply is None:
        return Words(f"HTTP {answer.status}, no JSON object", f"HTTP {answer.status}，不是 JSON 对象")
    code, msg = reply.get("code", "(none)"), str(reply.get("msg", ""))[:120]
    return Words(
        f"HTTP {answer.status}, code {code!r} {msg}".strip(),
        f"HTTP {answer.status}，code {code!r} {msg}".strip(),
    )


def _pushed(push: ReceivedPush) -> str:
    lines = [f"{push.method} {push.path}"] + [f"{name}: {value}" for name, value in push.headers]
    body = msgspec.json.encode(push.event) if push.event else push.body
    return discreet("\n".join(lines) + "\n\n" + show(body))


_PRIVATE = re.compile(
    r'("(?:name|ic_number|job_number|id_number|remark|pin|password|token)"\s*:\s*)"(?:[^"\\]|\\.)+"'
)
_AUTHORIZATION = re.compile(r"(?m)^(Authorization: ).*$")


def discreet(text: str) -> str:
    """Remove from a report who passed, and how to log in."""
    return _AUTHORIZATION.sub(r"\1…", _PRIVATE.sub(r'\1"…"', text))
