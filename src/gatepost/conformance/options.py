"""The options of ``gatepost check``."""

from pathlib import Path
from typing import Annotated

import typer

from gatepost.cli_text import t

# Of both commands.

JsonFile = Annotated[
    Path | None,
    typer.Option("--json", help=t("File that the report is written to, as JSON.", "报告文件（JSON）。")),
]

JunitFile = Annotated[
    Path | None,
    typer.Option(
        "--junit", help=t("File that the report is written to, as JUnit XML.", "报告文件（JUnit XML）。")
    ),
]

Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        help=t("Show for every rule what was sent and received.", "显示每条规则发送与收到的内容。"),
    ),
]

Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only", help=t("Id of the rule to check; may be repeated.", "只检查该规则（标识）；可重复。")
    ),
]

Timeout = Annotated[
    str,
    typer.Option("--timeout", help=t("Longest wait for a reply, such as 10s.", "等待应答的时限，例如 10s。")),
]

# Of `gatepost check receiver`.

ReceiverUrl = Annotated[str, typer.Argument(help=t("Address that terminals push to.", "终端的推送地址。"))]

Slow = Annotated[
    str,
    typer.Option(
        "--slow", help=t("How long one slow push takes, such as 6s.", "一次慢速推送所用的时间，例如 6s。")
    ),
]

CaFile = Annotated[
    str | None,
    typer.Option(
        "--ca-file",
        help=t("File with your own certificate authority, PEM.", "自有证书颁发机构的证书文件（PEM）。"),
    ),
]

Api = Annotated[
    str | None,
    typer.Option(
        "--api",
        metavar="URL",
        help=t(
            "Address of the receiver's API, such as http://127.0.0.1:8080, to read back what was acknowledged.",
            "接收端 API 的地址，例如 http://127.0.0.1:8080，用于读回已确认的事件。",
        ),
    ),
]

ApiToken = Annotated[
    str,
    typer.Option(
        "--api-token",
        envvar="GATEPOST_CHECK_API_TOKEN",
        help=t(
            "Token that may read the API; better in the environment.",
            "可读取该 API 的令牌；建议通过环境变量给出。",
        ),
    ),
]

# Of `gatepost check terminal`.

TerminalUrl = Annotated[
    str,
    typer.Argument(help=t("Address of the terminal's own HTTP service.", "终端自身 HTTP 服务的地址。")),
]

Listen = Annotated[
    str,
    typer.Option(
        "--listen",
        metavar="HOST:PORT",
        help=t("Address on this machine that the terminal can push to.", "本机供终端推送的地址。"),
    ),
]

User = Annotated[str | None, typer.Option("--user", help=t("Account at the terminal.", "终端的账号。"))]

Password = Annotated[
    str | None,
    typer.Option(
        "--password",
        envvar="GATEPOST_CHECK_PASSWORD",
        help=t(
            "Password of that account; better in the environment.", "该账号的密码；建议通过环境变量给出。"
        ),
    ),
]

EventDest = Annotated[
    str | None,
    typer.Option(
        "--event-dest",
        metavar="URL",
        help=t(
            "Address that the terminal is to push to, where it differs from --listen.",
            "终端所见的推送地址（与 --listen 不同时）。",
        ),
    ),
]

Cause = Annotated[
    str | None,
    typer.Option(
        "--cause",
        metavar="COMMAND",
        help=t("Shell command that makes one event happen.", "产生一条事件的 shell 命令。"),
    ),
]

Outage = Annotated[
    str,
    typer.Option("--outage", help=t("Length of the outage, such as 10s.", "断网的时长，例如 10s。")),
]

Patience = Annotated[
    str,
    typer.Option(
        "--patience", help=t("Longest wait for an event, such as 2m.", "等待一条事件的时限，例如 2m。")
    ),
]

Resend = Annotated[
    str,
    typer.Option(
        "--resend",
        help=t(
            "Longest wait for an event that is pushed again, such as 2m.", "等待重新推送的时限，例如 2m。"
        ),
    ),
]

Quiet = Annotated[
    str,
    typer.Option(
        "--quiet",
        help=t(
            "Silence after which the terminal has nothing left to push, such as 5s.",
            "静默多久即视为终端已无待推送事件，例如 5s。",
        ),
    ),
]
