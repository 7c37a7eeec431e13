"""Does a receiver that holds 2 million records take in events as fast as an empty one?

SQLite, no image, `wrk -t1 -c64`. A new, empty receiver and the full one take turns; the full one keeps growing.
"""

import shutil
from pathlib import Path
from statistics import median

from benchmarks.bench import Bench
from benchmarks.load import wrk
from benchmarks.payloads import bodies, run_id, write_template
from benchmarks.probe import post_one
from benchmarks.programs import free_port, gatepost, start
from benchmarks.report import Row
from benchmarks.stocked import RECORDS, stock


def run(bench: Bench) -> list[Row]:
    """Fill one receiver, then measure it and an empty one in turn."""
    folder = bench.folder("full")
    template = write_template(folder / "wrk", image=False)
    count = bench.sized(RECORDS)
    bench.say(f"storing {count:,} records")
    spent = stock(folder / "full", count)
    bench.say(f"  {spent:.0f} s ({count / spent:,.0f}/s)")
    rates: dict[str, list[float]] = {"empty": [], "full": []}
    peaks = []
    for turn in range(bench.rounds):
        for name in rates:
            data = folder / (name if name == "full" else f"empty-{turn}")
            rate, peak = _measure(bench, data, template)
            rates[name].append(rate)
            peaks.append(peak)
            bench.say(f"  {name} {rate:,.0f}/s, {peak:.0f} MB")
    shutil.rmtree(folder)
    full, empty = median(rates["full"]), median(rates["empty"])
    what = f"{count:,} records stored"
    return [
        Row(what=what, value=full, unit="/s", peer="empty", peer_value=empty, target=0.8),
        Row(what=f"{what}: peak resident memory", value=max(peaks), unit="MB", target=250, at_most=True),
    ]


def _measure(bench: Bench, data: Path, template: Path) -> tuple[float, float]:
    port = free_port()
    command = gatepost("serve", "--data", data, "--listen", f"127.0.0.1:{port}")
    with start("receiver", command, folder=data.parent, port=port) as receiver:
        post_one(port, bodies(run_id(), image=False)(0))
        return wrk(port, template, seconds=bench.seconds).rate, receiver.peak_mb()
