"""``gatepost terminals why``: why nothing arrives of a terminal, and what to do next."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from gatepost.cli_text import language, t
from gatepost.client.commands.options import (
    DEFAULT_URL,
    AsJson,
    CaFile,
    Receiver,
    Token,
    as_json,
    asking,
    clock,
    line,
)
from gatepost.fleet.why import Finding
from gatepost.fleet.why_words import Writer, plain
from gatepost.items import FindingItem

__all__ = ["register"]


def why(
    terminal: Annotated[
        str | None,
        typer.Argument(
            metavar="[TERMINAL]", help=t("Its serial, name or number.", "终端的序列号、名称或编号。")
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            "--address", help=t("Where it should be, instead of its serial.", "终端所在地址，可代替序列号。")
        ),
    ] = None,
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    json: AsJson = False,
) -> None:
    """Tell why nothing arrives of a terminal, and what to do next."""
    with asking(url, token, ca_file) as client:
        told = client.why(terminal=terminal, address=address)
    if json:
        as_json(told)
        return
    for one in told.findings:
        typer.echo(line([_MARKS[one.level], _finding(one)]))
    if told.next is None:
        typer.echo(t("Nothing has to be done.", "无需处理。"))
    else:
        typer.echo(t("Do this next: ", "下一步：") + line([_WRITER.do(_of(told.next))]))


def _finding(one: FindingItem) -> str:
    return _WRITER.says(_of(one))


def _of(one: FindingItem) -> Finding:
    values: dict[str, Any] = dict(one.values)
    if "when" in values:
        values["when"] = datetime.fromisoformat(values["when"])
    if "span" in values:
        values["span"] = float(values["span"])
    return Finding(check=one.check, level=one.level, code=one.code, values=values)  # type: ignore[arg-type]  # the receiver's


_WRITER = Writer(language(), clock, plain)

_MARKS = {
    "good": t("ok", "正常"),
    "unknown": t("?", "？"),
    "look": t("look", "注意"),
    "bad": t("bad", "异常"),
}


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command(
        "why", help=t("Why does nothing arrive? And what to do.", "为何收不到数据，以及如何处理。")
    )(why)
