"""The sync is real: a trace of system calls shows one between the arrival of a push and its reply, each time.

``strace`` writes every read, write and sync of the receiver in the order in which they happened. For each reply
that says ``"code":200`` the event has to be written to a segment of the journal, its image to the pack that the event
names, and both files synced, after the last byte of the request had been read and before the reply was written.
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
NAME_OR_PACK = re.compile(rf"{NAME.pattern}|[a-z]+-\d{{8}}-\d{{13}}-[0-9a-f]{{8}}-records-\d{{6}}\.pack")
"""In a frame the pack of an event's image comes before the event."""


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


async def traced(tmp_path: Path, senders: int, pushes: int, image: bytes | None, *options: str) -> list[str]:
    log = tmp_path / "trace"
    process = await Process.start(tmp_path / "data", *options, before=[*TRACER, str(log)])
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
    packs: dict[tuple[str, str], set[str]] = {}
    written: dict[tuple[str, str], set[str]] = {}
    synced: dict[tuple[str, str], set[str]] = {}
    answered: dict[tuple[str, str], set[str]] = {}
    for call in trace:
        name, _, rest = call.partition("(")
        handle = rest.split("<")[0]
        file = Path(rest.partition("<")[2].partition(">")[0]).name
        if name in ("read", "readv", "recvfrom", "recvmsg") and (found := NAME.search(rest)):
            push = waiting[handle] = (found[1], found[2])
            packs[push], written[push], synced[push] = set(), set(), set()
        elif name == "pwrite64" and file.endswith(".pack"):
            for files in packs.values():
                files.add(file)
        elif name == "pwrite64":
            pack = ""
            for found in NAME_OR_PACK.finditer(rest):
                push = (found[1], found[2])
                if found[1] is None:
                    pack = found[0]
                elif push in written:
                    written[push] |= {file} | (packs[push] & {pack})
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
    ("database", "senders", "pushes", "image"),
    [
        ("sqlite", 1, 20, None),
        ("sqlite", 16, 10, None),
        ("sqlite", 4, 10, IMAGE),
        ("postgresql", 4, 10, IMAGE),  # the way into the journal is the same
    ],
    ids=["one by one", "many at once", "with images", "with images, PostgreSQL"],
)
async def test_between_the_last_byte_and_every_reply_event_and_image_were_written_and_synced(
    database: str,
    tmp_path: Path,
    senders: int,
    pushes: int,
    image: bytes | None,
    request: pytest.FixtureRequest,
) -> None:
    options = ["--database", request.getfixturevalue("postgres_url")] if database == "postgresql" else []
    answered = replies_and_their_syncs(await traced(tmp_path, senders, pushes, image, *options))
    assert len(answered) == senders * pushes
    for files in answered.values():
        assert any(name.endswith("-records-000001.events") for name in files)
        assert any(name.endswith(".pack") for name in files) == (image is not None)


READ = 'read(9<socket:[1]>, "POST /Record ... probe-0-0 ...", 65536) = 300'
WRITTEN = 'pwrite64(7</data/journal/1-a-records-000001.events>, "... probe-0-0 ...", 300, 1024) = 300'
SYNCED = "fdatasync(7</data/journal/1-a-records-000001.events>) = 0"
REPLY = 'write(9<socket:[1]>, "HTTP/1.1 200 OK ... {\\"code\\":200", 100) = 100'


PACK = "people-20261130-1790000000000-0a1b2c3d-records-000001.pack"
WRITTEN_PACK = f'pwrite64(8</data/journal/packs/{PACK}>, "...", 300, 64) = 300'
WRITTEN_BOTH = (
    f'pwrite64(7</data/journal/1-a-records-000001.events>, "... {PACK} ... probe-0-0 ...", 300, 1024) = 300'
)
SYNCED_PACK = f"fdatasync(8</data/journal/packs/{PACK}>) = 0"


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


def test_a_reply_before_the_sync_of_the_image_would_be_noticed() -> None:
    segment = "1-a-records-000001.events"
    for trace, files in (
        ([READ, WRITTEN_PACK, WRITTEN_BOTH, SYNCED, REPLY, SYNCED_PACK], {segment}),
        ([READ, WRITTEN_BOTH, SYNCED, SYNCED_PACK, REPLY, WRITTEN_PACK], {segment}),
        ([READ, WRITTEN_PACK, WRITTEN_BOTH, SYNCED_PACK, SYNCED, REPLY], {segment, PACK}),
    ):
        assert replies_and_their_syncs(trace) == {("0", "0"): files}
