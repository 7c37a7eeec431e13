"""``make dev``: a receiver and three terminals that push to it; what is changed is built and loaded again.

A change below ``frontend/src`` builds the console and starts the receiver again, a change below ``src/gatepost`` starts
it again. The terminals go on: while the receiver is away they keep their events, as real ones do. Ctrl-C ends all, and
what the terminals still have is not waited for.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

HERE = Path(__file__).parent
SOURCES, FRONTEND = HERE / "src" / "gatepost", HERE / "frontend" / "src"
BUILT = SOURCES / "console" / "static"
LOOK_S = 0.5
PORT = 8080
PASSWORD = "a password for development"  # noqa: S105 - of a receiver on this machine that has simulated people
GATEPOST = [sys.executable, "-m", "gatepost.cli"]


class Watch:
    """The files below a folder, and when each was written last."""

    def __init__(self, folder: Path, *, without: Path | None = None) -> None:
        self._folder = folder
        self._without = without
        self._seen = self._look()

    def changed(self) -> bool:
        """Return whether a file was made, changed or deleted since the last call."""
        before, self._seen = self._seen, self._look()
        return before != self._seen

    def _look(self) -> dict[Path, int]:
        found = {}
        for path in self._folder.rglob("*"):
            if "__pycache__" in path.parts or (self._without and self._without in path.parents):
                continue
            with suppress(FileNotFoundError):
                if path.is_file():
                    found[path] = path.stat().st_mtime_ns
        return found


def build() -> None:
    """Bundle the console; a mistake in it is shown, and the last one that was built stays."""
    node = Path(sys.executable).with_name("node")
    subprocess.run([node, "build.mjs"], cwd=FRONTEND.parent, check=False)


@contextmanager
def running(*command: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program, and end it gently."""
    environment = {**os.environ, "GATEPOST_ADMIN_PASSWORD": PASSWORD}
    process = subprocess.Popen([*map(str, command)], cwd=HERE, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def main(data: Path) -> None:
    """Run everything until it is interrupted."""
    address = f"http://127.0.0.1:{PORT}"
    sources, frontend = Watch(SOURCES, without=BUILT), Watch(FRONTEND)
    serve = (*GATEPOST, "serve", "--data", data / "receiver", "--listen", f"127.0.0.1:{PORT}")
    push = (
        *GATEPOST,
        "simulate",
        "--to",
        f"{address}/Record",
        "--date",
        "today",
        "--hours",
        "7-20",
        "--speed",
        "20",
        "--drain",
        "0",
    )
    with ExitStack() as stack:
        stack.enter_context(running(*push))
        while True:
            with running(*serve):
                print(f"{address} (admin, {PASSWORD}): reads {SOURCES} and {FRONTEND}", flush=True)
                while not (built := frontend.changed()) and not sources.changed():
                    time.sleep(LOOK_S)
            if built:
                build()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), tempfile.TemporaryDirectory(prefix="gatepost-dev-") as folder:
        main(Path(folder))
