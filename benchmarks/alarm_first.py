"""How soon is an alarm acknowledged and listed, while thousands of terminals are new or a million records wait?

SQLite. *First contact*: 3,000 terminals that the receiver does not know have connected, and push their first records
all at once; a terminal that it knows raises its alarm when the first of them has its reply. *Waiting*: a million
records wait in the journal, written by the journal's own writer before the receiver starts; the alarm is raised when
the first of them is listed. The alarm comes from a process of its own, so that no wait in the crowd's client counts.
"""

import asyncio
import itertools
import json
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.payloads import bodies, run_id
from benchmarks.probe import post_one
from benchmarks.programs import ROOT, BenchmarkError, Program, free_port, gatepost, start
from benchmarks.receiver_fleet import REPLY_SECONDS, Link, raise_file_limit
from benchmarks.report import Row
from benchmarks.stocked import BATCH, arrivals, terminals
from gatepost.journal.folder import Folder
from gatepost.journal.writer import Writer
from gatepost.receiver.ingest.commit.frames import Frames
from gatepost.store.images.encryption import ImageKeys
from gatepost.store.sqlite.data_folder import DATABASE, JOURNAL
from gatepost.store.sqlite.store import SqliteStore

STRANGERS = 3_000
WAITING = 1_000_000
KNOWN = "BENCH0000000"
"""The terminal that raises the alarm."""
ACKNOWLEDGED_MS, LISTED_S = 200.0, 2.0
LONGEST_S = 120.0
POLL_S = 0.005
_ENV = {"GATEPOST_JOURNAL_MAX_BYTES": str(16_000_000_000)}


@dataclass(frozen=True)
class Seen:
    """What became of the alarm: seconds from its first byte, and how many records were listed with it or before."""

    acknowledged_s: float
    listed_s: float
    records: int


def run(bench: Bench) -> list[Row]:
    """Measure both, each on a data folder of its own."""
    strangers, waiting = bench.sized(STRANGERS), bench.sized(WAITING)
    first = _first_contact(bench, strangers)
    behind = _waiting(bench, waiting)
    return [
        *_rows(f"first contact of {strangers:,} terminals", first),
        *_rows(f"{waiting:,} records wait", behind),
    ]


def _rows(what: str, seen: Seen) -> list[Row]:
    return [
        Row(
            what=f"{what}: the alarm is acknowledged within",
            value=seen.acknowledged_s * 1e3,
            unit="ms",
            target=ACKNOWLEDGED_MS,
            at_most=True,
        ),
        Row(
            what=f"{what}: the alarm is listed within",
            value=seen.listed_s,
            unit="s",
            target=LISTED_S,
            at_most=True,
        ),
        Row(what=f"{what}: records listed with the alarm or before it", value=seen.records, unit="records"),
    ]


def _first_contact(bench: Bench, count: int) -> Seen:
    folder = bench.folder("first-contact")
    port = free_port()
    raise_file_limit(count + 200)
    command = gatepost("serve", "--data", folder / "data", "--listen", f"127.0.0.1:{port}")
    with start("receiver", command, folder=folder, env=_ENV, port=port) as receiver:
        post_one(port, _known_record())
        seen, slowest = asyncio.run(_crowd(port, folder / "data", count, receiver))
    shutil.rmtree(folder)
    bench.say(f"first contact of {count:,}: the slowest reply after {slowest:.2f} s")
    return seen


async def _crowd(port: int, data: Path, count: int, receiver: Program) -> tuple[Seen, float]:
    """Push from unknown terminals all at once; return what became of the alarm, and their slowest reply in seconds."""
    body = bodies(run_id(), image=False)
    records = [_from(f"NEW{number:09d}", body(number)) for number in range(count)]
    links = [Link(port, f"127.1.{number // 200}.{1 + number % 200}") for number in range(count)]
    for link in links:
        await link.connect()
    first = asyncio.Event()

    async def push(record: bytes, link: Link) -> float:
        began = time.perf_counter()
        await asyncio.wait_for(link.post(record), LONGEST_S)
        first.set()
        return time.perf_counter() - began

    raising = await _raiser(port, data)
    pushes = [asyncio.create_task(push(*each)) for each in zip(records, links, strict=True)]
    await asyncio.wait_for(first.wait(), REPLY_SECONDS)
    seen = await _raise(raising, receiver)
    slowest = max(await asyncio.gather(*pushes))
    for link in links:
        link.close()
    return seen, slowest


