"""What the tests of the rules for terminals share: a rule held against a terminal, and terminals that several use."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.conformance.tiny_terminal import TinyTerminal

from gatepost.conformance.raw_http import Target
from gatepost.conformance.rule import Finding
from gatepost.conformance.terminal.fake_receiver import FakeReceiver
from gatepost.conformance.terminal.rules import RULES, examine
from gatepost.conformance.terminal.session import TerminalSession, Timeouts

BY_ID = {rule.id: rule for rule in RULES}
PATIENCE = Timeouts(reply_s=1.0, event_s=0.5, resend_s=0.5, quiet_s=0.05, outage_s=0.1)
"""For terminals that have to fail: what never comes is not waited for long, and a slow machine fails them too."""
PATIENT = Timeouts(reply_s=15.0, event_s=15.0, resend_s=15.0, quiet_s=0.5, outage_s=0.1)
"""For those that must not, and for those that push something which is not to be missed."""
ACCOUNT = ("admin", "secret")
BEFORE = {"event_dest": "http://192.0.2.1/Record", "enabled": False}

Make = Callable[[], TinyTerminal]

# What must have happened before a rule that looks back has something to look at.
FIRST = {
    "same-again": ("resent-after-refusal",),
    "duplicates": ("outage",),
    "order": ("outage",),
    "restored": ("subscription-set",),
}


@asynccontextmanager
async def visiting(
    terminal: TinyTerminal,
    user: tuple[str, str] | None = None,
    *,
    timeouts: Timeouts = PATIENCE,
    certain: bool = True,
) -> AsyncIterator[TerminalSession]:
    receiver = FakeReceiver("127.0.0.1", 0)
    async with terminal:
        await receiver.open()
        yield TerminalSession(
            Target.parse(terminal.url),
            receiver,
            event_dest=f"http://127.0.0.1:{receiver.port}/Record",
            cause=terminal.happens,
            timeouts=timeouts,
            user=user,
            certain=certain,
        )
        await receiver.close()


async def held(
    id: str,
    terminal: TinyTerminal,
    user: tuple[str, str] | None = None,
    *,
    timeouts: Timeouts = PATIENCE,
) -> Finding:
    terminal.subscription = terminal.subscription or dict(BEFORE)
    async with visiting(terminal, user, timeouts=timeouts) as session:
        results = await examine(session, rules=[BY_ID[name] for name in (*FIRST.get(id, ()), id)])
    return results[-1].finding


# -- terminals that break one thing each


class Paths(TinyTerminal):
    """Answers these paths otherwise."""

    def __init__(self, answers: dict[str, bytes]) -> None:
        super().__init__()
        self.answers = answers

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> bytes | None:
        if path in self.answers:
            return self.answers[path]
        return super().answer(method, path, headers, body)


class Reads(TinyTerminal):
    """Answers the subscription as ``shown`` makes it of what is set."""

    def __init__(self, shown: Callable[[Any], Any], msg: str = "OK") -> None:
        super().__init__()
        self.shown = shown
        self.msg = msg

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> bytes | None:
        if (method, path) == ("GET", "/v1/event/subscribe"):
            return self.reply(200, self.msg, data=self.shown(self.subscription))
        return super().answer(method, path, headers, body)


class Silent(TinyTerminal):
    def may_push(self) -> bool:
        return False


class Stubborn(TinyTerminal):
    """Keeps the first address that it is given."""

    def subscribe(self, body: bytes) -> bytes | None:
        if self.subscription != BEFORE:
            return self.reply(500, "busy")
        return super().subscribe(body)


def page(body: bytes) -> bytes:
    return b"HTTP/1.1 404 X\r\nContent-Length: %d\r\n\r\n" % len(body) + body
