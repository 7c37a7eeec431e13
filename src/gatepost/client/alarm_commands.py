"""``gatepost alarms list | acknowledge | close``."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from gatepost.cli_text import language, t
from gatepost.client.asking import (
    DEFAULT_URL,
    AsJson,
    CaFile,
    Original,
    Receiver,
    Since,
    Site,
    Terminal,
    Token,
    Until,
    WithoutSerial,
    as_json,
    asking,
    clock,
    line,
)
from gatepost.items import AlarmItem
from gatepost.wire.codes import AlarmCode, label

__all__ = ["alarm_line", "register"]


def alarm_line(alarm: AlarmItem) -> str:
    """An alarm in one line, for a person."""
    states = {
        "open": t("open", "未解除"),
        "clear_failed": t("clearing failed", "解除失败"),
        "cleared": t("cleared", "已解除"),
    }
    state = t("closed by an operator", "已人工关闭") if alarm.closed_at else states[alarm.state]
    seen = t("acknowledged", "已确认") if alarm.acknowledged else t("not acknowledged", "未确认")
    words = [f"#{alarm.id}", clock(alarm.first_at, alarm.timezone), alarm.terminal or f"#{alarm.terminal_id}"]
    words += [label(AlarmCode, alarm.code, language()) or "-", state, seen]
    return line(words)


def list_alarms(
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    state: Annotated[
        str | None,
        typer.Option(
            "--state",
            metavar="open|clear_failed|cleared",
            help=t(
                "State of the alarms: open (not cleared), clear_failed (open, and clearing failed), cleared.",
                "告警状态：open（未解除）、clear_failed（未解除且解除失败）、cleared（已解除）。",
            ),
        ),
    ] = None,
    acknowledged: Annotated[
        bool | None,
        typer.Option("--acknowledged/--unacknowledged", help=t("Whether somebody looked.", "是否已确认。")),
    ] = None,
    terminal: Terminal = None,
    without_serial: WithoutSerial = False,
    site: Site = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[
        int,
        typer.Option("--limit", min=0, help=t("Maximum number of rows; 0 for all.", "最多条数；0 为全部。")),
    ] = 100,
    json: AsJson = False,
    original: Original = False,
) -> None:
    """List alarms, newest first."""
    with asking(url, token, ca_file) as client:
        found = client.alarms(
            state=state,
            acknowledged=acknowledged,
            terminal=terminal,
            without_serial=without_serial or None,
            site=site,
            since=since,
            until=until,
            include="original" if original else None,
        )
        for alarm in islice(found, limit or None):
            if json:
                as_json(alarm)
            else:
                typer.echo(alarm_line(alarm))


def acknowledge(
    number: Annotated[
        int,
        typer.Argument(min=1, help=t("Number of the alarm, from `gatepost alarms list`.", "列表中的编号。")),
    ],
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    note: Annotated[str, typer.Option("--note", help=t("What came of it.", "处理说明。"))] = "",
    json: AsJson = False,
) -> None:
    """Say that somebody has looked at an alarm."""
    with asking(url, token, ca_file) as client:
        alarm = client.acknowledge(number, note=note)
        if json:
            as_json(alarm)
        else:
            typer.echo(alarm_line(alarm))


def close(
    number: Annotated[
        int, typer.Argument(min=1, help=t("Alarm id, from 'alarms list'.", "告警编号，见“alarms list”。"))
    ],
    note: Annotated[str, typer.Option("--note", help=t("Why it is closed.", "关闭原因。"))],
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    json: AsJson = False,
) -> None:
    """Close an alarm that its terminal does not clear. It cannot be opened again."""
    with asking(url, token, ca_file) as client:
        alarm = client.close_alarm(number, note=note)
        if json:
            as_json(alarm)
        else:
            typer.echo(alarm_line(alarm))


def register(group: typer.Typer) -> None:
    """Add the commands."""
    group.command("list", help=t("List alarms, newest first.", "列出告警，最新在前。"))(list_alarms)
    group.command("acknowledge", help=t("Acknowledge an alarm.", "确认一条告警。"))(acknowledge)
    group.command(
        "close", help=t("Close an alarm that its terminal does not clear.", "关闭一条终端未解除的告警。")
    )(close)
