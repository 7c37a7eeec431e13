"""Run rules against a subject, one after the other.

Rules:

- If a rule's function raises an unexpected exception, the rule fails and the report says so. The other rules still run.
- Every rule that was to run has a result. One that could not be tried is ``NOT_TRIED``.

Flow: rules → ``run`` → :class:`Report` → ``report``.
"""

import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from msgspec import Struct

from gatepost.conformance.rule import Exchange, Finding, NotTried, Result, Rule, Verdict, failed

__all__ = ["Report", "Subject", "run"]


class Subject(Protocol):
    """The end that rules examine. It keeps exchanges, and returns them on request."""

    def collect(self) -> tuple[Exchange, ...]:
        """Return the exchanges since the last call."""
        ...


Examined = TypeVar("Examined", bound=Subject)


class Report(Struct, frozen=True):
    """The result of a run."""

    subject: str
    """``receiver`` or ``terminal``."""
    url: str
    results: tuple[Result, ...]

    def count(self, verdict: Verdict) -> int:
        return sum(result.finding.verdict is verdict for result in self.results)

    @property
    def ok(self) -> bool:
        """Return whether no rule is broken, and enough was tried to say so.

        Warnings do not count. A core rule that was not tried counts, and so does a run in which nothing was tried.
        """
        return (
            self.count(Verdict.FAIL) == 0
            and self.count(Verdict.NOT_TRIED) < len(self.results)
            and not self.untried_core
        )

    @property
    def untried_core(self) -> tuple[Result, ...]:
        """Return the core rules that were to be tried and were not."""
        return tuple(
            result for result in self.results if result.core and result.finding.verdict is Verdict.NOT_TRIED
        )


async def run(
    rules: Sequence[Rule[Examined]],
    subject: Examined,
    *,
    told: Callable[[Result], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Result, ...]:
    """Try each of ``rules`` on ``subject``. ``told`` is called with each result; ``clock`` counts seconds."""
    results = []
    for rule in rules:
        started = clock()
        subject.collect()
        finding = await _tried(rule, subject)
        result = Result(
            rule.id,
            rule.title,
            rule.citation,
            finding,
            subject.collect(),
            round(clock() - started, 3),
            rule.core,
        )
        told(result)
        results.append(result)
    return tuple(results)


async def _tried(rule: Rule[Examined], subject: Examined) -> Finding:
    try:
        return await rule.check(subject)
    except NotTried as error:
        return Finding(Verdict.NOT_TRIED, error.words)
    except Exception as error:
        # A peer may do anything. A check that stops here would hide the findings of the other rules.
        what = f"{type(error).__name__}: {error}"
        return failed(f"the check itself broke off: {what}", f"检查自身中断：{what}")
