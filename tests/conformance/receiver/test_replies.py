"""What a receiver replies: each rule held against a receiver that breaks it."""

import pytest
from tests.conformance.receiver.kit import PATIENT, Make, held, saying, wants
from tests.conformance.rules_of import rules_of
from tests.conformance.tiny_receiver import BAD, Push, TinyReceiver, good, refusing, reply

from gatepost.conformance.receiver import replies, variations
from gatepost.conformance.rule import Verdict


def forgets_nothing() -> TinyReceiver:
    seen: set[bytes] = set()

    def decide(push: Push) -> bytes:
        again = push.body in seen
        seen.add(push.body)
        return reply(409, {"code": 409, "message": "exists already", "data": {}}) if again else good(push)

    return TinyReceiver(decide)


BREAKERS: tuple[tuple[str, str, Make], ...] = (
    ("record", "refuses", lambda: saying(BAD)),
    ("record", "answers nothing", lambda: TinyReceiver(lambda push: None)),
    ("alarm", "knows no alarms", lambda: TinyReceiver(refusing(lambda push: push.event["type"] == 1))),
    ("alarm", "knows no clearing", lambda: TinyReceiver(refusing(lambda push: push.data.get("status") == 3))),
    ("reply-object", "says OK", lambda: saying(b"OK")),
    ("reply-object", "says nothing", lambda: saying(b"")),
    ("reply-object", "says a list", lambda: saying([200])),
    ("reply-code", "says it in a string", lambda: saying({"code": "200", "message": "success", "data": {}})),
    ("reply-code", "says it with a point", lambda: saying({"code": 200.0, "message": "success", "data": {}})),
    ("reply-code", "says 0", lambda: saying({"code": 0, "message": "success", "data": {}})),
    ("reply-code", "says none", lambda: saying({"message": "success", "data": {}})),
    ("reply-message", "says msg", lambda: saying({"code": 200, "msg": "success", "data": {}})),
    ("reply-message", "says a number", lambda: saying({"code": 200, "message": 1, "data": {}})),
    ("reply-data", "leaves it out", lambda: saying({"code": 200, "message": "success"})),
    ("reply-data", "says a string", lambda: saying({"code": 200, "message": "success", "data": ""})),
    ("status-200", "says 201", lambda: saying({"code": 200, "message": "success", "data": {}}, 201)),
    ("status-200", "says 204", lambda: TinyReceiver(lambda push: b"HTTP/1.1 204 No Content\r\n\r\n")),
    ("content-type", "answers nothing", lambda: TinyReceiver(lambda push: None)),
    ("no-login", "asks for a login", lambda: saying(BAD, 401)),
    ("no-login", "sends to a login page", lambda: saying(b"", 302, "Location: /login")),
    ("absent-record", "wants a uuid", lambda: wants("uuid")),
    ("absent-record", "wants a name", lambda: TinyReceiver(refusing(lambda push: "name" not in push.user))),
    ("absent-alarm", "wants a description", lambda: wants("description")),
    ("absent-alarm", "wants a code", lambda: wants("code")),
    ("unknown-fields", "forbids them", lambda: TinyReceiver(refusing(lambda push: "x_text" in push.event))),
    ("unknown-codes", "forbids them", lambda: TinyReceiver(refusing(lambda push: push.data.get("mode", 0) > 10))),
    ("unknown-type", "falls over", lambda: TinyReceiver(lambda push: reply(500, b"Internal Server Error"))),
    ("bad-json", "takes everything", lambda: saying({"code": 200, "message": "success", "data": {}})),
    ("bad-json", "hangs up", lambda: TinyReceiver(lambda push: None if push.event is None else reply())),
    ("duplicate-record", "wants new ones", forgets_nothing),
    ("duplicate-alarm", "wants new ones", forgets_nothing),
)  # fmt: skip

WARNERS: tuple[tuple[str, str, Make], ...] = (
    ("reply-message", "says ok", lambda: saying({"code": 200, "message": "ok", "data": {}})),
    ("reply-data", "says null", lambda: saying({"code": 200, "message": "success", "data": None})),
    ("content-type", "says text", lambda: saying(b'{"code":200}', kind="text/plain")),
    ("content-type", "says nothing", lambda: saying(b'{"code":200}', kind=None)),
    ("unknown-type", "refuses it", lambda: TinyReceiver(refusing(lambda push: push.event["type"] == 2))),
    ("bad-json", "answers HTML", lambda: TinyReceiver(lambda push: good(push) if push.event else reply(400, b"<h1>"))),
    ("bad-json", "blames itself", lambda: TinyReceiver(lambda push: good(push) if push.event else reply(500, BAD))),
)  # fmt: skip


@pytest.mark.parametrize(("id", "how", "make"), BREAKERS, ids=[f"{id}: {how}" for id, how, _ in BREAKERS])
async def test_a_receiver_that_breaks_a_rule_fails_it(id: str, how: str, make: Make) -> None:
    finding = await held(id, make())
    assert finding.verdict is Verdict.FAIL, finding.why
    assert not finding.why.en.startswith("the check itself")


@pytest.mark.parametrize(("id", "how", "make"), WARNERS, ids=[f"{id}: {how}" for id, how, _ in WARNERS])
async def test_what_costs_no_event_is_a_warning(id: str, how: str, make: Make) -> None:
    finding = await held(id, make(), limits=PATIENT)
    assert finding.verdict is Verdict.WARNING, finding.why


def test_every_rule_here_has_a_receiver_that_breaks_it() -> None:
    assert {id for id, _, _ in BREAKERS} == rules_of(replies) | rules_of(variations)
