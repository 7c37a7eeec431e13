"""The load on a receiver: wrk with one thread and 64 connections, every event unique."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.payloads import run_id
from benchmarks.programs import ROOT, BenchmarkError, need

CONNECTIONS = 64


@dataclass(frozen=True)
class Load:
    """What wrk saw in one run."""

    requests: int
    rate: float
    p50_ms: float
    p99_ms: float


def wrk(port: int, template: Path, *, seconds: float) -> Load:
    """Post unique events to `/Record` as fast as they are answered. Any answer but 2xx is a BenchmarkError."""
    command = [
        need("wrk"),
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{max(1, round(seconds))}s",
        "--timeout",
        "30s",
        "-s",
        str(ROOT / "benchmarks" / "wrk" / "unique.lua"),
        f"http://127.0.0.1:{port}",
        "--",
        str(template),
        run_id(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise BenchmarkError(f"wrk gave no result: {done.stdout}{done.stderr}")
    result = json.loads(line.removeprefix("RESULT "))
    failures = result["status"] + result["socket"] + result["timeout"]
    if failures or not result["requests"]:
        raise BenchmarkError(f"{failures} of {result['requests']} requests failed: {line}")
    return Load(
        result["requests"], result["requests"] / result["seconds"], result["p50_ms"], result["p99_ms"]
    )
