"""Every rule for terminals, held against one that keeps it and one that breaks it; and what was found is restored."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from tests.conformance.tiny_terminal import TinyTerminal

from gatepost.conformance.checks_terminal import RULES, examine
from gatepost.conformance.post import Post
from gatepost.conformance.raw_http import Target
from gatepost.conformance.rules import Finding, Result, Verdict
from gatepost.conformance.visit import Patience, Visit

BY_ID = {rule.id: rule for rule in RULES}
PATIENCE = Patience(reply_s=1.0, event_s=0.5, resend_s=0.5, quiet_s=0.05, outage_s=0.1)
ACCOUNT = ("admin", "secret")
BEFORE = {"event_dest": "http://192.0.2.1/Record", "enabled": False}

# What must have happened before a rule that looks back has something to look at.
FIRST = {
    "same-again": ("resent-after-refusal",),
    "duplicates": ("outage",),
    "order": ("outage",),
    "restored": ("subscription-set",),
}


@asynccontextmanager
async def visiting(terminal: TinyTerminal, user: tuple[str, str] | None = None) -> AsyncIterator[Visit]:
    post = Post("127.0.0.1", 0)
    async with terminal:
        await post.open()
        yield Visit(
            Target.parse(terminal.url),
            post,
            event_dest=f"http://127.0.0.1:{post.port}/Record",
            cause=terminal.happens,
            patience=PATIENCE,
            user=user,
        )
        await post.close()


async def held(id: str, terminal: TinyTerminal, user: tuple[str, str] | None = None) -> Finding:
    terminal.subscription = terminal.subscription or dict(BEFORE)
    async with visiting(terminal, user) as visit:
        results = await examine(visit, rules=[BY_ID[name] for name in (*FIRST.get(id, ()), id)])
    return results[-1].finding


# -- terminals that break one thing each


class Https(TinyTerminal):
    @property
    def url(self) -> str:
        return super().url.replace("http://", "https://")


class AnyPassword(TinyTerminal):
    def known(self, authorization: str) -> bool:
        return authorization.startswith("Basic")


class OpenToAll(TinyTerminal):
    def known(self, authorization: str) -> bool:
        return True


class AnyToken(TinyTerminal):
    def known(self, authorization: str) -> bool:
        return super().known(authorization) or authorization.startswith("Bearer")


class AnyLogin(TinyTerminal):
    def login(self, wanted: dict[str, Any]) -> bytes:
        return self.reply(200, data={"token": "token-of-today"})


class NoLogin(TinyTerminal):
    def login(self, wanted: dict[str, Any]) -> bytes:
        return self.reply(404, "Not Found")


class Paths(TinyTerminal):
    """Answers these paths otherwise."""

    def __init__(self, answers: dict[str, bytes]) -> None:
        super().__init__()
        self.answers = answers

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> bytes | None:
        if path in self.answers:
            return self.answers[path]
        return super().answer(method, path, headers, body)


class Anonymous(TinyTerminal):
    def reply(
        self, code: int, msg: str = "OK", data: Any = None, headers: dict[str, str] | None = None
    ) -> bytes:
        return super().reply(code, msg, data, {})


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


class Checks(TinyTerminal):
    """Checks what is posted by ``rule``, and takes the rest as well as it can."""

    def __init__(self, rule: Callable[[Any], bool]) -> None:
        super().__init__()
        self.rule = rule

    def subscribe(self, body: bytes) -> bytes | None:
        value = json.loads(body)
        if not self.rule(value):
            return self.reply(400, "no")
        self.subscription = {**(self.subscription or {}), **value}
        return self.reply(200)


class TakesLacking(TinyTerminal):
    """Takes a subscription that lacks a field, and leaves that field as it was."""

    def subscribe(self, body: bytes) -> bytes | None:
        with_rest = body
        with suppress(ValueError, TypeError):
            with_rest = json.dumps({**(self.subscription or {}), **json.loads(body)}).encode()
        return super().subscribe(with_rest)


class HangsUp(TinyTerminal):
    def subscribe(self, body: bytes) -> bytes | None:
        return super().subscribe(body) if body.startswith(b"{") else None


class Silent(TinyTerminal):
    def may_push(self) -> bool:
        return False


class Eager(TinyTerminal):
    def may_push(self) -> bool:
        return self.subscription is not None


class Writes(TinyTerminal):
    """Changes the request."""

    def __init__(self, old: bytes, new: bytes) -> None:
        super().__init__()
        self.old = old
        self.new = new

    def request(self, event: dict[str, Any], path: str, host: str) -> bytes:
        return super().request(event, path, host).replace(self.old, self.new)


class Makes(TinyTerminal):
    """Makes events with fields changed."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self.changes = changes

    def make(self, at: int) -> dict[str, Any]:
        event = super().make(at)
        event["data"] = {n: v for n, v in {**event["data"], **self.changes}.items() if v is not ...}
        return event


