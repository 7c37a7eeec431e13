"""The receiver that a terminal under examination pushes to."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from gatepost.conformance.raw_http import Answer, Connection, Nothing, Response, Target, chunked, request
from gatepost.conformance.terminal.fake_receiver import Disobedience, ListenError, Post


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    made = Post("127.0.0.1", 0)
    await made.open()
    yield made
    await made.close()


def body(uuid: str) -> bytes:
    return json.dumps({"type": 0, "data": {"uuid": uuid, "timestamp": 1_700_000_000}}).encode()


async def push(post: Post, data: bytes, *, timeout_s: float = 2.0) -> Answer:
    target = Target.parse(f"http://127.0.0.1:{post.port}/Record")
    async with Connection.open(target, timeout_s=timeout_s) as connection:
        await connection.send(*request(target, data, [("SN", "S1")]))
        return await connection.read()


async def test_what_arrives_is_acknowledged_and_kept(post: Post) -> None:
    answer = await push(post, body("u1"))
    assert isinstance(answer, Response)
    assert json.loads(answer.body)["code"] == 200
    arrived = post.arrived[0]
    assert (arrived.method, arrived.path, arrived.header("sn")) == ("POST", "/Record", "S1")
    assert (arrived.name, arrived.timestamp, arrived.answered) == ("uuid u1", 1_700_000_000, "ok")


async def test_an_event_is_named_by_its_trace_and_status_or_by_what_it_says(post: Post) -> None:
    await push(post, b'{"type":1,"data":{"trace_id":"t","status":3,"event_time":1700000000123}}')
    await push(post, b'{"type":0,"data":{"deviceSN":"a"}}')
    await push(post, b'{"type":0,"data":{"deviceSN":"b"}}')
    assert post.arrived[0].name == "trace_id t, status 3"
    assert post.arrived[0].timestamp == 1700000000.123
    assert len(post.names()) == 3


async def test_a_body_in_chunks_and_an_expectation_are_understood(post: Post) -> None:
    target = Target.parse(f"http://127.0.0.1:{post.port}/Record")
    async with Connection.open(target) as connection:
        head, data = request(
            target, body("c"), [("Transfer-Encoding", "chunked"), ("Expect", "100-continue")], length=False
        )
        await connection.send(head)
        assert isinstance(await connection.read(interim=True), Response)
        await connection.send(chunked(data, 10))
        assert isinstance(await connection.read(), Response)
    assert post.arrived[0].event == json.loads(body("c"))


@pytest.mark.parametrize(
    ("how", "seen"),
    [
        (Disobedience.REFUSED, 200),
        (Disobedience.HTTP_ERROR, 503),
        (Disobedience.NO_REPLY, 200),
        (Disobedience.RESET, None),
        (Disobedience.HANG, None),
    ],
)
async def test_only_the_first_push_of_the_next_new_event_is_disobeyed(
    post: Post, how: Disobedience, seen: int | None
) -> None:
    await push(post, body("old"))
    post.disobey(how)
    assert isinstance(await push(post, body("old")), Response)
    answer = await push(post, body("new"), timeout_s=0.1 if how is Disobedience.HANG else 2.0)
    assert (answer.status if isinstance(answer, Response) else None) == seen
    if isinstance(answer, Response):
        assert b'"code":200' not in answer.body
    assert post.victim == "uuid new"
    for name in ("new", "other"):
        later = await push(post, body(name))
        assert isinstance(later, Response)
        assert b'"code":200' in later.body
    assert [push.answered for push in post.arrived] == ["ok", "ok", how.value, "ok", "ok"]


async def test_an_outage_refuses_connections_and_ends_on_the_same_address(post: Post) -> None:
    port = post.port
    await post.close()
    await post.close()
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await push(post, body("u"))
    await post.open()
    assert post.port == port
    assert not isinstance(await push(post, body("u")), Nothing)


async def test_waiting_ends_when_it_holds_and_silence_when_nothing_comes(post: Post) -> None:
    waiting = asyncio.create_task(post.wait(lambda: len(post.arrived) == 2, timeout_s=5))
    await push(post, body("1"))
    await push(post, body("2"))
    assert await waiting
    assert not await post.wait(lambda: len(post.arrived) == 3, timeout_s=0.01)
    assert await post.quiet(0.01, timeout_s=5)


async def test_an_address_that_is_taken_is_said_to_be(post: Post) -> None:
    with pytest.raises(ListenError, match="choose another --listen"):
        await Post("127.0.0.1", post.port).open()
