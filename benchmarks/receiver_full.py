"""Does a receiver that holds 2 million records take in and list events as fast as an empty one?

SQLite, no image, `wrk -t1 -c64`. A new, empty receiver and the full one take turns; the full one keeps growing.
"""

import shutil
import time
from pathlib import Path
from statistics import median

from benchmarks.bench import Bench
from benchmarks.load import wrk
from benchmarks.payloads import bodies, run_id, write_template
from benchmarks.probe import post_one, stored
from benchmarks.programs import BenchmarkError, free_port, gatepost, start
from benchmarks.receiver import LISTED_S, POLL_S
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
    listed: dict[str, list[float]] = {"empty": [], "full": []}
    peaks = []
    for turn in range(bench.rounds):
        for name in rates:
            data = folder / (name if name == "full" else f"empty-{turn}")
            rate, all_listed, peak = _measure(bench, data, template)
            rates[name].append(rate)
            listed[name].append(all_listed)
            peaks.append(peak)
            bench.say(f"  {name} {rate:,.0f}/s, all listed {all_listed:,.0f}/s, {peak:.0f} MB")
    shutil.rmtree(folder)
    what = f"{count:,} records stored"
    return [
        *(
            Row(
                what=f"{what}, {kind}",
                value=median(found["full"]),
                unit="/s",
                peer="empty",
                peer_value=median(found["empty"]),
                target=target,
            )
            for kind, found, target in (("acknowledged", rates, 0.95), ("all listed", listed, 0.6))
        ),
        Row(what=f"{what}: peak resident memory", value=max(peaks), unit="MB", target=350, at_most=True),
    ]


def _measure(bench: Bench, data: Path, template: Path) -> tuple[float, float, float]:
    """Return the events a second that were acknowledged, and listed, and the peak memory in MB."""
    port = free_port()
    command = gatepost("serve", "--data", data, "--listen", f"127.0.0.1:{port}")
    with start("receiver", command, folder=data.parent, port=port) as receiver:
        post_one(port, bodies(run_id(), image=False)(0))
        database = f"sqlite:///{data}/gatepost.db"
        before = stored(database)
        began = time.monotonic()
        load = wrk(port, template, seconds=bench.seconds)
        while (found := stored(database) - before) < load.requests:
            if time.monotonic() - began > bench.seconds + LISTED_S:
                raise BenchmarkError(f"{load.requests} events were acknowledged and {found} are listed")
            time.sleep(POLL_S)
        return load.rate, load.requests / (time.monotonic() - began), receiver.peak_mb()
