"""What the tests of the outbox have in common: events, a clock, and an outbox in a folder."""

import errno
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gatepost.journal.files import Files
from gatepost.retry import Done, Step
from gatepost.settings import TerminalSettings
from gatepost.terminal.outbox.outbox import Claimed, Outbox
from gatepost.wire import Alarm, Record, Subscription, User, decode

SUBSCRIPTION = Subscription("http://127.0.0.1:9/Record", True)

_BLOCK = 4096

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 4


class Clock:
    """Unix seconds that move only when told."""

    def __init__(self, at: float = 1_700_000_000.0) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def record(number: int = 1, *, image: bytes | None = None, at: int = 1_700_000_000, **user: str) -> Record:
    return Record(
        serial="SN1",
        uuid=f"uuid-{number}",
        recorded_at=datetime.fromtimestamp(at, UTC),
        recognition_type=1,
        passed=True,
        image=image,
        user=User(type=1, **user) if user else None,  # type: ignore[arg-type]
    )


def alarm(trace: str = "T-1", status: int = 1) -> Alarm:
    return Alarm(trace_id=trace, status=status, code=10001, event_time=datetime(2023, 11, 14, tzinfo=UTC))


@asynccontextmanager
async def outbox_in(
    folder: Path,
    *,
    now: Clock | None = None,
    subscribed: bool = True,
    files: Files | None = None,
    **settings: Any,
) -> AsyncIterator[Outbox]:
    outbox = await Outbox.open(
        folder / "outbox", settings=TerminalSettings(**settings), now=now or Clock(), files=files
    )
    try:
        if subscribed and outbox.current_subscription is None:
            await outbox.subscribe(SUBSCRIPTION)
        yield outbox
    finally:
        await outbox.close()


async def put_many(outbox: Outbox, count: int, *, first: int = 1, **fields: Any) -> list[int]:
    return [await outbox.put(record(number, **fields)) for number in range(first, first + count)]


async def settle_all(outbox: Outbox, events: Sequence[Claimed], step: Step | None = None) -> None:
    await outbox.settle([(event.id, step or Done()) for event in events])


async def drain(outbox: Outbox, now: float, *, window: int = 8) -> list[str]:
    """Deliver everything that is due; answer the names of the events in the order in which they left."""
    names: list[str] = []
    while events := await outbox.claim(window, now=now):
        names += [name(event) for event in events]
        await settle_all(outbox, events)
    return names


def name(event: Claimed) -> str:
    decoded = decode(event.body).event
    if isinstance(decoded, Alarm):
        return f"{decoded.trace_id}:{decoded.status}"
    assert isinstance(decoded, Record)
    assert decoded.uuid is not None
    return decoded.uuid


async def assert_the_ledger_adds_up(outbox: Outbox) -> None:
    """The sum, and the rows themselves."""
    status = await outbox.status()
    assert status.accepted == status.delivered + status.pending + status.dead + status.dropped
    rows = await outbox.count_rows()
    assert rows == {"pending": status.pending, "delivered": status.history, "dead": status.dead}


class SmallDisk(Files):
    """The real disk, of which only so many bytes are there; and one that fails when it is told to.

    What is written through it counts in blocks, as on a disk.
    """

    def __init__(self, folder: Path, size: int = 1 << 40) -> None:
        self.folder, self.size = folder, size
        self.others = 0
        """Bytes that others have taken."""
        self.error: int | None = None
        """With which number every write fails."""
        self.syncs = self.written = 0
        self._paths: dict[int, Path] = {}
        self._used: dict[Path, int] = {}
        self._holes: defaultdict[Path, set[int]] = defaultdict(set)
        """Blocks that lie in a hole."""

    @property
    def used(self) -> int:
        return sum(self._used.values()) - _BLOCK * sum(map(len, self._holes.values()))

    def space(self, path: Path) -> tuple[int, int]:
        return self.size, max(0, self.size - self.others - self.used)

    def create(self, path: Path) -> int:
        self._fail()
        handle = super().create(path)
        self._paths[handle], self._used[path] = path, 0
        return handle

    def write(self, handle: int, data: bytes, offset: int) -> None:
        self._fail()
        path = self._paths[handle]
        needs = max(self._used[path], -(-(offset + len(data)) // _BLOCK) * _BLOCK)
        if needs - self._used[path] > self.space(self.folder)[1]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._used[path] = needs
        self._holes[path] -= set(range(offset // _BLOCK, -(-(offset + len(data)) // _BLOCK)))
        self.written += len(data)
        super().write(handle, data, offset)

    def open(self, path: Path, *, writes: bool = False) -> int:
        handle = super().open(path, writes=writes)
        self._paths[handle] = path
        return handle

    def punch(self, handle: int, offset: int, size: int) -> None:
        """Count the blocks that lie in the hole as free; those that it begins and ends in stay."""
        self._fail()
        super().punch(handle, offset, size)
        self._holes[self._paths[handle]] |= set(range(-(-offset // _BLOCK), (offset + size) // _BLOCK))

    def truncate(self, handle: int, size: int) -> None:
        super().truncate(handle, size)
        self._used[self._paths[handle]] = -(-size // _BLOCK) * _BLOCK

    def remove(self, path: Path) -> None:
        super().remove(path)
        self._used.pop(path, None)
        self._holes.pop(path, None)

    def rename(self, path: Path, name: Path) -> None:
        self._fail()
        super().rename(path, name)
        self._used[name] = self._used.pop(path)
        self._paths.update({handle: name for handle, at in self._paths.items() if at == path})

    def sync(self, handle: int) -> None:
        self._fail()
        self.syncs += 1
        super().sync(handle)

    def _fail(self) -> None:
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))
