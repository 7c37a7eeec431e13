"""One run of a fleet, with either engine: start, show, stop on a signal, report.

Rules:

- The engines count. This module shows the counts: redrawn on a terminal, a line every few seconds elsewhere.
- The first SIGINT or SIGTERM ends the day; recorded events are still delivered. A second one ends the process.

Flow: `RunOptions` → the engine, with `watch` → `Report`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Protocol

from msgspec import Struct
from rich.console import Console
from rich.live import Live

from gatepost.cli_text import t
from gatepost.simulator import view
from gatepost.simulator.engines.faithful import FaithfulEngine, FaithfulOptions
from gatepost.simulator.engines.fast import FastEngine, FastOptions
from gatepost.simulator.engines.services import ServiceOptions
from gatepost.simulator.meter import Meter, Rate
from gatepost.simulator.report import Report, make_report
from gatepost.simulator.world.scenario import Plan
from gatepost.terminal.push.tls import Trust

REDRAW_S = 0.25
LINE_EVERY_S = 5.0
MANY = 500
"""Terminals that take more than a second to prepare, which the display mentions."""


class RunOptions(Struct, kw_only=True):
    """The options of a run. See `gatepost simulate --help` for each."""

    plan: Plan
    url: str | None
    engine: Literal["faithful", "fast"] = "faithful"
    speed: float = 720.0
    data: Path | None = None
    drain_s: float = 60.0
    trust: Trust
    offer: ServiceOptions | None = None
    connections: int = 64
    events: int | None = None
    seconds: float | None = None
    rate: float | None = None


class Engine(Protocol):
    """The interface of `FastEngine` and `FaithfulEngine`."""

    meter: Meter

    @property
    def elapsed(self) -> float: ...

    async def run(self) -> None: ...

    def stop(self) -> None: ...


async def run(order: RunOptions, *, console: Console) -> Report:
    """Run the fleet and return the report. Shows the progress on `console`."""
    with _folder(order.data) as folder:
        if order.engine == "fast" and order.plan.terminals >= MANY:
            console.print(t("preparing the requests …", "正在准备请求……"), highlight=False)
        engine = _fast(order) if order.engine == "fast" else _faithful(order, folder)
        with _signals(engine):
            watching = asyncio.create_task(watch(engine, order, console=console))
            try:
                await engine.run()
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
        return make_report(
            engine.meter,
            url=order.url or "",
            engine=order.engine,
            seed=order.plan.seed,
            seconds=engine.elapsed,
        )


async def watch(engine: Engine, order: RunOptions, *, console: Console) -> None:
    """Show the progress of `engine` until cancelled."""
    rate = Rate()
    title = _title(order)

    def moment() -> view.ViewState:
        state, done = _state(engine, order)
        return view.ViewState(
            title=title,
            state=state,
            done=done,
            rate=rate.at(engine.elapsed, engine.meter.acknowledged),
            elapsed=engine.elapsed,
        )

    if not console.is_terminal:
        moment()
        while True:
            await asyncio.sleep(LINE_EVERY_S)
            console.print(view.line(engine.meter, moment()), highlight=False, soft_wrap=True)
    with Live(console=console, auto_refresh=False, transient=True) as picture:
        while True:
            picture.update(view.live(engine.meter, moment()), refresh=True)
            await asyncio.sleep(REDRAW_S)


def _fast(order: RunOptions) -> FastEngine:
    assert order.url is not None  # noqa: S101 - the command line asks for it
    tls = order.trust.context() if order.url.startswith("https") else None
    return FastEngine(
        order.plan,
        FastOptions(
            url=order.url,
            connections=order.connections,
            events=order.events,
            seconds=order.seconds,
            drain_s=order.drain_s,
            rate=order.rate,
            tls=tls,
        ),
    )


def _faithful(order: RunOptions, folder: Path) -> FaithfulEngine:
    return FaithfulEngine(
        order.plan,
        FaithfulOptions(
            url=order.url,
            folder=folder,
            speed=order.speed,
            drain_s=order.drain_s,
            trust=order.trust,
            offer=order.offer,
        ),
    )


def _title(order: RunOptions) -> str:
    where = order.url or t("waiting for a subscription", "等待订阅")
    return f"gatepost simulate · {order.plan.terminals} → {where} · {order.engine} · seed {order.plan.seed}"


def _state(engine: Engine, order: RunOptions) -> tuple[str, float | None]:
    if isinstance(engine, FaithfulEngine):
        plan, now = order.plan, engine.clock.now()
        if engine.phase == "day":
            done = (now - plan.begins) / (plan.ends - plan.begins)
            hour = f"{now:%H:%M}"
            return t(f"{hour} at the site, × {order.speed:g}", f"现场时间 {hour}，× {order.speed:g}"), done
        return {
            "opening": t("opening the terminals", "正在启动终端"),
            "draining": t("the day is over; delivering what is left", "当日结束，正在送达剩余事件"),
        }.get(engine.phase, t("over", "结束")), None
    if order.events:
        return t("sending", "发送中"), engine.meter.acknowledged / order.events
    return t("sending", "发送中"), engine.elapsed / order.seconds if order.seconds else None


@contextlib.contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    """Return the folder of the outboxes: the given one, or a temporary one that is removed after the run."""
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix="gatepost-simulate-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _signals(engine: Engine) -> Iterator[None]:
    loop, asked = asyncio.get_running_loop(), False

    def stop() -> None:
        nonlocal asked
        if asked:
            os._exit(130)
        asked = True
        engine.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
