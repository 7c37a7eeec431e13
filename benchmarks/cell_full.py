"""Does PostgreSQL with 20 million records take in, list and find as an emptier one does?

All questions of `queries` on PostgreSQL, with its limits, at ten times its size. Then a receiver on that database and
one on an empty database of the same server take events in turns: no image, `wrk -t1 -c64`; the full one keeps growing.
"""

import shutil
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks import queries
from benchmarks.bench import Bench
from benchmarks.load import wrk
from benchmarks.payloads import bodies, run_id, write_template
from benchmarks.probe import post_one, stored
from benchmarks.programs import BenchmarkError, free_port, gatepost, start
from benchmarks.receiver import LISTED_S, POLL_S
from benchmarks.report import Row

TIMES = 10


def run(bench: Bench) -> list[Row]:
    """Fill PostgreSQL, ask everything, and let events come."""
    larger = replace(bench, scale=bench.scale * TIMES)
    return queries.on_postgres(larger, afterwards=lambda url: _rates(bench, url))


def _rates(bench: Bench, full: str) -> list[Row]:
    import psycopg

    folder = bench.folder("cell-full")
    template = write_template(folder / "wrk", image=False)
    listed: dict[str, list[float]] = {"empty": [], "full": []}
    with psycopg.connect(full, autocommit=True) as db:
        (count,) = db.execute("SELECT count(*) FROM records").fetchone() or (0,)
    for turn in range(bench.rounds):
        for name, found in listed.items():
            url = full
            if name == "empty":
                with psycopg.connect(full, autocommit=True) as db:
                    db.execute(f"CREATE DATABASE empty{turn}")
                url = full.replace("/postgres?", f"/empty{turn}?")
            found.append(_measure(bench, folder / f"{name}-{turn}", url, template))
            bench.say(f"  {name}: all listed {found[-1]:,.0f}/s")
    shutil.rmtree(folder)
    return [
        Row(
            what=f"PostgreSQL, {count:,} records stored, all listed",
            value=median(listed["full"]),
            unit="/s",
            peer="empty",
            peer_value=median(listed["empty"]),
            target=0.6,
        )
    ]


def _measure(bench: Bench, data: Path, url: str, template: Path) -> float:
    """Return the events a second of a run, until all are listed."""
    port = free_port()
    command = gatepost("serve", "--data", data, "--listen", f"127.0.0.1:{port}", "--database", url)
    with start("receiver", command, folder=data.parent, env=queries.SETTINGS, port=port):
        post_one(port, bodies(run_id(), image=False)(0))
        database = url.replace("postgresql://", "postgresql+psycopg://")
        before = stored(database)
        began = time.monotonic()
        load = wrk(port, template, seconds=bench.seconds)
        while (found := stored(database) - before) < load.requests:
            if time.monotonic() - began > bench.seconds + LISTED_S:
                raise BenchmarkError(f"{load.requests} events were acknowledged and {found} are listed")
            time.sleep(POLL_S)
        return load.requests / (time.monotonic() - began)
