"""The display of a run, and its summary. Pure: from counts to something that Rich can print.

`live` is redrawn four times a second, `line` is the same in one line for a log, `summary` is printed at the end. The
language is that of `gatepost.cli_text`.
"""

from __future__ import annotations

from msgspec import Struct
from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gatepost.cli_text import t
from gatepost.simulator.meter import Count, Meter
from gatepost.simulator.report import Report

ROWS = 14
"""Terminals that are shown: those with the largest backlog, then those with the most events."""


class ViewState(Struct, frozen=True, kw_only=True):
    """The values of the display besides the counts. `done`: from 0 to 1, ``None`` if unknown."""

    title: str
    state: str
    rate: float
    elapsed: float
    done: float | None = None


def live(meter: Meter, moment: ViewState) -> RenderableType:
    """Return the whole display: figures, errors, and the terminals with a backlog."""
    parts: list[RenderableType] = [_figures(meter, moment)]
    if moment.done is not None:
        parts.append(bar(moment.done))
    if meter.errors:
        parts.append(_errors(dict(meter.errors.most_common(3))))
    parts.append(_terminals(meter.counts))
    return Panel(
        Group(*parts), title=moment.title, subtitle=moment.state, border_style="cyan", padding=(0, 1)
    )


def line(meter: Meter, moment: ViewState) -> str:
    """Return the display in one line, for an output that is no terminal."""
    latency = meter.latency
    return t(
        f"{moment.elapsed:6.1f} s  {moment.state}: {meter.acknowledged} of {meter.recorded} acknowledged, "
        f"backlog {meter.backlog}, {moment.rate:.0f}/s, p50 {_ms(latency.percentile(0.5))}, "
        f"p99 {_ms(latency.percentile(0.99))}, {meter.errors.total()} failures",
        f"{moment.elapsed:6.1f} 秒  {moment.state}：已确认 {meter.acknowledged} / {meter.recorded}，"
        f"积压 {meter.backlog}，{moment.rate:.0f} 条/秒，p50 {_ms(latency.percentile(0.5))}，"
        f"p99 {_ms(latency.percentile(0.99))}，失败 {meter.errors.total()} 次",
    )


def summary(report: Report) -> RenderableType:
    """Return the result of a run."""
    table = Table(box=box.SIMPLE_HEAD, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    answers = report.answers
    rows = [
        (t("terminals", "终端"), f"{report.terminals:,}"),
        (t("recorded", "已记录"), f"{report.recorded:,}"),
        (t("acknowledged", "已确认"), f"{report.acknowledged:,}"),
        (t("of these sent twice on purpose", "其中故意重复发送"), f"{report.again:,}"),
        (t("not acknowledged", "未确认"), f"{report.backlog:,}"),
        (t("dead letters, dropped", "死信、丢弃"), f"{report.dead:,}, {report.dropped:,}"),
        (t("requests without success", "未成功的请求"), f"{report.refused + report.unanswered:,}"),
        (t("seconds", "秒"), f"{report.seconds:,.1f}"),
        (t("events a second", "条/秒"), f"{report.rate:,.0f}"),
        (t("reply p50, p95, p99, max", "应答 p50、p95、p99、最长"),
         ", ".join(f"{value:,.2f} ms" for value in (answers.p50_ms, answers.p95_ms, answers.p99_ms, answers.max_ms))),
    ]  # fmt: skip
    if report.unheard:
        rows.append((t("before any subscription", "尚无订阅时发生"), f"{report.unheard:,}"))
    for name, value in rows:
        table.add_row(name, value)
    parts: list[RenderableType] = [table]
    if report.dialect_faults:
        parts.append(_faults(report))
    if report.errors:
        parts.append(_errors(report.errors))
    return Group(*parts, _verdict(report))


def _faults(report: Report) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(t("dialect fault", "报文缺陷"))
    table.add_column(t("sent", "已发送"), justify="right")
    table.add_column(t("acknowledged", "已确认"), justify="right")
    for name, found in report.dialect_faults.items():
        lacking = found.acknowledged < found.sent
        table.add_row(
            name, f"{found.sent:,}", Text(f"{found.acknowledged:,}", style="bold red" if lacking else "")
        )
    return table


def _verdict(report: Report) -> Text:
    if report.complete:
        return Text(t("everything recorded was acknowledged", "所有记录均已被确认"), style="bold green")
    lacking = report.recorded - report.acknowledged
    if lacking:
        text = t(f"{lacking:,} not acknowledged", f"{lacking:,} 条未被确认")
    elif report.errors:
        text = t(
            "nothing was sent: the receiver could not be reached; see --to and the failures above",
            "未发送任何事件：无法连接接收端；请检查 --to 与上面的失败原因",
        )
    elif report.unheard:
        text = t(
            "nothing was sent: no terminal had a subscription; give --to, or subscribe the terminals",
            "未发送任何事件：没有终端设置推送配置；请给出 --to，或为终端设置推送配置",
        )
    else:
        text = t(
            "nothing was sent: no event happened; see --hours, --passages, --events and --duration",
            "未发送任何事件：没有事件发生；请检查 --hours、--passages、--events 与 --duration",
        )
    return Text(text, style="bold red")


def bar(done: float, *, pulse: bool = False) -> RenderableType:
    """Return a progress bar of the full width. It is in a grid, because alone it ends no line without colours."""
    grid = Table.grid(expand=True)
    grid.add_row(ProgressBar(total=1.0, completed=min(1.0, done), width=None, pulse=pulse))
    return grid


def _figures(meter: Meter, moment: ViewState) -> Table:
    latency = meter.latency
    table = Table.grid(expand=True)
    cells = [
        (t("events/s", "条/秒"), f"{moment.rate:,.0f}"),
        (t("recorded", "已记录"), f"{meter.recorded:,}"),
        (t("acknowledged", "已确认"), f"{meter.acknowledged:,}"),
        (t("backlog", "积压"), f"{meter.backlog:,}"),
        ("p50", _ms(latency.percentile(0.5))),
        ("p95", _ms(latency.percentile(0.95))),
        ("p99", _ms(latency.percentile(0.99))),
        (t("failures", "失败"), f"{meter.errors.total():,}"),
    ]
    for _ in cells:
        table.add_column(justify="center")
    table.add_row(*(Text(name, style="dim") for name, _ in cells))
    table.add_row(*(Text(value, style="bold") for _, value in cells))
    return table


def _terminals(counts: list[Count]) -> Table:
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for name in (t("terminal", "终端"), t("place", "位置"), "API"):
        table.add_column(name, no_wrap=True)
    for name in (t("recorded", "已记录"), t("backlog", "积压"), t("failed", "失败")):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True, min_width=7)
    shown = sorted(counts, key=lambda count: (-count.backlog, -count.recorded))[:ROWS]
    for count in shown:
        failed = count.refused + count.unanswered
        table.add_row(
            count.serial,
            count.place,
            count.firmware,
            f"{count.recorded:,}",
            Text(f"{count.backlog:,}", style="bold yellow" if count.backlog else "dim"),
            Text(f"{failed:,}", style="red" if failed else "dim"),
            Text(t("cut off", "断网"), style="yellow") if count.away else "",
        )
    if len(counts) > ROWS:
        more = len(counts) - ROWS
        table.caption = t(f"and {more:,} more", f"另有 {more:,} 台")
    return table


def _errors(errors: dict[str, int]) -> Text:
    listed = "; ".join(f"{reason} × {number:,}" for reason, number in errors.items())
    return Text(t("failures: ", "失败：") + listed, style="red", overflow="ellipsis")


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
