import asyncio
import io
import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest
from rich.console import Console
from tests.simulator.conftest import until

from gatepost.simulator.demo import run
from gatepost.simulator.demo.inventory import Expected
from gatepost.simulator.demo.run import Demo, Timing

SHORT = Timing(before_s=0.8, away_s=0.8, after_s=0.4, rate=20.0)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Console:
    monkeypatch.setenv("GATEPOST_LANG", "en")
    return Console(file=io.StringIO(), width=80)


def written(screen: Console) -> str:
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


async def test_nothing_is_lost_though_the_receiver_was_killed(
    screen: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert await run.main(keep=False, console=screen, timing=SHORT) == 0
    text = written(screen)
    assert "killed (SIGKILL)" in text
    assert "recorded = stored, duplicates 0, lost 0" in text
    assert text.count("✔") == 3
    assert not list(tmp_path.iterdir())


async def test_a_difference_is_shown_and_fails(screen: Console, tmp_path: Path) -> None:
    class Forgetful(Demo):
        async def _drain(self) -> None:
            await super()._drain()
            self.posts[1].expected.append(Expected("an event that the receiver never got", None))

    assert await Forgetful(tmp_path, screen, timing=SHORT).run(keep=False) == 1
    text = written(screen)
    assert "something differs" in text
    assert (text.count("✔"), text.count("✘")) == (2, 1)


async def test_on_a_terminal_the_progress_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEPOST_LANG", "en")
    screen = Console(file=io.StringIO(), width=80, force_terminal=True)
    shown = Demo(tmp_path, screen, timing=SHORT)
    async with shown._picture():
        await until(lambda: "━" in written(screen))
    assert "gatepost demo" in written(screen)


async def test_kept_it_stays_up_tells_the_addresses_and_ends_when_told() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        await kept(Path(folder))


async def kept(folder: Path) -> None:
    script = (
        "import sys; from gatepost.simulator.demo.run import Timing, cli; "
        "sys.exit(cli(['--keep'], timing=Timing(before_s=0.8, away_s=2.0, after_s=0.4, rate=20)))"
    )
    environment = {**os.environ, "GATEPOST_LANG": "en", "TMPDIR": str(folder)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, env=environment
    )
    assert process.stdout is not None
    text = ""
    try:
        async with asyncio.timeout(60):
            while "/v1/event/subscribe" not in text:
                line = (await process.stdout.readline()).decode()
                assert line, text  # it has ended
                text += line
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode == 0
    assert "everything stays up" in text
    assert list(folder.iterdir())
