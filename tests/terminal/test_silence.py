"""The terminal as a library writes nothing by itself: its log goes where the program has it go."""

import subprocess
import sys
from pathlib import Path

import pytest

HOST = '''
"""A host whose receiver is away at first, and then there; meanwhile its outbox is full."""

import http.server
import sys
import threading
import time

from gatepost.errors import OutboxFull
from gatepost.terminal import SyncTerminal
from gatepost.wire import Record


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "12")
        self.end_headers()
        self.wfile.write(b'{"code":200}')

    def log_message(self, *_):
        pass


def wait(condition):
    ends = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.005)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
server.daemon_threads = True
address = server.server_address
server.server_close()  # from here on connections to it are refused
options = {"capacity": 1, "overflow": "refuse-newest", "retry_first_s": 0.01, "retry_cap_s": 0.05}
with SyncTerminal("SN1", sys.argv[1], **options) as terminal:
    terminal.subscribe(f"http://127.0.0.1:{address[1]}/Record")
    terminal.record(Record(passed=True))
    wait(lambda: terminal.status().last_error)
    try:
        terminal.record(Record(passed=False))
    except OutboxFull:
        pass
    else:
        raise AssertionError("it was taken")
    server = http.server.ThreadingHTTPServer(address, Receiver)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    wait(lambda: terminal.status().delivered == 1)
'''


def host(folder: Path, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run the host; ``before``: what it does first."""
    done = subprocess.run(
        [sys.executable, "-c", before + HOST, folder], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


def test_a_host_that_configured_no_log_sees_no_line(tmp_path: Path) -> None:
    done = host(tmp_path)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize(
    ("level", "events"),
    [
        (
            "INFO",
            [
                "INFO terminal.open",
                "WARNING pusher.unreachable",
                "WARNING outbox.full",
                "INFO pusher.recovered",
            ],
        ),
        ("WARNING", ["WARNING pusher.unreachable", "WARNING outbox.full"]),
    ],
)
def test_a_host_that_configured_logging_sees_the_lines_of_its_level(
    tmp_path: Path, level: str, events: list[str]
) -> None:
    form = "%(name)s %(levelname)s %(message)s"
    done = host(tmp_path, f"import logging\nlogging.basicConfig(level={level!r}, format={form!r})\n")
    assert done.stdout == ""
    lines = [line.split(" ") for line in done.stderr.splitlines()]
    assert [" ".join(line[1:3]) for line in lines] == events
    assert all(line[0].startswith("gatepost.terminal.") for line in lines)
    assert 'reason="connection refused"' in done.stderr


def test_a_host_that_configured_structlog_sees_the_lines_as_it_has_them(tmp_path: Path) -> None:
    configure = (
        "import structlog\n"
        "structlog.configure(processors=[structlog.processors.JSONRenderer(sort_keys=True)],"
        " logger_factory=structlog.PrintLoggerFactory())\n"
    )
    done = host(tmp_path, configure)
    assert done.stderr == ""
    _, second, *_ = done.stdout.splitlines()
    assert second == '{"event": "pusher.unreachable", "reason": "connection refused"}'
