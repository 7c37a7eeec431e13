"""``gatepost simulate``: a fleet of virtual terminals that push to any receiver.

Rules: the options are checked before anything starts. The exit code is 0 if something was recorded and all of it was
acknowledged, 1 if not, and 2 for a wrong option.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import structlog
import typer

from gatepost.cli_text import t
from gatepost.simulator import options

T = TypeVar("T")


def simulate(
    *,
    to: options.To = None,
    terminals: options.Terminals = 3,
    seed: options.Seed = 1,
    engine: options.Engine = options.EngineName.FAITHFUL,
    report: options.Report = None,
    date: options.Date = None,
    hours: options.Hours = "7-20",
    speed: options.Speed = 720.0,
    passages: options.Passages = 400,
    alarms: options.Alarms = 2.0,
    mix: options.Mix = None,
    faults: options.Faults = True,
    dialect_faults: options.DialectFaults = False,
    shifts: options.Shifts = False,
    images: options.Images = True,
    data: options.Data = None,
    drain: options.Drain = 60.0,
    terminal_api: options.TerminalApi = None,
    username: options.Username = None,
    password_file: options.PasswordFile = None,
    terminal_list: options.TerminalList = None,
    misbehave: options.Misbehave = None,
    connections: options.Connections = 64,
    events: options.Events = None,
    duration: options.Duration = None,
    rate: options.Rate = None,
    ca_file: options.CaFile = None,
    insecure: options.Insecure = False,
) -> None:
    """Check the options, run the fleet, print the result."""
    from rich.console import Console

    from gatepost.simulator import checking, fleet, view
    from gatepost.simulator.world.scenario import DEFAULT_MIX, Plan
    from gatepost.terminal.push.tls import Trust

    opens, closes = checking.hours(hours)
    plan = Plan(
        seed=seed,
        terminals=terminals,
        day=checking.day(date),
        opens=opens,
        closes=closes,
        passages=passages,
        alarms=alarms,
        mix=DEFAULT_MIX if mix is None else checking.mix(mix),
        faults=faults,
        images=images,
        shifts=shifts,
        dialect_faults=dialect_faults,
    )
    fast = engine is options.EngineName.FAST
    if fast and shifts:
        raise checking.wrong("--shifts", t("needs --engine faithful", "需要 --engine faithful"))
    order = fleet.RunOptions(
        plan=plan,
        url=checking.url(to, needed=fast or terminal_api is None),
        engine="fast" if fast else "faithful",
        speed=speed,
        data=data,
        drain_s=drain,
        trust=Trust(ca_file=ca_file, verify=not insecure),
        offer=checking.offer(
            terminal_api, username, password_file, misbehave or [], list_file=terminal_list, fast=fast
        ),
        connections=connections,
        events=events,
        seconds=10.0 if fast and events is None and duration is None else duration,
        rate=rate,
    )
    order.trust.context()  # fails now if the file cannot be read
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
    """Run `work` on uvloop if it is installed, which is twice as fast, else on asyncio's own loop."""
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
            "Run virtual terminals that push to any receiver: people, portraits, busy hours, every firmware, faults.",
            "运行向任意接收端推送的模拟终端：含人员、人像、高峰时段、各种固件与故障。",
        ),
    )(simulate)
