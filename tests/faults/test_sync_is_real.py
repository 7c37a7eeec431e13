"""The sync is real: a trace of system calls shows one between the arrival of a push and its reply, each time.

``strace`` writes every read, write and sync of the receiver in the order in which they happened. For each reply
that says ``"code":200`` there has to be a sync of the events, and of the images where there is one, that was
completed after the last byte of the request had been read and before the reply was written.
"""

import asyncio
import re
from pathlib import Path

import pytest
from tests.receiver.kit import JPEG, SUCCESS, Process, base64, body, record

CALLS = "read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,fsync,fdatasync,pwrite64"
TRACER = ["strace", "-f", "-y", "-s", "100000", "-e", f"trace={CALLS}", "-o"]

LINE = re.compile(r"^(?P<pid>\d+) +(?P<rest>.*)$")
NAME = re.compile(r"probe-(\d+)-(\d+)")


def calls(trace: str) -> list[str]:
    """One entry per call, at the place where it was completed; what was interrupted by others is put together."""
    begun: dict[str, str] = {}
    done = []
    for line in trace.splitlines():
        found = LINE.match(line)
        if found is None:
            continue
        pid, rest = found["pid"], found["rest"]
        if rest.endswith("<unfinished ...>"):
            begun[pid] = rest.removesuffix("<unfinished ...>")
        elif rest.startswith("<... "):
            done.append(begun.pop(pid, "") + rest.partition("resumed>")[2])
        else:
            done.append(rest)
    return done


async def traced(tmp_path: Path, senders: int, pushes: int, image: bytes | None) -> list[str]:
    log = tmp_path / "trace"
    process = await Process.start(tmp_path / "data", before=[*TRACER, str(log)])
    try:
        # The terminal is introduced first: what is looked at is the way that every later push takes.
        assert (await process.request("POST", "/Record", body(record(uuid="first")))).json == SUCCESS

        async def send(number: int) -> None:
            sender = await process.connect()
            for push in range(pushes):
                event = record(
                    uuid=f"probe-{number}-{push}", rgb_image="" if image is None else base64(image)
                )
                assert (await sender.request("POST", "/Record", body(event))).json == SUCCESS

        await asyncio.gather(*(send(number) for number in range(senders)))
    finally:
        await process.stop_all()
    return calls(log.read_text(errors="replace"))


def replies_and_their_syncs(trace: list[str]) -> dict[tuple[str, str], set[str]]:
    """For each push, the files that were synced after it was read and before its connection was answered."""
    waiting: dict[str, tuple[str, str]] = {}
    synced: dict[tuple[str, str], set[str]] = {}
    answered: dict[tuple[str, str], set[str]] = {}
    for call in trace:
        name, _, rest = call.partition("(")
        handle = rest.split("<")[0]
        if name in ("read", "readv", "recvfrom", "recvmsg") and (found := NAME.search(rest)):
            waiting[handle] = (found[1], found[2])
            synced[found[1], found[2]] = set()
        elif name in ("fsync", "fdatasync") and call.rstrip().endswith("= 0"):
            path = rest.partition("<")[2].partition(">")[0]
            for files in synced.values():
                files.add(Path(path).name)
        elif (
            name in ("write", "writev", "sendto", "sendmsg") and r"\"code\":200" in rest and handle in waiting
        ):
            push = waiting.pop(handle)
            answered[push] = synced.pop(push)
    return answered


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("senders", "pushes"), [(1, 20), (16, 10)], ids=["one by one", "many at once"])
async def test_between_the_last_byte_and_every_reply_the_events_were_synced(
    tmp_path: Path, senders: int, pushes: int
) -> None:
    answered = replies_and_their_syncs(await traced(tmp_path, senders, pushes, None))
    assert len(answered) == senders * pushes
    assert all("gatepost.db-wal" in files for files in answered.values())


@pytest.mark.timeout(300)
async def test_between_the_last_byte_and_every_reply_the_image_was_synced_too(tmp_path: Path) -> None:
    answered = replies_and_their_syncs(await traced(tmp_path, 4, 10, JPEG))
    assert len(answered) == 40
    for files in answered.values():
        assert "gatepost.db-wal" in files
        assert any(name.endswith(".db") and name != "gatepost.db" for name in files)


def test_a_reply_before_the_sync_would_be_noticed() -> None:
    trace = [
        'read(9<socket:[1]>, "POST /Record ... probe-0-0 ...", 65536) = 300',
        'write(9<socket:[1]>, "HTTP/1.1 200 OK ... {\\"code\\":200", 100) = 100',
        "fdatasync(7</data/gatepost.db-wal>) = 0",
    ]
    assert replies_and_their_syncs(trace) == {("0", "0"): set()}
