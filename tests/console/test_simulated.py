"""The simulated terminal on a leash."""

import subprocess
import sys
from typing import Any

import pytest

from gatepost.console.simulated import COMMAND, Simulated, installed

SLEEPER = [sys.executable, "-c", "import sys; sys.stdin.read()"]
BREAKER = [sys.executable, "-c", "import sys; sys.stdin.readline(); sys.exit(1)"]


def instead(command: list[str], seen: list[Any] | None = None) -> Any:
    """Start something else, and remember what was to be started."""

    def popen(asked: list[str], **options: Any) -> subprocess.Popen[bytes]:
        if seen is not None:
            seen.append((asked, options))
        return subprocess.Popen(command, **options)

    return popen


def test_one_at_a_time_and_it_ends_when_its_standard_input_does() -> None:
    simulated = Simulated(popen=instead(SLEEPER))
    assert simulated.state == "never"
    assert simulated.start("http://127.0.0.1:1/Record/token")
    assert simulated.state == "running"
    assert not simulated.start("http://127.0.0.1:1/Record/token")
    simulated.stop()
    simulated.stop()
    assert simulated._process is not None
    simulated._process.wait(20)
    assert simulated.state == "ended"
    assert simulated.start("http://127.0.0.1:1/Record/token")
    simulated.stop()
    simulated._process.wait(20)


def test_one_that_delivered_nothing_has_failed() -> None:
    simulated = Simulated(popen=instead(BREAKER))
    simulated.start("http://127.0.0.1:1/Record/token")
    assert simulated._process is not None
    simulated._process.wait(20)
    simulated.stop()
    assert simulated.state == "failed"


def test_no_secret_goes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEPOST_ADMIN_PASSWORD", "secret")
    seen: list[Any] = []
    simulated = Simulated(popen=instead(SLEEPER, seen))
    simulated.start("http://127.0.0.1:1/Record/token")
    simulated.stop()
    assert simulated._process is not None
    simulated._process.wait(20)
    command, options = seen[0]
    assert command == [sys.executable, *COMMAND]
    assert "GATEPOST_ADMIN_PASSWORD" not in options["env"]
    assert not any("token" in part for part in command)


def test_it_is_installed_here() -> None:
    assert installed()
