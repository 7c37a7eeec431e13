import asyncio
import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest
from tests.simulator.conftest import Listener, reply, until

from gatepost import cli


async def simulate(*arguments: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gatepost.cli", "simulate", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "GATEPOST_LANG": "en"},
    )
    async with asyncio.timeout(60):
        out, _ = await process.communicate()
    return process.returncode, out.decode()


async def test_a_fleet_runs_and_writes_its_report(listener: Listener, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    code, out = await simulate(
        *("--to", listener.url, "--terminals", "4", "--seed", "7", "--report", str(file)),
        *("--speed", "40000", "--passages", "8", "--no-images"),
    )
    assert code == 0, out
    report = json.loads(file.read_text())
    assert (report["terminals"], report["seed"], report["engine"]) == (4, 7, "faithful")
    assert report["acknowledged"] == len(listener.bodies) > 0
    assert "everything recorded was acknowledged" in out


async def test_the_fast_engine_sends_as_many_events_as_asked_for(listener: Listener) -> None:
    code, out = await simulate(
        *("--to", listener.url, "--terminals", "5", "--engine", "fast", "--events", "200", "--no-images"),
        *("--no-faults", "--mix", "1.2.1=1,before-1.0=1"),
    )
    assert code == 0, out
    assert len(listener.bodies) == len(set(listener.bodies)) == 200


async def test_it_fails_when_something_was_not_acknowledged(listener: Listener) -> None:
    listener.answer = lambda body: reply(b"", b"503 Service Unavailable")
    code, out = await simulate(
        *("--to", listener.url, "--terminals", "1", "--speed", "40000", "--passages", "3", "--drain", "0"),
        *("--no-images", "--hours", "8-18"),
    )
    assert code == 1, out
    assert "not acknowledged" in out


@pytest.mark.parametrize("engine", ["fast", "faithful"])
async def test_a_run_that_acknowledged_nothing_fails_and_does_not_claim_otherwise(engine: str) -> None:
    code, out = await simulate(
        *("--to", "http://127.0.0.1:1/Record", "--terminals", "1", "--engine", engine, "--no-images"),
        *("--duration", "0.5", "--speed", "80000", "--passages", "3", "--drain", "0"),
    )
    assert code == 1, out
    assert "everything recorded was acknowledged" not in out


async def test_a_day_on_which_nothing_happened_fails_and_says_so(listener: Listener) -> None:
    code, out = await simulate(
        *("--to", listener.url, "--terminals", "1", "--speed", "80000", "--passages", "1", "--alarms", "0"),
        *("--hours", "3-3.01", "--no-images"),
    )
    assert code == 1, out
    assert "nothing was sent: no event happened" in out


async def test_a_second_interrupt_does_not_wait_for_a_receiver_that_is_silent(listener: Listener) -> None:
    listener.answer = lambda body: b""
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "gatepost.cli",
            "simulate",
            "--to",
            listener.url,
            "--engine",
            "fast",
            "--no-images",
        ),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await until(lambda: listener.bodies)
        process.send_signal(signal.SIGINT)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await process.wait()
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(10):
            assert await process.wait() == 130
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--to"),
        (["--to", "ftp://somewhere"], "--to"),
        (["--to", "http://127.0.0.1/Record", "--terminals", "0"], "--terminals"),
        (["--to", "http://127.0.0.1/Record", "--engine", "slow"], "--engine"),
        (["--to", "http://127.0.0.1/Record", "--hours", "20-7"], "--hours"),
        (["--to", "http://127.0.0.1/Record", "--date", "yesterday"], "--date"),
        (["--to", "http://127.0.0.1/Record", "--mix", "2.0=1"], "before-1.0"),
        (["--to", "http://127.0.0.1/Record", "--mix", "1.0=0"], "--mix"),
        (["--terminal-api", "0.0.0.0:0"], "loopback"),
        (["--terminal-api", "nonsense"], "--terminal-api"),
        (["--terminal-api", "127.0.0.1:0", "--misbehave", "explode"], "--misbehave knows no"),
        (["--terminal-api", "127.0.0.1:0", "--misbehave", "certificate"], "--username"),
        (["--terminal-api", "127.0.0.1:0", "--username", "admin"], "--password-file"),
        (["--terminal-api", "127.0.0.1:0", "--terminal-list", "x.csv"], "--username"),
        (["--to", "http://127.0.0.1/Record", "--misbehave", "slow"], "--terminal-api"),
        (
            ["--to", "http://127.0.0.1/Record", "--engine", "fast", "--terminal-api", "127.0.0.1:0"],
            "faithful",
        ),
    ],
)
def test_a_wrong_option_is_named(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEPOST_LANG", "en")
    assert cli.run(["simulate", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_certificate_file_that_cannot_be_read_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["simulate", "--to", "https://127.0.0.1/Record", "--ca-file", "/nonexistent"]) == 1
    assert "ca_file" in capsys.readouterr().err


def test_the_help_is_in_the_language_of_the_reader(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.run(["simulate", "--help"]) == 0
    assert "--terminal-api" in capsys.readouterr().out


@pytest.mark.parametrize("page", ["simulate.md", "simulate.zh.md"])
def test_every_option_stands_in_the_how_to(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["simulate", "--help"]) == 0
    options = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out)) - {"--help"}
    text = (Path(__file__).parents[2] / "docs" / "how-to" / page).read_text(encoding="utf-8")
    assert len(options) > 20
    assert {option for option in options if f"`{option}" not in text} == set()
