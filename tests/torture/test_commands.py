"""``gatepost torture`` as it is typed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gatepost.torture.fault_plan import TRACKS

GATEPOST = Path(sys.executable).with_name("gatepost")


def typed(*words: str, timeout_s: float = 230.0) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [GATEPOST, "torture", *words],
        env={**os.environ, "GATEPOST_LANG": "en"},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def assert_nothing_was_lost(
    done: "subprocess.CompletedProcess[str]", value: dict[str, Any], *, faults: int
) -> None:
    """The verdict; and that it really happened, by the report's figures and not by its word alone."""
    assert value["differences"] == [], done.stdout
    assert (done.returncode, value["ok"]) == (0, True)
    assert done.stdout.splitlines()[-1] == "nothing was lost"
    figures, happened = value["figures"], value["happened"]
    assert figures["issued"] == figures["accepted"] + figures["refused"] + figures["unknown"]
    # An event whose answer was lost may be on either side.
    there = sum(figures[where] for where in ("stored", "pending", "dead", "dropped"))
    assert figures["accepted"] <= there <= figures["accepted"] + figures["unknown"]
    assert [figures[wrong] for wrong in ("missing", "spurious", "corrupted", "duplicates")] == [0] * 4
    assert figures["accepted"] > 1000
    kinds = [kind for track in TRACKS for kind in track]
    assert all(happened[kind] for kind in kinds)
    assert sum(happened[kind] for kind in kinds) == value["faults"] >= faults
    assert happened["kill-terminal"] + happened["kill-receiver"] >= 2
    assert happened["refuse"] + happened["hang"] + happened["stop-receiver"] >= 3
    assert happened["resends"] >= 10
    assert happened["duplicates recognised"] >= 2
    assert happened["interruptions"] >= 1
    assert happened["refused outbox-unavailable"] >= 1


@pytest.mark.soak
@pytest.mark.timeout(780)
def test_three_minutes_of_faults_lose_double_and_invent_nothing(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = typed("--seed", "1", "--minutes", "3", "--report", str(report), timeout_s=770)
    assert report.exists(), done.stderr
    value = json.loads(report.read_text(encoding="utf-8"))
    assert_nothing_was_lost(done, value, faults=80)
    assert ("ENOSPC" in value["happened"]) is value["disks"]["real"]


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_the_default_run_of_ten_minutes_has_at_least_two_hundred_faults(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = typed("--report", str(report), timeout_s=1780)
    assert report.exists(), done.stderr
    value = json.loads(report.read_text(encoding="utf-8"))
    assert value["seconds"] >= 600
    assert_nothing_was_lost(done, value, faults=200)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("disks", ["auto", pytest.param("limit", marks=pytest.mark.soak)])
def test_a_short_run_says_whether_enough_happened_and_power_cuts_are_part_of_the_report(
    tmp_path: Path, disks: str
) -> None:
    report = tmp_path / "report.json"
    done = typed(
        "--minutes", "0.1", "--terminals", "1", "--power-cuts", "5", "--disks", disks,
        "--report", str(report), "--data", str(tmp_path / "d"),
    )  # fmt: skip
    value = json.loads(report.read_text(encoding="utf-8"))
    # On a quick machine twelve seconds may be enough.
    assert value["ok"] is not bool(value["differences"])
    assert done.returncode == int(not value["ok"])
    assert value["ok"] is not ("DIFFERENCE: too little happened" in done.stdout)
    assert [one for one in value["differences"] if not one.startswith("too little happened")] == []
    assert [(cuts["end"], cuts["cuts"], cuts["differences"]) for cuts in value["power_cuts"]] == [
        ("terminal", 5, []),
        ("receiver", 5, []),
    ]
    # What was on real disks is kept as well.
    assert (tmp_path / "d" / "run" / "receiver" / "gatepost.db").exists()
    assert value["disks"]["real"] is False or disks == "auto"
    assert value["disks"]["real"] is True or value["disks"]["why"] in done.stdout


def test_who_insists_on_real_disks_is_told_why_there_are_none(tmp_path: Path) -> None:
    # A run of many days would fill any memory with its disks.
    done = typed("--disks", "real", "--minutes", "100000", "--data", str(tmp_path))
    assert done.returncode == 1
    assert "no disk can be mounted here: real ones may take" in done.stderr
    assert "--disks limit" in done.stderr


def test_a_folder_that_holds_something_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    done = typed("--data", str(tmp_path))
    assert done.returncode == 1
    assert "is not empty" in done.stderr
    assert os.listdir(tmp_path) == ["mine"]  # noqa: PTH208 (one name)
