"""One report, three forms."""

import io
import json
from xml.etree import ElementTree

import pytest
from msgspec import structs
from rich.console import Console

from gatepost.conformance.report import as_json, as_junit, as_table, line
from gatepost.conformance.rule import (
    Citation,
    Exchange,
    Finding,
    Result,
    Verdict,
    Words,
    failed,
    passed,
    warned,
)
from gatepost.conformance.runner import Report


def result(id: str, finding: Finding, *exchanges: Exchange) -> Result:
    return Result(id, Words(f"title {id}", f"标题 {id}"), Citation("页", "文"), finding, exchanges, 0.25)


UNTRIED = Finding(Verdict.NOT_TRIED, Words("no event came", "没有收到事件"))
REPORT = Report(
    "receiver",
    "http://r/Record",
    (
        result("good", passed("fine", "好")),
        result("hm", warned("costs", "代价")),
        result(
            "bad",
            failed("lost \x00 & <b>", "丢失"),
            Exchange('POST /\n\n{"name":"王五"}', "HTTP/1.1 500\x1b"),
        ),
        result("away", UNTRIED),
    ),
)


def text(*, verbose: bool = False) -> str:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(as_table(REPORT, verbose=verbose))
    return console.export_text()


def test_json_says_everything_in_both_languages() -> None:
    value = json.loads(as_json(REPORT))
    assert (value["subject"], value["url"]) == ("receiver", "http://r/Record")
    assert (value["pass"], value["warning"], value["fail"], value["not tried"]) == (1, 1, 1, 1)
    bad = value["results"][2]
    assert (bad["id"], bad["verdict"], bad["why_zh"], bad["title_zh"]) == ("bad", "fail", "丢失", "标题 bad")
    assert bad["exchanges"][0]["sent"].endswith('{"name":"王五"}')


def test_junit_counts_failures_and_keeps_warnings_as_output() -> None:
    suite = ElementTree.fromstring(as_junit(REPORT))[0]  # noqa: S314 (it is ours)
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", "1", "1")
    cases = {case.get("name"): case for case in suite}
    assert cases["good"].find("failure") is None
    assert (cases["hm"].findtext("system-out") or "").startswith("warning: costs")
    skipped = cases["away"].find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "no event came"
    failure = cases["bad"].find("failure")
    assert failure is not None
    assert "<b>" in str(failure.get("message"))
    assert "王五" in str(failure.text)


def test_the_table_shows_what_was_exchanged_only_where_a_rule_is_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GATEPOST_LANG", "en")
    shown = text()
    assert "title good" in shown
    assert "HTTP/1.1 500" in shown
    assert "1 pass, 1 warning, 1 fail, 1 not tried" in shown
    assert "no verdict" not in shown


def test_the_table_is_in_the_language_of_the_person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEPOST_LANG", "zh")
    shown = text(verbose=True)
    assert "标题 good" in shown
    assert "未通过" in shown
    assert line(REPORT) == "通过 1，警告 1，未通过 1，未检查 1"


def test_a_check_whose_core_was_not_tried_says_that_it_has_no_verdict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GATEPOST_LANG", "en")
    core = structs.replace(result("heart", UNTRIED), core=True)
    report = Report("receiver", "u", (result("good", passed("fine", "好")), core))
    assert line(report).endswith("no verdict, because what counts most was not tried (heart)")
