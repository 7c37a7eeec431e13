"""The commands of the guide for a second gatepost: what one is pushed, the other one lists."""

from __future__ import annotations

import json
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.reader import ROOT, Reader, commands
from tests.receiver.kit import record

RUNNING = {r"^gatepost serve ": r"listening on http://"}


@pytest.fixture
def reader() -> Iterator[Reader]:
    def no_database() -> str:
        raise AssertionError("the guide needs none")

    with tempfile.TemporaryDirectory(prefix="gp-") as folder:
        made = Reader(Path(folder), running=RUNNING, options={}, database=no_database)
        made.env["GATEPOST_FORWARD_NETWORKS"] = "127.0.0.0/8"
        try:
            yield made
        finally:
            made.leave()


def guide(page: str, heading: str) -> list[str]:
    """Return the commands below a heading."""
    text = (ROOT / "docs/how-to" / page).read_text(encoding="utf-8")
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return commands(section.split("```sh\n")[1].split("```")[0])


def test_what_the_branch_is_pushed_the_headquarters_list(reader: Reader) -> None:
    reader.run("gatepost serve --data ./data")
    for command in guide("forward.md", "A second gatepost"):
        reader.run(command)
    assert "HQ" in reader.said
    assert guide("forward.zh.md", "第二套 gatepost") == guide("forward.md", "A second gatepost")
    event = record(uuid="6b4a92cb-6f0c-4f8e-9d43-2f5a3f9b7c11", timestamp=1_760_000_000)
    sent = urllib.request.Request(
        f"http://127.0.0.1:{reader.port()}/Record",
        json.dumps(event).encode(),
        {"sn": "SN-1", "content-type": "application/json"},
    )
    with urllib.request.urlopen(sent, timeout=20) as reply:
        assert json.load(reply)["code"] == 200
    reader.run("gatepost tokens create --data ./hq --role admin --name test")
    token = reader.said.split()[-1]
    asked = urllib.request.Request(
        f"http://127.0.0.1:{reader.port(8090)}/api/v1/records", headers={"authorization": f"Bearer {token}"}
    )
    ends = time.monotonic() + 60
    while True:  # another process: only asking it tells
        with urllib.request.urlopen(asked, timeout=20) as reply:
            items = json.load(reply)["items"]
        if items:
            break
        assert time.monotonic() < ends, "nothing arrived"
    assert [(one["uuid"], one["terminal"]) for one in items] == [(event["data"]["uuid"], "SN-1")]
