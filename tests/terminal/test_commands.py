import asyncio
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from tests.terminal.outbox_kit import outbox_in, put_many

from gatepost import cli, wire
from gatepost.journal import format as journal_format
from gatepost.retry import DeadLetter
from gatepost.terminal.http_api.routes import ROUTES
from gatepost.terminal.local_socket.control import commands
from gatepost.terminal.outbox.opening import FOLDER
from gatepost.terminal.outbox.outbox import Outbox

ADDRESS = "http://127.0.0.1:9/Record"


def event(number: int) -> str:
    return json.dumps(
        {"type": 0, "data": {"uuid": f"u{number}", "timestamp": 1_700_000_000, "rgb_image": "SU1H"}}
    )


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("GATEPOST_LANG", "en")
    yield
    structlog.reset_defaults()  # a command decides for its process where to log


class Shell:
    """Types commands for one data folder."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.code = 0
        self.err = ""

    def __call__(self, *words: str, stdin: str = "") -> str:
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        self.code = cli.run(["terminal", *words, "--data", str(self.folder)])
        out, self.err = self._capsys.readouterr()
        return out

    def json(self, *words: str) -> Any:
        return json.loads(self(*words))


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, monkeypatch, capsys)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A terminal that runs on the folder and pushes to where nobody is."""
    process = start(tmp_path)
    yield process
    process.terminate()
    process.communicate(timeout=20)


def start(folder: Path) -> subprocess.Popen[str]:
    words = ["terminal", "run", "--sn", "GP0001", "--data", str(folder), "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "gatepost.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "GATEPOST_DRAIN_TIMEOUT_S": "0"},
    )
    assert process.stdout is not None
    assert "is ready" in process.stdout.readline()
    return process


def test_emit_answers_one_line_an_event_once_it_is_durable(
    shell: Shell, terminal: subprocess.Popen[str]
) -> None:
    shell("subscribe", ADDRESS)
    assert shell.code == 0
    lines = shell("emit", stdin="\n".join(event(number) for number in range(200))).splitlines()
    assert shell.code == 0
    assert [json.loads(line)["ok"] for line in lines] == [True] * 200
    terminal.kill()
    terminal.wait(20)
    assert shell.json("status", "--json")["pending"] == 200


def test_emit_is_exit_code_1_if_any_was_refused(shell: Shell, terminal: subprocess.Popen[str]) -> None:
    shell("subscribe", ADDRESS)
    lines = shell("emit", stdin=f"{event(1)}\nnonsense\n{event(2)}\n").splitlines()
    assert shell.code == 1
    assert [json.loads(line)["ok"] for line in lines] == [True, False, True]


def test_before_anyone_has_subscribed_emit_says_so(shell: Shell, terminal: subprocess.Popen[str]) -> None:
    assert json.loads(shell("emit", stdin=event(1)))["error"] == "not-subscribed"
    assert shell.code == 1


def test_emit_without_a_terminal_is_one_line_that_says_how_to_start_one(shell: Shell) -> None:
    assert shell("emit", stdin=event(1)) == ""
    assert shell.code == 1
    assert re.fullmatch(
        r"gatepost: no terminal is running on .*gatepost terminal run --serial SERIAL.*\n", shell.err
    )


def test_the_status_is_the_same_running_and_stopped(shell: Shell, terminal: subprocess.Popen[str]) -> None:
    shell("subscribe", ADDRESS, "--disabled")
    shell("emit", stdin=event(1))
    running = shell.json("status", "--json")
    terminal.terminate()
    terminal.wait(20)
    stopped = shell.json("status", "--json")
    for name in ("accepted", "delivered", "pending", "dead", "dropped", "last_error", "subscription"):
        assert running[name] == stopped[name]
    assert (running["running"], stopped["running"]) == (True, False)
    assert running["accepted"] == 1
    assert "GP0001 running" not in shell("status")


def test_the_status_is_readable_by_people(shell: Shell, terminal: subprocess.Popen[str]) -> None:
    assert re.search(r"^terminal +GP0001 running$", shell("status"), re.MULTILINE)
    assert re.search(r"^pending +0 / 50,000$", shell("outbox"), re.MULTILINE)
    assert shell.json("outbox", "--json")["capacity"] == 50_000


