"""The commands, as they are typed."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest

GATEPOST = (sys.executable, "-m", "gatepost.cli")


def typed(*words: str, lang: str = "en") -> "subprocess.CompletedProcess[str]":
    import os

    return subprocess.run(
        [*GATEPOST, *words],
        env={**os.environ, "GATEPOST_LANG": lang},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@contextmanager
def receiver(folder: Path) -> Iterator[str]:
    """The real receiver as a process of its own; answers where terminals push to."""
    with subprocess.Popen(
        [*GATEPOST, "serve", "--data", str(folder), "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            for said in process.stdout:
                if "/Record" in said:
                    yield said.split()[-1]
                    break
        finally:
            process.terminate()


def test_gatepost_itself_keeps_every_rule_for_receivers(tmp_path: Path) -> None:
    with receiver(tmp_path / "data") as url:
        done = typed(
            "check", "receiver", url, "--slow", "1s",
            "--json", str(tmp_path / "r.json"), "--junit", str(tmp_path / "r.xml"),
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert [item["id"] for item in report["results"] if item["verdict"] != "pass"] == []
    assert len(report["results"]) > 30
    assert ElementTree.parse(tmp_path / "r.xml").getroot()[0].get("failures") == "0"  # noqa: S314 (it is ours)


def test_a_receiver_that_is_not_there_fails_with_exit_code_1_and_no_traceback() -> None:
    done = typed("check", "receiver", "http://127.0.0.1:1/Record", "--only", "record", lang="zh")
    assert done.returncode == 1
    assert "未通过" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("not-a-url",),
        ("http://127.0.0.1:1/", "--only", "no-such-rule"),
        ("http://127.0.0.1:1/", "--slow", "x"),
    ],
)
def test_what_cannot_be_meant_is_one_line_on_standard_error(words: tuple[str, ...]) -> None:
    done = typed("check", "receiver", *words)
    assert done.returncode == 1
    assert done.stderr.startswith("gatepost: ")
    assert done.stderr.count("\n") == 1
