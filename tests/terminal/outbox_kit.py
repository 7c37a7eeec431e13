"""What the tests of the outbox have in common: events, a clock, and an outbox in a folder."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gatepost.retry import Done, Step
from gatepost.settings import TerminalSettings
from gatepost.terminal.outbox.outbox import Claimed, Outbox
from gatepost.wire import Alarm, Record, Subscription, User, decode

SUBSCRIPTION = Subscription("http://127.0.0.1:9/Record", True)

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
    folder: Path, *, now: Clock | None = None, subscribed: bool = True, **settings: Any
) -> AsyncIterator[Outbox]:
    outbox = await Outbox.open(
        folder / "outbox.db", settings=TerminalSettings(**settings), now=now or Clock()
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
