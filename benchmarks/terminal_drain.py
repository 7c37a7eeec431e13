"""How fast does a backlog of 50,000 passages with 30 KB JPEGs leave a terminal, and in how much memory?

The receiver is nginx, which answers the documented words and stores nothing. Ours is `gatepost terminal run` on an
outbox that another process filled; against persist-queue with `requests`, and syslog-ng with a reliable disk buffer and
four workers (C, and it does not read the reply). Also over HTTPS, and with 20 ms of round-trip time between the two.

What is compared with persist-queue is a drain, and its rate falls all the way (`peers/persist_queue_peer.py` says why):
50,000 events take it hours. So it holds 50,000 and is measured over the first 5,000, the fastest tenth of its drain,
once, which is longer than all the runs of the others. Beside it stands, without a target, the same with a call that
its README does not mention and that keeps it from falling.
"""

import compileall
import json
import os
import shutil
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.backlog import SERIAL, fill
from benchmarks.bench import Bench
from benchmarks.drain import Drain, watch
from benchmarks.payloads import bodies, jpeg, run_id
from benchmarks.peers import persist_queue_peer
from benchmarks.peers.nginx import Nginx, nginx
from benchmarks.peers.syslog_ng import SyslogNg
from benchmarks.programs import ROOT, BenchmarkError, Program, free_port, gatepost, start
from benchmarks.report import Row

BACKLOG = 50_000
LONGEST_SECONDS = 120.0
QUEUE_EVENTS = 5_000
QUEUE_CLEARED_EVERY = 100
RTT_MS = 20


def run(bench: Bench) -> list[Row]:
    """Fill the three queues once, then drain copies of them in turn."""
    folder = bench.folder("drain")
    # As an installed program has it; a checkout may be told to write none.
    compileall.compile_dir(ROOT / "src", quiet=1)
    count = bench.sized(BACKLOG)
    found: dict[str, list[Drain]] = {}
    with nginx(folder / "nginx") as receiver:
        sides = _sides(bench, folder, receiver, count)
        for turn in range(bench.rounds):
            for name, side in sides.items():
                if turn and name.startswith("persist-queue"):
                    continue
                found.setdefault(name, []).append(drain := side())
                bench.say(
                    f"  {name} {drain.rate:,.0f}/s, first after {drain.first_s:.2f} s, {drain.cores:.2f} cores, "
                    f"{drain.peak_mb:.0f} MB"
                )
    shutil.rmtree(folder)
    return _rows(found, count)


def _rows(found: dict[str, list[Drain]], count: int) -> list[Row]:
    def rate(name: str) -> float:
        return median(drain.rate for drain in found[name])

    ours = [drain for name in ("HTTP", "HTTPS", "far") for drain in found[name]]
    first = f"persist-queue, first {min(count, QUEUE_EVENTS):,}"
    start_s = max(drain.first_s for drain in found["HTTP"])
    peak = max(drain.peak_mb for drain in ours)
    what = f"{count:,} waiting"

    def against(peer: str, value: float, target: float | None = None) -> Row:
        ours = rate("HTTP")
        return Row(what=f"{what}, HTTP", value=ours, unit="/s", peer=peer, peer_value=value, target=target)

    return [
        Row(what=f"{what}, HTTP", value=rate("HTTP"), unit="/s", target=4_000),
        against("syslog-ng", rate("syslog-ng"), 0.8),
        against(first, rate("persist-queue"), 25),
        against(f"{first}, cleared by hand", rate("persist-queue, cleared")),
        Row(
            what=f"{what}, HTTP: cores used",
            value=median(drain.cores for drain in found["HTTP"]),
            unit="cores",
        ),
        Row(what=f"{what}, HTTPS", value=rate("HTTPS"), unit="/s", target=3_125),
        Row(what=f"{what}, {RTT_MS} ms away", value=rate("far"), unit="/s", target=300),
        Row(what=f"{what}: start to first push", value=start_s, unit="s", target=0.5, at_most=True),
        Row(what=f"{what}: peak resident memory", value=peak, unit="MB", target=80, at_most=True),
    ]


