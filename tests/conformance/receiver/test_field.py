"""What firmware in the field sends: each class held against receivers that do not take it."""

import json

import pytest
from tests.conformance.receiver.kit import BY_ID, PATIENT, held
from tests.conformance.rules_of import rules_of
from tests.conformance.tiny_receiver import BAD, Push, TinyReceiver, good, reply

from gatepost.conformance.receiver import field
from gatepost.conformance.rule import Verdict
from gatepost.dialect_faults.classes import CLASSES

NAMES = [found.name for found in CLASSES]
DEMANDED = {"padding", "placeholder-ids", "repeated-ids", "reused-trace-ids"}


def strict(push: Push) -> bytes:
    """Take one JSON object in UTF-8, called application/json, with the page's types."""
    try:
        event = json.loads(push.body.decode(), parse_constant=lambda _: 1 / 0)
        data, user = event["data"], event["data"].get("user", {})
        typed = (
            push.headers.get("content-type") == "application/json"
            and type(event["type"]) is int
            and type(data.get("timestamp", data.get("event_time"))) is int
            and isinstance(data.get("pass", True), bool)
            and isinstance(user.get("user_id", ""), str)
            and data.get("timestamp", 1) < 10**11
            and data.get("timestamp", 1) != 0
            and data.get("event_time", 10**12) in range(10**12, 10**13)
            and ("rgb_image" not in data or set(data["rgb_image"]) <= BASE64)
            and ("rgb_image" not in data or data["rgb_image"].startswith(("/9j/", " ")))
        )
    except (ValueError, KeyError, TypeError, ZeroDivisionError, AttributeError):
        typed = False
    return reply() if typed else reply(400, BAD)


BASE64 = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/= ")


def test_every_class_has_its_rule() -> None:
    assert rules_of(field) == set(NAMES)


@pytest.mark.parametrize("id", NAMES)
async def test_a_receiver_that_takes_everything_keeps_the_rule(id: str) -> None:
    finding = await held(id, TinyReceiver(good), limits=PATIENT)
    assert finding.verdict is Verdict.PASS, finding.why


@pytest.mark.parametrize("id", NAMES)
async def test_a_refusal_is_a_failure_only_where_the_page_gives_no_right_to_it(id: str) -> None:
    finding = await held(id, TinyReceiver(lambda push: reply(400, BAD)), limits=PATIENT)
    assert finding.verdict is (Verdict.FAIL if id in DEMANDED else Verdict.WARNING)
    assert "not acknowledged: record" in finding.why.en or "not acknowledged: alarm" in finding.why.en


@pytest.mark.parametrize("id", NAMES)
async def test_no_response_is_a_failure(id: str) -> None:
    finding = await held(id, TinyReceiver(lambda push: None), limits=PATIENT)
    assert finding.verdict is Verdict.FAIL


@pytest.mark.parametrize("id", sorted(set(NAMES) - DEMANDED))
async def test_a_receiver_that_takes_only_what_the_page_shows_is_warned_of_every_other_class(id: str) -> None:
    finding = await held(id, TinyReceiver(strict), limits=PATIENT)
    assert finding.verdict is Verdict.WARNING, finding.why


async def test_that_receiver_takes_what_is_json_of_the_pages_types() -> None:
    for id in ("record", "alarm", *sorted(DEMANDED)):
        assert (await held(id, TinyReceiver(strict), limits=PATIENT)).verdict is Verdict.PASS
    assert BY_ID.keys() >= DEMANDED
