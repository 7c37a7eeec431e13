"""The sync is real: a trace of system calls shows one between the arrival of a push and its reply, each time.

``strace`` writes every read, write and sync of the receiver in the order in which they happened. For each reply
that says ``"code":200`` the event, with its image, has to be written to a segment of the journal, and the segment
synced, after the last byte of the request had been read and before the reply was written.
"""

import asyncio
import re
from pathlib import Path

import pytest
from tests.receiver.kit import SUCCESS, Process, base64, body, record

CALLS = "read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,fsync,fdatasync,pwrite64"
TRACER = ["strace", "-f", "-y", "-s", "100000", "-e", f"trace={CALLS}", "-o"]

LINE = re.compile(r"^(?P<pid>\d+) +(?P<rest>.*)$")
IMAGE = b"\xff\xd8" + bytes(20_000) + b"\xff\xd9"
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
    """For each push, the files that it was written to and that were synced then, before the reply to it."""
    waiting: dict[str, tuple[str, str]] = {}
    written: dict[tuple[str, str], set[str]] = {}
    synced: dict[tuple[str, str], set[str]] = {}
    answered: dict[tuple[str, str], set[str]] = {}
    for call in trace:
        name, _, rest = call.partition("(")
        handle = rest.split("<")[0]
        file = Path(rest.partition("<")[2].partition(">")[0]).name
        if name in ("read", "readv", "recvfrom", "recvmsg") and (found := NAME.search(rest)):
            push = waiting[handle] = (found[1], found[2])
            written[push], synced[push] = set(), set()
        elif name == "pwrite64":
            for found in NAME.finditer(rest):
                written.get((found[1], found[2]), set()).add(file)
        elif name in ("fsync", "fdatasync") and call.rstrip().endswith("= 0"):
            for push, files in synced.items():
                if file in written[push]:
                    files.add(file)
        elif (
            name in ("write", "writev", "sendto", "sendmsg") and r"\"code\":200" in rest and handle in waiting
        ):
            push = waiting.pop(handle)
            answered[push] = synced.pop(push)
    return answered


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("senders", "pushes", "image"),
    [(1, 20, None), (16, 10, None), (4, 10, IMAGE)],
    ids=["one by one", "many at once", "with images"],
)
async def test_between_the_last_byte_and_every_reply_the_event_was_written_and_synced(
    tmp_path: Path, senders: int, pushes: int, image: bytes | None
) -> None:
    answered = replies_and_their_syncs(await traced(tmp_path, senders, pushes, image))
    assert len(answered) == senders * pushes
    for files in answered.values():
        assert any(name.endswith("-records-000001.events") for name in files)


READ = 'read(9<socket:[1]>, "POST /Record ... probe-0-0 ...", 65536) = 300'
WRITTEN = 'pwrite64(7</data/journal/1-a-records-000001.events>, "... probe-0-0 ...", 300, 1024) = 300'
SYNCED = "fdatasync(7</data/journal/1-a-records-000001.events>) = 0"
REPLY = 'write(9<socket:[1]>, "HTTP/1.1 200 OK ... {\\"code\\":200", 100) = 100'


@pytest.mark.parametrize(
    "trace",
    [[READ, REPLY, WRITTEN, SYNCED], [READ, WRITTEN, REPLY, SYNCED], [READ, SYNCED, WRITTEN, REPLY]],
    ids=["before the write", "before the sync", "after an earlier sync"],
)
def test_a_reply_before_the_sync_would_be_noticed(trace: list[str]) -> None:
    assert replies_and_their_syncs(trace) == {("0", "0"): set()}
    assert replies_and_their_syncs([READ, WRITTEN, SYNCED, REPLY]) == {
        ("0", "0"): {"1-a-records-000001.events"}
    }