def _sides(bench: Bench, folder: Path, receiver: Nginx, count: int) -> dict[str, Callable[[], Drain]]:
    """Each side's name and a function that drains its backlog once."""
    bench.say(f"filling the outbox with {count:,}")
    spent = fill(folder / "ours-kept", count)
    bench.say(f"  {spent:.1f} s ({count / spent:,.0f}/s); persist-queue and syslog-ng")
    run = run_id()
    persist_queue_peer.fill(folder / "queue-kept", count, lambda n: _plain_event(run, n))
    syslog = SyslogNg(folder / "syslog")
    syslog.fill(count, bodies(run_id(), image=True))

    def drain_queue(*options: str) -> Drain:
        _copy(folder / "queue-kept", folder / "queue")
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "benchmarks.peers.persist_queue_peer",
            folder / "queue",
            receiver.url,
            *options,
        ]
        before, began = receiver.answered(), time.monotonic()
        with start("persist-queue", command, folder=folder) as program:
            return watch(
                receiver.answered,
                program,
                before=before,
                began=began,
                stop_at=min(count, QUEUE_EVENTS),
                seconds=LONGEST_SECONDS,
            )

    def drain_syslog() -> Drain:
        syslog.restore()
        os.sync()
        before, began = receiver.answered(), time.monotonic()
        with syslog.run(receiver.url) as program:
            found = watch(
                receiver.answered, program, before=before, began=began, stop_at=count, seconds=LONGEST_SECONDS
            )
        return _whole(found, count, "syslog-ng")

    def drain_ours(url: str, *, seconds: float | None = None) -> Drain:
        before = receiver.answered()
        with _terminal(folder, receiver, url) as (program, began):
            found = watch(
                receiver.answered,
                program,
                before=before,
                began=began,
                stop_at=count,
                seconds=LONGEST_SECONDS if seconds is None else seconds,
            )
        return found if seconds is not None else _whole(found, count, "gatepost")

    def drain_far() -> Drain:
        port = free_port()
        command = [sys.executable, "-m", "benchmarks.peers.delay_proxy", port, receiver.port, RTT_MS]
        with start("proxy", list(map(str, command)), folder=folder, port=port):
            return drain_ours(f"http://127.0.0.1:{port}/Record", seconds=bench.seconds)

    return {
        "persist-queue": drain_queue,
        "persist-queue, cleared": lambda: drain_queue("--clear-every", str(QUEUE_CLEARED_EVERY)),
        "HTTP": lambda: drain_ours(receiver.url),
        "syslog-ng": drain_syslog,
        "HTTPS": lambda: drain_ours(receiver.https_url),
        "far": drain_far,
    }


def _whole(drain: Drain, count: int, who: str) -> Drain:
    if drain.pushed < count:
        raise BenchmarkError(f"{who} pushed {drain.pushed} of {count} events in {LONGEST_SECONDS:g} s")
    return drain


def _plain_event(run: str, n: int) -> dict[str, Any]:
    """What persist-queue stores: the page's fields, with the image as bytes."""
    data = json.loads(bodies(run, image=False)(n))["data"]
    return {**data, "rgb_image": jpeg(n, run)}


def _copy(kept: Path, live: Path) -> None:
    """Take a queue back to what was filled, and leave the disk nothing to do."""
    shutil.rmtree(live, ignore_errors=True)
    shutil.copytree(kept, live, ignore=shutil.ignore_patterns("*.sock"))
    os.sync()


@contextmanager
def _terminal(folder: Path, receiver: Nginx, url: str) -> Iterator[tuple[Program, float]]:
    """`gatepost terminal run` on a fresh copy of the filled outbox, told where to push; and when it was started."""
    data = folder / "ours"
    _copy(folder / "ours-kept", data)
    port = free_port()
    command = gatepost("terminal", "run", "--sn", SERIAL, "--data", data, "--listen", f"127.0.0.1:{port}")
    with ExitStack() as stack:
        began = time.monotonic()
        program = stack.enter_context(
            start("terminal", command, folder=folder, port=port, env={"GATEPOST_CA_FILE": str(receiver.ca)})
        )
        _subscribe(port, url)
        yield program, began


def _subscribe(port: int, url: str) -> None:
    """Tell the terminal where to push, as an integrator does."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/event/subscribe",
        data=json.dumps({"event_dest": url, "enabled": True}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        answer = json.load(reply)
    if answer["code"] != 200:
        raise BenchmarkError(f"the terminal refused the subscription: {answer}")
