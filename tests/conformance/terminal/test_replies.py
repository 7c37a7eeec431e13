"""Which replies a terminal understands: each rule held against a terminal that breaks it."""

import asyncio
import json
from typing import Any

import pytest
from tests.conformance.rules_of import rules_of
from tests.conformance.terminal.kit import PATIENCE, PATIENT, Make, held
from tests.conformance.tiny_terminal import TinyTerminal

from gatepost.conformance.rule import Verdict
from gatepost.conformance.terminal import replies


class Drops(TinyTerminal):
    """Gives an event up at one of these statuses, after so many refusals."""

    def __init__(self, *statuses: int, after: int = 1) -> None:
        super().__init__()
        self.statuses = statuses
        self.after = after
        self.counts: dict[str, int] = {}

    def refused(self, event: dict[str, Any], status: int) -> None:
        name = event["data"]["uuid"]
        self.counts[name] = self.counts.get(name, 0) + 1
        if status in self.statuses and self.counts[name] >= self.after:
            self.waiting.remove(event)


class Only200(TinyTerminal):
    def delivered(self, status: int, body: bytes) -> bool:
        return status == 200 and super().delivered(status, body)


class PlainJson(TinyTerminal):
    def delivered(self, status: int, body: bytes) -> bool:
        try:
            return status == 200 and json.loads(body.decode())["code"] == 200
        except (ValueError, KeyError):
            return False


class Strict(TinyTerminal):
    """Takes a head for one only where each line ends with CR LF."""

    async def head(self, reader: asyncio.StreamReader) -> str:
        head = await super().head(reader)
        if "\r\n" not in head:
            raise ValueError("no HTTP")
        return head


class OneAfterTheOther(TinyTerminal):
    """Pushes the oldest event until it is accepted."""

    def refused(self, event: dict[str, Any], status: int) -> None:
        pass


class OldAddress(TinyTerminal):
    """Pushes an event where the address pointed when it happened."""

    def request(self, event: dict[str, Any], path: str, host: str) -> bytes:
        event.setdefault("at", path)
        return super().request({key: event[key] for key in ("type", "data")}, event["at"], host)


BREAKERS: tuple[tuple[str, str, Make], ...] = (
    ("resent-after-400", "drops at 400", lambda: Drops(400)),
    ("proxy-pages", "drops at 404", lambda: Drops(404)),
    ("proxy-pages", "drops at 413", lambda: Drops(413)),
    ("reply-status", "wants 200", Only200),
    ("refused-by-all", "drops after ten", lambda: Drops(200, after=10)),
    ("address-change", "keeps the old one", OldAddress),
)

WARNERS: tuple[tuple[str, str, Make], ...] = (
    ("reply-wrapping", "reads plain JSON only", PlainJson),
    ("reply-framing", "wants CR LF", Strict),
    ("refused-one", "waits", OneAfterTheOther),
)


@pytest.mark.parametrize(("id", "how", "make"), BREAKERS, ids=[f"{id}: {how}" for id, how, _ in BREAKERS])
async def test_a_terminal_that_breaks_a_rule_fails_it(id: str, how: str, make: Make) -> None:
    finding = await held(id, make(), timeouts=PATIENCE)
    assert finding.verdict is Verdict.FAIL, finding.why
    assert not finding.why.en.startswith("the check itself")


@pytest.mark.parametrize(("id", "how", "make"), WARNERS, ids=[f"{id}: {how}" for id, how, _ in WARNERS])
async def test_what_the_page_does_not_promise_is_a_warning(id: str, how: str, make: Make) -> None:
    finding = await held(id, make(), timeouts=PATIENCE)
    assert finding.verdict is Verdict.WARNING, finding.why


@pytest.mark.parametrize("id", sorted(rules_of(replies)))
async def test_a_terminal_that_keeps_the_contract_keeps_each(id: str) -> None:
    finding = await held(id, TinyTerminal(), timeouts=PATIENT)
    assert finding.verdict is Verdict.PASS, finding.why


@pytest.mark.parametrize("id", ["reply-status", "reply-wrapping", "reply-framing"])
async def test_of_a_terminal_that_pushes_nothing_again_no_form_is_tried(id: str) -> None:
    finding = await held(id, Drops(200, 400), timeouts=PATIENCE)
    assert finding.verdict is Verdict.NOT_TRIED, finding.why


def test_every_rule_here_has_a_terminal_that_breaks_it() -> None:
    assert {id for id, _, _ in (*BREAKERS, *WARNERS)} == rules_of(replies)
