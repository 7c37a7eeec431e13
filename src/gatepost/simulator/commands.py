"""`gatepost simulate`: a fleet of virtual terminals against any receiver.

Rules: the options are checked before anything starts, and a wrong one is told by name (exit code 2). Exit code 0 means
that something was recorded and all of it was acknowledged, 1 that something was not, or that nothing was sent.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import structlog
import typer

from gatepost.cli_text import t

T = TypeVar("T")


class EngineName(StrEnum):
    """The two ways to run a fleet."""

    FAITHFUL = "faithful"
    FAST = "fast"


def simulate(
    *,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="URL",
            help=t(
                "Where the terminals push, such as http://127.0.0.1:8080/Record; {sn} stands for the serial.",
                "终端的推送地址，例如 http://127.0.0.1:8080/Record；{sn} 代表序列号。",
            ),
        ),
    ] = None,
    terminals: Annotated[
        int, typer.Option("--terminals", "-n", min=1, max=5000, help=t("How many terminals.", "终端数量。"))
    ] = 3,
    seed: Annotated[
        int, typer.Option(min=0, help=t("The same seed sends the same events.", "相同种子发送相同事件。"))
    ] = 1,
    engine: Annotated[
        EngineName,
        typer.Option(
            help=t(
                "faithful: real terminals with their outbox; fast: as many events as the receiver takes.",
                "faithful：带本地缓存的真实终端程序；fast：以接收端能承受的最高速率发送。",
            )
        ),
    ] = EngineName.FAITHFUL,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", dir_okay=False, help=t("Write the result as JSON.", "将结果写为 JSON 文件。")
        ),
    ] = None,
    date: Annotated[
        str | None,
        typer.Option(
            metavar="YYYY-MM-DD|today",
            help=t("The day that is played [default: 2026-01-05].", "模拟的日期 [默认 2026-01-05]。"),
        ),
    ] = None,
    hours: Annotated[
        str,
        typer.Option(
            metavar="FROM-TO",
            help=t("The part of the day that is played.", "模拟当天的时段。"),
        ),
    ] = "7-20",
    speed: Annotated[
        float,
        typer.Option(
            min=0.1,
            help=t(
                "How much faster than life the day passes; 720 is two minutes a day.",
                "时间压缩倍数；720 即两分钟一天。",
            ),
        ),
    ] = 720.0,
    passages: Annotated[
        int, typer.Option(min=1, help=t("Passages a terminal and day.", "每台终端每天的通行次数。"))
    ] = 400,
    alarms: Annotated[
        float, typer.Option(min=0, help=t("Alarms a terminal and day.", "每台终端每天的告警次数。"))
    ] = 2.0,
    mix: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION=SHARE,…",
            help=t(
                "Firmware in the fleet: 1.3.0, 1.2.1, 1.2.0, 1.0, before-1.0 [default: some of each].",
                "固件比例：1.3.0、1.2.1、1.2.0、1.0、before-1.0 [默认各有一些]。",
            ),
        ),
    ] = None,
    faults: Annotated[
        bool,
        typer.Option(
            "--faults/--no-faults",
            help=t(
                "Outages, duplicates, wrong clocks, a broken image, a terminal without uuid.",
                "断网、重复上报、错误时钟、损坏图片、不带 uuid 的终端。",
            ),
        ),
    ] = True,
    dialect_faults: Annotated[
        bool,
        typer.Option(
            "--dialect-faults",
            help=t(
                "One event in twenty as broken firmware writes it: nearly JSON, other charsets, odd values, ids that "
                "repeat. Faults of the Content-Type and several events in one body need --engine fast.",
                "二十分之一的事件按有缺陷的固件书写：近似 JSON、其他字符集、异常的值、重复的标识。"
                "Content-Type 的缺陷和一个请求体多条事件需要 --engine fast。",
            ),
        ),
    ] = False,
    shifts: Annotated[
        bool,
        typer.Option(
            "--shifts",
            help=t(
                "Employees pass by their shifts: by day, by night, in turns, for 24 hours. Not with --engine fast.",
                "员工按班次通行：白班、夜班、倒班、24 小时值守。不适用于 --engine fast。",
            ),
        ),
    ] = False,
    images: Annotated[
        bool, typer.Option("--images/--no-images", help=t("With drawn portraits.", "附带绘制的人像。"))
    ] = True,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            help=t(
                "Keep the outboxes here [default: a folder that is removed].",
                "终端缓存目录 [默认使用临时目录并在结束后删除]。",
            ),
        ),
    ] = None,
    drain: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0,
            help=t(
                "How long the backlog may take afterwards; with --events, how long nothing may be acknowledged.",
                "结束后等待积压送达的最长秒数；使用 --events 时，为允许无应答的最长秒数。",
            ),
        ),
    ] = 60.0,
    terminal_api: Annotated[
        str | None,
        typer.Option(
            "--terminal-api",
            metavar="HOST:PORT",
            help=t(
                "Also serve each terminal's own HTTP service, from this port on (loopback; 0 for any ports).",
                "同时提供每台终端自身的 HTTP 服务，端口从此开始递增（仅本机；0 为任意端口）。",
            ),
        ),
    ] = None,
    username: Annotated[
        str | None,
        typer.Option(
            help=t(
                "The account that may ask those services; with one they speak TLS.",
                "可访问这些服务的账号；设置后服务使用 TLS。",
            )
        ),
    ] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            dir_okay=False,
            help=t("The file with its password.", "存放该账号密码的文件。"),
        ),
    ] = None,
    terminal_list: Annotated[
        Path | None,
        typer.Option(
            "--terminal-list",
            metavar="FILE.csv",
            dir_okay=False,
            help=t(
                "Write the list of those services, with the password, for gatepost terminals import.",
                "写出这些服务的列表（含密码），供 gatepost terminals import 使用。",
            ),
        ),
    ] = None,
    misbehave: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FAULT[=VALUE]",
            help=t(
                "Have those services misbehave; may be repeated. Docs: how-to/simulate.md.",
                "使这些服务出现指定故障；可重复。说明见 how-to/simulate.zh.md。",
            ),
        ),
    ] = None,
    connections: Annotated[
        int,
        typer.Option(
            min=1,
            max=5000,
            help=t("fast: connections that the terminals share.", "fast：终端共用的连接数。"),
        ),
    ] = 64,
    events: Annotated[
        int | None,
        typer.Option(min=1, help=t("fast: end after so many events.", "fast：发送多少条后结束。")),
    ] = None,
    duration: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=0.1,
            help=t("fast: end after so many seconds [default: 10].", "fast：多少秒后结束 [默认 10]。"),
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help=t(
                "fast: events a second, all together [default: as many as are answered].",
                "fast：每秒事件总数 [默认应答多快就发多快]。",
            ),
        ),
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=t("Authorities to trust, PEM.", "信任的 CA 证书（PEM）。")),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option("--insecure", help=t("Take any certificate of the receiver.", "接受接收端的任何证书。")),
    ] = False,
) -> None:
    """Check the options, run the fleet, print the result."""
    from rich.console import Console

    from gatepost.simulator import fleet, options, view
    from gatepost.simulator.world.scenario import DEFAULT_MIX, Plan
    from gatepost.terminal.push.tls import Trust

    opens, closes = options.hours(hours)
    plan = Plan(
        seed=seed,
        terminals=terminals,
        day=options.day(date),
        opens=opens,
        closes=closes,
        passages=passages,
        alarms=alarms,
        mix=DEFAULT_MIX if mix is None else options.mix(mix),
        faults=faults,
        images=images,
        shifts=shifts,
        dialect_faults=dialect_faults,
    )
    fast = engine is EngineName.FAST
    if fast and shifts:
        raise options.wrong("--shifts", t("needs --engine faithful", "需要 --engine faithful"))
    order = fleet.Order(
        plan=plan,
        url=options.url(to, needed=fast or terminal_api is None),
        engine="fast" if fast else "faithful",
        speed=speed,
        data=data,
        drain_s=drain,
        trust=Trust(ca_file=ca_file, verify=not insecure),
        offer=options.offer(
            terminal_api, username, password_file, misbehave or [], list_file=terminal_list, fast=fast
        ),
        connections=connections,
        events=events,
        seconds=10.0 if fast and events is None and duration is None else duration,
        rate=rate,
    )
    order.trust.context()  # says now which file cannot be read
    # The terminals of a fleet would log every outage that is part of the scenario.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
    console = Console(stderr=True)
    result = run(lambda: fleet.run(order, console=console))
    if report is not None:
        result.write(report)
    Console().print(view.summary(result))
    if not result.complete:
        raise typer.Exit(1)


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `work` on uvloop where it is installed, which is twice as fast, and on asyncio's own loop elsewhere."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work())
    return uvloop.run(work())


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(
        "simulate",
        help=t(
            "Run virtual terminals against any receiver: people, portraits, a day's rhythm, every firmware, faults.",
            "对任意接收端运行虚拟终端：人员、人像、一天的节奏、各种固件与故障。",
        ),
    )(simulate)
