"""What older firmware, other lists and other alphabets send: each rule held against a receiver that breaks it."""

import pytest
from tests.conformance.receiver.kit import Make, held, wants
from tests.conformance.rules_of import rules_of
from tests.conformance.tiny_receiver import Push, TinyReceiver, refusing

from gatepost.conformance.receiver import dialects
from gatepost.conformance.rule import Verdict


def beyond_the_basic_plane(push: Push) -> bool:
    return max(push.user["name"] or " ") > "\uffff"


BREAKERS: tuple[tuple[str, str, Make], ...] = (
    ("dialect-1.3.0", "knows no entry_mode", lambda: TinyReceiver(refusing(lambda push: "entry_mode" in push.data))),
    ("dialect-1.2.1", "wants entry_mode", lambda: wants("entry_mode")),
    ("dialect-1.2.0", "wants strings", lambda: TinyReceiver(refusing(lambda push: push.user["user_id"] == 5))),
    ("dialect-1.0", "wants job numbers", lambda: TinyReceiver(refusing(lambda push: "job_number" not in push.user))),
    ("dialect-before-1.0", "wants a serial", lambda: wants("deviceSN")),
    ("variants", "wants a name", lambda: TinyReceiver(refusing(lambda push: push.user["name"] is None))),
    ("variants", "wants an image", lambda: TinyReceiver(refusing(lambda push: push.data["rgb_image"] == ""))),
    ("trailing-comma", "is strict", lambda: TinyReceiver(refusing(lambda push: b",\n" in push.body))),
    ("utf-8", "knows the basic plane", lambda: TinyReceiver(refusing(beyond_the_basic_plane))),
    ("utf-8", "compares types", lambda: TinyReceiver(refusing(lambda push: "charset" in push.headers["content-type"]))),
)  # fmt: skip


@pytest.mark.parametrize(("id", "how", "make"), BREAKERS, ids=[f"{id}: {how}" for id, how, _ in BREAKERS])
async def test_a_receiver_that_breaks_a_rule_fails_it(id: str, how: str, make: Make) -> None:
    finding = await held(id, make())
    assert finding.verdict is Verdict.FAIL, finding.why
    assert not finding.why.en.startswith("the check itself")


def test_every_rule_here_has_a_receiver_that_breaks_it() -> None:
    assert {id for id, _, _ in BREAKERS} == rules_of(dialects)
