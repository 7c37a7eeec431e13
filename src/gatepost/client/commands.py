"""``gatepost events``, ``alarms``, ``terminals`` and ``people``: the receiver's API on the command line.

Where the receiver is, and with which token, is said by ``--url`` and ``--token``, or better by ``GATEPOST_URL`` and
``GATEPOST_TOKEN``: other users of the machine can read a command line. Lists are a line an item, for people; with
``--json`` they are JSON lines, for programs, which do not depend on the language.
"""

from __future__ import annotations

import typer

from gatepost.cli_text import app_options, t

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    from gatepost.client import (
        alarm_commands,
        event_commands,
        finding_commands,
        fleet_commands,
        people_commands,
        terminal_commands,
    )

    for name, module, text in (
        ("events", event_commands, t("what happened at the doors", "门禁通行记录")),
        ("alarms", alarm_commands, t("alarms: list, acknowledge", "告警：列出、确认")),
        ("terminals", terminal_commands, t("terminals of a receiver", "接收端的终端管理")),
        ("people", people_commands, t("people: list, erase", "人员：列出、删除")),
    ):
        group = typer.Typer(**app_options(), help=text)
        module.register(group)
        if module is terminal_commands:
            fleet_commands.register(group)
            finding_commands.register(group)
        group.callback()(lambda: None)
        app.add_typer(group, name=name)
