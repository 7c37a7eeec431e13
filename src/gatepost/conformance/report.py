"""The result of a check: a table for people, JSON and JUnit XML for programs.

JSON: ``{"subject", "url", "pass", "warning", "fail", "not tried", "results": [{"id", "title", "title_zh", "source",
"passage", "verdict", "why", "why_zh", "seconds", "exchanges": [{"sent", "received"}]}]}``. JUnit XML: one test case per
rule. A warning passes and is in the output of the case; a rule that was not tried is skipped.
"""

import re
from xml.etree import ElementTree

import msgspec
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from gatepost.cli_text import t
from gatepost.conformance.rule import Result, Verdict
from gatepost.conformance.runner import Report

__all__ = ["as_json", "as_junit", "as_table", "line"]

_COLOURS = {Verdict.PASS: "green", Verdict.WARNING: "yellow", Verdict.FAIL: "red", Verdict.NOT_TRIED: "cyan"}

# Characters that XML 1.0 cannot contain (section 2.2). A receiver may send them.
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_table(report: Report, *, verbose: bool = False) -> Group:
    """Return the table, the exchanges of every broken rule (``verbose``: of every rule), and a last line."""
    table = Table(title=f"{_subject(report)}  {report.url}", title_justify="left", expand=True)
    table.add_column(t("rule", "规则"), no_wrap=True)
    table.add_column(t("verdict", "结论"), no_wrap=True)
    table.add_column(t("what was found", "结果"), ratio=1, overflow="fold")
    for result in report.results:
        verdict = result.finding.verdict
        table.add_row(
            result.id,
            Text(str(verdict.words), style=_COLOURS[verdict]),
            Text(f"{result.title}\n{result.finding.why}"),
        )
    shown = [item for item in report.results if verbose or item.finding.verdict is Verdict.FAIL]
    return Group(table, *(_behind(result) for result in shown), Text(line(report)))


def line(report: Report) -> str:
    """Return the overall verdict, in one line."""
    passes, warnings, fails, untried = (report.count(verdict) for verdict in Verdict)
    text = t(
        f"{passes} pass, {warnings} warning, {fails} fail, {untried} not tried",
        f"通过 {passes}，警告 {warnings}，未通过 {fails}，未检查 {untried}",
    )
    if fails or report.ok:
        return text
    missing = ", ".join(result.id for result in report.untried_core or report.results)
    return text + t(
        f": no verdict, because what counts most was not tried ({missing})",
        f"：关键规则未检查（{missing}），无法得出结论",
    )


def _subject(report: Report) -> str:
    return t("receiver", "接收端") if report.subject == "receiver" else t("terminal", "终端")


def _behind(result: Result) -> Text:
    text = Text(f"\n{result.id}  ", style="bold")
    text.append(f"{result.citation.source}: {result.citation.text}\n", style="not bold")
    for exchange in result.exchanges[-2:]:
        text.append(_indented("> ", exchange.sent), style="not bold dim")
        text.append(_indented("< ", exchange.received), style="not bold")
    return text


def _indented(mark: str, text: str) -> str:
    return "".join(f"  {mark}{row}\n" for row in text.rstrip().split("\n"))


def as_json(report: Report) -> bytes:
    """Return the report as JSON, indented, in UTF-8."""
    value = {
        "subject": report.subject,
        "url": report.url,
        **{verdict.value: report.count(verdict) for verdict in Verdict},
        "results": [
            {
                "id": result.id,
                "title": result.title.en,
                "title_zh": result.title.zh,
                "source": result.citation.source,
                "passage": result.citation.text,
                "verdict": result.finding.verdict.value,
                "why": result.finding.why.en,
                "why_zh": result.finding.why.zh,
                "seconds": result.seconds,
                "exchanges": result.exchanges,
            }
            for result in report.results
        ],
    }
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def as_junit(report: Report) -> bytes:
    """Return the report as JUnit XML."""
    suite = ElementTree.Element(
        "testsuite",
        name=f"gatepost check {report.subject}",
        tests=str(len(report.results)),
        failures=str(report.count(Verdict.FAIL)),
        errors="0",
        skipped=str(report.count(Verdict.NOT_TRIED)),
        time=f"{sum(result.seconds for result in report.results):.3f}",
    )
    for result in report.results:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=f"gatepost.{report.subject}",
            name=result.id,
            time=str(result.seconds),
        )
        seen = "\n\n".join(f"{exchange.sent}\n--\n{exchange.received}" for exchange in result.exchanges)
        about = _xml(f"{result.title.en}\n{result.citation.source}: {result.citation.text}\n\n{seen}")
        why = _xml(result.finding.why.en)
        if result.finding.verdict is Verdict.FAIL:
            ElementTree.SubElement(case, "failure", message=why).text = about
        elif result.finding.verdict is Verdict.NOT_TRIED:
            ElementTree.SubElement(case, "skipped", message=why)
        else:
            ElementTree.SubElement(case, "system-out").text = f"{result.finding.verdict}: {why}\n{about}"
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _xml(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)


def printed(report: Report, *, verbose: bool = False) -> None:
    """Print the table to standard output."""
    Console().print(as_table(report, verbose=verbose), highlight=False)
