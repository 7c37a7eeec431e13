"""A terminal's own HTTP service: each rule held against a terminal that breaks it."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from tests.conformance.rules_of import rules_of
from tests.conformance.terminal.kit import ACCOUNT, BEFORE, PATIENT, Make, Paths, Reads, Stubborn, held, page
from tests.conformance.tiny_terminal import TinyTerminal

from gatepost.conformance.rule import Verdict
from gatepost.conformance.terminal import http_api

OK = TinyTerminal().reply(200)
NEEDS_ACCOUNT = ("authentication", "login")


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


class Anonymous(TinyTerminal):
    def reply(
        self, code: int, msg: str = "OK", data: Any = None, headers: dict[str, str] | None = None
    ) -> bytes:
        return super().reply(code, msg, data, {})


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
)  # fmt: skip


def account(id: str) -> tuple[str, str] | None:
    return ACCOUNT if id in NEEDS_ACCOUNT else None


@pytest.mark.parametrize(("id", "how", "make"), BREAKERS, ids=[f"{id}: {how}" for id, how, _ in BREAKERS])
async def test_a_terminal_that_breaks_a_rule_fails_it(id: str, how: str, make: Make) -> None:
    finding = await held(id, make(), account(id))
    assert finding.verdict is Verdict.FAIL, finding.why
    assert not finding.why.en.startswith("the check itself")


@pytest.mark.parametrize(("id", "how", "make"), WARNERS, ids=[f"{id}: {how}" for id, how, _ in WARNERS])
async def test_what_costs_no_event_is_a_warning(id: str, how: str, make: Make) -> None:
    finding = await held(id, make(), account(id), timeouts=PATIENT)
    assert finding.verdict is Verdict.WARNING, finding.why


def test_every_rule_here_has_a_terminal_that_breaks_it() -> None:
    assert {id for id, _, _ in (*BREAKERS, *WARNERS)} == rules_of(http_api)


async def test_what_could_not_be_restored_says_what_to_set_by_hand() -> None:
    finding = await held("restored", Stubborn())
    assert finding.verdict is not Verdict.PASS
    assert BEFORE["event_dest"] in finding.why.en
