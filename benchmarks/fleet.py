"""What does managing terminals cost: 500 adopted from one file, 2,000 tended, 500 that come back at once?

SQLite. The 500 that are adopted are those of the simulator, each with its own service over TLS and its own certificate.
The 2,000 are two processes that stand for them: one for the 500 that go and come back, one for those that stay. Pushes
are one event with a 30 KB image after the other, 50 a second, timed from when each was due: before and meanwhile.
"""

import csv
import http.client
import io
import json
import multiprocessing
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from benchmarks.bench import Bench
from benchmarks.payloads import bodies, run_id
from benchmarks.programs import BenchmarkError, Program, api_token, free_port, gatepost, start
from benchmarks.receiver_fleet import raise_file_limit
from benchmarks.report import Row

ADOPTED = 500
TENDED = 2_000
RETURNING = 500
PUSHES_PER_SECOND = 50.0
WITHIN_S = 60.0
"""In so many seconds all are adopted, or verified again."""
PATIENCE_S = 900.0
ENV = {"GATEPOST_FLEET_NETWORKS": "127.0.0.0/8"}
BEFORE = 8
"""So many runs long are pushes timed before: a hundredth of few pushes is chance."""
SETTLED_S = 2.0
"""For the start of the process that stands for the terminals: it is not what is measured."""
SPAWN = multiprocessing.get_context("spawn")
POLL_S = 2.0
"""So seldom is looked how far it is: looking is work of the receiver, too."""
USER, PASSWORD = "admin", "a password of the benchmark"


class Services(NamedTuple):
    """The services of many terminals, in one process."""

    folder: Path
    port: int

    @contextmanager
    def running(self) -> Iterator[Program]:
        """Run them; after a restart they are the same terminals."""
        self.folder.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "benchmarks.peers.terminals", str(self.port), str(self.folder)]
        with start("terminals", command, folder=self.folder, port=self.port) as program:
            yield program


class Desk:
    """The receiver's API, on one connection."""

    def __init__(self, port: int, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "text/csv"}

    def ask(self, method: str, path: str, content: bytes = b"") -> Any:
        """Ask, and read a value. Anything but 2xx is a BenchmarkError."""
        self._connection.request(method, f"/api/v1/{path}", content, self._headers)
        reply = self._connection.getresponse()
        text = reply.read()
        if reply.status >= 300:
            raise BenchmarkError(f"{method} {path} answered {reply.status} {text[:300]!r}")
        return json.loads(text)

    def managed(self) -> list[dict[str, Any]]:
        """Return every adopted terminal."""
        found: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None:
            page = self.ask("GET", f"fleet{f'?cursor={cursor}' if cursor else ''}")
            found += page["items"]
            cursor = page["next_cursor"]
        return found

    def one(self, terminal: dict[str, Any]) -> dict[str, Any]:
        """Return an adopted terminal as it is now."""
        found: dict[str, Any] = self.ask("GET", f"fleet/{terminal['terminal_id']}")
        return found

    def adopt(self, addresses: list[str]) -> float:
        """Adopt terminals from a CSV file; return the seconds until the last one is adopted."""
        out = io.StringIO()
        rows = [[address, "", "", USER, PASSWORD] for address in addresses]
        csv.writer(out).writerows([["address", "name", "site", "username", "password"], *rows])
        began = time.monotonic()
        made = self.ask("POST", "fleet/import?adopt=true", out.getvalue().encode())["adoption"]["id"]
        last = _until(lambda: (one := self.ask("GET", f"fleet/adoptions/{made}"))["waiting"] == 0 and one)
        if last["failed"]:
            known = self.ask("GET", f"fleet/adoptions/{made}/rows?limit=1000")["items"]
            why = {row["reason"] for row in known if row["state"] == "failed"}
            raise BenchmarkError(f"{last['failed']} of {last['total']} were not adopted: {sorted(why)[:3]}")
        return time.monotonic() - began


def run(bench: Bench) -> list[Row]:
    """Adopt the simulator's terminals; then tend many, and let some come back."""
    raise_file_limit(20_000)
    return [*_adopting(bench), *_tending(bench)]


