"""Ends with a defect put in on purpose, to see whether the torture notices.

    python mutants.py NAME CLOCK_FILE WORDS…

Rules: each mutant is one plausible mistake, made by replacing one function before the command runs. Those that answer
before the commit gather events for a moment, as one does who wants few commits; without that they lose events all the
same, but not at every kill.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from gatepost.conformance.torture.child import die_with_the_parent, turned

GATHERS_S = 0.05


def terminal_answers_before_the_commit() -> None:
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

    Outbox.put_all = put_all  # type: ignore[method-assign]


def receiver_answers_before_the_commit() -> None:
    """The receiver says success when an event is in its queue."""
    from gatepost.receiver.committer import Committer
    from gatepost.store.store import Stored

    true = Committer.enqueue

    def enqueue(self: Committer, arrival: Any, settle: Any) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(GATHERS_S, true, self, arrival, lambda stored, error: None)
        settle(Stored(True, 1), None)

    Committer.enqueue = enqueue  # type: ignore[method-assign]


def any_2xx_is_delivered() -> None:
    """A terminal that looks at the HTTP status alone."""
    from gatepost import wire
    from gatepost.terminal.push import pusher

    true = wire.classify

    def classify(status: int, body: bytes | None, **rest: Any) -> wire.Outcome:
        return wire.Delivered() if 200 <= status < 300 else true(status, body, **rest)

    pusher.classify = classify  # type: ignore[attr-defined]


def receiver_forgets_what_it_knows() -> None:
    """A receiver to which every push is new."""
    from msgspec.structs import replace

    from gatepost.store.sqlite import SqliteStore

    true = SqliteStore.write
    count = iter(range(1 << 60))

    def write(self: SqliteStore, batch: Any) -> Any:
        return true(self, [replace(arrival, key=next(count).to_bytes(16, "big")) for arrival in batch])

    SqliteStore.write = write  # type: ignore[method-assign]
    SqliteStore.begin = lambda self, batch: None  # type: ignore[method-assign]


def nothing() -> None:
    """No defect: what the mutants are compared with."""


if __name__ == "__main__":
    die_with_the_parent()
    time.time = turned(Path(sys.argv[2]), time.time)
    globals()[sys.argv[1]]()
    from gatepost.cli import run

    sys.exit(run(sys.argv[3:]))
