"""The receiving end on the page about forwarding takes what gatepost signs, and nothing else.

It runs as it is on the page, in Flask, as a process of its own.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.ports import free_port
from tests.reader import snippets

from gatepost.forward.admin import new_secret
from gatepost.forward.sinks.webhook import signature, signing_key

PAGES = Path(__file__).parents[2] / "docs/how-to"
BODY = b'{"id":"record-17"}'


class Flask:
    """The program of a page, on a free port."""

    def __init__(self, folder: Path, page: str) -> None:
        (text,) = [one.text for one in snippets(PAGES / page) if one.language == "python"]
        assert "app.run(port=5000)" in text
        self.port, self.secret = free_port(), new_secret()
        program = folder / "receiving_end.py"
        program.write_text(text.replace("5000", str(self.port)), encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-u", program],
            env={**os.environ, "HOOK_SECRET": self.secret},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.said = ""
        self.until("Running on")

    def until(self, wanted: str) -> None:
        """Read what it says until it has said something."""
        assert self._process.stdout is not None
        while wanted not in self.said:
            line = self._process.stdout.readline()
            assert line, self.said
            self.said += line

    def post(self, *, secret: str = "", **changed: str) -> int:
        """Post an event as gatepost does, also signed with a secret that was replaced; return the status."""
        at = int(time.time())
        keys = [signing_key(new_secret()), signing_key(secret or self.secret)]
        headers = {
            "content-type": "application/cloudevents+json",
            "webhook-id": "record-17",
            "webhook-timestamp": str(at),
            "webhook-signature": signature(keys, "record-17", at, BODY),
        } | {name.replace("_", "-"): value for name, value in changed.items()}
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            line.request("POST", "/hook", BODY, headers)
            return line.getresponse().status
        finally:
            line.close()

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.communicate(timeout=30)


@pytest.fixture(scope="module", params=["forward.md", "forward.zh.md"])
def flask(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    made = Flask(tmp_path_factory.mktemp("flask"), request.param)
    try:
        yield made
    finally:
        made.stop()


def test_what_gatepost_signs_is_taken_also_next_to_another_signature(flask: Flask) -> None:
    assert flask.post() == 204
    flask.until("record-17\n")


@pytest.mark.parametrize(
    "changed",
    [
        {"secret": "another-secret"},
        {"webhook_id": "record-18"},
        {"webhook_timestamp": "1700000000"},
        {"webhook_signature": "v1,AAAA"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_whatever_is_changed_or_old_is_refused(flask: Flask, changed: dict[str, str]) -> None:
    assert flask.post(**changed) == 401


def test_without_a_secret_it_does_not_start(tmp_path: Path) -> None:
    (text,) = [one.text for one in snippets(PAGES / "forward.md") if one.language == "python"]
    program = tmp_path / "receiving_end.py"
    program.write_text(text, encoding="utf-8")
    env = {name: value for name, value in os.environ.items() if name != "HOOK_SECRET"}
    ended = subprocess.run(
        [sys.executable, program], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode != 0
    assert "KeyError: 'HOOK_SECRET'" in ended.stderr
