"""Rules of the contract, and the verdicts on the end that is checked.

Rules:

- A rule is one function. Its docstring says what is done and what each verdict means; the reference page is made of it.
- A rule names the passage that it rests on. Where the page is silent, the passage is the HTTP standard or what is known
  of the fleet, and then breaking it is a warning unless events would be lost.
- A rule that had nothing to look at says so: ``NOT_TRIED`` is neither kept nor broken. A ``core`` rule that was not
  tried leaves the whole check without a verdict, see ``runner.Report.ok``.
- A finding is in both languages, and shows what was sent and what came back, without portraits.

Flow: ``@rule(…)`` on a function → :class:`Rule` → ``runner`` → :class:`Result`.
"""

import inspect
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Generic, TypeVar

from msgspec import Struct

from gatepost.cli_text import language
from gatepost.errors import GatepostError

__all__ = [
    "Words",
    "Verdict",
    "Exchange",
    "Finding",
    "Passage",
    "NotTried",
    "Rule",
    "Result",
    "rule",
    "passed",
    "warned",
    "failed",
]

Subject = TypeVar("Subject")


class Words(Struct, frozen=True):
    """A sentence in English and in Chinese."""

    en: str
    zh: str

    def __str__(self) -> str:
        return self.zh if language() == "zh" else self.en


class Verdict(StrEnum):
    """What is said of one rule."""

    PASS = "pass"  # noqa: S105 (a verdict)
    WARNING = "warning"
    FAIL = "fail"
    NOT_TRIED = "not tried"

    @property
    def words(self) -> Words:
        return _VERDICTS[self]


_VERDICTS = {
    Verdict.PASS: Words("pass", "通过"),
    Verdict.WARNING: Words("warning", "警告"),
    Verdict.FAIL: Words("fail", "未通过"),
    Verdict.NOT_TRIED: Words("not tried", "未检查"),
}


class Exchange(Struct, frozen=True):
    """One request and what came back, as text, with long values shortened."""

    sent: str
    received: str


class Finding(Struct, frozen=True):
    """What a rule's function found."""

    verdict: Verdict
    why: Words


def passed(en: str, zh: str) -> Finding:
    """Say that the rule is kept, and by what that was seen."""
    return Finding(Verdict.PASS, Words(en, zh))


def warned(en: str, zh: str) -> Finding:
    """Say that no event is lost by it, and what it costs nevertheless."""
    return Finding(Verdict.WARNING, Words(en, zh))


def failed(en: str, zh: str) -> Finding:
    """Say that the rule is broken, and how."""
    return Finding(Verdict.FAIL, Words(en, zh))


class NotTried(GatepostError):
    """A rule could not be tried, and why. The sentence says what to do so that it can be."""

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(en)
        self.words = Words(en, zh)


class Passage(Struct, frozen=True):
    """What a rule rests on: where it stands, and the words that count."""

    source: str
    text: str


PAGE_PUSH = "第三方服务器推送配置 › 事件推送协议（HTTP/HTTPS）"
PAGE_SET = "第三方服务器推送配置 › 提交配置"
PAGE_GET = "第三方服务器推送配置 › 获取配置"
PAGE_TOP = "第三方服务器推送配置"
GUIDE = "the maker's integration guide, API 1.0 to 1.3"


class Rule(Struct, Generic[Subject], frozen=True):
    """One sentence of the contract, and the function that holds a subject against it."""

    id: str
    title: Words
    passage: Passage
    check: Callable[[Subject], Awaitable[Finding]]
    core: bool = False
    """A check in which this rule was not tried proves nothing."""

    @property
    def doc(self) -> str:
        return inspect.cleandoc(self.check.__doc__ or "")


class Result(Struct, frozen=True):
    """A rule, what was found, and how it was seen."""

    id: str
    title: Words
    passage: Passage
    finding: Finding
    exchanges: tuple[Exchange, ...]
    seconds: float
    core: bool = False


def rule(
    id: str, *, en: str, zh: str, source: str, text: str, core: bool = False
) -> Callable[[Callable[[Subject], Awaitable[Finding]]], Rule[Subject]]:
    """Make a :class:`Rule` of a function.

    ``id`` is for scripts and never changes; ``en`` and ``zh`` say the rule in a sentence; ``source`` and ``text`` are
    the passage. ``core`` marks a rule without which a check proves nothing.
    """

    def made(check: Callable[[Subject], Awaitable[Finding]]) -> Rule[Subject]:
        return Rule(id, Words(en, zh), Passage(source, text), check, core)

    return made
