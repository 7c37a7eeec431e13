"""A real server for S3, SeaweedFS out of a wheel, on loopback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from gatepost.torture.cluster.servers.bucket import server_words

__all__ = ["BUCKET", "SeaweedFS", "seaweedfs"]

BUCKET = "images"
KEY, SECRET = "an-access-key", "a-secret-key"


class SeaweedFS:
    """A server with one bucket, and the variables with which it is used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ports = _free_ports(4)
        identity = {
            "name": "tests",
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List"],
        }
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        (folder / "data").mkdir()
        self._way = _Way(self._ports[3])
        self.endpoint = f"http://127.0.0.1:{self._way.port}"
        self.environment = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        weed, config = Path(sys.executable).parent / "weed", self.folder / "s3.json"
        words = server_words(weed, self.folder / "data", config, self._ports)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
        self._wait()

    def _wait(self) -> None:
        """Wait until it stores something."""
        import obstore
        from obstore.store import S3Store

        store = S3Store(
            BUCKET,
            config={
                "aws_endpoint": self.endpoint,
                "aws_region": "us-east-1",
                "aws_access_key_id": KEY,
                "aws_secret_access_key": SECRET,
            },
            client_options={"allow_http": True, "timeout": "5s"},
            retry_config={"max_retries": 0},
        )
        end = time.monotonic() + 60
        while True:
            try:
                obstore.put(store, "is-up", b"yes", use_multipart=False)
                return
            except Exception:
                assert self._process is not None
                assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
                assert time.monotonic() < end, (self.folder / "log").read_text()[-2000:]
                time.sleep(0.1)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(30)
            self._process = None

    @contextmanager
    def killed(self) -> Iterator[None]:
        """:meth:`kill` it, and start it again at the end."""
        self.kill()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Cut it off: connections are closed, and no new ones are taken."""
        self._way.close()
        try:
            yield
        finally:
            self._way.open()

    def stop(self) -> None:
        self._way.close()
        self.kill()


class _Way:
    """A port behind which the server is, as long as it is open."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._begin()

    def open(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._begin()

    def close(self) -> None:
        for each in (self._listener, *self._connections):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._connections.clear()

    def _begin(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                one, _ = listener.accept()
            except OSError:
                return
            try:
                other = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                one.close()
                continue
            self._connections += (one, other)
            for source, target in ((one, other), (other, one)):
                threading.Thread(target=_carry, args=(source, target), daemon=True).start()


def _carry(source: socket.socket, target: socket.socket) -> None:
    """Carry what comes until either side ends; each socket is closed by the one thread that reads it."""
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
    source.close()


@contextmanager
def seaweedfs() -> Iterator[SeaweedFS]:
    """Run a server."""
    folder = Path(tempfile.mkdtemp(prefix="gatepost-s3-"))
    server = SeaweedFS(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    """Return ports that are free, and so are those 10,000 above, which the server uses, too."""
    found: list[int] = []
    with ExitStack() as stack:
        while len(found) < count:
            one = stack.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            if port > 55_000:
                continue
            other = stack.enter_context(socket.socket())
            try:
                other.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            found.append(port)
    return found