def _adopting(bench: Bench) -> list[Row]:
    folder, count = bench.folder("adopting"), bench.sized(ADOPTED)
    password = folder / "password"
    password.write_text(PASSWORD)
    first = 20_000
    with _receiver(folder) as (_, port, desk):
        command = gatepost(
            *("simulate", "--terminals", str(count), "--terminal-api", f"127.0.0.1:{first}"),
            *("--username", USER, "--password-file", password, "--speed", "1", "--no-images"),
        )
        with start("simulator", command, folder=folder, port=first + count - 1):
            alone = _pushed(port, seconds=bench.seconds * BEFORE)
            with _pushing(port) as meanwhile:
                took = desk.adopt([f"https://127.0.0.1:{first + number}" for number in range(count)])
    shutil.rmtree(folder)
    bench.say(f"{count} adopted in {took:.1f} s; {len(meanwhile)} pushes meanwhile")
    return [
        Row(
            what=f"{count} adopted from a CSV file",
            value=took,
            unit="s",
            target=WITHIN_S,
            at_most=True,
        ),
        _pushes_row("pushes while they are adopted, 99 % within", meanwhile, alone),
    ]


def _tending(bench: Bench) -> list[Row]:
    folder, count, few = bench.folder("tending"), bench.sized(TENDED), bench.sized(RETURNING)
    back = Services(folder / "returning", free_port())
    others = Services(folder / "staying", free_port())
    hosts = [f"127.2.{number // 250}.{1 + number % 250}" for number in range(count)]
    addresses = [
        f"https://{host}:{(back if number < few else others).port}" for number, host in enumerate(hosts)
    ]
    with _receiver(folder) as (receiver, port, desk), others.running():
        with back.running():
            _cpu_share(receiver, bench.seconds * bench.rounds)  # what a start leaves to be done is no idling
            idle = _cpu_share(receiver, bench.seconds * bench.rounds)
            before = _memory_mb(receiver)
            desk.adopt(addresses)
            _until(lambda: all(one["found"] == "ours" for one in desk.managed()))
            tended = _cpu_share(receiver, bench.seconds * bench.rounds * 4) - idle
            memory = _memory_mb(receiver) - before
        bench.say(f"{count} tended: {tended:.2f} % of a core beside {idle:.2f} %, {memory:.1f} MB")
        returned = _returning(bench, desk, port, back)
    shutil.rmtree(folder)
    return [
        Row(what=f"{count:,} tended", value=tended, unit="% of a core", target=3, at_most=True),
        Row(what=f"{count:,} tended: memory", value=memory, unit="MB", target=40, at_most=True),
        *returned,
    ]


def _returning(bench: Bench, desk: Desk, port: int, back: Services) -> list[Row]:
    """Let some terminals be away, and then push all at once. Their services are gone, and come back."""
    some = [one for one in desk.managed() if str(one["address"]).endswith(f":{back.port}")]
    kept = json.loads((back.folder / "kept.json").read_text())
    _push_once(some, kept)  # those that were never heard do not return
    alone: list[float] = []
    meanwhile: list[float] = []
    took: list[float] = []
    for _ in range(bench.rounds):
        for one in some:
            desk.ask("POST", f"fleet/{one['terminal_id']}/verify")
        if any(desk.one(one)["state"] != "away" for one in some):
            raise BenchmarkError("terminals whose services are gone are not away")
        alone += _pushed(port, seconds=bench.seconds * BEFORE)
        # Some are tried again by themselves as soon as their services are there: it counts from then on.
        began, at = time.monotonic(), datetime.now(UTC)
        with back.running():
            time.sleep(SETTLED_S)
            with _pushing(port) as pushed:
                _push_once(some, kept)
                _until(partial(_all_reached, desk, deque(some), at))
                took.append(time.monotonic() - began)
            meanwhile += pushed
        bench.say(f"{len(some)} verified again in {took[-1]:.1f} s; {len(pushed)} pushes meanwhile")
    return [
        Row(
            what=f"{len(some)} return at once, verified",
            value=max(took),
            unit="s",
            target=WITHIN_S,
            at_most=True,
        ),
        _pushes_row("pushes while they return, 99 % within", meanwhile, alone),
    ]


def _all_reached(desk: Desk, left: deque[dict[str, Any]], since: datetime) -> bool:
    """Ask for those that were not reached when they were last asked for; stop at the first that is not yet."""
    while left and _reached(desk.one(left[0]), since):
        left.popleft()
    return not left