def test_a_stopped_terminal_can_be_subscribed_and_keeps_it(shell: Shell, tmp_path: Path) -> None:
    process = start(tmp_path)
    process.terminate()
    process.communicate(timeout=20)
    shell("subscribe", ADDRESS, "--disabled")
    assert shell.json("status", "--json")["subscription"] == {"event_dest": ADDRESS, "enabled": False}


def test_a_bad_address_is_one_line_that_names_the_field(
    shell: Shell, terminal: subprocess.Popen[str]
) -> None:
    shell("subscribe", "ftp://h/")
    assert shell.code == 1
    assert "event_dest" in shell.err
    assert shell.err.count("\n") == 1


def test_an_export_has_every_event_and_can_be_handed_in_again(
    shell: Shell, terminal: subprocess.Popen[str], tmp_path: Path
) -> None:
    shell("subscribe", ADDRESS, "--disabled")
    shell("emit", stdin=f"{event(1)}\n{event(2)}\n")
    target = tmp_path / "events.jsonl"
    shell("export", str(target))
    assert (shell.code, shell.err) == (0, "2 events written\n")
    shell("emit", stdin=target.read_text())
    assert shell.code == 0
    assert shell.json("status", "--json")["accepted"] == 4


def test_an_export_gets_out_what_can_be_read_of_a_later_version(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def make() -> None:
        async with outbox_in(tmp_path) as outbox:
            await put_many(outbox, 3)

    with monkeypatch.context() as later:
        later.setattr(journal_format, "VERSION", 2)
        asyncio.run(make())
    assert len(shell("export", "-").splitlines()) == 3
    assert "a later gatepost" in shell.err


def test_states_of_an_export_can_be_chosen(
    shell: Shell, terminal: subprocess.Popen[str], tmp_path: Path
) -> None:
    shell("subscribe", ADDRESS, "--disabled")
    shell("emit", stdin=event(1))
    shell("export", str(tmp_path / "dead.jsonl"), "--state", "dead")
    assert shell.err == "0 events written\n"
    shell("export", str(tmp_path / "x.jsonl"), "--state", "asleep")
    assert shell.code == 2


@pytest.mark.parametrize("words", [["status"], ["outbox"], ["export", "x"], ["dead-letters", "list"]])
def test_a_folder_without_an_outbox_is_one_line(shell: Shell, words: list[str]) -> None:
    shell(*words)
    assert shell.code == 1
    assert shell.err.startswith("gatepost: there is no outbox in ")
    assert list(shell.folder.iterdir()) == []


@pytest.fixture
def dead(tmp_path: Path) -> list[int]:
    """Three dead letters in the folder of a stopped terminal, and their numbers."""

    async def make() -> list[int]:
        outbox = await Outbox.open(tmp_path / FOLDER)
        await outbox.subscribe(wire.Subscription(ADDRESS, enabled=True))
        for number in range(3):
            await outbox.put(wire.Record(uuid=f"u{number}", user=wire.User(name="王五")))
        claimed = await outbox.claim(3, now=1e10)
        await outbox.settle([(one.id, DeadLetter("code 500")) for one in claimed])
        await outbox.close()
        return [one.id for one in claimed]

    return asyncio.run(make())


def test_dead_letters_are_listed_without_names(shell: Shell, dead: list[int]) -> None:
    listed = [json.loads(line) for line in shell("dead-letters", "list", "--json").splitlines()]
    assert [one["id"] for one in listed] == dead
    assert {one["reason"] for one in listed} == {"code 500"}
    text = shell("dead-letters", "list")
    assert text.count("code 500") == 3
    assert "王五" not in text


def test_dead_letters_are_tried_again_or_given_up(shell: Shell, dead: list[int]) -> None:
    assert shell.json("dead-letters", "retry", str(dead[0])) == {"retried": 1}
    assert shell.json("dead-letters", "discard", "--all") == {"discarded": 2}
    found = shell.json("status", "--json")
    assert (found["pending"], found["dead"], found["dropped"], found["accepted"]) == (1, 0, 2, 3)


def test_dead_letters_of_a_running_terminal_are_reached_through_its_door(
    shell: Shell, dead: list[int], terminal: subprocess.Popen[str]
) -> None:
    assert shell.json("dead-letters", "discard", *map(str, dead)) == {"discarded": 3}
    assert shell("dead-letters", "list") == ""


@pytest.mark.parametrize("running", [False, True])
def test_a_relative_folder_works_like_an_absolute_one_in_every_command(
    shell: Shell, dead: list[int], running: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shell.folder.parent)
    shell.folder = Path(shell.folder.name)
    process = start(shell.folder) if running else None
    try:
        assert shell.json("status", "--json")["dead"] == 3
        assert shell.json("outbox", "--json")["dead"] == 3
        assert len(shell("dead-letters", "list").splitlines()) == 3
        assert len(shell("export", "-").splitlines()) == 3
        assert shell.json("dead-letters", "retry", str(dead[0])) == {"retried": 1}
        assert shell.json("dead-letters", "discard", "--all") == {"discarded": 2}
        shell("subscribe", ADDRESS, "--disabled")
        assert shell.code == 0
        if running:
            shell("emit", stdin=event(1))
            assert shell.code == 0
    finally:
        if process is not None:
            process.terminate()
            process.communicate(timeout=20)


@pytest.mark.parametrize("words", [["retry"], ["discard"], ["retry", "5", "--all"]])
def test_dead_letters_are_chosen_by_number_or_all_of_them(shell: Shell, words: list[str]) -> None:
    shell("dead-letters", *words)
    assert shell.code == 2


def test_beyond_loopback_it_refuses_to_start_without_an_account(tmp_path: Path) -> None:
    words = ["terminal", "run", "--sn", "GP0001", "--data", str(tmp_path), "--listen", "0.0.0.0:0"]
    done = subprocess.run(
        [sys.executable, "-m", "gatepost.cli", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("gatepost: setting 'username' must be set")
    assert done.stderr.count("\n") == 1


def test_a_folder_of_another_serial_is_refused_with_a_sentence(tmp_path: Path) -> None:
    first = start(tmp_path)
    first.terminate()
    first.communicate(timeout=20)
    words = ["terminal", "run", "--serial", "GP0002", "--data", str(tmp_path), "--listen", "127.0.0.1:0"]
    done = subprocess.run(
        [sys.executable, "-m", "gatepost.cli", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"gatepost: the folder {tmp_path} belongs to terminal GP0001: ")
    assert "--serial GP0001" in done.stderr
    assert done.stderr.count("\n") == 1
    again = start(tmp_path)
    again.terminate()
    again.communicate(timeout=20)


@pytest.mark.parametrize("option", ["log-format", "log-level"])
def test_an_option_for_the_log_that_is_none_is_named(shell: Shell, option: str) -> None:
    shell("run", "--serial", "GP0001", f"--{option}", "loud")
    assert shell.code == 1
    assert shell.err.startswith(f"gatepost: setting '{option.replace('-', '_')}' ")


def test_a_wrong_call_is_exit_code_2(shell: Shell) -> None:
    shell("run")
    assert shell.code == 2
    assert "--sn" in shell.err


HOW_TO = [Path(__file__).parents[2] / "docs" / "how-to" / name for name in ("terminal.md", "terminal.zh.md")]


@pytest.mark.parametrize("page", HOW_TO, ids=lambda page: page.name)
def test_the_how_to_names_every_command_question_and_route(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    group = cli.load("terminal", cli.COMMANDS["terminal"])
    for name, command in group.commands.items():
        for words in [f"{name} {inner}" for inner in getattr(command, "commands", {})] or [name]:
            assert f"gatepost terminal {words}" in text
    for name in commands(None, None):  # type: ignore[arg-type] # only their names are looked at
        assert f'"ask":"{name}"' in text
    for _, path in ROUTES:
        assert path.rstrip("/") in text


@pytest.mark.parametrize("page", HOW_TO, ids=lambda page: page.name)
def test_the_example_of_the_library_runs(page: Path, tmp_path: Path) -> None:
    [example] = re.findall(r"```python\n(import asyncio.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "face.jpg").write_bytes(b"\xff\xd8\xff")
    code = example.replace("/var/lib/door", str(tmp_path / "door")).replace(
        "http://192.0.2.10:8080/Record", ADDRESS
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "accepted=1" in done.stdout
