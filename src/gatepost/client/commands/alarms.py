"""``gatepost alarms list | acknowledge | acknowledge-all | close``."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from gatepost.cli_text import language, t
from gatepost.client.client import Filter
from gatepost.client.commands.options import (
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
from gatepost.items import AcknowledgedItem, AlarmItem
from gatepost.wire.codes import AlarmCode, label

__all__ = ["AlarmKind", "State", "alarm_line", "register"]

AlarmKind = Annotated[
    int | None,
    typer.Option(
        "--code",
        help=t("Code of the kind of alarm, see the reference.", "告警类型代码，见参考文档。"),
    ),
]
State = Annotated[
    str | None,
    typer.Option(
        "--state",
        metavar="open|clear_failed|cleared",
        help=t(
            "State of the alarms: open (not cleared), clear_failed (open, and clearing failed), cleared.",
            "告警状态：open（未解除）、clear_failed（未解除且解除失败）、cleared（已解除）。",
        ),
    ),
]


def alarm_line(alarm: AlarmItem) -> str:
    """Return an alarm in one line, for a person."""
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
    state: State = None,
    acknowledged: Annotated[
        bool | None,
        typer.Option(
            "--acknowledged/--unacknowledged",
            help=t("Only those that are, or are not, acknowledged.", "是否已确认。"),
        ),
    ] = None,
    terminal: Terminal = None,
    without_serial: WithoutSerial = False,
    site: Site = None,
    code: AlarmKind = None,
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
            code=code,
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
    numbers: Annotated[
        list[int],
        typer.Argument(
            min=1,
            metavar="NUMBER...",
            help=t(
                "Numbers of the alarms, from `gatepost alarms list`.", "告警编号，见“gatepost alarms list”。"
            ),
        ),
    ],
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    note: Annotated[str, typer.Option("--note", help=t("What came of it.", "处理说明。"))] = "",
    json: AsJson = False,
) -> None:
    """Say that somebody has looked at an alarm, or at several."""
    with asking(url, token, ca_file) as client:
        if len(numbers) > 1:
            _said(client.acknowledge_many(numbers, note=note), json=json)
            return
        alarm = client.acknowledge(numbers[0], note=note)
        if json:
            as_json(alarm)
        else:
            typer.echo(alarm_line(alarm))


def acknowledge_all(
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    state: State = None,
    terminal: Terminal = None,
    without_serial: WithoutSerial = False,
    site: Site = None,
    code: AlarmKind = None,
    since: Since = None,
    until: Until = None,
    note: Annotated[str, typer.Option("--note", help=t("What came of them.", "处理说明。"))] = "",
    yes: Annotated[
        bool, typer.Option("--yes", help=t("Do not ask for confirmation.", "不再询问确认。"))
    ] = False,
    json: AsJson = False,
) -> None:
    """Acknowledge every alarm that the filters choose, at most 10,000, after the count was confirmed."""
    filters: dict[str, Filter] = {
        "state": state,
        "terminal": terminal,
        "without_serial": without_serial or None,
        "site": site,
        "code": code,
        "since": since,
        "until": until,
    }
    with asking(url, token, ca_file) as client:
        found = client.alarms_to_acknowledge(**filters)
        if not found.alarms or found.up_to is None:
            _said(0, json=json)
            return
        question = t(f"Acknowledge {found.alarms} alarms?", f"确认 {found.alarms} 条告警？")
        if not yes:
            typer.confirm(question, abort=True, err=True)
        _said(client.acknowledge_all(up_to=found.up_to, note=note, **filters), json=json)


def _said(done: int, *, json: bool) -> None:
    """Print how many alarms were acknowledged."""
    if json:
        as_json(AcknowledgedItem(alarms=done))
    else:
        typer.echo(t(f"acknowledged: {done}", f"已确认：{done} 条"))


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
    group.command("acknowledge", help=t("Acknowledge alarms.", "确认告警。"))(acknowledge)
    group.command(
        "acknowledge-all",
        help=t("Acknowledge all alarms that filters choose.", "确认符合筛选条件的全部告警。"),
    )(acknowledge_all)
    group.command(
        "close", help=t("Close an alarm that its terminal does not clear.", "关闭一条终端未解除的告警。")
    )(close)
