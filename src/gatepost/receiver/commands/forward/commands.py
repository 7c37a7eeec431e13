"""Define ``gatepost forward``: destinations on the command line, also while the receiver runs.

The receiver takes a change over within some seconds.
"""

from __future__ import annotations

import typer

from gatepost.cli_text import app_options, t
from gatepost.receiver.commands.forward import make, send, show

__all__ = ["app"]

app = typer.Typer(
    **app_options(),
    help=t("Destinations: where events are passed on to.", "转发目标：将事件转发到其他系统。"),
)

for command, name, text in (
    (make.add, None, t("Make a destination.", "创建转发目标。")),
    (show.list_destinations, "list", t("List the destinations.", "列出转发目标。")),
    (
        show.show,
        None,
        t("Show a destination, its replays, and its attempts or dead letters.", "显示一个转发目标。"),
    ),
    (send.try_out, "test", t("Send a made-up event, marked as a test.", "发送一个标记为测试的虚构事件。")),
    (make.pause, None, t("Send nothing for now; what arrives waits.", "暂停发送；新事件将等待。")),
    (
        make.resume,
        None,
        t("Go on, also where the destination closed itself.", "恢复发送，包括目标自行关闭的情况。"),
    ),
    (send.replay, None, t("Send events of a span again.", "重新发送一段时间内的事件。")),
    (send.retry, None, t("Try dead letters again.", "重试死信。")),
    (send.drop, None, t("Give dead letters up.", "丢弃死信。")),
    (show.check, None, t("Recount a ledger from the events.", "根据事件重新核对账目。")),
    (
        make.delete,
        None,
        t("Delete a destination, or a replay by its number.", "删除转发目标，或按编号删除重放。"),
    ),
):
    app.command(name, help=text)(command)
