"""Terminals with their own service, as processes, for the tests that manage them in a browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.browser.kit import PASSWORD


class TerminalProcess:
    """``gatepost terminal run`` as a process of its own, with its own service over TLS."""

    def __init__(self, folder: Path, serial: str) -> None:
        self.folder = folder
        self.serial = serial
        self.port = 0
        self._process: subprocess.Popen[str] | None = None
        self._environ = {
            **os.environ, "GATEPOST_LANG": "en", "GATEPOST_TLS": "true",
            "GATEPOST_RETRY_FIRST_S": "0.05", "GATEPOST_RETRY_CAP_S": "0.2",
        }  # fmt: skip

    def start(self) -> None:
        """Start it, at the port that it had before."""
        self.folder.mkdir(exist_ok=True, parents=True)
        secret = self.folder.with_suffix(".secret")
        secret.write_text(PASSWORD)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gatepost.cli", "terminal", "run", "--serial", self.serial,
             "--data", self.folder, "--listen", f"127.0.0.1:{self.port}",
             "--username", "admin", "--password-file", secret],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=self._environ,
        )  # fmt: skip
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        found = re.search(r"https://127\.0\.0\.1:(\d+)", said)
        assert found, said
        self.port = int(found[1])

    def stop(self) -> None:
        """Switch it off. Idempotent."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def forget(self) -> None:
        """Lose everything but its certificate, and so where it pushes to."""
        shutil.rmtree(self.folder / "outbox")

    def passes(self, name: str) -> bool:
        """Let a person pass; False while the terminal pushes nowhere, and so keeps nothing."""
        data = {
            "uuid": f"{self.serial}-{name}", "timestamp": int(time.time()), "recognitionType": 1,
            "entry_mode": 1, "pass": True, "user": {"user_id": name, "name": name, "type": 1},
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "gatepost.cli", "terminal", "emit", "--data", self.folder],
            input=json.dumps({"type": 0, "data": data}) + "\n", text=True, capture_output=True,
            env=self._environ, check=False,
        )  # fmt: skip
        return bool(json.loads(done.stdout)["ok"])
