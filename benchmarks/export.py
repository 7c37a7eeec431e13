"""How long does a receiver take to hand out 100,000 records as a file, and how much memory does that need?

SQLite, no images. Each format is fetched by a client that throws it away; the memory is the receiver's peak while it
does nothing else. The CSV must have a line a record. Then pushes come in as fast as they are answered, alone and while
one client fetches the CSV and another one the statistics of a year, again and again, in turn.
"""

import http.client
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from benchmarks.bench import Bench
from benchmarks.load import wrk
from benchmarks.payloads import write_template
from benchmarks.programs import BenchmarkError, Program, api_token, free_port, gatepost, start
from benchmarks.report import Row
from benchmarks.stocked import stock

RECORDS = 100_000
SECONDS = {"csv": 5.0, "jsonl": None, "xlsx": None}
MEMORY_MB = 350
CSV = "/api/v1/records/export?format=csv"


def run(bench: Bench) -> list[Row]:
    """Fill a receiver, then export all of it `rounds` times in each format."""
    folder = bench.folder("export")
    count = bench.sized(RECORDS)
    bench.say(f"storing {count:,} records")
    stock(folder / "data", count)
    port = free_port()
    command = gatepost("serve", "--data", folder / "data", "--listen", f"127.0.0.1:{port}")
    rows: list[Row] = []
    with start("receiver", command, folder=folder, port=port) as receiver:
        token = api_token(folder / "data")
        for form, target in SECONDS.items():
            found = [_export(receiver, port, token, form, count) for _ in range(bench.rounds)]
            seconds, memory = (median(column) for column in zip(*found, strict=True))
            bench.say(f"  {form} {seconds:.1f} s, {memory:.0f} MB")
            what = f"{count:,} records as {form}"
            rows.append(Row(what=what, value=seconds, unit="s", target=target, at_most=True))
            memory_target = MEMORY_MB if target else None
            what = f"{what}: peak resident memory"
            rows.append(Row(what=what, value=memory, unit="MB", target=memory_target, at_most=True))
        rows.append(_beside(bench, folder, port, token))
    shutil.rmtree(folder)
    return rows


def _beside(bench: Bench, folder: Path, port: int, token: str) -> Row:
    """Compare the percentile of pushes during an export and statistics with the one of pushes alone."""
    template = write_template(folder / "wrk", image=False)
    alone, beside = [], []
    today = datetime.now(UTC).date()
    year = f"/api/v1/statistics?first={today - timedelta(days=365)}&last={today}"
    for _ in range(bench.rounds):
        alone.append(wrk(port, template, seconds=bench.seconds).p99_ms)
        ends = threading.Event()
        with ThreadPoolExecutor(2) as readers:
            asked = [readers.submit(_again, port, token, path, ends) for path in (CSV, year)]
            try:
                beside.append(wrk(port, template, seconds=bench.seconds).p99_ms)
            finally:
                ends.set()
            times = [one.result() for one in asked]
        bench.say(f"  p99 alone {alone[-1]:.0f} ms, beside {times} requests {beside[-1]:.0f} ms")
    return Row(
        what="pushes during an export and statistics: 99 % within",
        value=median(beside),
        unit="ms",
        peer="pushes alone",
        peer_value=median(alone),
        target=2,
        at_most=True,
    )


def _again(port: int, token: str, path: str, ends: threading.Event) -> int:
    """Fetch a path until told to end; return how often it was fetched whole."""
    times = 0
    while not ends.is_set():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            reply = connection.getresponse()
            while reply.read(1 << 16):
                if ends.is_set():
                    return times
        finally:
            connection.close()
        if reply.status != 200:
            raise BenchmarkError(f"{path} was answered {reply.status}")
        times += 1
    return times


def _export(receiver: Program, port: int, token: str, form: str, count: int) -> tuple[float, float]:
    """Seconds, and peak MB meanwhile."""
    for pid in receiver.pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins again: proc(5)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    began = time.perf_counter()
    try:
        connection.request(
            "GET", f"/api/v1/records/export?format={form}", headers={"Authorization": f"Bearer {token}"}
        )
        reply = connection.getresponse()
        lines = 0
        while piece := reply.read(1 << 16):
            lines += piece.count(b"\n")
    finally:
        connection.close()
    spent = time.perf_counter() - began
    if reply.status != 200 or (form == "csv" and lines != count + 1):
        raise BenchmarkError(f"the {form} was answered {reply.status} and has {lines} lines")
    return spent, receiver.peak_mb()
