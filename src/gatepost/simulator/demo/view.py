"""The display of the demo: the progress, the table at the end, the addresses to open. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path

from msgspec import Struct
from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gatepost.cli_text import t
from gatepost.simulator.demo.inventory import Verdict
from gatepost.simulator.meter import Count
from gatepost.simulator.view import bar


class Stage(Enum):
    """A stage of the demo: English, Chinese, colour."""

    STARTING = ("starting", "启动中", "dim")
    UP = ("the receiver is up; the terminals record and push", "接收端运行中，终端记录并推送", "green")
    KILLED = (
        "the receiver was killed (SIGKILL); the terminals go on recording",
        "接收端已被强制终止（SIGKILL），终端继续记录",
        "bold red",
    )
    BACK = ("the receiver is started again; the backlog drains", "接收端重新启动，积压正在送达", "yellow")
    DRAINING = (
        "recording is over; waiting for the last acknowledgements",
        "记录结束，等待最后的确认",
        "yellow",
    )
    COMPARING = ("comparing what is stored with what was recorded", "正在比对已存储与已记录的内容", "cyan")

    def text(self) -> str:
        """Return the text in the language of the environment."""
        return t(self.value[0], self.value[1])

    @property
    def style(self) -> str:
        return self.value[2]


class Row(Struct, frozen=True, kw_only=True):
    """A terminal in the table. `waited`: the longest backlog; `resent`: requests beyond one per event."""

    serial: str
    place: str
    verdict: Verdict
    waited: int
    resent: int


def progress(stage: Stage, counts: Sequence[Count], done: float) -> RenderableType:
    """Return the bar, the stage, and the acknowledged share of each terminal."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in (t("terminal", "终端"), t("place", "位置")):
        table.add_column(name, style="bold", header_style="dim", no_wrap=True)
    for name in (t("recorded", "已记录"), t("acknowledged", "已确认"), t("waiting", "等待中")):
        table.add_column(name, justify="right", header_style="dim", no_wrap=True)
    table.add_column("")
    for count in counts:
        waiting = Text(f"{count.backlog:,}", style="bold yellow" if count.backlog > 3 else "dim")
        share = ProgressBar(total=max(1, count.recorded), completed=count.acknowledged, width=12)
        table.add_row(
            count.serial, count.place, f"{count.recorded:,}", f"{count.acknowledged:,}", waiting, share
        )
    return Panel(
        Group(
            Text(stage.text(), style=stage.style),
            bar(done, pulse=done > 1),
            Text(),
            table,
        ),
        title="gatepost demo",
        border_style="cyan",
        padding=(0, 1),
    )


def result(rows: Sequence[Row]) -> Table:
    """Return the table: recorded and stored per terminal, and everything that should be 0."""
    title = t("What was recorded, and what is stored", "已记录与已存储的事件")
    table = Table(box=box.SIMPLE_HEAD, title=title, pad_edge=False, padding=(0, 0, 0, 1))  # fits 80 columns
    table.add_column(t("terminal", "终端"), no_wrap=True)
    for name in (
        t("recorded", "已记录"),
        t("stored", "已存储"),
        t("duplicates", "重复"),
        t("lost", "丢失"),
        t("waited", "最大积压"),
        t("resent", "重发"),
    ):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for row in rows:
        verdict = row.verdict
        table.add_row(
            f"{row.place}\n[dim]{row.serial}[/dim]",
            f"{verdict.recorded:,}",
            f"{verdict.stored:,}",
            _zero(verdict.duplicates),
            _zero(verdict.lost),
            f"{row.waited:,}",
            f"{row.resent:,}",
            Text("✔", style="bold green") if verdict.holds else Text("✘", style="bold red"),
        )
    return table


def verdict(rows: Sequence[Row], *, good: bool, felt: bool, strangers: int, images: int) -> Text:
    """Return the last lines: the verdict."""
    if good:
        text = t(
            f"recorded = stored, duplicates 0, lost 0; {images:,} images compared byte by byte",
            f"已记录 = 已存储，重复 0，丢失 0；逐字节比对了 {images:,} 张图片",
        )
        return Text(text, style="bold green")
    why = []
    altered = sum(row.verdict.altered for row in rows)
    misfiled = sum(row.verdict.misfiled for row in rows)
    if altered:
        why.append(t(f"{altered} images altered", f"{altered} 张图片内容不同"))
    if misfiled:
        why.append(t(f"{misfiled} stored under another terminal", f"{misfiled} 条归到了其他终端"))
    if strangers:
        why.append(t(f"{strangers} stored that no terminal recorded", f"有 {strangers} 条来历不明的记录"))
    if not felt:
        why.append(t("the outage was not felt, so nothing is proven", "未感受到中断，无法证明任何结论"))
    text = "; ".join([t("something differs", "存在差异"), *why])
    return Text(text, style="bold red")


def addresses(url: str, password: str, folder: Path, terminals: Mapping[str, str]) -> RenderableType:
    """Return the addresses to open, while everything stays up."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    table.add_row(t("console", "控制台"), f"{url}/")
    table.add_row(t("sign in as", "登录"), f"admin / {password}")
    table.add_row("API", f"{url}/api/v1/records")
    for serial, address in terminals.items():
        table.add_row(serial, address)
    table.add_row(t("data", "数据"), str(folder))
    return Panel(
        table,
        title=t("everything stays up; Ctrl-C ends it", "服务保持运行，按 Ctrl-C 结束"),
        border_style="green",
        expand=False,
    )


def _zero(number: int) -> Text:
    return Text(f"{number:,}", style="green" if number == 0 else "bold red")
