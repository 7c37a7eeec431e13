import asyncio
import io
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.simulator.conftest import Listener, until

from gatepost.simulator import fleet
from gatepost.simulator.fleet import RunOptions
from gatepost.simulator.report import Report
from gatepost.simulator.world.scenario import Plan
from gatepost.terminal.push.tls import Trust

RUSH = Plan(seed=1, terminals=3, passages=2000, images=False, opens=8.5)


def console(*, terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), width=100, force_terminal=terminal)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


async def carry_out(listener: Listener, screen: Console, **more: Any) -> Report:
    plan = Plan(seed=1, terminals=3, passages=10, images=False)
    order = RunOptions(**{"plan": plan, "url": listener.url, "trust": Trust(), "speed": 40_000.0, **more})
    async with asyncio.timeout(60):
        return await fleet.run(order, console=screen)


async def test_either_engine_reports_what_arrived(listener: Listener) -> None:
    fast = await carry_out(listener, console(), engine="fast", events=30, connections=3)
    assert (fast.engine, fast.acknowledged - fast.again) == ("fast", 30)
    sent = len(listener.bodies)
    faithful = await carry_out(listener, console())
    assert faithful.acknowledged == len(listener.bodies) - sent > 0
    assert faithful.complete


async def test_the_outboxes_are_removed_unless_a_folder_is_given(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    await carry_out(listener, console())
    assert not list(tmp_path.iterdir())
    await carry_out(listener, console(), data=tmp_path / "kept")
    assert len(list((tmp_path / "kept").iterdir())) == 3


async def test_on_a_terminal_a_picture_is_drawn(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEPOST_LANG", "en")
    screen = console(terminal=True)
    await carry_out(listener, screen, engine="fast", seconds=0.5)
    assert "gatepost simulate · 3 →" in written(screen)


async def test_elsewhere_a_line_is_written_now_and_then(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "LINE_EVERY_S", 0.05)
    screen = console()
    await carry_out(listener, screen, engine="fast", seconds=0.5)
    lines = written(screen).splitlines()
    assert len(lines) >= 2
    assert all(" s  " in line or " 秒  " in line for line in lines)


@pytest.mark.parametrize("engine", ["fast", "faithful"])
async def test_an_interrupt_ends_the_run_with_a_report(listener: Listener, engine: str) -> None:
    running = asyncio.create_task(
        carry_out(listener, console(), engine=engine, plan=RUSH, speed=60.0, seconds=50.0)
    )
    await until(lambda: listener.bodies)
    os.kill(os.getpid(), signal.SIGINT)
    report = await running
    assert report.complete
    assert report.acknowledged == len(listener.bodies)
