"""Both ends of the line between ingest and desk, on a real local socket."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs
from tests.receiver.kit import until

from gatepost.errors import StoreError, StoreUnavailable
from gatepost.receiver.processes.link import Forget, Handler, Holder, Link, Made, Table, Use
from gatepost.receiver.terminals.claims import Known

KNOWN = Known(id=3, serial="门-3", state="approved", networks=("10.0.0.0/8",), token_used=True)


async def link(end: socket.socket, handlers: Mapping[type, Handler], **options: Any) -> Link:
    reader, writer = await asyncio.open_unix_connection(sock=end)
    return Link(reader, writer, handlers, **options)


@asynccontextmanager
async def linked(
    ingest: Mapping[type, Handler], desk: Mapping[type, Handler], **options: Any
) -> AsyncIterator[tuple[Link, Link]]:
    one, other = socket.socketpair()
    ends = await link(one, ingest, **options), await link(other, desk, **options)
    running = [asyncio.create_task(end.run()) for end in ends]
    yield ends
    for end in ends:
        end.close()
    await asyncio.wait_for(asyncio.gather(*running), 20)


async def test_both_ends_call_and_get_what_was_returned() -> None:
    took: list[Any] = []

    async def holder(asked: Holder) -> Known | None:
        return KNOWN if asked.digest == b"known" else None

    async def take(told: Any) -> None:
        took.append(told)

    table = Table([KNOWN], [("192.0.2.1", 3, 1_700_000_000_000)], {b"digest": 3}, "Asia/Shanghai")
    made = Made([KNOWN])
    async with linked({Table: take, Made: take, Forget: take}, {Holder: holder}) as (ingest, desk):
        assert await ingest.call(Holder(b"known"), Known | None) == KNOWN
        assert await ingest.call(Holder(b"unknown"), Known | None) is None
        assert await desk.call(table) is None
        await desk.tell(made)
        assert await desk.call(Forget()) is None
    assert [type(one) for one in took] == [Table, Made, Forget]
    assert msgspec.to_builtins(took[0]) == msgspec.to_builtins(table)
    assert took[1] == made or list(took[1].terminals) == [KNOWN]


async def test_calls_begin_in_order_and_none_waits_for_another() -> None:
    began: list[int] = []
    gate = asyncio.Event()

    async def use(asked: Use) -> None:
        began.append(asked.at_ms)
        if asked.at_ms == 0:
            await gate.wait()

    async with linked({}, {Use: use}) as (ingest, _):
        slow = asyncio.create_task(ingest.call(Use(b"", 0)))
        await asyncio.sleep(0)
        await asyncio.gather(*(ingest.call(Use(b"", number)) for number in range(1, 200)))
        assert began == list(range(200))
        assert not slow.done()
        gate.set()
        await slow


@pytest.mark.parametrize(
    ("raised", "kind", "said"),
    [
        (StoreUnavailable("the store is away"), StoreUnavailable, "the store is away"),
        (StoreError("it is broken"), StoreError, "it is broken"),
        (ValueError("Zhang Xiaoming"), StoreError, "this failed; see the log"),
    ],
)
async def test_what_a_handler_raises_is_raised_at_the_caller(
    raised: Exception, kind: type[StoreError], said: str
) -> None:
    async def fail(_: Holder) -> None:
        raise raised

    with capture_logs() as logs:
        async with linked({}, {Holder: fail}) as (ingest, _):
            with pytest.raises(StoreError) as error:
                await ingest.call(Holder(b""))
    assert (type(error.value), str(error.value)) == (kind, said)
    assert "Xiaoming" not in str(logs)
    assert bool(logs) == isinstance(raised, ValueError)


async def test_who_waits_for_an_end_that_is_gone_is_told_and_so_is_who_calls_later() -> None:
    called = asyncio.Event()

    async def silent(_: Holder) -> None:
        called.set()
        await asyncio.Event().wait()

    async with linked({}, {Holder: silent}) as (ingest, desk):
        waiting = asyncio.create_task(ingest.call(Holder(b"")))
        await asyncio.wait_for(called.wait(), 20)
        desk.close()
        with pytest.raises(StoreUnavailable, match="send it again later"):
            await waiting
        with pytest.raises(StoreUnavailable, match="send it again later"):
            await ingest.call(Holder(b""))
        await ingest.tell(Forget())
        assert not ingest._waiting


async def test_a_wait_that_is_cancelled_does_no_harm() -> None:
    gate = asyncio.Event()

    async def wait(_: Holder) -> int:
        await gate.wait()
        return 7

    async with linked({}, {Holder: wait}) as (ingest, _):
        cancelled = asyncio.create_task(ingest.call(Holder(b"")))
        kept = asyncio.create_task(ingest.call(Holder(b""), int))
        await until(lambda: len(ingest._waiting) == 2)
        cancelled.cancel()
        gate.set()
        assert await kept == 7
        assert not ingest._waiting


@pytest.mark.parametrize(
    "sent", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x02ab", b"\x00\x00\x00\x01\xc1", b"\x00\x00"]
)
async def test_whoever_sends_no_message_is_cut_off(sent: bytes) -> None:
    ours, theirs = socket.socketpair()
    with capture_logs() as logs:
        end = await link(ours, {}, max_frame=1000)
        running = asyncio.create_task(end.run())
        theirs.sendall(sent)
        if len(sent) < 4:
            theirs.close()
        await asyncio.wait_for(running, 20)
    theirs.close()
    assert [log["log_level"] for log in logs] == (["error"] if len(sent) >= 4 else [])
    with pytest.raises(StoreUnavailable):
        await end.call(Forget())
