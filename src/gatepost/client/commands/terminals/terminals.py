"""``gatepost terminals list | create | rename | rotate | refusals | why``."""

from __future__ import annotations

from typing import Annotated

import typer

from gatepost.cli_text import t
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
    terminal_of,
)
from gatepost.client.commands.terminals import chosen, history, why
from gatepost.client.commands.terminals.lines import terminal_line
from gatepost.items import TerminalItem

__all__ = ["register"]

Which = Annotated[
    str, typer.Argument(metavar="TERMINAL", help=t("Its serial, or its number.", "终端序列号或编号。"))
]


def _tell(terminal: TerminalItem, *, json: bool) -> None:
    if json:
        as_json(terminal)
        return
    typer.echo(terminal_line(terminal))
    if terminal.address is not None:
        typer.echo(
            t(
                f"set as its event_dest (it is not shown again): {terminal.address}",
                f"请在终端中设置 event_dest（只显示这一次）：{terminal.address}",
            )
        )


def list_terminals(
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    state: Annotated[
        str | None,
        typer.Option(
            "--state",
            metavar="new|approved|held|retired",
            help=t("Only terminals in this state.", "终端状态。"),
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """List terminals."""
    with asking(url, token, ca_file) as client:
        for terminal in client.terminals(state=state):
            _tell(terminal, json=json)


def create(
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    serial: Annotated[
        str | None, typer.Option("--serial", help=t("Its serial, if known.", "序列号（如已知）。"))
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help=t("What you call it.", "终端名称。"))] = None,
    site: Annotated[int, typer.Option("--site", min=1, help=t("A site's number.", "站点编号。"))] = 1,
    timezone: Annotated[
        str | None, typer.Option("--timezone", help=t("The site's unless given.", "时区，默认同站点。"))
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option("--network", help=t("From where it may push; repeat it.", "允许推送的网段，可重复。")),
    ] = None,
    json: AsJson = False,
) -> None:
    """Make a terminal before it pushes; prints the address with its secret token."""
    values = {
        "serial": serial,
        "name": name,
        "site_id": site,
        "timezone": timezone,
        "networks": network or [],
    }
    with asking(url, token, ca_file) as client:
        _tell(client.create_terminal(**values), json=json)


def rename(
    terminal: Which,
    name: Annotated[str, typer.Argument(help=t("The new name.", "新名称。"))],
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    json: AsJson = False,
) -> None:
    """Give a terminal another name."""
    with asking(url, token, ca_file) as client:
        _tell(client.change_terminal(terminal_of(client, terminal).id, name=name), json=json)


def rotate(
    terminal: Which,
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    json: AsJson = False,
) -> None:
    """Give a terminal another address; the one before counts no more at once."""
    with asking(url, token, ca_file) as client:
        _tell(client.rotate_token(terminal_of(client, terminal).id), json=json)


def refusals(
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    status: Annotated[
        int | None,
        typer.Option(
            "--status", help=t("HTTP status of the reply, such as 404.", "应答的 HTTP 状态码，如 404。")
        ),
    ] = None,
    peer: Annotated[
        str | None, typer.Option("--peer", help=t("Address that they came from.", "来源地址。"))
    ] = None,
    serial: Annotated[
        str | None, typer.Option("--serial", help=t("Serial of one terminal.", "终端序列号。"))
    ] = None,
    json: AsJson = False,
) -> None:
    """List refused pushes, newest first."""
    with asking(url, token, ca_file) as client:
        for refusal in client.refusals(status=status, peer=peer, serial=serial):
            if json:
                as_json(refusal)
                continue
            words = [clock(refusal.last_at), f"{refusal.status}", refusal.reason, refusal.peer]
            words += [refusal.serial or "-", refusal.path or "-", f"×{refusal.count}", refusal.detail]
            typer.echo(line(words))


def register(group: typer.Typer) -> None:
    """Add the commands."""
    why.register(group)
    group.command("list", help=t("List terminals.", "列出终端。"))(list_terminals)
    group.command("create", help=t("Make a terminal and its address.", "创建终端及其推送地址。"))(create)
    group.command("rename", help=t("Give it another name.", "重命名终端。"))(rename)
    group.command("rotate", help=t("Give it another secret address.", "更换推送地址中的令牌。"))(rotate)
    chosen.register(group)
    group.command("refusals", help=t("List refused pushes, newest first.", "列出被拒绝的推送，最新在前。"))(
        refusals
    )
    history.register(group)
