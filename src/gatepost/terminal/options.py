"""The options of ``gatepost terminal``."""

from pathlib import Path
from typing import Annotated

import typer

from gatepost.cli_text import t

# Of several commands.

Data = Annotated[
    Path,
    typer.Option(
        "--data",
        metavar="DIR",
        envvar="GATEPOST_DATA",
        file_okay=False,
        help=t("The terminal's data folder.", "终端的数据目录。"),
    ),
]

AsJson = Annotated[
    bool, typer.Option("--json", help=t("Print JSON, for programs.", "输出 JSON，供程序读取。"))
]

Numbers = Annotated[
    list[int] | None,
    typer.Argument(
        metavar="[ID]...",
        help=t("Ids of dead letters, from dead-letters list.", "死信编号，见 dead-letters list。"),
    ),
]

All = Annotated[bool, typer.Option("--all", help=t("All dead letters.", "全部死信。"))]

# Of `gatepost terminal run`.

Serial = Annotated[
    str,
    typer.Option(
        "--serial", "--sn", metavar="SERIAL", help=t("The terminal's serial number.", "终端序列号。")
    ),
]

Listen = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help=t(
            "Address of its own HTTP service [default: 127.0.0.1:8000]; any address but loopback needs an account.",
            "终端自身 HTTP 服务的监听地址 [默认 127.0.0.1:8000]；非本机地址必须设置账号。",
        ),
    ),
]

Username = Annotated[
    str | None, typer.Option(help=t("Account that the service asks for.", "访问该服务所需的账号。"))
]

PasswordFile = Annotated[
    str | None,
    typer.Option(metavar="FILE", help=t("File with the password of that account.", "存放该账号密码的文件。")),
]

Model = Annotated[
    str | None, typer.Option(help=t("Model that the service reports.", "该服务上报的终端型号。"))
]

Config = Annotated[
    Path | None, typer.Option(metavar="FILE", help=t("File with settings, TOML.", "设置文件（TOML）。"))
]

LogFormat = Annotated[
    str | None,
    typer.Option(
        metavar="text|json",
        help=t("Format of the log's lines [default: text].", "日志每行的格式 [默认 text]。"),
    ),
]

LogLevel = Annotated[
    str | None,
    typer.Option(
        metavar="debug|info|warning|error",
        help=t("Lowest level that is logged [default: info].", "记录日志的最低级别 [默认 info]。"),
    ),
]

Misbehave = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FAULT[=VALUE]",
        help=t(
            "Fault that the terminal shows, to test software that works with it; may be repeated. "
            "Docs: how-to/terminal.md.",
            "终端出现的故障，用于测试对接软件；可重复。说明见 how-to/terminal.zh.md。",
        ),
    ),
]
