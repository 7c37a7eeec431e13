"""The options of ``gatepost simulate``. :mod:`gatepost.simulator.checking` reads them."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gatepost.cli_text import t


class EngineName(StrEnum):
    """The two ways to run a fleet."""

    FAITHFUL = "faithful"
    FAST = "fast"


# What the terminals are, and where they push.

To = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="URL",
        help=t(
            "Address that the terminals push to, such as http://127.0.0.1:8080/Record; {sn} stands for the serial.",
            "终端的推送地址，例如 http://127.0.0.1:8080/Record；{sn} 代表序列号。",
        ),
    ),
]

Terminals = Annotated[
    int, typer.Option("--terminals", "-n", min=1, max=5000, help=t("Number of terminals.", "终端数量。"))
]

Seed = Annotated[
    int,
    typer.Option(
        min=0,
        help=t(
            "Seed of all random draws; the same seed gives the same events.",
            "随机种子；相同种子产生相同事件。",
        ),
    ),
]

Engine = Annotated[
    EngineName,
    typer.Option(
        help=t(
            "faithful: real terminals with their outbox; fast: as many events as the receiver acknowledges.",
            "faithful：带本地缓存的真实终端程序；fast：以接收端能承受的最高速率发送。",
        )
    ),
]

CaFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help=t(
            "Certificate authorities to trust, PEM [default: those of the system].",
            "信任的 CA 证书（PEM）[默认使用系统证书]。",
        ),
    ),
]

Insecure = Annotated[
    bool,
    typer.Option(
        "--insecure", help=t("Accept any certificate of the receiver.", "接受接收端的任何证书，不作校验。")
    ),
]

# What happens on the day.

Date = Annotated[
    str | None,
    typer.Option(
        metavar="YYYY-MM-DD|today",
        help=t("Day that is simulated [default: 2026-01-05].", "模拟的日期 [默认 2026-01-05]。"),
    ),
]

Hours = Annotated[
    str,
    typer.Option(
        metavar="FROM-TO",
        help=t("Part of that day, in hours.", "当天的模拟时段（小时）。"),
    ),
]

Speed = Annotated[
    float,
    typer.Option(
        min=0.1,
        help=t(
            "Simulated time by real time; at 720 a day takes two minutes.",
            "时间加速倍数；720 表示一天用时两分钟。",
        ),
    ),
]

Passages = Annotated[
    int, typer.Option(min=1, help=t("Passages per terminal and day.", "每台终端每天的通行次数。"))
]

Alarms = Annotated[
    float, typer.Option(min=0, help=t("Alarms per terminal and day.", "每台终端每天的告警次数。"))
]

Mix = Annotated[
    str | None,
    typer.Option(
        metavar="VERSION=SHARE,…",
        help=t(
            "Share of each firmware: 1.3.0, 1.2.1, 1.2.0, 1.0, before-1.0 [default: some of each].",
            "各固件版本的比例：1.3.0、1.2.1、1.2.0、1.0、before-1.0 [默认各有一些]。",
        ),
    ),
]

Faults = Annotated[
    bool,
    typer.Option(
        "--faults/--no-faults",
        help=t(
            "Simulate outages, duplicates, wrong clocks, a broken image and a terminal without uuid.",
            "模拟断网、重复上报、错误时钟、损坏的图片和不带 uuid 的终端。",
        ),
    ),
]

DialectFaults = Annotated[
    bool,
    typer.Option(
        "--dialect-faults",
        help=t(
            "Write one event in twenty as broken firmware does: nearly JSON, other charsets, odd values, repeated "
            "ids. A wrong Content-Type and several events in one body need --engine fast.",
            "二十分之一的事件按有缺陷的固件书写：近似 JSON、其他字符集、异常的值、重复的标识。"
            "错误的 Content-Type 和一个请求体多条事件需要 --engine fast。",
        ),
    ),
]

Shifts = Annotated[
    bool,
    typer.Option(
        "--shifts",
        help=t(
            "Employees pass by their shifts: day, night, rotating, 24 hours. Not with --engine fast.",
            "员工按班次通行：白班、夜班、倒班、24 小时值守。不适用于 --engine fast。",
        ),
    ),
]

Images = Annotated[
    bool,
    typer.Option(
        "--images/--no-images", help=t("Send drawn portraits with the events.", "事件附带绘制的人像。")
    ),
]

# The run and its result.

Report = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        dir_okay=False,
        help=t("File that the result is written to, as JSON.", "结果文件（JSON）。"),
    ),
]

Data = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        file_okay=False,
        help=t(
            "Folder for the outboxes, which is kept [default: a temporary one].",
            "终端缓存目录，结束后保留 [默认使用临时目录并在结束后删除]。",
        ),
    ),
]

Drain = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        min=0,
        help=t(
            "Longest time in seconds to deliver the backlog at the end; with --events, longest time without an "
            "acknowledgement.",
            "结束后等待积压送达的最长秒数；使用 --events 时，为连续未获确认的最长秒数。",
        ),
    ),
]

# The terminals' own HTTP services.

TerminalApi = Annotated[
    str | None,
    typer.Option(
        "--terminal-api",
        metavar="HOST:PORT",
        help=t(
            "Serve each terminal's own HTTP service as well, from this port on (loopback; 0: any free ports).",
            "同时提供每台终端自身的 HTTP 服务，端口从此开始递增（仅本机；0 为任意空闲端口）。",
        ),
    ),
]

Username = Annotated[
    str | None,
    typer.Option(
        help=t(
            "Account that those services ask for; with one they use TLS.",
            "访问这些服务所需的账号；设置后服务使用 TLS。",
        )
    ),
]

PasswordFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        dir_okay=False,
        help=t("File with the password of that account.", "存放该账号密码的文件。"),
    ),
]

TerminalList = Annotated[
    Path | None,
    typer.Option(
        "--terminal-list",
        metavar="FILE.csv",
        dir_okay=False,
        help=t(
            "File that those services are listed in, with the password, for gatepost terminals import.",
            "写出这些服务的列表（含密码），供 gatepost terminals import 使用。",
        ),
    ),
]

Misbehave = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FAULT[=VALUE]",
        help=t(
            "Fault of those services; may be repeated. Docs: how-to/simulate.md.",
            "这些服务的故障；可重复。说明见 how-to/simulate.zh.md。",
        ),
    ),
]

# --engine fast alone.

Connections = Annotated[
    int,
    typer.Option(
        min=1,
        max=5000,
        help=t("fast: number of connections that the terminals share.", "fast：终端共用的连接数。"),
    ),
]

Events = Annotated[
    int | None,
    typer.Option(min=1, help=t("fast: number of events after which to stop.", "fast：发送多少条后结束。")),
]

Duration = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        min=0.1,
        help=t("fast: seconds after which to stop [default: 10].", "fast：多少秒后结束 [默认 10]。"),
    ),
]

Rate = Annotated[
    float | None,
    typer.Option(
        min=0.1,
        help=t(
            "fast: events per second of the whole fleet [default: as many as are acknowledged].",
            "fast：全部终端每秒的事件总数 [默认不限，由接收端的应答速度决定]。",
        ),
    ),
]
