"""The fault matrix: every way in which a receiver is known to fail, over real sockets, and what becomes of
the events.

Each row: the receiver fails so from the start while events are recorded; the terminal keeps them all, counts
nothing as delivered, and does not grow; the receiver is healed; everything arrives, once, within seconds.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.faults import bad_receiver as bad
from tests.faults import certificates
from tests.faults.bad_receiver import SUCCESS, BadReceiver, Behaviour, Peer, Request, until
from tests.faults.line import HASTY, Line, line, names, record, settings

from gatepost.terminal.outbox.outbox import OutboxStatus
from gatepost.terminal.push.dns import resolve
from gatepost.terminal.push.http_client import HttpClient

EVENTS = [f"r{n}" for n in range(40)]
RECOVERY_S = 5.0
WINDOW = 8
MEMORY = 4 * 1024 * 1024
"""Bytes that Python may take at most in a row: 8 bodies, 8 replies of 64 KB, and what the receiver in the
test itself holds."""

# the receiver of a row that pours out bytes holds some of them itself, in its own half of the sockets
POURING = 16 * 1024 * 1024


def kept(status: OutboxStatus) -> None:
    assert (status.accepted, status.pending) == (len(EVENTS), len(EVENTS))
    assert (status.delivered, status.dead, status.dropped) == (0, 0, 0)


async def recovers(made: Line, receiver: BadReceiver, *, twice: int = 0) -> None:
    """Everything arrives once, and is counted as it arrived. ``twice``: so many may come again, because the terminal
    has short time limits and the machine may be slow."""
    status = await made.drained(RECOVERY_S)
    arrived = names(receiver)
    assert set(arrived) == set(EVENTS)
    assert len(arrived) - len(EVENTS) <= twice
    assert (status.delivered, status.dead, status.dropped) == (len(EVENTS), 0, 0)


async def row(
    folder: Path,
    behaviour: Behaviour,
    reason: str,
    *,
    hangs: bool = False,
    memory: int = MEMORY,
) -> BadReceiver:
    """A receiver that takes connections and then behaves so. ``hangs``: time limits are what ends it."""
    async with (
        BadReceiver(behaviour) as receiver,
        line(folder, receiver.url, settings=settings(**(HASTY if hangs else {}))) as made,
    ):
        await made.records(EVENTS)
        gc.collect()
        tracemalloc.start()
        try:
            made.start()
            await until(lambda: made.pusher.status().failures >= 4)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        status = made.pusher.status()
        kept(await made.status())
        assert peak < memory
        assert status.reason == reason
        assert receiver.stored == []
        receiver.behave(bad.good)
        await recovers(made, receiver, twice=WINDOW if hangs else 0)
    return receiver


# -- connections


async def test_the_connection_is_refused(tmp_path):
    async with (
        BadReceiver(bad.good, listening=False) as receiver,
        line(tmp_path, receiver.url, run=True) as made,
    ):
        await made.records(EVENTS)
        await until(lambda: made.pusher.status().failures >= 4)
        kept(await made.status())
        assert made.pusher.status().reason == "connection refused"
        await receiver.listen()
        await recovers(made, receiver)


async def test_the_receiver_accepts_and_never_answers(tmp_path):
    await row(tmp_path, bad.silence, "time-out while waiting for the reply", hangs=True)


async def test_the_receiver_accepts_and_never_reads(tmp_path):
    # larger than the buffers of two sockets, so that sending is what comes to a stop; a loaded machine may need several
    # tries for so much, once the receiver reads
    hasty = settings(**{**HASTY, "send_timeout_s": 1.0}, max_in_flight=2)
    async with (
        BadReceiver(bad.never_reads) as receiver,
        line(tmp_path, receiver.url, settings=hasty) as made,
    ):
        await made.put(record("big", image=b"\xff\xd8" + bytes(12_000_000)), record("small"))
        made.start()
        await until(lambda: made.pusher.status().failures >= 2)
        status = await made.status()
        assert (status.pending, status.delivered) == (2, 0)
        assert status.last_error in ("time-out while sending", "time-out while waiting for the reply")
        receiver.behave(bad.good)
        await made.drained()
        assert set(names(receiver)) == {"big", "small"}


async def test_the_receiver_answers_a_byte_at_a_time(tmp_path):
    await row(tmp_path, bad.trickle(0.02), "time-out while waiting for the reply", hangs=True)


async def test_the_connection_is_reset_in_the_middle_of_the_request(tmp_path):
    await row(tmp_path, bad.reset_in_request, "connection reset")


async def test_the_connection_is_reset_in_the_middle_of_the_reply(tmp_path):
    await row(tmp_path, bad.reset_in_reply, "connection reset")


async def test_the_name_cannot_be_resolved(tmp_path):
    there = False

    async def names_server(host: str, port: int):
        if not there:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return await resolve("127.0.0.1", port)

    transport = HttpClient(resolver=names_server)
    async with BadReceiver(bad.good) as receiver:
        url = receiver.url.replace("127.0.0.1", "receiver.example")
        async with line(tmp_path, url, client=transport, run=True) as made:
            await made.records(EVENTS)
            await until(lambda: made.pusher.status().failures >= 4)
            kept(await made.status())
            assert made.pusher.status().reason == "the name of the receiver cannot be resolved"
            assert receiver.connections == 0
            there = True
            await recovers(made, receiver)


async def test_the_receiver_flaps(tmp_path):
    async with BadReceiver(bad.good) as receiver, line(tmp_path, receiver.url, run=True) as made:
        for n in range(6):
            await made.records(EVENTS[n::6])
            await until(lambda n=n: len(receiver.stored) >= 3 * n)
            await receiver.refuse()
            await until(lambda: made.pusher.status().failures or not made.pusher.status().in_flight)
            await receiver.listen()
        status = await made.drained(RECOVERY_S)
    # a connection that is cut between the store and the acknowledgement is what the same event twice comes from
    assert set(names(receiver)) == set(EVENTS)
    assert len(receiver.stored) <= len(EVENTS) + 6 * 8
    assert (status.delivered, status.dead) == (len(EVENTS), 0)


# -- answers


async def test_500(tmp_path):
    await row(tmp_path, bad.answer(500, b"oops"), "HTTP 500")


async def test_500_with_the_documented_success_in_it(tmp_path):
    await row(tmp_path, bad.answer(500, SUCCESS), "HTTP 500")


async def test_503_with_retry_after(tmp_path):
    await row(tmp_path, bad.answer(503, b"", "retry-after: 0"), "HTTP 503")


async def test_503_with_a_retry_after_is_left_alone_for_so_long(tmp_path):
    behaviour = bad.answer(503, b"", "retry-after: 30")
    async with BadReceiver(behaviour) as receiver, line(tmp_path, receiver.url, run=True) as made:
        await made.records(EVENTS)
        await until(lambda: made.pusher.status().backoff_s > 25)
        await until(lambda: not made.pusher.status().in_flight)
        assert len(receiver.requests) <= 8
        kept(await made.status())


async def test_429(tmp_path):
    await row(tmp_path, bad.answer(429, b"", "retry-after: 0"), "HTTP 429")


async def test_200_with_an_empty_body(tmp_path):
    await row(tmp_path, bad.answer(200), "the reply is not the documented JSON with an integer code")


async def test_200_with_html(tmp_path):
    portal = bad.answer(200, b"<html><title>Log in to the Wi-Fi</title></html>", "content-type: text/html")
    await row(tmp_path, portal, "the reply is not the documented JSON with an integer code")


@pytest.mark.parametrize(
    "body",
    [
        b'{"code":"200","message":"success","data":{}}',
        b'{"code":200.0,"message":"success","data":{}}',
        b'{"code":true}',
        b'{"msg":"success"}',
        b"[200]",
        b"200",
        b'{"code":200',
    ],
)
async def test_200_with_a_code_that_is_not_the_integer_200(tmp_path, body):
    await row(tmp_path, bad.answer(200, body), "the reply is not the documented JSON with an integer code")


@pytest.mark.parametrize("status", [401, 403, 404, 405, 410, 413, 421])
async def test_a_page_of_a_proxy_in_front(tmp_path, status):
    page = bad.answer(status, b"<html>default backend</html>", "content-type: text/html")
    reason = f"HTTP {status} without the documented JSON, as from a proxy; check event_dest"
    await row(tmp_path, page, reason)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(201, SUCCESS, id="201"),
        pytest.param(202, SUCCESS, id="202"),
        pytest.param(200, b"\xef\xbb\xbf" + SUCCESS, id="byte order mark"),
        pytest.param(200, SUCCESS.decode().encode("utf-16"), id="UTF-16"),
        pytest.param(201, SUCCESS + b"\0", id="NUL"),
        pytest.param(200, '{"code":200,"message":"誠收成功","data":{}}'.encode("gbk"), id="GBK"),
        pytest.param(200, b'{"code":200,"message":"a\tb","data":{}}\r\n', id="tab"),
    ],
)
async def test_a_success_that_is_wrapped_in_an_unusual_way(tmp_path, status, body):
    unusual = bad.stores_and_answers(status, body, "content-type: application/json")
    async with BadReceiver(unusual) as receiver, line(tmp_path, receiver.url, run=True) as made:
        await made.records(EVENTS)
        await recovers(made, receiver)


async def test_a_receiver_that_ends_its_lines_with_line_feeds_alone(tmp_path):
    async def bare(peer: Peer) -> None:
        request = await peer.request()
        if request is not None:
            peer.receiver.stored.append(request)
            await peer.send(b"HTTP/1.1 200 OK\ncontent-length: 42\ncontent-length: 42\n\n" + SUCCESS)

    async with BadReceiver(bare) as receiver, line(tmp_path, receiver.url, run=True) as made:
        await made.records(EVENTS)
        await recovers(made, receiver)


async def test_200_with_code_500(tmp_path):
    """A refusal is said of the event; but a receiver that accepts none of them says nothing about any."""
    refusal = bad.answer(200, b'{"code":500,"message":"no","data":{}}')
    async with BadReceiver(refusal) as receiver, line(tmp_path, receiver.url, run=True) as made:
        await made.records(EVENTS)
        await until(lambda: len(receiver.requests) > 15 * len(EVENTS))
        kept(await made.status())
        receiver.behave(bad.good)
        await recovers(made, receiver)


async def test_200_with_code_500_for_some_events(tmp_path):
    """They end in the dead letters, and can be retried from there."""
    some = set(EVENTS[::4])

    def refuses_some(request: Request) -> tuple[int, bytes]:
        return 200, b'{"code":500,"message":"no","data":{}}' if request.name() in some else SUCCESS

    async with (
        BadReceiver(bad.choose(refuses_some)) as receiver,
        line(tmp_path, receiver.url, run=True) as made,
    ):
        await made.records(EVENTS)
        await until(lambda: len(receiver.stored) == len(EVENTS) - len(some))
        await made.records(["n1", "n2", "n3"])  # whatever was refused first, three are accepted after it
        status = await made.drained()
        assert (status.delivered, status.dead) == (len(EVENTS) - len(some) + 3, len(some))
        receiver.behave(bad.good)
        await made.outbox.retry_dead()
        await made.drained()
    assert sorted(names(receiver)) == sorted([*EVENTS, "n1", "n2", "n3"])


async def test_200_with_code_500_for_a_while(tmp_path):
    refusal = bad.answer(200, b'{"code":500,"message":"no","data":{}}')
    async with BadReceiver(refusal) as receiver, line(tmp_path, receiver.url, run=True) as made:
        await made.records(EVENTS)
        await until(lambda: len(receiver.requests) > len(EVENTS))
        receiver.behave(bad.good)
        await recovers(made, receiver)


async def test_302(tmp_path):
    async with BadReceiver(bad.good) as elsewhere:
        await row(tmp_path, bad.answer(302, SUCCESS, f"location: {elsewhere.url}"), "HTTP 302")
        assert elsewhere.connections == 0


async def test_a_reply_of_1_gb(tmp_path):
    receiver = await row(tmp_path, bad.endless, "the reply is larger than 64 KB", memory=POURING)
    assert receiver.sent < 200_000_000


async def test_a_reply_of_1_gb_in_chunks(tmp_path):
    receiver = await row(tmp_path, bad.endless_chunks, "the reply is larger than 64 KB", memory=POURING)
    assert receiver.sent < 200_000_000


async def test_a_gzip_bomb(tmp_path):
    await row(tmp_path, bad.bomb(), "the reply is larger than 64 KB")


async def test_chunked_garbage(tmp_path):
    garbage = bad.raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n" + SUCCESS)
    await row(tmp_path, garbage, "the chunks of the reply are broken")


async def test_a_content_length_that_is_too_large(tmp_path):
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n"
    await row(tmp_path, bad.raw(head + SUCCESS), "the reply was cut off")


async def test_a_content_length_that_is_too_small(tmp_path):
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n"
    not_json = "the reply is not the documented JSON with an integer code"
    await row(tmp_path, bad.raw(head + SUCCESS), not_json)


async def test_a_content_length_that_is_no_number(tmp_path):
    head = b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n"
    await row(tmp_path, bad.raw(head + SUCCESS), "the reply has a broken Content-Length")


async def test_no_http_at_all(tmp_path):
    await row(tmp_path, bad.raw(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"), "the reply is not HTTP")


# -- TLS


async def tls_row(folder: Path, tls: ssl.SSLContext, reason: str | tuple[str, ...]) -> None:
    """An https receiver with this certificate; afterwards one with a good certificate at the same port."""
    trusting = settings(ca_file=str(certificates.ca_file(folder)))
    async with (
        BadReceiver(bad.good, tls=tls) as receiver,
        line(folder, receiver.url, settings=trusting, run=True) as made,
    ):
        await made.records(EVENTS)
        await until(lambda: made.pusher.status().failures >= 4)
        kept(await made.status())
        assert (made.pusher.status().reason or "").startswith(reason)
        assert receiver.requests == [], "not a byte of an event has left"
        await receiver.refuse()
        receiver.tls = certificates.trusted()
        await receiver.listen()
        await recovers(made, receiver)


@pytest.mark.parametrize(
    ("tls", "reason"),
    [
        pytest.param(certificates.expired, "TLS: certificate has expired", id="expired"),
        pytest.param(
            lambda: certificates.self_signed()[0], "TLS: unable to get local issuer", id="self-signed"
        ),
        pytest.param(certificates.for_another_host, "TLS: IP address mismatch", id="for another host"),
        pytest.param(certificates.tls_1_0_only, ("TLS: ", "connection reset"), id="TLS 1.0 only"),
    ],
)
async def test_a_certificate_or_protocol_that_is_not_to_be_trusted(
    tmp_path, tls: Callable[[], ssl.SSLContext], reason
):
    await tls_row(tmp_path, tls(), reason)


async def test_https_to_a_receiver_that_speaks_http(tmp_path):
    async with BadReceiver(bad.good) as receiver:
        url = receiver.url.replace("http", "https")
        async with line(tmp_path, url, settings=settings(**HASTY), run=True) as made:
            await made.records(EVENTS)
            await until(lambda: made.pusher.status().failures >= 4)
            kept(await made.status())
            assert receiver.requests == []


async def test_http_to_a_receiver_that_speaks_https(tmp_path):
    async with BadReceiver(bad.good, tls=certificates.trusted()) as receiver:
        url = receiver.url.replace("https", "http")
        async with line(tmp_path, url, run=True) as made:
            await made.records(EVENTS)
            await until(lambda: made.pusher.status().failures >= 4)
            kept(await made.status())
            assert receiver.requests == []


async def test_a_handshake_that_never_ends(tmp_path):
    async with BadReceiver(bad.silence) as receiver:
        url = receiver.url.replace("http", "https")
        async with line(tmp_path, url, settings=settings(**HASTY), run=True) as made:
            await made.records(EVENTS)
            await until(lambda: made.pusher.status().failures >= 2)
            kept(await made.status())
            assert made.pusher.status().reason == "time-out while connecting"


async def test_events_that_are_recorded_during_the_outage_wait_for_their_turn(tmp_path):
    async with BadReceiver(bad.answer(500)) as receiver, line(tmp_path, receiver.url, run=True) as made:
        for n in range(0, len(EVENTS), 4):
            await made.records(EVENTS[n : n + 4])
        await until(lambda: made.pusher.status().failures >= 2)
        await asyncio.gather(*(made.status() for _ in range(5)))
        receiver.behave(bad.good)
        await recovers(made, receiver)
