"""Wherever listing and removal are killed: each event is listed once, and the journal is empty in the end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_the_projector_is_killed_at_each_call_to_disk_and_store(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.listing_steps", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["calls"] > 25
