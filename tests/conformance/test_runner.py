from itertools import count

from gatepost.conformance.rule import Exchange, Finding, NotTried, Verdict, Words, passed, rule, warned
from gatepost.conformance.runner import Report, run


class Subject:
    def __init__(self) -> None:
        self.noted: list[Exchange] = []

    def collect(self) -> tuple[Exchange, ...]:
        noted, self.noted = self.noted, []
        return tuple(noted)


@rule("kept", en="kept", zh="遵守", source="page", text="text")
async def kept(subject: Subject) -> Finding:
    """Notes an exchange."""
    subject.noted.append(Exchange("sent", "received"))
    return passed("yes", "是")


@rule("dies", en="dies", zh="中断", source="page", text="text")
async def dies(subject: Subject) -> Finding:
    """Breaks off after an exchange."""
    subject.noted.append(Exchange("a", "b"))
    raise ZeroDivisionError("at the peer's doing")


@rule("warns", en="warns", zh="警告", source="page", text="text")
async def warns(subject: Subject) -> Finding:
    """Warns."""
    return warned("hm", "嗯")


async def test_each_rule_has_a_result_with_its_own_exchanges_and_seconds() -> None:
    subject = Subject()
    subject.noted.append(Exchange("of before", ""))
    told: list[str] = []
    ticks = count(0.0, 0.5)
    results = await run(
        [kept, warns], subject, told=lambda result: told.append(result.id), clock=lambda: next(ticks)
    )
    assert told == ["kept", "warns"]
    assert [result.exchanges for result in results] == [(Exchange("sent", "received"),), ()]
    assert [result.seconds for result in results] == [0.5, 0.5]


async def test_a_rule_that_breaks_off_fails_with_the_reason_and_the_others_run() -> None:
    results = await run([dies, kept], Subject())
    assert [result.finding.verdict for result in results] == [Verdict.FAIL, Verdict.PASS]
    assert "ZeroDivisionError: at the peer's doing" in results[0].finding.why.en
    assert results[0].exchanges == (Exchange("a", "b"),)


async def test_a_report_is_good_with_warnings_and_not_with_failures() -> None:
    assert Report("receiver", "u", await run([kept, warns], Subject())).ok
    report = Report("receiver", "u", await run([kept, dies], Subject()))
    assert not report.ok
    assert [report.count(verdict) for verdict in Verdict] == [1, 0, 1, 0]


@rule("shut", en="shut", zh="关闭", source="page", text="text")
async def shut(subject: Subject) -> Finding:
    """Has nothing to look at."""
    raise NotTried("nobody came; send somebody", "没有人来")


@rule("heart", en="heart", zh="核心", source="page", text="text", core=True)
async def heart(subject: Subject) -> Finding:
    """Has nothing to look at, and nothing counts without it."""
    raise NotTried("nobody came; send somebody", "没有人来")


async def test_a_rule_that_was_not_exercised_is_not_tried_with_the_reason() -> None:
    (result,) = await run([shut], Subject())
    assert result.finding == Finding(Verdict.NOT_TRIED, Words("nobody came; send somebody", "没有人来"))


async def test_a_report_is_good_without_a_rule_that_was_not_tried_unless_it_is_a_core_rule() -> None:
    assert Report("receiver", "u", await run([kept, shut], Subject())).ok
    assert not Report("receiver", "u", await run([kept, heart], Subject())).ok


async def test_a_report_of_a_run_that_tried_nothing_is_not_good() -> None:
    assert not Report("receiver", "u", await run([shut], Subject())).ok


def test_a_rule_knows_its_words_and_its_docstring() -> None:
    assert kept.title == Words("kept", "遵守")
    assert kept.doc == "Notes an exchange."
