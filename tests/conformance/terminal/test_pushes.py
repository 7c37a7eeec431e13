"""What a terminal pushes: each rule held against a terminal that breaks it."""

from typing import Any

import pytest
from tests.conformance.rules_of import rules_of
from tests.conformance.terminal.kit import PATIENT, Make, Paths, Silent, held, page
from tests.conformance.tiny_terminal import TinyTerminal

from gatepost.conformance.rule import Verdict
from gatepost.conformance.terminal import pushes

PNG = "iVBORw0KGgo="


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


class Remembers(TinyTerminal):
    """Has a passage in its history that it never pushed."""

    def history(self) -> list[dict[str, Any]]:
        return [*super().history(), self.make(1_700_000_100)]


BREAKERS: tuple[tuple[str, str, Make], ...] = (
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
    ("history", "never pushed one", Remembers),
)  # fmt: skip

WARNERS: tuple[tuple[str, str, Make], ...] = (
    ("push-request", "calls it text", lambda: Writes(b"application/json", b"text/plain")),
    ("push-headers", "says nothing", lambda: Writes(b"sn: ", b"x: ")),
    ("push-shape", "has numbers for names", lambda: Makes(user={"user_id": 5})),
    ("push-shape", "has no uuid", lambda: Makes(uuid=...)),
    ("history", "has none", lambda: Paths({"/v1/event/records": page(b"no")})),
    ("history", "has no uuid", lambda: Makes(uuid=...)),
)  # fmt: skip


@pytest.mark.parametrize(("id", "how", "make"), BREAKERS, ids=[f"{id}: {how}" for id, how, _ in BREAKERS])
async def test_a_terminal_that_breaks_a_rule_fails_it(id: str, how: str, make: Make) -> None:
    finding = await held(id, make())
    assert finding.verdict is Verdict.FAIL, finding.why
    assert not finding.why.en.startswith("the check itself")


@pytest.mark.parametrize(("id", "how", "make"), WARNERS, ids=[f"{id}: {how}" for id, how, _ in WARNERS])
async def test_what_costs_no_event_is_a_warning(id: str, how: str, make: Make) -> None:
    finding = await held(id, make(), timeouts=PATIENT)
    assert finding.verdict is Verdict.WARNING, finding.why


def test_every_rule_here_has_a_terminal_that_breaks_it() -> None:
    assert {id for id, _, _ in (*BREAKERS, *WARNERS)} == rules_of(pushes)
