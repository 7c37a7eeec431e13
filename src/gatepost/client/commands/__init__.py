"""``gatepost events``, ``alarms``, ``terminals``, ``people`` and ``views``: the receiver's API on the command line.

Where the receiver is, and with which token, is said by ``--url`` and ``--token``, or better by ``GATEPOST_URL`` and
``GATEPOST_TOKEN``: other users of the machine can read a command line. Lists are a line an item, for people; with
``--json`` they are JSON lines, for programs, which do not depend on the language.

``options``     what all of them share: the options, and how a value is written
``events``      records, and everything as it happens
``alarms``      alarms: list, acknowledge, close
``terminals/``  terminals: one, several at once, and those that are adopted
``people``      people: list, erase, attendance
``person``      one person: marks, and joined numbers
``inside``      who is inside
``views``       saved views of the console's pages
"""

from __future__ import annotations

import typer

from gatepost.cli_text import app_options, t

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    from gatepost.client.commands import alarms, events, people, views
    from gatepost.client.commands.terminals import finding, fleet, terminals

    for name, module, text in (
        ("events", events, t("what happened at the doors", "门禁通行记录")),
        ("alarms", alarms, t("alarms: list, acknowledge", "告警：列出、确认")),
        ("terminals", terminals, t("terminals of a receiver", "接收端的终端管理")),
        ("people", people, t("people: list, erase", "人员：列出、删除")),
        ("views", views, t("views: list, save", "视图：列出、保存")),
    ):
        group = typer.Typer(**app_options(), help=text)
        module.register(group)
        if module is terminals:
            fleet.register(group)
            finding.register(group)
        group.callback()(lambda: None)
        app.add_typer(group, name=name)
