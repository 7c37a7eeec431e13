"""One run of a fleet, whichever engine: start, show, stop when told to, report.

Rules:
- The engines count, this shows: a picture that is redrawn on a terminal, a line every few seconds elsewhere.
- The first SIGINT or SIGTERM ends the day and lets what was recorded be delivered; a second one ends the process.

Flow: `Order` → the engine → `watch` beside it → `Report`.
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
from gatepost.simulator.engines.faithful import Faithful, Task
from gatepost.simulator.engines.fast import Fast, Job
from gatepost.simulator.engines.services import Offer
from gatepost.simulator.meter import Meter, Rate
from gatepost.simulator.report import Report, make_report
from gatepost.simulator.world.scenario import Plan
from gatepost.terminal.push.tls import Trust

REDRAW_S = 0.25
LINE_EVERY_S = 5.0
MANY = 500
"""So many terminals take more than a second to prepare, which wants to be told."""


class Order(Struct, kw_only=True):
    """What was asked for. See `gatepost simulate --help` for each."""

    plan: Plan
    url: str | None
    engine: Literal["faithful", "fast"] = "faithful"
    speed: float = 720.0
    data: Path | None = None
    drain_s: float = 60.0
    trust: Trust
    offer: Offer | None = None
    connections: int = 64
    events: int | None = None
    seconds: float | None = None
    rate: float | None = None


class Engine(Protocol):
    """What `Fast` and `Faithful` have in common."""

    meter: Meter

    @property
    def elapsed(self) -> float: ...

    async def run(self) -> None: ...

    def stop(self) -> None: ...


async def run(order: Order, *, console: Console) -> Report:
    """Carry out the order and report. Shows how it goes on `console`."""
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


async def watch(engine: Engine, order: Order, *, console: Console) -> None:
    """Show how `engine` is doing until cancelled."""
    rate = Rate()
    title = _title(order)

    def moment() -> view.Moment:
        state, done = _state(engine, order)
        return view.Moment(
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


def _fast(order: Order) -> Fast:
    assert order.url is not None  # noqa: S101 - the command line asks for it
    tls = order.trust.context() if order.url.startswith("https") else None
    return Fast(
        order.plan,
        Job(
            url=order.url,
            connections=order.connections,
            events=order.events,
            seconds=order.seconds,
            drain_s=order.drain_s,
            rate=order.rate,
            tls=tls,
        ),
    )


def _faithful(order: Order, folder: Path) -> Faithful:
    return Faithful(
        order.plan,
        Task(
            url=order.url,
            folder=folder,
            speed=order.speed,
            drain_s=order.drain_s,
            trust=order.trust,
            offer=order.offer,
        ),
    )


def _title(order: Order) -> str:
    where = order.url or t("waiting for a subscription", "等待订阅")
    return f"gatepost simulate · {order.plan.terminals} → {where} · {order.engine} · seed {order.plan.seed}"


def _state(engine: Engine, order: Order) -> tuple[str, float | None]:
    if isinstance(engine, Faithful):
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
    """The outboxes' folder: the one that was given and is kept, or one that goes when the run is over."""
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