class Raises(TinyTerminal):
    """Raises alarms."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self.changes = changes

    def make(self, at: int) -> dict[str, Any]:
        data = {"trace_id": f"t{at}", "event_time": at * 1000, "status": 1, "code": 10001, **self.changes}
        return {"type": 1, "data": {name: value for name, value in data.items() if value is not ...}}


class Any200(TinyTerminal):
    def delivered(self, status: int, body: bytes) -> bool:
        return status == 200


class DropsOnError(TinyTerminal):
    def refused(self, event: dict[str, Any], status: int) -> None:
        if status >= 500:
            self.waiting.remove(event)


class DropsWhenUnreachable(TinyTerminal):
    def unreachable(self, event: dict[str, Any], error: Exception) -> None:
        self.waiting.remove(event)


class WaitsForEver(TinyTerminal):
    timeout_s = None


class Restless(TinyTerminal):
    """Dates an event anew with each attempt."""

    def request(self, event: dict[str, Any], path: str, host: str) -> bytes:
        event["data"]["timestamp"] += 1
        return super().request(event, path, host)


class Twice(TinyTerminal):
    def done(self, event: dict[str, Any]) -> None:
        if event.pop("once", None) is None and self.attempts % 2:
            return
        super().done(event)


class NewestFirst(TinyTerminal):
    def pick(self) -> dict[str, Any]:
        return self.waiting[-1]


class Remembers(TinyTerminal):
    """Has a passage in its history that it never pushed."""

    def history(self) -> list[dict[str, Any]]:
        return [*super().history(), self.make(1_700_000_100)]


class Stubborn(TinyTerminal):
    """Keeps the first address that it is given."""

    def subscribe(self, body: bytes) -> bytes | None:
        if self.subscription != BEFORE:
            return self.reply(500, "busy")
        return super().subscribe(body)


def page(body: bytes) -> bytes:
    return b"HTTP/1.1 404 X\r\nContent-Length: %d\r\n\r\n" % len(body) + body


OK = TinyTerminal().reply(200)
PNG = "iVBORw0KGgo="
Make = Callable[[], TinyTerminal]

BREAKERS: tuple[tuple[str, str, Make], ...] = (
    ("encryption", "speaks no TLS", Https),
    ("authentication", "takes any password", lambda: AnyPassword(ACCOUNT)),
    ("authentication", "has another account", lambda: TinyTerminal(("root", "x"))),
    ("login", "takes any token", lambda: AnyToken(ACCOUNT)),
    ("login", "lets anybody in", lambda: AnyLogin(ACCOUNT)),
    ("unknown-path", "answers everything", lambda: Paths({"/v1/no/such/path": OK})),
    ("subscription-read", "tells a string", lambda: Reads(lambda found: "http://x/")),
    ("subscription-read", "tells strings", lambda: Reads(lambda found: {"event_dest": "http://x/", "enabled": "true"})),
    ("subscription-set", "forgets", lambda: Reads(lambda found: dict(BEFORE))),
    ("subscription-set", "refuses", lambda: Checks(lambda value: False)),
    ("subscription-1024", "takes 255", lambda: Checks(lambda value: len(value["event_dest"]) < 256)),
    ("subscription-1024", "cuts", lambda: Reads(lambda found: {**found, "event_dest": found["event_dest"][:255]})),
    ("subscription-invalid", "takes everything", lambda: Checks(lambda value: True)),
    ("subscription-invalid", "takes strings", lambda: Checks(lambda value: isinstance(value["event_dest"], str))),
    ("subscription-invalid", "hangs up", HangsUp),
    ("delivered", "pushes nothing", Silent),
    ("push-request", "puts", lambda: Writes(b"POST", b"PUT")),
    ("push-request", "pushes elsewhere", lambda: Writes(b"/Record HTTP", b"/ HTTP")),
    ("push-request", "pushes no JSON", lambda: Writes(b'{"type": 0', b'{type: "0"')),
    ("push-shape", "dates in words", lambda: Makes(timestamp="2024-01-01")),
    ("push-shape", "has another type", lambda: Writes(b'{"type": 0', b'{"type": 7')),
    ("push-shape", "alarms without status", lambda: Raises(status=...)),
    ("push-shape", "alarms in seconds", lambda: Raises(event_time=1_700_000_000)),
    ("push-image", "sends hexadecimal", lambda: Makes(rgb_image="ff:d8")),
    ("push-image", "sends PNG", lambda: Makes(rgb_image=PNG)),
    ("resent-after-refusal", "takes any 200", Any200),
    ("resent-after-no-reply", "takes any 200", Any200),
    ("resent-after-http-error", "gives up", DropsOnError),
    ("resent-after-reset", "gives up", DropsWhenUnreachable),
    ("resent-after-hang", "gives up", DropsWhenUnreachable),
    ("resent-after-hang", "waits for ever", WaitsForEver),
    ("outage", "keeps nothing", DropsWhenUnreachable),
    ("switched-off", "pushes on", Eager),
    ("same-again", "dates anew", Restless),
    ("history", "never pushed one", Remembers),
    ("restored", "is stubborn", Stubborn),
)  # fmt: skip

WARNERS: tuple[tuple[str, str, Make], ...] = (
    ("authentication", "answers without", lambda: OpenToAll(ACCOUNT)),
    ("login", "has none", lambda: NoLogin(ACCOUNT)),
    ("heartbeat", "has none", lambda: Paths({"/v2/datasync/ping": page(b"no")})),
    ("unknown-path", "answers HTML", lambda: Paths({"/v1/no/such/path": page(b"<h1>no</h1>")})),
    ("reply-headers", "says nothing", Anonymous),
    ("subscription-read", "says ok", lambda: Reads(lambda found: found, msg="ok")),
    ("subscription-invalid", "takes what lacks a field", TakesLacking),
    ("push-request", "calls it text", lambda: Writes(b"application/json", b"text/plain")),
    ("push-headers", "says nothing", lambda: Writes(b"sn: ", b"x: ")),
    ("push-shape", "has numbers for names", lambda: Makes(user={"user_id": 5})),
    ("push-shape", "has no uuid", lambda: Makes(uuid=...)),
    ("duplicates", "pushes twice", Twice),
    ("order", "pushes the newest first", NewestFirst),
    ("history", "has none", lambda: Paths({"/v1/event/records": page(b"no")})),
    ("history", "has no uuid", lambda: Makes(uuid=...)),
)  # fmt: skip

NEEDS_ACCOUNT = ("authentication", "login")


def account(id: str) -> tuple[str, str] | None:
    return ACCOUNT if id in NEEDS_ACCOUNT else None


def unkept(results: tuple[Result, ...]) -> dict[str, str]:
    return {result.id: str(result.finding.why) for result in results if result.finding.verdict != "pass"}


@pytest.mark.parametrize("user", [None, ACCOUNT])
async def test_a_terminal_that_keeps_the_contract_passes_every_rule(user: tuple[str, str] | None) -> None:
    terminal = TinyTerminal(user)
    terminal.subscription = dict(BEFORE)
    async with visiting(terminal, user) as visit:
        results = await examine(visit)
    assert unkept(results) == {}
    assert len(results) == len(RULES)
    assert terminal.subscription == BEFORE


@pytest.mark.parametrize(("id", "how", "make"), BREAKERS, ids=[f"{id}: {how}" for id, how, _ in BREAKERS])
async def test_a_terminal_that_breaks_a_rule_fails_it(id: str, how: str, make: Make) -> None:
    finding = await held(id, make(), account(id))
    assert finding.verdict is Verdict.FAIL, finding.why
    assert not finding.why.en.startswith("the check itself")


@pytest.mark.parametrize(("id", "how", "make"), WARNERS, ids=[f"{id}: {how}" for id, how, _ in WARNERS])
async def test_what_costs_no_event_is_a_warning(id: str, how: str, make: Make) -> None:
    finding = await held(id, make(), account(id))
    assert finding.verdict is Verdict.WARNING, finding.why


def test_every_rule_has_a_terminal_that_breaks_it() -> None:
    assert {id for id, _, _ in (*BREAKERS, *WARNERS)} == set(BY_ID)


async def test_a_terminal_that_is_not_there_fails_without_waiting_for_events() -> None:
    terminal = TinyTerminal()
    async with terminal:
        pass
    post = Post("127.0.0.1", 0)
    await post.open()
    asked: list[int] = []

    async def cause(count: int) -> None:
        asked.append(count)

    visit = Visit(
        Target.parse(terminal.url), post, event_dest="http://127.0.0.1/", cause=cause, patience=PATIENCE
    )
    results = await examine(visit)
    await post.close()
    assert asked == []
    assert {result.finding.verdict for result in results if result.id.startswith("subscription")} == {
        Verdict.FAIL
    }


# -- what was found is restored


async def test_nothing_configured_becomes_switched_off() -> None:
    terminal = TinyTerminal()
    async with visiting(terminal) as visit:
        results = await examine(visit, rules=[BY_ID["delivered"], BY_ID["restored"]])
    assert results[-1].finding.verdict is Verdict.WARNING
    assert terminal.subscription is not None
    assert terminal.subscription["enabled"] is False


async def test_what_was_found_is_restored_when_the_check_is_interrupted() -> None:
    terminal = Silent()  # so that the check waits for an event until it is cancelled
    terminal.subscription = dict(BEFORE)
    asked = asyncio.Event()

    async def happens(count: int) -> None:
        asked.set()

    terminal.happens = happens  # type: ignore[method-assign]
    async with visiting(terminal) as visit:
        running = asyncio.create_task(examine(visit, rules=[BY_ID["delivered"]]))
        async with asyncio.timeout(5):
            await asked.wait()
        assert terminal.subscription != BEFORE
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert terminal.subscription == BEFORE


async def test_what_was_found_is_restored_when_a_rule_leaves_something_else() -> None:
    terminal = TinyTerminal()
    terminal.subscription = {"event_dest": "https://receiver.example/Record/tok", "enabled": True}
    found = dict(terminal.subscription)
    async with visiting(terminal) as visit:
        await examine(visit, rules=[BY_ID["subscription-1024"], BY_ID["switched-off"]])
    assert terminal.subscription == found


async def test_a_subscription_that_cannot_be_read_is_not_changed() -> None:
    terminal = Reads(lambda found: "?")
    terminal.subscription = dict(BEFORE)
    async with visiting(terminal) as visit:
        results = await examine(
            visit, rules=[BY_ID["subscription-set"], BY_ID["delivered"], BY_ID["restored"]]
        )
    assert terminal.subscription == BEFORE
    assert [result.finding.verdict for result in results] == [Verdict.FAIL, Verdict.FAIL, Verdict.PASS]
    assert all("cannot be read" in result.finding.why.en for result in results[:2])


async def test_what_could_not_be_restored_says_what_to_set_by_hand() -> None:
    finding = await held("restored", Stubborn())
    assert finding.verdict is not Verdict.PASS
    assert BEFORE["event_dest"] in finding.why.en
