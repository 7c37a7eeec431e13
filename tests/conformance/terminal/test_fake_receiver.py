"""The receiver that a terminal under examination pushes to."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from gatepost.conformance.raw_http import Answer, Connection, NoResponse, Response, Target, chunked, request
from gatepost.conformance.terminal.fake_receiver import FakeReceiver, ListenError, ReplyFault


@pytest.fixture
async def receiver() -> AsyncIterator[FakeReceiver]:
    made = FakeReceiver("127.0.0.1", 0)
    await made.open()
    yield made
    await made.close()


def body(uuid: str) -> bytes:
    return json.dumps({"type": 0, "data": {"uuid": uuid, "timestamp": 1_700_000_000}}).encode()


async def push(receiver: FakeReceiver, data: bytes, *, timeout_s: float = 2.0) -> Answer:
    target = Target.parse(f"http://127.0.0.1:{receiver.port}/Record")
    async with Connection.open(target, timeout_s=timeout_s) as connection:
        await connection.send(*request(target, data, [("SN", "S1")]))
        return await connection.read()


async def test_what_arrives_is_acknowledged_and_kept(receiver: FakeReceiver) -> None:
    answer = await push(receiver, body("u1"))
    assert isinstance(answer, Response)
    assert json.loads(answer.body)["code"] == 200
    arrived = receiver.arrived[0]
    assert (arrived.method, arrived.path, arrived.header("sn")) == ("POST", "/Record", "S1")
    assert (arrived.name, arrived.timestamp, arrived.answered) == ("uuid u1", 1_700_000_000, "ok")


async def test_an_event_is_named_by_its_trace_and_status_or_by_what_it_says(receiver: FakeReceiver) -> None:
    await push(receiver, b'{"type":1,"data":{"trace_id":"t","status":3,"event_time":1700000000123}}')
    await push(receiver, b'{"type":0,"data":{"deviceSN":"a"}}')
    await push(receiver, b'{"type":0,"data":{"deviceSN":"b"}}')
    assert receiver.arrived[0].name == "trace_id t, status 3"
    assert receiver.arrived[0].timestamp == 1700000000.123
    assert len(receiver.names()) == 3


async def test_a_body_in_chunks_and_an_expectation_are_understood(receiver: FakeReceiver) -> None:
    target = Target.parse(f"http://127.0.0.1:{receiver.port}/Record")
    async with Connection.open(target) as connection:
        head, data = request(
            target, body("c"), [("Transfer-Encoding", "chunked"), ("Expect", "100-continue")], length=False
        )
        await connection.send(head)
        assert isinstance(await connection.read(interim=True), Response)
        await connection.send(chunked(data, 10))
        assert isinstance(await connection.read(), Response)
    assert receiver.arrived[0].event == json.loads(body("c"))


@pytest.mark.parametrize(
    ("how", "seen"),
    [
        (ReplyFault.REFUSED, 200),
        (ReplyFault.HTTP_ERROR, 503),
        (ReplyFault.NO_REPLY, 200),
        (ReplyFault.RESET, None),
        (ReplyFault.HANG, None),
    ],
)
async def test_only_the_first_push_of_the_next_new_event_is_disobeyed(
    receiver: FakeReceiver, how: ReplyFault, seen: int | None
) -> None:
    await push(receiver, body("old"))
    receiver.misbehave(how)
    assert isinstance(await push(receiver, body("old")), Response)
    answer = await push(receiver, body("new"), timeout_s=0.1 if how is ReplyFault.HANG else 2.0)
    assert (answer.status if isinstance(answer, Response) else None) == seen
    if isinstance(answer, Response):
        assert b'"code":200' not in answer.body
    assert receiver.victim == "uuid new"
    for name in ("new", "other"):
        later = await push(receiver, body(name))
        assert isinstance(later, Response)
        assert b'"code":200' in later.body
    assert [push.answered for push in receiver.arrived] == ["ok", "ok", how.value, "ok", "ok"]


async def test_an_outage_refuses_connections_and_ends_on_the_same_address(receiver: FakeReceiver) -> None:
    port = receiver.port
    await receiver.close()
    await receiver.close()
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await push(receiver, body("u"))
    await receiver.open()
    assert receiver.port == port
    assert not isinstance(await push(receiver, body("u")), NoResponse)


async def test_waiting_ends_when_it_holds_and_silence_when_nothing_comes(receiver: FakeReceiver) -> None:
    waiting = asyncio.create_task(receiver.wait(lambda: len(receiver.arrived) == 2, timeout_s=5))
    await push(receiver, body("1"))
    await push(receiver, body("2"))
    assert await waiting
    assert not await receiver.wait(lambda: len(receiver.arrived) == 3, timeout_s=0.01)
    assert await receiver.quiet(0.01, timeout_s=5)


async def test_an_address_that_is_taken_is_said_to_be(receiver: FakeReceiver) -> None:
    with pytest.raises(ListenError, match="choose another --listen"):
        await FakeReceiver("127.0.0.1", receiver.port).open()
