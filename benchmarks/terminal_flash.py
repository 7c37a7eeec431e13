"""How many bytes does a terminal write for a passage with a 30 KB JPEG, and how often does it wake up when idle?

`gatepost terminal run` with nginx as its receiver; passages go in through the local socket. `write_bytes` of
`/proc/PID/io` counts each page that is made dirty, by the process and for it; what the file system writes on top,
such as its own journal, is not in it. Delivery is included: claims, acknowledgements, checkpoints, deleted segments.
"""

import itertools
import json
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from benchmarks.backlog import SERIAL, passages
from benchmarks.bench import Bench
from benchmarks.peers.nginx import nginx
from benchmarks.programs import BenchmarkError, Program, free_port, gatepost, start
from benchmarks.report import Row
from gatepost.wire import Record, encode, encode_parts

SLOW_EVENTS = 60
SLOW_S = 0.5
FAST_EVENTS = 5_000
AHEAD = 64
"""Passages that are handed in before the first is acknowledged: they share syncs."""
IDLE_S = 10.0
SETTLE_S = 30.0


def run(bench: Bench) -> list[Row]:
    """Hand passages in slowly and fast, and then nothing."""
    folder = bench.folder("flash")
    with nginx(folder / "nginx") as receiver, _terminal(folder, receiver.url) as (program, door):
        slow = _cost(program, door, bench.sized(SLOW_EVENTS), ahead=1, every_s=SLOW_S)
        one = _cost(program, door, bench.sized(FAST_EVENTS), ahead=1)
        many = _cost(program, door, bench.sized(FAST_EVENTS), ahead=AHEAD)
        before = _wake_ups(program)
        time.sleep(IDLE_S)
        idle = _wake_ups(program) - before
    shutil.rmtree(folder)
    what = "bytes written for each byte of a passage"
    return [
        Row(what=f"{what}, one a half second", value=slow, unit="×", target=1.4, at_most=True),
        Row(what=f"{what}, at full speed, one caller", value=one, unit="×", target=1.15, at_most=True),
        Row(what=f"{what}, at full speed, {AHEAD} together", value=many, unit="×", target=1.15, at_most=True),
        Row(what="wake-ups in 10 s of idling", value=idle, unit="", target=4, at_most=True),
    ]


def _cost(program: Program, door: socket.socket, count: int, *, ahead: int, every_s: float = 0.0) -> float:
    """Bytes written by the terminal for each byte of the passages, until all of them are delivered."""
    before, size, replies = _written(program), 0, door.makefile("rb")
    events = itertools.islice(_EVENTS, count)
    while some := list(itertools.islice(events, ahead)):
        size += sum(_size(event) for event in some)
        door.sendall(b"".join(encode(event) + b"\n" for event in some))
        for _ in some:
            _checked(replies.readline())
        time.sleep(every_s)
    end = time.monotonic() + SETTLE_S
    while _status(door, replies)["pending"]:
        if time.monotonic() > end:
            raise BenchmarkError(f"the terminal does not deliver:\n{program.tail()}")
        time.sleep(0.1)
    return (_written(program) - before) / size


_EVENTS = passages()


def _size(event: Record) -> int:
    head, tail = encode_parts(event)
    return len(head) + len(tail) + len(event.image or b"")


def _status(door: socket.socket, replies: BinaryIO) -> dict[str, int]:
    door.sendall(b'{"ask":"status"}\n')
    found: dict[str, int] = _checked(replies.readline())["data"]
    return found


def _checked(line: bytes) -> dict[str, dict[str, int]]:
    reply: dict[str, dict[str, int]] = json.loads(line)
    if not reply["ok"]:
        raise BenchmarkError(f"the terminal took no passage: {line.decode()}")
    return reply


def _written(program: Program) -> int:
    return sum(
        int(Path(f"/proc/{pid}/io").read_text().split("write_bytes: ")[1].split()[0]) for pid in program.pids
    )


def _wake_ups(program: Program) -> int:
    """How often its threads have gone to sleep, and so have been woken."""
    return sum(
        int(task.read_text().split("voluntary_ctxt_switches:")[1].split()[0])
        for pid in program.pids
        for task in Path(f"/proc/{pid}/task").glob("*/status")
    )


@contextmanager
def _terminal(folder: Path, url: str) -> Iterator[tuple[Program, socket.socket]]:
    data = folder / "data"
    port = free_port()
    command = gatepost("terminal", "run", "--sn", SERIAL, "--data", data, "--listen", f"127.0.0.1:{port}")
    with (
        start("terminal", command, folder=folder, port=port) as program,
        socket.socket(socket.AF_UNIX) as door,
    ):
        door.connect(str(data / "door.sock"))
        door.sendall(json.dumps({"ask": "subscribe", "event_dest": url, "enabled": True}).encode() + b"\n")
        _checked(door.makefile("rb").readline())
        yield program, door
