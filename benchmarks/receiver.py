"""How many events a second does one receiver process take in, against what integrators write and against a bare server?

SQLite, without an image and with a 30 KB JPEG, `wrk -t1 -c64`; `receiver_postgres` does the same on PostgreSQL. Before
the first run each program must answer one event in the documented words; after each run gatepost must have listed
exactly what was acknowledged. What it acknowledges in a run it lists for a while after it: *all listed* divides the
events of a run by the time from its first event to the last one listed. For *the backlog* the desk, which lists them,
is stopped during a run (SIGSTOP) and goes on when it ends. *Sustained* is one run twelve times as long, between two
runs of the bare server.
"""

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.bench import Bench
from benchmarks.load import CONNECTIONS, Load, wrk
from benchmarks.payloads import bodies, run_id, write_template
from benchmarks.probe import post_one, stored
from benchmarks.programs import (
    BenchmarkError,
    Program,
    free_port,
    gatepost,
    postgres,
    start,
    stopped,
    uvicorn,
)
from benchmarks.report import Row


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What is asked of one combination: ratios, the backlog in events/s, the percentile in ms."""

    fastapi: float
    bare: float
    sustained: float
    backlog: float
    p99_ms: float


TARGETS = {
    False: Targets(fastapi=50, bare=0.90, sustained=0.45, backlog=40_000, p99_ms=30),
    True: Targets(fastapi=15, bare=0.45, sustained=0.40, backlog=8_000, p99_ms=60),
}
"""By whether there is an image."""

MEMORY_MB = 350
SUSTAINED_RUNS = 12
LISTED_S, POLL_S = 120.0, 0.05


def run(bench: Bench) -> list[Row]:
    """Measure SQLite with and without image."""
    return measure(bench, "SQLite", TARGETS)


def measure(bench: Bench, database: str, targets: Mapping[bool, Targets]) -> list[Row]:
    """Measure one database; `targets` as `TARGETS`."""
    rows: list[Row] = []
    peak = 0.0
    for image, least in targets.items():
        found, memory = _combination(bench, database, image=image, least=least)
        rows += found
        peak = max(peak, memory)
    what = f"{database}: peak resident memory"
    return [*rows, Row(what=what, value=peak, unit="MB", target=MEMORY_MB, at_most=True)]


def _combination(bench: Bench, database: str, *, image: bool, least: Targets) -> tuple[list[Row], float]:
    folder = bench.folder(f"receiver-{database}-{'image' if image else 'plain'}")
    template = write_template(folder / "wrk", image=image)
    loads: dict[str, list[Load]] = {"fastapi": [], "bare": [], "ours": []}
    all_listed: list[float] = []
    with ExitStack() as stack:
        peer, ours = _databases(stack, folder, database)
        servers = stack.enter_context(_servers(folder, peer, ours))
        store = ours or f"sqlite:///{folder}/data/gatepost.db"
        for name, (port, _) in servers.items():
            bench.say(f"{database}, {'30 KB' if image else 'no image'}: {name}")
            post_one(port, bodies(run_id(), image=image)(0))
        for _ in range(bench.rounds):
            for name in loads:
                began = time.monotonic()
                loads[name].append(wrk(servers[name][0], template, seconds=bench.seconds))
                bench.say(f"  {name} {loads[name][-1].rate:,.0f}/s, p99 {loads[name][-1].p99_ms:.0f} ms")
                if name == "ours":
                    all_listed.append(_listed(store, loads[name], began=began)[0])
                    bench.say(f"  all listed {all_listed[-1]:,.0f}/s")
        with stopped(servers["ours"][1], "gatepost-desk"):
            waiting = wrk(servers["ours"][0], template, seconds=bench.seconds)
        backlog = _listed(store, [*loads["ours"], waiting], began=began)[1]
        bench.say(f"  {waiting.rate:,.0f}/s wait, and are listed at {backlog:,.0f}/s")
        bench.say("  sustained")
        around = [wrk(servers["bare"][0], template, seconds=bench.seconds)]
        began = time.monotonic()
        sustained = wrk(servers["ours"][0], template, seconds=bench.seconds * SUSTAINED_RUNS)
        listed, _ = _listed(store, [*loads["ours"], waiting, sustained], began=began)
        around.append(wrk(servers["bare"][0], template, seconds=bench.seconds))
        bench.say(f"  {sustained.rate:,.0f}/s, all listed {listed:,.0f}/s, p99 {sustained.p99_ms:.0f} ms")
        memory = servers["ours"][1].peak_mb()
    shutil.rmtree(folder)
    rate = {name: median(load.rate for load in runs) for name, runs in loads.items()}
    what = f"{database}, {'30 KB JPEG' if image else 'no image'}"
    against = (("fastapi", "FastAPI", least.fastapi), ("bare", "bare ASGI", least.bare))
    rows = [
        Row(what=what, value=rate["ours"], unit="/s", peer=peer, peer_value=rate[name], target=target)
        for name, peer, target in against
    ]
    rows += [
        Row(
            what=f"{what}, all listed",
            value=median(all_listed),
            unit="/s",
            peer="bare ASGI",
            peer_value=rate["bare"],
        ),
        Row(
            what=f"{what}, acknowledged while nothing is listed",
            value=waiting.rate,
            unit="/s",
            peer="bare ASGI",
            peer_value=rate["bare"],
        ),
        Row(what=f"{what}, the backlog listed", value=backlog, unit="/s", target=least.backlog),
        Row(
            what=f"{what}, sustained, all listed",
            value=listed,
            unit="/s",
            peer="bare ASGI",
            peer_value=median(load.rate for load in around),
            target=least.sustained,
        ),
        Row(
            what=f"{what}, sustained, 99 % within",
            value=sustained.p99_ms,
            unit="ms",
            target=least.p99_ms,
            at_most=True,
        ),
    ]
    return rows, memory


def _listed(database: str, loads: list[Load], *, began: float) -> tuple[float, float]:
    """Wait until every acknowledged event is listed, once; return the events a second, of the run and of the backlog.

    What wrk cut off at its end may be listed too.
    """
    acknowledged = 1 + sum(load.requests for load in loads)
    ended = time.monotonic()
    first = found = stored(database)
    while found < acknowledged and time.monotonic() - ended < LISTED_S:
        time.sleep(POLL_S)
        found = stored(database)
    now = time.monotonic()
    if not acknowledged <= found <= acknowledged + CONNECTIONS * len(loads):
        raise BenchmarkError(f"{acknowledged} events were acknowledged and {found} are listed")
    return loads[-1].requests / (now - began), (found - first) / (now - ended)


@contextmanager
def _servers(folder: Path, peer: str, ours: str) -> Iterator[dict[str, tuple[int, Program]]]:
    """The three programs, each on its own port. `peer`, `ours`: addresses of databases, `ours` empty for SQLite."""
    ports = {name: free_port() for name in ("fastapi", "bare", "ours")}
    own = ["--database", ours.replace("+psycopg", "")] if ours else []
    commands = {
        "fastapi": uvicorn("benchmarks.peers.fastapi_peer:app", ports["fastapi"]),
        "bare": uvicorn("benchmarks.peers.bare_asgi:app", ports["bare"]),
        "ours": gatepost("serve", "--data", folder / "data", "--listen", f"127.0.0.1:{ports['ours']}", *own),
    }
    env = {"PEER_DATABASE": peer, "PEER_IMAGES": str(folder / "peer-images")}
    with ExitStack() as stack:
        yield {
            name: (
                ports[name],
                stack.enter_context(start(name, command, folder=folder, env=env, port=ports[name])),
            )
            for name, command in commands.items()
        }


def _databases(stack: ExitStack, folder: Path, database: str) -> tuple[str, str]:
    """The addresses of the peer's database and of gatepost's, the latter empty for the SQLite in its data folder."""
    if database == "SQLite":
        return f"sqlite:///{folder}/peer.db", ""
    import psycopg

    url = stack.enter_context(postgres(folder / "pg"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE peer")
        connection.execute("CREATE DATABASE gatepost")
    url = url.replace("postgresql://", "postgresql+psycopg://")
    return url.replace("/postgres?", "/peer?"), url.replace("/postgres?", "/gatepost?")