def _reached(one: dict[str, Any], since: datetime) -> bool:
    at = one["reached_at"]
    return at is not None and datetime.fromisoformat(at) >= since and one["state"] == "ours"


@contextmanager
def _receiver(folder: Path) -> Iterator[tuple[Program, int, Desk]]:
    port = free_port()
    command = gatepost("serve", "--data", folder / "data", "--listen", f"127.0.0.1:{port}")
    with start("receiver", command, folder=folder, port=port, env=ENV) as program:
        yield program, port, Desk(port, api_token(folder / "data"))


def _push_once(some: list[dict[str, Any]], kept: dict[str, Any]) -> None:
    """Have each of some terminals push an event to the address that it was given."""
    for one in some:
        host = str(one["address"]).removeprefix("https://").partition(":")[0]
        _push_to(kept[host]["event_dest"], f"F-{host}")


def _push_to(address: str, serial: str) -> None:
    parts = urlsplit(address)
    event = {"type": 0, "data": {"deviceSN": serial, "uuid": run_id(), "timestamp": int(time.time())}}
    connection = http.client.HTTPConnection("127.0.0.1", parts.port or 80, timeout=30)
    connection.request("POST", parts.path, json.dumps(event), {"Content-Type": "application/json"})
    status = connection.getresponse().status
    connection.close()
    if status != 200:
        raise BenchmarkError(f"a push of {serial} was answered with {status}")


def _pushed(port: int, *, seconds: float) -> list[float]:
    with _pushing(port) as taken:
        time.sleep(seconds)
    return taken


@contextmanager
def _pushing(port: int) -> Iterator[list[float]]:
    """Push until the block ends; the list has the milliseconds of each push then.

    A process of its own pushes: what this one reads meanwhile does not hold it up.
    """
    taken: list[float] = []
    ours, its = SPAWN.Pipe()
    pusher = SPAWN.Process(target=_push_on, args=(port, its), daemon=True)
    pusher.start()
    ours.recv()
    try:
        yield taken
    finally:
        ours.send(None)
        found, failed = ours.recv()
        pusher.join()
        taken += found
    if failed or not taken:
        raise BenchmarkError(f"pushes failed: {failed}")


def _push_on(port: int, caller: Connection) -> None:
    """Say when pushes begin; push until something is said; send what each took, and what failed."""
    body = bodies(run_id(), image=True)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    taken: list[float] = []
    caller.send(None)
    due = time.perf_counter()
    while not caller.poll(max(0.0, due - time.perf_counter())):
        connection.request("POST", "/Record", body(len(taken) + 1), {"Content-Type": "application/json"})
        reply = connection.getresponse()
        text = reply.read()
        if reply.status != 200:
            caller.recv()
            caller.send((taken, f"{reply.status} {text[:200]!r}"))
            return
        taken.append((time.perf_counter() - due) * 1e3)
        due += 1 / PUSHES_PER_SECOND
    caller.recv()
    caller.send((taken, ""))


def _pushes_row(what: str, meanwhile: list[float], alone: list[float]) -> Row:
    return Row(
        what=what,
        value=_p99(meanwhile),
        unit="ms",
        peer="before",
        peer_value=_p99(alone),
        target=1.2,
        at_most=True,
    )


def _p99(taken: list[float]) -> float:
    return sorted(taken)[min(len(taken) - 1, int(len(taken) * 0.99))]


def _cpu_share(program: Program, seconds: float) -> float:
    """Return how much of a core its processes use, in percent."""
    before, began = program.cpu_seconds(), time.monotonic()
    time.sleep(seconds)
    return (program.cpu_seconds() - before) / (time.monotonic() - began) * 100


def _memory_mb(program: Program) -> float:
    """Return the memory of its processes now, what they share counted once."""
    rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in program.pids]
    return sum(int(text.split("\nPss:")[1].split()[0]) for text in rollups) * 1024 / 1e6


def _until(condition: Callable[[], Any]) -> Any:
    """Wait for a condition, and return what it returned; BenchmarkError after `PATIENCE_S`."""
    end = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        if time.monotonic() > end:
            raise BenchmarkError(f"it did not come about within {PATIENCE_S:g} s")
        time.sleep(POLL_S)
    return found
