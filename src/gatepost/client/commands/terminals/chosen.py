"""``gatepost terminals approve | retire | move | direction | delete | names``: one or several, all or none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from gatepost.cli_text import t
from gatepost.client.client import Client
from gatepost.client.commands.options import (
    DEFAULT_URL,
    AsJson,
    CaFile,
    Receiver,
    Token,
    as_json,
    asking,
    line,
)
from gatepost.client.commands.terminals.lines import terminal_line
from gatepost.errors import RequestRefused
from gatepost.items import NameItem, TerminalItem

__all__ = ["register"]

Several = Annotated[
    list[str], typer.Argument(metavar="TERMINAL…", help=t("Serials, or numbers.", "终端序列号或编号。"))
]


def approve(
    terminals: Several,
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    json: AsJson = False,
) -> None:
    """List what held terminals sent, and what they will send."""
    with asking(url, token, ca_file) as client:
        rows = _meant(client, terminals)
        _tell(client.approve_terminals([row.id for row in rows]), json=json)


def retire(
    terminals: Several,
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    json: AsJson = False,
) -> None:
    """Refuse what terminals push from now on; what they sent stays."""
    with asking(url, token, ca_file) as client:
        changes = {row.id: {"state": "retired"} for row in _meant(client, terminals)}
        _tell(client.change_terminals(changes), json=json)


def move(
    terminals: Several,
    site: Annotated[int, typer.Option("--site", min=1, help=t("Number of the site.", "站点编号。"))],
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    json: AsJson = False,
) -> None:
    """Put terminals at another site; people's passages go along."""
    with asking(url, token, ca_file) as client:
        changes = {row.id: {"site_id": site} for row in _meant(client, terminals)}
        _tell(client.change_terminals(changes), json=json)


def direct(
    terminals: Several,
    direction: Annotated[
        str,
        typer.Argument(
            metavar="in|out|both",
            help=t("Which way people go who pass there.", "人员通过终端的方向：进、出或进出。"),
        ),
    ],
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    json: AsJson = False,
) -> None:
    """Say which way people go who pass terminals: it decides who is inside."""
    with asking(url, token, ca_file) as client:
        changes = {row.id: {"direction": direction} for row in _meant(client, terminals)}
        _tell(client.change_terminals(changes), json=json)


def delete(
    terminals: Several,
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    yes: Annotated[bool, typer.Option("--yes", help=t("Do not ask for confirmation.", "不再询问。"))] = False,
    json: AsJson = False,
) -> None:
    """Delete retired terminals with everything that they sent, for good."""
    with asking(url, token, ca_file) as client:
        rows = _meant(client, terminals)
        if not yes:
            records = sum(row.records for row in rows)
            typer.confirm(
                t(
                    f"Delete {len(rows)} terminals with {records} records for good, images and all?",
                    f"确定永久删除 {len(rows)} 台终端及其 {records} 条记录和全部图片吗？",
                ),
                abort=True,
                err=True,
            )
        done = client.delete_terminals([row.id for row in rows])
    if json:
        as_json(done)
        return
    typer.echo(
        t(
            f"deleted: {done.records} records, {done.alarm_steps} alarm reports, {done.quarantined} quarantined",
            f"已删除：{done.records} 条记录、{done.alarm_steps} 条告警上报、{done.quarantined} 条隔离数据",
        )
    )


def names(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE.csv", help=t("Serial and name in each line.", "每行为序列号和名称。")),
    ],
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    check: Annotated[
        bool, typer.Option("--check", help=t("Only check the file.", "只检查文件，不命名。"))
    ] = False,
    json: AsJson = False,
) -> None:
    """Name terminals from a CSV file, once every line of it can be used."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror or error}") from None
    with asking(url, token, ca_file) as client:
        lines = client.name_terminals(content, save=False)
        is_usable = all(one.problem is None for one in lines)
        if is_usable and not check:
            client.name_terminals(content, save=True)
    for one in lines:
        if json:
            as_json(one)
        elif one.problem is not None or one.changes:
            typer.echo(_name_line(one))
    if not is_usable:
        raise typer.Exit(1)


def _meant(client: Client, said: Sequence[str]) -> list[TerminalItem]:
    """Return the terminals that are meant by serials, or else by numbers of the list; each once."""
    known: dict[str, TerminalItem] = {}
    for row in client.terminals():
        known.setdefault(str(row.id), row)
        if row.serial is not None:
            known[row.serial] = row
    if gone := [one for one in said if one not in known]:
        raise RequestRefused(404, t(f"there is no terminal {gone[0]}", f"没有终端 {gone[0]}"))
    return list({known[one].id: known[one] for one in said}.values())


def _tell(rows: Sequence[TerminalItem], *, json: bool) -> None:
    for row in rows:
        if json:
            as_json(row)
        else:
            typer.echo(terminal_line(row))


def _name_line(one: NameItem) -> str:
    problems = {
        None: "",
        "unknown": t("there is no such terminal", "没有该终端"),
        "twice": t("it is in the list twice", "列表中重复"),
        "nameless": t("the name is missing", "缺少名称"),
        "long": t("the name is longer than 128 characters", "名称超过 128 个字符"),
        "direction": t("the direction is none of in, out and both", "方向只能是 in、out 或 both"),
    }
    where = t(f"line {one.line}", f"第 {one.line} 行")
    return line([where, one.serial, one.name or "-", one.direction or "", problems[one.problem]])


def register(group: typer.Typer) -> None:
    """Add the commands."""
    group.command("approve", help=t("Approve terminals that are held or new.", "批准终端。"))(approve)
    group.command("retire", help=t("Refuse what they push from now on.", "停用终端。"))(retire)
    group.command("move", help=t("Put them at another site.", "将终端迁移到其他站点。"))(move)
    group.command("direction", help=t("Set which way people go there.", "设置通行方向。"))(direct)
    group.command("delete", help=t("Delete retired terminals for good.", "永久删除已停用的终端。"))(delete)
    group.command("names", help=t("Name many from a CSV file.", "用 CSV 文件批量命名终端。"))(names)
