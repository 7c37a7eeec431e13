import asyncio
import itertools
import ssl

import pytest
import trustme
from tests.simulator.conftest import Listener, reply, until

from gatepost.dialect_faults.classes import CLASSES
from gatepost.simulator.engines.fast import FastEngine, FastOptions
from gatepost.simulator.world.scenario import Plan
from gatepost.wire import Dialect, decode

PLAIN = {"faults": False, "images": False}


async def run(
    plan: Plan, listener: Listener, *, connections: int = 4, events: int | None = None, **more: float
) -> FastEngine:
    fast = FastEngine(plan, FastOptions(url=listener.url, connections=connections, events=events, **more))
    async with asyncio.timeout(30):
        await fast.run()
    return fast


async def test_it_sends_exactly_the_events_asked_for_each_terminal_its_share(listener: Listener) -> None:
    fast = await run(Plan(seed=1, terminals=3, **PLAIN), listener, events=50)
    assert len(listener.bodies) == len(set(listener.bodies)) == 50
    assert [count.acknowledged for count in fast.meter.counts] == [17, 17, 16]
    assert fast.meter.backlog == 0


async def test_what_is_sent_does_not_depend_on_the_number_of_connections(listener: Listener) -> None:
    plan = Plan(seed=1, terminals=5)
    await run(plan, listener, events=60, connections=1)
    first, listener.bodies = sorted(listener.bodies), []
    await run(plan, listener, events=60, connections=8)
    assert sorted(listener.bodies) == first


async def test_connections_are_kept(listener: Listener) -> None:
    await run(Plan(seed=1, terminals=8, **PLAIN), listener, events=80, connections=2)
    assert listener.connections == 2


async def test_some_events_are_sent_twice_though_they_were_acknowledged(listener: Listener) -> None:
    fast = await run(Plan(seed=1, terminals=10, images=False), listener, events=1000)
    again = sum(count.again for count in fast.meter.counts)
    assert again > 5
    assert len(listener.bodies) == 1000 + again
    assert len(set(listener.bodies)) == 1000


@pytest.mark.parametrize(
    "trouble",
    [
        reply(b'{"code":500,"message":"not now","data":{}}'),
        reply(b"", b"503 Service Unavailable"),
        reply(b"<html>"),
        reply(b"", b"204 No Content"),
        b"this is no HTTP\r\n\r\n",
        None,
    ],
)
async def test_what_was_not_acknowledged_is_sent_again_the_same_bytes(
    listener: Listener, trouble: bytes | None
) -> None:
    turn = itertools.count()
    listener.answer = lambda body: trouble if next(turn) % 3 == 1 else reply()
    fast = await run(Plan(seed=1, terminals=2, **PLAIN), listener, events=12, connections=2)
    assert len(set(listener.bodies)) == 12
    assert len(listener.bodies) > 12
    assert fast.meter.acknowledged == 12
    assert (
        sum(count.refused + count.unanswered for count in fast.meter.counts) + fast.meter.errors.total() > 0
    )


async def test_an_acknowledgement_in_any_shape_of_http_counts(listener: Listener) -> None:
    chunked = b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1c\r\n{"code":200, "message":"ok"}\r\n0\r\n\r\n'
    closing = reply(b'{"data":null,"code":200,"message":"success"}', headers=b"connection: close\r\n")
    answers = itertools.cycle([chunked, closing, reply()])
    listener.answer = lambda body: next(answers)
    fast = await run(Plan(seed=1, terminals=1, **PLAIN), listener, events=9, connections=1)
    assert fast.meter.acknowledged == 9
    assert not fast.meter.errors


async def test_it_waits_for_a_receiver_that_is_not_there_yet(listener: Listener) -> None:
    await listener.stop()
    fast = FastEngine(
        Plan(seed=1, terminals=2, **PLAIN), FastOptions(url=listener.url, connections=2, events=10)
    )
    running = asyncio.create_task(fast.run())
    await until(lambda: fast.meter.errors)
    await listener.start()
    async with asyncio.timeout(30):
        await running
    assert fast.meter.acknowledged == 10


