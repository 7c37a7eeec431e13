"""Rules of the protocol, and the verdicts on the end that is checked.

Rules:

- A rule is one function. Its docstring says what it does and what each verdict means. The reference page is made of it.
- A rule cites its source. Where the protocol page says nothing, the source is the HTTP standard or what is known of
  terminals in the field. Breaking such a rule is a warning, unless events would be lost.
- ``NOT_TRIED``: there was nothing to examine. That is neither a pass nor a failure. If a ``core`` rule was not tried,
  the whole check has no verdict, see ``runner.Report.ok``.
- A finding is in both languages. It shows what was sent and received, without portraits.

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
    "Citation",
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
    """The verdict on one rule."""

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
    """A request and its response, as text, with long values shortened."""

    sent: str
    received: str


class Finding(Struct, frozen=True):
    """The verdict of a rule's function, and the reason."""

    verdict: Verdict
    why: Words


def passed(en: str, zh: str) -> Finding:
    """Return the finding that the rule is kept. ``en``, ``zh``: what shows it."""
    return Finding(Verdict.PASS, Words(en, zh))


def warned(en: str, zh: str) -> Finding:
    """Return the finding that no event is lost. ``en``, ``zh``: what it costs."""
    return Finding(Verdict.WARNING, Words(en, zh))


def failed(en: str, zh: str) -> Finding:
    """Return the finding that the rule is broken. ``en``, ``zh``: how."""
    return Finding(Verdict.FAIL, Words(en, zh))


class NotTried(GatepostError):
    """A rule could not be tried. ``en``, ``zh``: why, and what to do so that it can be."""

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(en)
        self.words = Words(en, zh)


class Citation(Struct, frozen=True):
    """The source of a rule, and the words that count."""

    source: str
    text: str


PAGE_PUSH = "第三方服务器推送配置 › 事件推送协议（HTTP/HTTPS）"
PAGE_SET = "第三方服务器推送配置 › 提交配置"
PAGE_GET = "第三方服务器推送配置 › 获取配置"
PAGE_TOP = "第三方服务器推送配置"
GUIDE = "the maker's integration guide, API 1.0 to 1.3"


class Rule(Struct, Generic[Subject], frozen=True):
    """One sentence of the protocol, and the function that tries it."""

    id: str
    title: Words
    citation: Citation
    check: Callable[[Subject], Awaitable[Finding]]
    core: bool = False
    """Without this rule a check proves nothing."""

    @property
    def doc(self) -> str:
        return inspect.cleandoc(self.check.__doc__ or "")


class Result(Struct, frozen=True):
    """A rule, its finding, and the exchanges that show it."""

    id: str
    title: Words
    citation: Citation
    finding: Finding
    exchanges: tuple[Exchange, ...]
    seconds: float
    core: bool = False


def rule(
    id: str, *, en: str, zh: str, source: str, text: str, core: bool = False
) -> Callable[[Callable[[Subject], Awaitable[Finding]]], Rule[Subject]]:
    """Make a :class:`Rule` of a function.

    ``id`` is for scripts and never changes. ``en`` and ``zh`` are the rule in one sentence. ``source`` and ``text``
    are the citation. ``core`` marks a rule without which a check proves nothing.
    """

    def made(check: Callable[[Subject], Awaitable[Finding]]) -> Rule[Subject]:
        return Rule(id, Words(en, zh), Citation(source, text), check, core)

    return made
