"""``gatepost torture`` as it is typed."""

import json
import os
import subprocess
import sys
from pathlib import Path


def typed(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "gatepost.cli", "torture", *words],
        env={**os.environ, "GATEPOST_LANG": "en"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_a_run_that_is_too_short_fails_and_says_why_and_power_cuts_are_part_of_the_report(
    tmp_path: Path,
) -> None:
    report = tmp_path / "report.json"
    done = typed(
        "--minutes", "0.1", "--terminals", "1", "--power-cuts", "5",
        "--report", str(report), "--data", str(tmp_path / "d"),
    )  # fmt: skip
    assert done.returncode == 1
    assert "DIFFERENCE: too little happened" in done.stdout
    value = json.loads(report.read_text(encoding="utf-8"))
    assert value["ok"] is False
    assert all(difference.startswith("too little happened") for difference in value["differences"])
    assert [(cuts["end"], cuts["cuts"], cuts["differences"]) for cuts in value["power_cuts"]] == [
        ("terminal", 5, []),
        ("receiver", 5, []),
    ]
    assert (tmp_path / "d" / "run" / "receiver" / "gatepost.db").exists()


def test_a_folder_that_holds_something_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    done = typed("--data", str(tmp_path))
    assert done.returncode == 1
    assert "is not empty" in done.stderr
    assert os.listdir(tmp_path) == ["mine"]  # noqa: PTH208 (one name)
