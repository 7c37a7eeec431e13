"""All rules for receivers together; what breaks each of them is with the module that has the rule."""

import ssl

import pytest
import trustme
from tests.conformance.receiver.kit import BY_ID, PATIENT, probe
from tests.conformance.rules_of import rules_of
from tests.conformance.tiny_receiver import TinyReceiver, reply

from gatepost.conformance.receiver import dialects, field, listed, replies, transport, variations
from gatepost.conformance.receiver.rules import RULES
from gatepost.conformance.rule import Verdict
from gatepost.conformance.runner import Report, run

NOT_HERE = {"encryption"} | rules_of(listed)
"""What cannot be tried of a receiver that speaks http on this machine and has no API."""


async def test_a_receiver_that_keeps_the_contract_passes_every_rule() -> None:
    async with TinyReceiver() as receiver:
        results = await run(RULES, probe(receiver, limits=PATIENT))
    assert {
        result.id: result.finding.verdict for result in results if result.finding.verdict != "pass"
    } == dict.fromkeys(NOT_HERE, Verdict.NOT_TRIED)
    assert len(results) == len(RULES)
    assert Report("receiver", "", results).ok


def test_every_rule_of_every_module_is_tried_and_none_twice() -> None:
    modules = (dialects, field, listed, replies, transport, variations)
    assert set().union(*map(rules_of, modules)) == set(BY_ID)
    assert len(BY_ID) == len(RULES)


async def test_a_receiver_that_does_not_answer_at_all_fails_every_rule_but_that_of_encryption() -> None:
    async with TinyReceiver() as receiver:
        gone = probe(receiver)
    results = await run(RULES, gone)
    unfailed = {result.id for result in results if result.finding.verdict != "fail"}
    assert unfailed == NOT_HERE


async def test_the_other_rules_do_not_mind_the_certificate() -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("example.org").configure_cert(tls)
    async with TinyReceiver(tls=tls) as receiver:
        results = await run(RULES, probe(receiver, limits=PATIENT))
    verdicts = {result.id: result.finding.verdict for result in results if result.finding.verdict != "pass"}
    assert verdicts == dict.fromkeys(NOT_HERE, Verdict.NOT_TRIED) | {"encryption": Verdict.WARNING}


@pytest.mark.parametrize(
    "message",
    [
        "this receiver takes pushes only with the terminal's token",
        "this terminal is unknown here",
        "缺少令牌",
    ],
)
async def test_nothing_is_tried_of_a_receiver_that_wants_a_terminals_own_address(message: str) -> None:
    refusal = {"code": 403, "message": message, "data": {}}
    async with TinyReceiver(lambda push: reply(403, refusal)) as receiver:
        results = await run(RULES, probe(receiver, limits=PATIENT))
    assert {result.finding.verdict for result in results} == {Verdict.NOT_TRIED}
    assert "give the address with the token" in results[0].finding.why.en
    assert not Report("receiver", "", results).ok


@pytest.mark.parametrize(
    "response",
    [
        reply(403, b"<h1>token missing</h1>", kind="text/html"),
        reply(403, {"code": 403, "message": "log in", "data": {}}),
        reply(403, {"message": "token missing"}),
        reply(401, {"code": 401, "message": "token missing", "data": {}}),
    ],
)
async def test_any_other_refusal_of_credentials_fails(response: bytes) -> None:
    async with TinyReceiver(lambda push: response) as receiver:
        results = await run([BY_ID["record"], BY_ID["no-login"]], probe(receiver, limits=PATIENT))
    assert [result.finding.verdict for result in results] == [Verdict.FAIL, Verdict.FAIL]
