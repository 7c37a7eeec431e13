"""All rules for terminals together, and what was found is restored. What breaks each is with the module that has it."""

import asyncio

import pytest
from tests.conformance.rules_of import rules_of
from tests.conformance.terminal.kit import ACCOUNT, BEFORE, BY_ID, PATIENCE, PATIENT, Reads, Silent, visiting
from tests.conformance.tiny_terminal import TinyTerminal

from gatepost.conformance.raw_http import Target
from gatepost.conformance.rule import Result, Verdict
from gatepost.conformance.runner import Report
from gatepost.conformance.terminal import http_api, pushes, replies, retries
from gatepost.conformance.terminal.fake_receiver import FakeReceiver
from gatepost.conformance.terminal.rules import RULES, examine
from gatepost.conformance.terminal.session import TerminalSession


def unkept(results: tuple[Result, ...]) -> dict[str, Verdict]:
    return {result.id: result.finding.verdict for result in results if result.finding.verdict != "pass"}


@pytest.mark.parametrize("user", [None, ACCOUNT])
async def test_a_terminal_that_keeps_the_contract_passes_every_rule(user: tuple[str, str] | None) -> None:
    terminal = TinyTerminal(user)
    terminal.subscription = dict(BEFORE)
    async with visiting(terminal, user, timeouts=PATIENT) as session:
        results = await examine(session)
    assert unkept(results) == {"encryption": Verdict.NOT_TRIED} | (
        {} if user else {"login": Verdict.NOT_TRIED}
    )
    assert len(results) == len(RULES)
    assert Report("terminal", "", results).ok
    assert terminal.subscription == BEFORE


def test_every_rule_of_every_module_is_tried_and_none_twice() -> None:
    modules = (pushes, replies, retries, http_api)
    assert set().union(*map(rules_of, modules)) == set(BY_ID)
    assert len(BY_ID) == len(RULES)


async def test_a_terminal_that_is_not_there_fails_without_waiting_for_events() -> None:
    terminal = TinyTerminal()
    async with terminal:
        pass
    receiver = FakeReceiver("127.0.0.1", 0)
    await receiver.open()
    asked: list[int] = []

    async def cause(count: int) -> None:
        asked.append(count)

    session = TerminalSession(
        Target.parse(terminal.url), receiver, event_dest="http://127.0.0.1/", cause=cause, timeouts=PATIENCE
    )
    results = await examine(session)
    await receiver.close()
    assert asked == []
    verdicts = {result.id: result.finding.verdict for result in results}
    assert verdicts["subscription-read"] is Verdict.FAIL
    assert set(verdicts.values()) <= {Verdict.FAIL, Verdict.WARNING, Verdict.NOT_TRIED}
    assert verdicts["delivered"] is Verdict.NOT_TRIED
    assert not Report("terminal", "", results).ok


# -- what was found is restored


async def test_nothing_configured_becomes_switched_off() -> None:
    terminal = TinyTerminal()
    async with visiting(terminal, timeouts=PATIENT) as session:
        results = await examine(session, rules=[BY_ID["delivered"], BY_ID["restored"]])
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
    async with visiting(terminal) as session:
        running = asyncio.create_task(examine(session, rules=[BY_ID["delivered"]]))
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
    async with visiting(terminal, timeouts=PATIENT) as session:
        await examine(session, rules=[BY_ID["subscription-1024"], BY_ID["switched-off"]])
    assert terminal.subscription == found


async def test_a_subscription_that_cannot_be_read_is_not_changed() -> None:
    terminal = Reads(lambda found: "?")
    terminal.subscription = dict(BEFORE)
    async with visiting(terminal) as session:
        results = await examine(
            session, rules=[BY_ID["subscription-set"], BY_ID["delivered"], BY_ID["restored"]]
        )
    assert terminal.subscription == BEFORE
    assert {result.finding.verdict for result in results} == {Verdict.NOT_TRIED}
    assert all("cannot be read" in result.finding.why.en for result in results[:2])


async def test_an_address_that_is_not_shown_whole_is_not_changed() -> None:
    """It could not be restored: the receiver's token is not in what was read."""
    terminal = TinyTerminal()
    terminal.subscription = {"event_dest": "http://receiver.example/Record/***", "enabled": True}
    found = dict(terminal.subscription)
    async with visiting(terminal) as session:
        results = await examine(
            session, rules=[BY_ID["subscription-set"], BY_ID["delivered"], BY_ID["restored"]]
        )
    assert terminal.subscription == found
    assert {result.finding.verdict for result in results} == {Verdict.NOT_TRIED}
    assert all("not shown whole" in result.finding.why.en for result in results[:2])


# -- what was not exercised is not tried

PUSHED = tuple(rule for rule in RULES if rule.id not in rules_of(http_api) | {"switched-off"})


async def test_of_a_terminal_that_pushes_nothing_no_rule_about_pushes_passes() -> None:
    terminal = Silent()
    terminal.subscription = dict(BEFORE)
    async with visiting(terminal, timeouts=PATIENCE) as session:
        results = await examine(session, rules=PUSHED)
    verdicts = {result.id: result.finding.verdict for result in results}
    # That events happened is known here, so these two saw that they were not pushed.
    assert {id for id, verdict in verdicts.items() if verdict is Verdict.FAIL} == {"delivered", "outage"}
    assert set(verdicts.values()) == {Verdict.FAIL, Verdict.NOT_TRIED}


async def test_of_a_terminal_that_nobody_passed_nothing_about_pushes_is_tried() -> None:
    terminal = TinyTerminal()
    terminal.subscription = dict(BEFORE)

    async def nobody(count: int) -> None:
        pass

    async with visiting(terminal, timeouts=PATIENCE, certain=False) as session:
        session._cause = nobody
        results = await examine(session, rules=(*PUSHED, BY_ID["switched-off"]))
    assert {result.finding.verdict for result in results} == {Verdict.NOT_TRIED}
    assert "--cause" in results[0].finding.why.en
    assert not Report("terminal", "", results).ok


async def test_without_its_account_a_terminal_is_not_tried_and_the_option_is_named() -> None:
    terminal = TinyTerminal(ACCOUNT)
    terminal.subscription = dict(BEFORE)
    async with visiting(terminal) as session:
        results = await examine(session)
    tried = {result.id for result in results if result.finding.verdict is not Verdict.NOT_TRIED}
    assert tried <= {"heartbeat", "unknown-path", "reply-headers"}
    assert "--user" in {result.id: result for result in results}["subscription-read"].finding.why.en
    assert terminal.subscription == BEFORE
