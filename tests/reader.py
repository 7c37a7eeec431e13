"""A reader of the documentation: takes its snippets out of a page and tries them, as a person would."""

import os
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.ports import free_port

ROOT = Path(__file__).parent.parent

PASSWORD = "a-password-of-the-tests"

ELSEWHERE = {"TERMINAL", "终端地址", "192.168.1.64"}
"""Hosts that stand for a terminal of its own; every other host is this machine."""


FOLLOWS = r"\n|^gatepost events tail|--terminal-api "
"""What is interrupted in the middle of its work, so that its exit code says nothing: programs, and these commands."""


@dataclass
class Snippet:
    """A fenced block: its language, its text, and the line of the page on which it begins."""

    language: str
    text: str
    line: int


def snippets(page: Path) -> list[Snippet]:
    """Return the fenced blocks of a page."""
    found: list[Snippet] = []
    inside = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            inside = not inside
            if inside:
                found.append(Snippet(line.strip("` "), "", number))
        elif inside:
            found[-1].text += line + "\n"
    return found


def commands(text: str) -> list[str]:
    """Return the commands of a block for the shell, whole and without comments."""
    lines = [re.sub(r"(^|\s+)# .*$", "", line) for line in text.replace("\\\n", " ").splitlines()]
    return [" ".join(line.split()) for line in lines if line.strip()]


class Running:
    """A process that goes on when the reader does."""

    def __init__(self, name: str, process: "subprocess.Popen[str]", *, follows: bool) -> None:
        self.name = name
        self.said = ""
        self._process = process
        self._follows = follows

    def until(self, pattern: str, *, meanwhile: Callable[[], None]) -> None:
        """Read its output until it has ``pattern``; call ``meanwhile`` some five times a second."""
        out = self._process.stdout
        assert out is not None
        end = time.monotonic() + 60
        while not re.search(pattern, self.said):
            assert time.monotonic() < end, f"{self.name} never said {pattern}: {self.said}"
            meanwhile()
            if select.select([out], [], [], 0.2)[0]:
                piece = os.read(out.fileno(), 65536).decode()
                self.said += piece
                assert piece, f"{self.name} has ended: {self.said}"

    def stop(self) -> None:
        """Send SIGTERM and wait. Raises AssertionError if what a user would stop so does not end well."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self.said += self._process.communicate(timeout=30)[0]
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        assert self._follows or self._process.returncode == 0, f"{self.name}: {self.said}"


class Reader:
    """Tries what a page says, in a folder of its own.

    ``running`` has a pattern for each command that goes on, and what it has printed when the reader goes on;
    ``meanwhile`` is called until then. ``options`` are appended to commands.
    """

    def __init__(
        self,
        folder: Path,
        *,
        running: dict[str, str],
        options: dict[str, str],
        database: Callable[[], str],
    ) -> None:
        self.folder = folder
        self.said = ""
        """What the last command printed."""
        self.stand_ins = {"admin:PASSWORD": f"admin:{PASSWORD}", "admin:密码": f"admin:{PASSWORD}"}
        """Words of the page, and what is meant by them here."""
        self._running_patterns = running
        self._options = options
        self._database = database
        self._running: list[Running] = []
        self._ports: dict[tuple[bool, int], int] = {}
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GATEPOST_")},
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",
            "GATEPOST_LANG": "en",
            "GATEPOST_ADMIN_PASSWORD": PASSWORD,
            "GATEPOST_CHECK_PASSWORD": PASSWORD,
        }
        for name in ("bin", "etc/gatepost", "etc/systemd/system", "var/lib", "opt"):
            (folder / name).mkdir(parents=True)
        self._program("gatepost", f'exec {shlex.quote(sys.executable)} -m gatepost.cli "$@"')
        self._program("editor", f'printf %s {PASSWORD} > "$1"')

    def _program(self, name: str, body: str) -> None:
        file = self.folder / "bin" / name
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o700)

    def port(self, port: int = 8080, *, elsewhere: bool = False) -> int:
        """Return the free port that stands for one of the page."""
        if port in self._ports.values():
            return port
        return self._ports.setdefault((elsewhere, port), free_port())

    def here(self, text: str) -> str:
        """Return a text with addresses, folders and values of this machine."""

        def address(found: re.Match[str]) -> str:
            host = "0.0.0.0" if found[1] == "0.0.0.0" else "127.0.0.1"
            return f"{host}:{self.port(int(found[2]), elsewhere=found[1] in ELSEWHERE)}"

        text = re.sub(r"postgresql://[^\s'\"]+", lambda _: self._database(), text)
        text = text.replace("https://gatepost.example.com", f"http://127.0.0.1:{self.port()}")
        text = re.sub(r"(?<![\w.\"-])([A-Za-z\d.\u4e00-\u9fff-]+):(\d{4,5})\b", address, text)
        text = re.sub(r"(?<![\w.])/(var/lib|etc|opt)/", rf"{self.folder}/\1/", text)
        for word, value in self.stand_ins.items():
            text = text.replace(word, value)
        return text

    def run(self, command: str) -> None:
        """Run a command of the page. Raises AssertionError if it fails."""
        if command.startswith("export "):
            self.env |= dict(word.split("=", 1) for word in shlex.split(self.here(command))[1:])
            return
        more = [options for pattern, options in self._options.items() if re.search(pattern, command)]
        self._start(["bash", "-ec", " ".join([self._exec(command), *more])], command)

    def program(self, text: str) -> None:
        """Run a program in Python."""
        file = self.folder / "program.py"
        file.write_text(self.here(text), encoding="utf-8")
        self._start([sys.executable, str(file)], text)

    def _exec(self, command: str) -> str:
        """One process, and none of the shell around it, where a signal is to reach it."""
        return f"exec {self.here(command)}" if self._ready_of(command) else self.here(command)

    def _ready_of(self, text: str) -> str | None:
        return next((ready for what, ready in self._running_patterns.items() if re.search(what, text)), None)

    def _start(self, words: list[str], text: str) -> None:
        listen = self.port(8000 if "terminal run" in text else 8080)
        env = self.env | {"GATEPOST_LISTEN": f"127.0.0.1:{listen}"}
        ready = self._ready_of(text)
        if ready is None:
            done = subprocess.run(
                words,
                cwd=self.folder,
                env=env,
                input="y\n",
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 0, f"{text}\n{done.returncode}: {done.stdout}{done.stderr}"
            self.said = done.stdout
            return
        name = re.sub(r" --(?!data ).*", "", text)
        for one in [one for one in self._running if one.name == name]:
            one.stop()
            self._running.remove(one)
        process = subprocess.Popen(
            words, cwd=self.folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self._running.append(running := Running(name, process, follows=bool(re.search(FOLLOWS, text))))
        running.until(ready, meanwhile=self.meanwhile)
        self.said = running.said

    def meanwhile(self) -> None:
        """Do what somebody else does while the reader waits; nothing, unless a test says so."""

    def leave(self) -> None:
        """Stop everything that still runs, the last one first."""
        while self._running:
            self._running.pop().stop()
