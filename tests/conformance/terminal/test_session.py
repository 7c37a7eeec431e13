"""What a report of a terminal may show, and what it may not. The rest is seen by the rules (test_checks_terminal)."""

import json

import pytest
from tests.conformance.terminal.test_rules import ACCOUNT, BEFORE, PATIENCE, visiting
from tests.conformance.tiny_terminal import TinyTerminal

from gatepost.conformance.raw_http import Target
from gatepost.conformance.terminal.fake_receiver import FakeReceiver
from gatepost.conformance.terminal.rules import examine
from gatepost.conformance.terminal.session import TerminalSession, discreet

PRIVATE = ("王五", "JOB-77", "CARD-88", "ID-99", "secret", "token-of-today")


def test_who_passed_and_how_to_log_in_is_taken_out() -> None:
    numbers = {"job_number": "JOB-77", "ic_number": "CARD-88", "id_number": "ID-99", "pin": "", "type": 1}
    person = {"name": '王"五', **numbers}
    login = {"username": "admin", "password": "secret", "data": {"token": "token-of-today"}}
    text = "Authorization: Basic abc\nHost: h\n\n" + json.dumps({"user": person, **login}, ensure_ascii=False)
    shown = discreet(text)
    assert not [word for word in ("abc", "五", *PRIVATE) if word in shown]
    assert '"type": 1' in shown
    assert '"pin": ""' in shown
    assert "Host: h" in shown


async def test_no_exchange_of_a_whole_check_shows_a_person_or_a_password() -> None:
    terminal = TinyTerminal(ACCOUNT)
    terminal.subscription = dict(BEFORE)
    async with visiting(terminal, ACCOUNT) as session:
        results = await examine(session)
    text = "\n".join(exchange.sent + exchange.received for result in results for exchange in result.exchanges)
    assert len(text) > 5000
    assert not [word for word in PRIVATE if f'"{word}"' in text or f"{word}\n" in text]


async def test_without_an_account_nothing_is_shown_of_one() -> None:
    session = TerminalSession(
        Target.parse("http://h/"), FakeReceiver("127.0.0.1", 0), event_dest="http://h/", cause=_nothing
    )
    assert session.basic() == ()


@pytest.mark.parametrize("password", [None, "other"])
def test_the_account_is_shown_as_http_basic(password: str | None) -> None:
    session = TerminalSession(
        Target.parse("http://h/"),
        FakeReceiver("127.0.0.1", 0),
        event_dest="http://h/",
        cause=_nothing,
        timeouts=PATIENCE,
        user=("a", "b"),
    )
    expected = "Basic YTpi" if password is None else "Basic YTpvdGhlcg=="
    assert session.basic(password) == (("Authorization", expected),)


async def _nothing(count: int) -> None:
    raise AssertionError(count)
