"""How many events a second does one receiver process take in, against what integrators write and against a bare server?

SQLite and PostgreSQL, without an image and with a 30 KB JPEG; `wrk -t1 -c64`. Before the first run each program must
answer one event in the documented words; after the last one gatepost must have stored exactly what was acknowledged.
"""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from benchmarks.bench import Bench
from benchmarks.load import Load, wrk
from benchmarks.payloads import bodies, run_id, write_template
from benchmarks.probe import post_one, stored
from benchmarks.programs import BenchmarkError, Program, free_port, gatepost, postgres, start, uvicorn
from benchmarks.report import Row

# (database, image) -> least ratio against FastAPI, against the bare application
TARGETS = {
    ("SQLite", False): (50, 0.45),
    ("SQLite", True): (15, 0.30),
    ("PostgreSQL", False): (20, 0.38),
    ("PostgreSQL", True): (8, 0.20),
}
MEMORY_MB = 250


def run(bench: Bench) -> list[Row]:
    """Measure every combination of database and image."""
    rows: list[Row] = []
    peak = 0.0
    for database, image in TARGETS:
        found, memory = _combination(bench, database, image=image)
        rows += found
        peak = max(peak, memory)
    rows.append(
        Row(what="peak resident memory in all of it", value=peak, unit="MB", target=MEMORY_MB, at_most=True)
    )
    return rows


def _combination(bench: Bench, database: str, *, image: bool) -> tuple[list[Row], float]:
    folder = bench.folder(f"receiver-{database}-{'image' if image else 'plain'}")
    template = write_template(folder / "wrk", image=image)
    loads: dict[str, list[Load]] = {"fastapi": [], "bare": [], "ours": []}
    with ExitStack() as stack:
        servers = stack.enter_context(_servers(folder, database))
        for name, (port, _) in servers.items():
            bench.say(f"{database}, {'30 KB' if image else 'no image'}: {name}")
            post_one(port, bodies(run_id(), image=image)(0))
        for _ in range(bench.rounds):
            for name in loads:
                loads[name].append(wrk(servers[name][0], template, seconds=bench.seconds))
                bench.say(f"  {name} {loads[name][-1].rate:,.0f}/s, p99 {loads[name][-1].p99_ms:.0f} ms")
        memory = servers["ours"][1].peak_mb()
        _account(servers["ours"][0], loads["ours"])
    shutil.rmtree(folder)
    rate = {name: median(load.rate for load in found) for name, found in loads.items()}
    what = f"{database}, {'30 KB JPEG' if image else 'no image'}"
    least = TARGETS[database, image]
    return [
        Row(what=what, value=rate["ours"], unit="/s", peer=peer, peer_value=rate[name], target=target)
        for name, peer, target in (("fastapi", "FastAPI", least[0]), ("bare", "bare ASGI", least[1]))
    ], memory


def _account(port: int, loads: list[Load]) -> None:
    """Every acknowledged event is stored once; what wrk cut off at its end may be stored too."""
    acknowledged = 1 + sum(load.requests for load in loads)
    cut_off = 64 * len(loads)
    found = stored(port)
    if not acknowledged <= found <= acknowledged + cut_off:
        raise BenchmarkError(f"{acknowledged} events were acknowledged and {found} are stored")


@contextmanager
def _servers(folder: Path, database: str) -> Iterator[dict[str, tuple[int, Program]]]:
    """The three programs, each on its own port, with databases of their own on the same server."""
    with ExitStack() as stack:
        peer_url, our_args = _databases(stack, folder, database)
        ports = {name: free_port() for name in ("fastapi", "bare", "ours")}
        commands = {
            "fastapi": uvicorn("benchmarks.peers.fastapi_peer:app", ports["fastapi"]),
            "bare": uvicorn("benchmarks.peers.bare_asgi:app", ports["bare"]),
            "ours": gatepost(
                "serve", "--data", folder / "data", "--listen", f"127.0.0.1:{ports['ours']}", *our_args
            ),
        }
        env = {"PEER_DATABASE": peer_url, "PEER_IMAGES": str(folder / "peer-images")}
        yield {
            name: (
                ports[name],
                stack.enter_context(start(name, command, folder=folder, env=env, port=ports[name])),
            )
            for name, command in commands.items()
        }


def _databases(stack: ExitStack, folder: Path, database: str) -> tuple[str, list[str]]:
    """The address of the peer's database, and the arguments that give gatepost its own."""
    if database == "SQLite":
        folder.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{folder}/peer.db", []
    import psycopg

    url = stack.enter_context(postgres(folder / "pg"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE peer")
        connection.execute("CREATE DATABASE gatepost")
    peer, ours = (url.replace("/postgres?", f"/{name}?") for name in ("peer", "gatepost"))
    return peer.replace("postgresql://", "postgresql+psycopg://"), ["--database", ours]
