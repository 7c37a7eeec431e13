"""syslog-ng, run: filled with events while no receiver is there, stopped, and started again to drain what it kept."""

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.programs import BenchmarkError, Program, free_port, need, start

FILL_SECONDS = 180.0


class SyslogNg:
    """A syslog-ng with its buffer in a folder; the same buffer can be drained again and again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept = folder.with_name(folder.name + "-kept")

    @contextmanager
    def run(self, url: str) -> Iterator[Program]:
        """Start it with the buffer as it is; it pushes to `url`."""
        with self._started(url) as (program, _):
            yield program

    def fill(self, count: int, body: Callable[[int], bytes]) -> None:
        """Buffer `count` events on disk with nobody listening at the receiver's address, and keep a copy of that."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._started(f"http://127.0.0.1:{free_port()}/Record") as (program, port):
            with socket.create_connection(("127.0.0.1", port), timeout=60) as sender:
                for n in range(count):
                    sender.sendall(body(n) + b"\n")
            self._wait_until_buffered(program, count * len(body(0)))
        shutil.copytree(self._folder, self._kept, ignore=shutil.ignore_patterns("control"))

    def restore(self) -> None:
        """Take the buffer back to what `fill` left."""
        shutil.rmtree(self._folder)
        shutil.copytree(self._kept, self._folder)

    def discard(self) -> None:
        """Remove both."""
        shutil.rmtree(self._folder)
        shutil.rmtree(self._kept)

    def _wait_until_buffered(self, program: Program, size: int) -> None:
        end = time.monotonic() + FILL_SECONDS
        while time.monotonic() < end:
            files = list((self._folder / "buffer").glob("*.rqf"))
            if sum(file.stat().st_size for file in files) >= size:
                return
            time.sleep(0.1)
        raise BenchmarkError(f"syslog-ng did not buffer {size} bytes: {program.tail()}")

    @contextmanager
    def _started(self, url: str) -> Iterator[tuple[Program, int]]:
        port = free_port()
        text = Path(__file__).with_name("syslog_ng.conf").read_text(encoding="utf-8")
        for mark, value in {"@FOLDER@": self._folder, "@SOURCE@": port, "@URL@": url}.items():
            text = text.replace(mark, str(value))
        conf = self._folder / "syslog-ng.conf"
        conf.write_text(text, encoding="utf-8")
        command: list[str | Path] = [need("syslog-ng"), "--foreground", "--no-caps", "--cfgfile", conf]
        command += ["--persist-file", self._folder / "persist", "--control", self._folder / "control"]
        command += ["--pidfile", self._folder / "pid"]
        with start("syslog-ng", command, folder=self._folder, port=port) as program:
            yield program, port
