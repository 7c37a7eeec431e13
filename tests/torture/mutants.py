"""Ends with a defect put in on purpose, to see whether the torture notices.

    python mutants.py NAME CLOCK_FILE WORDS…

Rules: each mutant is one plausible mistake, made by replacing one function before the command runs, or in a test by
``monkeypatch.setattr``. Those that reply before the event is on disk gather events for a moment, as one does who wants
few syncs; without that they lose events all the same, but not at every kill.
"""

import asyncio
import fcntl
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gatepost.torture.system.launcher import die_with_the_parent, turned

GATHERS_S = 0.05

Put = Callable[[Any, str, Any], None]
"""``setattr``, or one that is undone."""


def terminal_answers_before_the_commit(put: Put) -> None:
    """``record()`` returns, and the door says ok, before the event is on disk."""
    from gatepost.terminal.outbox.outbox import Outbox

    true = Outbox.put_all
    running = set()

    async def store(self: Outbox, events: Any) -> None:
        await asyncio.sleep(GATHERS_S)
        await true(self, events)

    async def put_all(self: Outbox, events: Any) -> list[int]:
        storing = asyncio.ensure_future(store(self, events))
        running.add(storing)
        storing.add_done_callback(running.discard)
        return [1] * len(events)

    put(Outbox, "put_all", put_all)


def receiver_replies_before_the_sync(put: Put) -> None:
    """The receiver says success when an event is in its queue."""
    from gatepost.receiver.ingest.commit.group_commit import GroupCommit

    true = GroupCommit.enqueue

    def enqueue(self: GroupCommit, body: bytes, settle: Any, **more: Any) -> None:
        def late() -> None:
            true(self, body, lambda error: None, **more)

        asyncio.get_running_loop().call_later(GATHERS_S, late)
        settle(None)

    put(GroupCommit, "enqueue", enqueue)


def positions_before_the_rows(put: Put) -> None:
    """How far the journal is read is committed, and then what was read."""
    from gatepost.store.sqlite.store import SqliteStore

    true = SqliteStore.write

    def write(self: SqliteStore, batch: Any, progress: Any = None) -> Any:
        true(self, [], progress)
        return true(self, batch)

    put(SqliteStore, "write", write)


def rows_before_the_positions(put: Put) -> None:
    """What was read is committed, and how far the journal is read when the next batch is written."""
    from gatepost.store.sqlite.store import SqliteStore

    true = SqliteStore.write
    late: dict[int, Any] = {}

    def write(self: SqliteStore, batch: Any, progress: Any = None) -> Any:
        if (before := late.pop(id(self), None)) is not None:
            true(self, [], before)
        stored = true(self, batch)
        late[id(self)] = progress
        return stored

    put(SqliteStore, "write", write)


def images_are_not_synced(put: Put) -> None:
    """Events are synced before they are acknowledged, and their images are not."""
    from gatepost.journal.packs.writer import PackWriter

    put(PackWriter, "unsynced", property(lambda writer: []))


def damage_stops_the_reader(put: Put) -> None:
    """A frame that cannot be read is an error, each time."""
    from gatepost.errors import JournalUnavailable
    from gatepost.journal import reader

    true = reader._damages

    def damages(*what: Any, **rest: Any) -> Any:
        if true(*what, **rest):
            raise JournalUnavailable("a frame is damaged")
        return []

    put(reader, "_damages", damages)


def damage_ends_the_segment(put: Put) -> None:
    """A frame that cannot be read is taken for the end of its segment."""
    from msgspec.structs import replace

    from gatepost.journal import reader

    true = reader._scan

    def scan(segment: Any, start: int, limit: int, max_events: int, max_bytes: int) -> Any:
        found = true(segment, start, limit, max_events, max_bytes)
        if not found.gaps:
            return found
        before = tuple(frame for frame in found.frames if frame.end <= found.gaps[0].start)
        return replace(found, frames=before, end=limit)

    put(reader, "_scan", scan)


def writers_share_a_segment(put: Put) -> None:
    """A stream is named after its lane alone, what is there is opened, also where another has locked it."""
    from gatepost.journal.files import Files
    from gatepost.journal.packs import packs, writer
    from gatepost.journal.writer import Writer

    def create(self: Files, path: Path) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def new_stream(self: Writer) -> tuple[str, int]:
        stream = f"{0:013d}-00000000-{self._lane}"
        return stream, self._files.create(self._folder.writer_file(stream))

    put(Files, "create", create)
    put(Writer, "_new_stream", new_stream)
    put(Files, "is_named", lambda self, handle: True)
    never = SimpleNamespace(flock=lambda handle, how: None, LOCK_EX=fcntl.LOCK_EX, LOCK_SH=fcntl.LOCK_SH)
    for module in (packs, writer):
        put(module, "fcntl", never)


def any_2xx_is_delivered(put: Put) -> None:
    """A terminal that looks at the HTTP status alone."""
    from gatepost import wire
    from gatepost.terminal.push import pusher

    true = wire.classify

    def classify(status: int, body: bytes | None, **rest: Any) -> wire.Outcome:
        return wire.Delivered() if 200 <= status < 300 else true(status, body, **rest)

    put(pusher, "classify", classify)


def a_lost_connection_is_delivered(put: Put) -> None:
    """A forwarder for which an event is delivered once it was sent."""
    from gatepost.forward.sinks import Result
    from gatepost.forward.sinks.webhook import Webhook
    from gatepost.wire import Delivered, Unreachable

    true = Webhook.send

    async def send(self: Webhook, batch: Any) -> Any:
        results = await true(self, batch)
        return [
            Result(outcome=Delivered()) if isinstance(one.outcome, Unreachable) else one for one in results
        ]

    put(Webhook, "send", send)


def what_is_refused_is_never_given_up(put: Put) -> None:
    """A forwarder that tries a refused event again for ever; often, so that a run need not be long."""
    from gatepost.forward.forwarder import forwarder
    from gatepost.retry import Backoff

    put(forwarder, "Backoff", lambda **rest: Backoff(first=0.05, cap=0.2, max_refusals=1_000_000))


def receiver_forgets_what_it_knows(put: Put) -> None:
    """A receiver to which every push is new."""
    from msgspec.structs import replace

    from gatepost.store.sqlite.store import SqliteStore

    true = SqliteStore.write
    count = iter(range(1 << 60))

    def write(self: SqliteStore, batch: Any, progress: Any = None) -> Any:
        unknown = [replace(arrival, key=next(count).to_bytes(16, "big")) for arrival in batch]
        return true(self, unknown, progress)

    put(SqliteStore, "write", write)


def nothing(put: Put) -> None:
    """No defect: what the mutants are compared with."""


if __name__ == "__main__":
    die_with_the_parent()
    time.time = turned(Path(sys.argv[2]), time.time)
    globals()[sys.argv[1]](setattr)
    from gatepost.cli import run

    sys.exit(run(sys.argv[3:]))
