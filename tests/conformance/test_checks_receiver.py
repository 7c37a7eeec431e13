"""All rules for receivers together; what breaks each of them is with the module that has the rule."""

import ssl

import trustme
from tests.conformance.receiver_kit import BY_ID, PATIENT, probe
from tests.conformance.rules_of import rules_of
from tests.conformance.tiny_receiver import TinyReceiver

from gatepost.conformance import receiver_dialects, receiver_replies, receiver_sending
from gatepost.conformance.checks_receiver import RULES
from gatepost.conformance.runner import run


async def test_a_receiver_that_keeps_the_contract_passes_every_rule() -> None:
    async with TinyReceiver() as receiver:
        results = await run(RULES, probe(receiver, limits=PATIENT))
    assert {
        result.id: str(result.finding.why) for result in results if result.finding.verdict != "pass"
    } == {}
    assert len(results) == len(RULES)


def test_every_rule_of_every_module_is_tried_and_none_twice() -> None:
    modules = (receiver_dialects, receiver_replies, receiver_sending)
    assert set().union(*map(rules_of, modules)) == set(BY_ID)
    assert len(BY_ID) == len(RULES)


async def test_a_receiver_that_does_not_answer_at_all_fails_every_rule_but_that_of_encryption() -> None:
    async with TinyReceiver() as receiver:
        gone = probe(receiver)
    results = await run(RULES, gone)
    assert [result.id for result in results if result.finding.verdict != "fail"] == ["encryption"]


async def test_the_other_rules_do_not_mind_the_certificate() -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("example.org").configure_cert(tls)
    async with TinyReceiver(tls=tls) as receiver:
        results = await run(RULES, probe(receiver, limits=PATIENT))
    assert [result.id for result in results if result.finding.verdict != "pass"] == ["encryption"]
