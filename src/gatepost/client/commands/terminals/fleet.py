"""``gatepost terminals adopt | managed | verify | resume | release``: real terminals, by their own service.

A terminal's password comes from ``GATEPOST_TERMINAL_PASSWORD`` or is asked for: other users of the machine can read a
command line.
"""

from __future__ import annotations

import time
from collections.abc import Callable
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
    clock,
    line,
    terminal_of,
)
from gatepost.fleet_items import AdoptionRowItem, ManagedItem

__all__ = ["follow", "managed_line", "register"]

PASSWORD = "GATEPOST_TERMINAL_PASSWORD"  # noqa: S105 - the name of a variable

Which = Annotated[
    str, typer.Argument(metavar="TERMINAL", help=t("Its serial, or its number.", "终端序列号或编号。"))
]


def managed_line(row: ManagedItem) -> str:
    """Return an adopted terminal in one line, for a person."""
    states = {
        "adopted": t("waits for its first event", "等待首个事件"),
        "ours": t("pushes here", "向本接收端推送"),
        "away": t("cannot be reached", "无法连接"),
        "contested": t("another tool sets its address", "推送地址被其他工具修改"),
        "stopped": t("stopped", "已停止"),
    }
    words = [f"#{row.terminal_id}", row.serial or "-", row.name or "-", row.address, states[row.state]]
    return line([*words, clock(row.looked_at), row.reason or row.said or ""])


def _tell(row: ManagedItem, *, json: bool) -> None:
    if json:
        as_json(row)
    else:
        typer.echo(managed_line(row))


def adopt(
    addresses: Annotated[
        list[str],
        typer.Argument(metavar="ADDRESS…", help=t("Of their own services.", "终端自身服务的地址。")),
    ],
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    username: Annotated[
        str, typer.Option("--username", help=t("Of the terminal's account.", "终端账号的用户名。"))
    ] = "admin",
    name: Annotated[str | None, typer.Option("--name", help=t("What you call it.", "终端名称。"))] = None,
    site: Annotated[
        int | None, typer.Option("--site", min=1, help=t("A site's number.", "站点编号。"))
    ] = None,
    password: Annotated[
        str,
        typer.Option(
            envvar=PASSWORD,
            prompt=t("Password of the terminal", "终端密码"),
            hide_input=True,
            help=t("Better in the environment, or typed.", "建议放在环境变量中或手动输入。"),
        ),
    ] = "",
    yes: Annotated[
        bool, typer.Option("--yes", help=t("Do not ask about its certificate.", "不询问证书。"))
    ] = False,
    json: AsJson = False,
) -> None:
    """Adopt terminals: log in, and give each an address of its own here; exit code 1 if one is not adopted."""
    with asking(url, token, ca_file) as client:
        if len(addresses) > 1:
            order = {"username": username, "password": password, "site_id": site}
            made = client.adopt_many([{"address": address, **order} for address in addresses])
            if not follow(client, made.id, json=json):
                raise typer.Exit(1)
            return
        seen = client.look(addresses[0])
        shown = seen.certificate or t("none: plain HTTP", "无：未加密的 HTTP")
        if not json:
            typer.echo(
                t(
                    f"terminal {seen.serial} at {seen.address}, SHA-256 of its certificate: {shown}",
                    f"{seen.address} 的终端 {seen.serial}，证书 SHA-256：{shown}",
                )
            )
        if not yes and not json:
            typer.confirm(t("Send the password to it?", "是否向其发送密码？"), abort=True)
        values = {"serial": seen.serial, "certificate": seen.certificate, "name": name, "site_id": site}
        _tell(client.adopt(seen.address, username, password, **values), json=json)


def follow(
    client: Client, adoption: int, *, json: bool, sleep: Callable[[float], object] = time.sleep
) -> bool:
    """Tell how an adoption of many goes, until it is over; return whether all were adopted."""
    told: set[int] = set()
    while True:
        is_over = client.adoption(adoption).finished_at is not None
        for row in client.adoption_rows(adoption):
            if row.number not in told and row.state in ("adopted", "failed"):
                told.add(row.number)
                if json:
                    as_json(row)
                else:
                    typer.echo(_row_line(row))
        if is_over:
            return client.adoption(adoption).failed == 0
        sleep(1.0)


def _row_line(row: AdoptionRowItem) -> str:
    how = t("adopted", "已接管") if row.state == "adopted" else t("failed", "失败")
    return line([f"{row.number}", row.address, how, row.serial or "", row.reason])


def managed(
    url: Receiver = DEFAULT_URL, token: Token = "", ca_file: CaFile = None, json: AsJson = False
) -> None:
    """List adopted terminals."""
    with asking(url, token, ca_file) as client:
        for row in client.managed():
            _tell(row, json=json)


def verify(
    terminal: Which,
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    json: AsJson = False,
) -> None:
    """Look at a terminal now; exit code 1 if it does not push here."""
    with asking(url, token, ca_file) as client:
        row = client.verify(terminal_of(client, terminal).id)
        _tell(row, json=json)
        if row.state not in ("ours", "adopted"):
            raise typer.Exit(1)


def resume(
    terminal: Which,
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    json: AsJson = False,
) -> None:
    """Look at a stopped or contested terminal again."""
    with asking(url, token, ca_file) as client:
        _tell(client.resume_terminal(terminal_of(client, terminal).id), json=json)


def release(
    terminal: Which,
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    keep_address: Annotated[
        bool,
        typer.Option(
            "--keep-address",
            help=t("Write nothing to it: it goes on pushing here.", "不写入终端，仍向本接收端推送。"),
        ),
    ] = False,
    json: AsJson = False,
) -> None:
    """Manage a terminal no more; it pushes to where it pushed before."""
    with asking(url, token, ca_file) as client:
        _tell(client.release(terminal_of(client, terminal).id, give_back=not keep_address), json=json)


def register(group: typer.Typer) -> None:
    """Add the commands."""
    group.command("adopt", help=t("Manage terminals by their own service.", "通过终端自身服务接管终端。"))(
        adopt
    )
    group.command("managed", help=t("List adopted terminals.", "列出已接管的终端。"))(managed)
    group.command("verify", help=t("Look at an adopted terminal now.", "立即检查已接管的终端。"))(verify)
    group.command("resume", help=t("Look at a stopped one again.", "恢复检查已停止的终端。"))(resume)
    group.command("release", help=t("Manage it no more.", "解除接管。"))(release)