async def test_it_ends_when_the_time_is_over_and_owes_nothing(listener: Listener) -> None:
    fast = await run(Plan(seed=1, terminals=2, **PLAIN), listener, seconds=0.2)
    assert fast.meter.acknowledged == fast.meter.recorded == len(set(listener.bodies)) > 0
    assert 0.1 < fast.elapsed < 5


async def test_with_a_rate_no_more_becomes_due_than_the_rate(listener: Listener) -> None:
    fast = await run(Plan(seed=1, terminals=2, **PLAIN), listener, seconds=0.5, rate=100)
    assert 0 < fast.meter.recorded <= 100 * fast.elapsed + 1


async def test_a_mixed_fleet_arrives_as_a_mixed_fleet(listener: Listener) -> None:
    await run(Plan(seed=1, terminals=40), listener, events=160)
    assert {decode(body, lenient=True).dialect for body in listener.bodies} == set(Dialect)


async def test_it_speaks_https_to_a_receiver_that_it_trusts(listener: Listener) -> None:
    await listener.stop()
    authority = trustme.CA()
    theirs, ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    authority.configure_trust(ours)
    await listener.start(tls=theirs)
    url = listener.url.replace("http:", "https:")
    fast = FastEngine(
        Plan(seed=1, terminals=2, **PLAIN), FastOptions(url=url, connections=2, events=10, tls=ours)
    )
    async with asyncio.timeout(30):
        await fast.run()
    assert fast.meter.acknowledged == len(set(listener.bodies)) == 10


async def test_a_certificate_that_it_does_not_trust_gets_nothing(listener: Listener) -> None:
    await listener.stop()
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(theirs)
    await listener.start(tls=theirs)
    url = listener.url.replace("http:", "https:")
    fast = FastEngine(Plan(seed=1, terminals=1, **PLAIN), FastOptions(url=url, connections=1, seconds=0.3))
    async with asyncio.timeout(30):
        await fast.run()
    assert fast.meter.acknowledged == 0
    assert fast.meter.errors
    assert not listener.bodies


@pytest.mark.parametrize("status", [b"404 Not Found", b"200 OK"])
async def test_where_nothing_is_acknowledged_it_ends_though_events_are_left(
    listener: Listener, status: bytes
) -> None:
    listener.answer = lambda _: reply(b'{"code": 500}', status)
    fast = await run(Plan(seed=1, terminals=2, **PLAIN), listener, events=10, drain_s=0.2)
    assert (fast.meter.acknowledged, fast.ended.is_set()) == (0, True)
    assert listener.bodies


async def test_with_dialect_faults_each_class_is_counted_and_exactly_the_events_asked_for_are_sent(
    listener: Listener,
) -> None:
    plan = Plan(seed=1, terminals=3, faults=False, dialect_faults=True, mix={Dialect.V1_3_0: 1})
    fast = await run(plan, listener, events=2000)
    faults = fast.meter.faults
    assert fast.meter.acknowledged == fast.meter.recorded == 2000
    assert len(listener.bodies) < 2000  # some of them in lists
    assert faults.keys() <= {found.name for found in CLASSES}
    assert len(faults) > len(CLASSES) - 4
    assert all(found.sent == found.acknowledged > 0 for found in faults.values())
    assert 60 < sum(found.sent for found in faults.values()) < 180
    first, listener.bodies = sorted(listener.bodies), []
    await run(plan, listener, events=2000, connections=8)
    assert sorted(listener.bodies) == first


async def test_a_fault_that_is_refused_is_counted_as_sent_only(listener: Listener) -> None:
    listener.answer = lambda body: reply(b"", b"503 Service Unavailable") if body[-1:] == b"\0" else reply()
    plan = Plan(seed=1, terminals=1, faults=False, images=False, dialect_faults=True)
    fast = await run(plan, listener, connections=1, seconds=1.5)
    refused = fast.meter.faults["trailing-bytes"]
    assert refused.sent > refused.acknowledged