def _waiting(bench: Bench, count: int) -> Seen:
    folder = bench.folder("waiting")
    data = folder / "data"
    port = free_port()
    bench.say(f"{count:,} records into the journal")
    spent = fill(data, count)
    bench.say(f"  {spent:.0f} s ({count / spent:,.0f}/s)")
    command = gatepost("serve", "--data", data, "--listen", f"127.0.0.1:{port}")
    with start("receiver", command, folder=folder, env=_ENV, port=port) as receiver:
        seen = asyncio.run(_alarm(port, data, receiver))
    shutil.rmtree(folder)
    if seen.records >= count:
        raise BenchmarkError(f"all {count} records were listed before the alarm was: none waited")
    return seen


def fill(data: Path, count: int) -> float:
    """Append records as the ingest does, and list none of them; return the seconds that it took."""
    began = time.perf_counter()
    with closing(SqliteStore.open(data)) as store:
        frames = Frames(store.secret, ImageKeys())
        found = terminals(store)
        known = arrivals(count, found)
        with closing(Writer(Folder.open(data / JOURNAL))) as writer:
            while batch := list(itertools.islice(known, BATCH)):
                writer.append([frames.join(frames.encode(arrival), ()) for arrival in batch])
    return time.perf_counter() - began


async def _alarm(port: int, data: Path, receiver: Program) -> Seen:
    raiser = await _raiser(port, data)
    with _opened(data) as database:
        await _until(database, "records")
    return await _raise(raiser, receiver)


async def _raiser(port: int, data: Path) -> asyncio.subprocess.Process:
    """Start the process that raises the alarm; it is connected and waits."""
    raiser = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.alarm_first",
        str(port),
        str(data),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert raiser.stdout is not None
    await asyncio.wait_for(raiser.stdout.readline(), REPLY_SECONDS)
    return raiser


async def _raise(raiser: asyncio.subprocess.Process, receiver: Program) -> Seen:
    told, _ = await asyncio.wait_for(raiser.communicate(b"now\n"), LONGEST_S)
    if raiser.returncode:
        raise BenchmarkError(f"the alarm was not acknowledged and listed:\n{receiver.tail()}")
    return Seen(*json.loads(told))


def _from(serial: str, body: bytes) -> bytes:
    push = json.loads(body)
    push["data"]["deviceSN"] = serial
    return json.dumps(push).encode()


def _known_record() -> bytes:
    return _from(KNOWN, bodies(run_id(), image=False)(0))


def _opened(data: Path) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(f"file:{data / DATABASE}?mode=ro", uri=True))


async def _until(database: sqlite3.Connection, table: str) -> int:
    """Wait until something is listed there; return how many records were listed then.

    Raises BenchmarkError after `LONGEST_S`.
    """
    end = time.monotonic() + LONGEST_S
    while time.monotonic() < end:
        with database:
            database.execute("BEGIN")  # both questions see one moment
            if database.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is not None:
                return int(database.execute("SELECT count(*) FROM records").fetchone()[0])
        await asyncio.sleep(POLL_S)
    raise BenchmarkError(f"nothing is listed in {table}")


async def _push_alarm(port: int, data: Path) -> Seen:
    """Raise an alarm when a line comes on standard input, and watch until it is listed."""
    now_ms = int(time.time() * 1000)
    event = {
        "type": 1,
        "data": {
            "trace_id": run_id(),
            "code": 10001,
            "event_time": now_ms,
            "status": 1,
            "description": "",
            "deviceSN": KNOWN,
        },
    }
    link = Link(port, "127.0.0.1")
    await link.connect()
    with _opened(data) as database:
        print(flush=True)
        sys.stdin.readline()
        began = time.perf_counter()
        await asyncio.wait_for(link.post(json.dumps(event).encode()), LONGEST_S)
        acknowledged = time.perf_counter()
        records = await _until(database, "alarms")
        listed = time.perf_counter()
    link.close()
    return Seen(acknowledged - began, listed - began, records)


if __name__ == "__main__":
    seen = asyncio.run(_push_alarm(int(sys.argv[1]), Path(sys.argv[2])))
    print(json.dumps([seen.acknowledged_s, seen.listed_s, seen.records]), flush=True)
