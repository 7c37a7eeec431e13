"""What a terminal does when a push is not acknowledged: each rule held against a terminal that breaks it."""

from typing import Any

import pytest
from tests.conformance.rules_of import rules_of
from tests.conformance.terminal.kit import PATIENCE, PATIENT, Make, held
from tests.conformance.tiny_terminal import TinyTerminal

from gatepost.conformance.rule import Verdict
from gatepost.conformance.terminal import retries


class Eager(TinyTerminal):
    def may_push(self) -> bool:
        return self.subscription is not None


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


BREAKERS: tuple[tuple[str, str, Make], ...] = (
    ("resent-after-refusal", "takes any 200", Any200),
    ("resent-after-no-reply", "takes any 200", Any200),
    ("resent-after-http-error", "gives up", DropsOnError),
    ("resent-after-reset", "gives up", DropsWhenUnreachable),
    ("resent-after-hang", "gives up", DropsWhenUnreachable),
    ("resent-after-hang", "waits for ever", WaitsForEver),
    ("outage", "keeps nothing", DropsWhenUnreachable),
    ("switched-off", "pushes on", Eager),
    ("same-again", "dates anew", Restless),
)  # fmt: skip

WARNERS: tuple[tuple[str, str, Make], ...] = (
    ("duplicates", "pushes twice", Twice),
    ("order", "pushes the newest first", NewestFirst),
)  # fmt: skip


@pytest.mark.parametrize(("id", "how", "make"), BREAKERS, ids=[f"{id}: {how}" for id, how, _ in BREAKERS])
async def test_a_terminal_that_breaks_a_rule_fails_it(id: str, how: str, make: Make) -> None:
    # What these two push is the defect, so it is waited for.
    timeouts = PATIENT if id in ("same-again", "switched-off") else PATIENCE
    finding = await held(id, make(), timeouts=timeouts)
    assert finding.verdict is Verdict.FAIL, finding.why
    assert not finding.why.en.startswith("the check itself")


@pytest.mark.parametrize(("id", "how", "make"), WARNERS, ids=[f"{id}: {how}" for id, how, _ in WARNERS])
async def test_what_costs_no_event_is_a_warning(id: str, how: str, make: Make) -> None:
    finding = await held(id, make(), timeouts=PATIENT)
    assert finding.verdict is Verdict.WARNING, finding.why


def test_every_rule_here_has_a_terminal_that_breaks_it() -> None:
    assert {id for id, _, _ in (*BREAKERS, *WARNERS)} == rules_of(retries)
