"""What every rule of the contract must have."""

import re
from typing import Any

import pytest

from gatepost.conformance.receiver.rules import RULES as RECEIVER_RULES
from gatepost.conformance.rule import Rule, Words
from gatepost.conformance.terminal.rules import RULES as TERMINAL_RULES

ALL: tuple[Rule[Any], ...] = (*RECEIVER_RULES, *TERMINAL_RULES)
CHINESE = re.compile("[\u4e00-\u9fff]")


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.id)
def test_a_rule_has_a_name_for_scripts_two_titles_and_a_passage(rule: Rule[Any]) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", rule.id)
    assert not CHINESE.search(rule.title.en)
    assert CHINESE.search(rule.title.zh)
    assert rule.citation.source
    assert rule.citation.text


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.id)
def test_a_rules_docstring_says_when_it_passes_and_when_it_does_not(rule: Rule[Any]) -> None:
    words = rule.doc.split()
    assert "Pass:" in words
    assert {"Fail:", "Warning:"} & set(words)


def test_what_nothing_can_be_said_without_is_a_core_rule() -> None:
    assert {rule.id for rule in ALL if rule.core} == {"record", "alarm", "delivered", "resent-after-refusal"}


@pytest.mark.parametrize("rules", [RECEIVER_RULES, TERMINAL_RULES])
def test_no_two_rules_of_a_subject_have_one_name(rules: tuple[Rule[Any], ...]) -> None:
    assert len({rule.id for rule in rules}) == len(rules)


def test_words_are_in_the_language_of_the_person(monkeypatch: pytest.MonkeyPatch) -> None:
    words = Words("pass", "通过")
    monkeypatch.setenv("GATEPOST_LANG", "zh")
    assert str(words) == "通过"
    monkeypatch.setenv("GATEPOST_LANG", "en")
    assert str(words) == "pass"
