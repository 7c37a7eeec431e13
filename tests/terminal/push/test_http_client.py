"""The transport: a reply or a reason, within its limits, over real sockets."""

import asyncio
import gc
import socket
import tracemalloc

import pytest
from tests.faults import bad_receiver as bad
from tests.faults import certificates
from tests.faults.bad_receiver import SUCCESS, BadReceiver, Peer, until

from gatepost.errors import SettingsError
from gatepost.terminal.push import connection
from gatepost.terminal.push.dns import resolve
from gatepost.terminal.push.http_client import HttpClient, NoReply, Timeouts
from gatepost.terminal.push.http_response import HttpResponse
from gatepost.terminal.push.target import header_lines
from gatepost.terminal.push.tls import Trust, fingerprint_of

HASTY = Timeouts(connect_s=0.3, send_s=0.3, reply_s=0.3)
"""For receivers that hang; with any other, a machine that stands still for a moment must not look like one."""
SIZE = 20_000_000
"""More bytes than the buffers of two sockets take."""
BODY = (b'{"type":0,"data":{"uuid":"', b"u1", b'"}}')


@pytest.fixture
async def transport():
    transport = HttpClient()
    yield transport
    await transport.close()


@pytest.fixture
async def hasty():
    transport = HttpClient(limits=HASTY)
    yield transport
    await transport.close()


async def post(transport: HttpClient, url: str, **headers: str) -> HttpResponse | NoReply:
    return await asyncio.wait_for(transport.post(url, header_lines(headers), BODY), 20)


async def test_a_post_arrives_whole_with_its_headers_and_gives_the_reply(transport):
    async with BadReceiver(bad.good) as receiver:
        reply = await post(transport, receiver.url + "?a=b", sn="T1", account="张")
    assert isinstance(reply, HttpResponse)
    assert (reply.status, reply.body) == (200, SUCCESS)
    (request,) = receiver.requests
    assert request.line == "POST /Record?a=b HTTP/1.1"
    assert request.body == b"".join(BODY)
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["sn"] == "T1"


async def test_one_connection_carries_many_requests(transport):
    async with BadReceiver(bad.good) as receiver:
        for _ in range(5):
            assert isinstance(await post(transport, receiver.url), HttpResponse)
    assert receiver.connections == 1


async def test_requests_at_once_have_a_connection_each_and_leave_them_for_the_next(transport):
    async with BadReceiver(bad.good) as receiver:
        for _ in range(3):
            await asyncio.gather(*(post(transport, receiver.url) for _ in range(4)))
    assert receiver.connections == 4


async def test_a_kept_connection_that_the_peer_closed_is_no_failure(transport):
    async def once(peer: Peer) -> None:
        await bad.good(peer)
        peer.writer.close()

    async with BadReceiver(once) as receiver:
        replies = [await post(transport, receiver.url) for _ in range(4)]
    assert all(isinstance(reply, HttpResponse) for reply in replies)


async def test_a_kept_connection_that_is_closed_when_the_request_comes_is_asked_again_on_a_fresh_one(
    transport,
):
    async def second_request_is_not_answered(peer: Peer) -> None:
        if len(receiver.requests) in (1, 3):
            await peer.request()
            peer.writer.close()
        else:
            await bad.good(peer)

    async with BadReceiver(second_request_is_not_answered) as receiver:
        assert isinstance(await post(transport, receiver.url), HttpResponse)
        assert isinstance(await post(transport, receiver.url), HttpResponse)
    assert [len(receiver.requests), receiver.connections] == [3, 2]


async def test_a_fresh_connection_that_is_closed_unanswered_is_not_asked_again(transport):
    async with BadReceiver(bad.raw(b"")) as receiver:
        assert await post(transport, receiver.url) == NoReply("closed without a reply")
    assert len(receiver.requests) == 1


async def test_a_kept_connection_is_closed_after_its_time():
    transport = HttpClient(limits=Timeouts(idle_s=0.01))
    async with BadReceiver(bad.good) as receiver:
        await post(transport, receiver.url)
        await until(lambda: receiver.open_now == 0)
        assert receiver.stored
    await transport.close()


async def test_a_connection_in_constant_use_is_given_up_after_its_time_and_the_name_looked_up_again():
    async with BadReceiver(bad.good) as before, BadReceiver(bad.good) as after:
        looked_up = 0

        async def moves(host: str, port: int):
            nonlocal looked_up
            looked_up += 1
            return await resolve("127.0.0.1", (before if looked_up == 1 else after).port)

        transport = HttpClient(resolver=moves, limits=Timeouts(kept_s=0.1))
        async with asyncio.timeout(20):
            while not after.stored:
                assert isinstance(await post(transport, "http://receiver.example/"), HttpResponse)
        assert len(before.stored) > 1, "it is kept until then"
        assert before.connections == 1
        await transport.close()
        kept = HttpClient(resolver=moves)
        for _ in range(5):
            await post(kept, "http://receiver.example/")
        assert looked_up == after.connections + 1
        await kept.close()


async def test_a_receiver_that_ends_its_lines_with_line_feeds_alone_is_understood(transport):
    reply = b"HTTP/1.1 200 OK\ncontent-length: 42\ncontent-length: 42\n\n" + SUCCESS

    async def bare(peer: Peer) -> None:
        if await peer.request() is not None:
            await peer.send(reply)

    async with BadReceiver(bare) as receiver:
        replies = [await post(transport, receiver.url) for _ in range(3)]
    assert [one.body for one in replies if isinstance(one, HttpResponse)] == [SUCCESS] * 3
    assert receiver.connections == 1


async def test_connections_of_an_address_that_is_no_longer_used_are_dropped(transport):
    async with BadReceiver(bad.good) as receiver:
        await post(transport, receiver.url)
        transport.drop_idle()
        await post(transport, receiver.url)
    assert receiver.connections == 2


async def test_bytes_that_nobody_asked_for_do_not_answer_the_next_request(transport):
    async def talkative(peer: Peer) -> None:
        if await peer.request() is not None:
            await peer.send(bad._plain(200, SUCCESS) + bad._plain(500, b"stray"))

    async with BadReceiver(talkative) as receiver:
        replies = [await post(transport, receiver.url) for _ in range(3)]
    assert [reply.status for reply in replies if isinstance(reply, HttpResponse)] == [200, 200, 200]
    assert receiver.connections == 3


async def test_a_refused_connection_is_a_reason(transport):
    async with BadReceiver(bad.good, listening=False) as receiver:
        assert await post(transport, receiver.url) == NoReply("connection refused", connected=False)


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (bad.reset_in_request, "connection reset"),
        (bad.reset_in_reply, "connection reset"),
        (bad.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{}"), "the reply was cut off"),
        (bad.raw(b"\x16\x03\x01"), "the reply is not HTTP"),
    ],
)
async def test_a_receiver_that_fails_is_a_reason(transport, behaviour, reason):
    async with BadReceiver(behaviour) as receiver:
        assert await post(transport, receiver.url) == NoReply(reason)


@pytest.mark.parametrize("behaviour", [bad.silence, bad.trickle(0.02)])
async def test_a_receiver_that_does_not_answer_is_a_time_out(hasty, behaviour):
    async with BadReceiver(behaviour) as receiver:
        assert await post(hasty, receiver.url) == NoReply(
            "time-out while waiting for the reply", timed_out=True
        )


@pytest.fixture(params=["acknowledged", "taken by the socket"])
def got_through(request, monkeypatch):
    """What counts as got through, where the kernel says what was acknowledged and where it does not."""
    if request.param != "acknowledged":
        monkeypatch.setattr(connection, "_TCP_INFO", None)


@pytest.mark.usefixtures("got_through")
async def test_a_receiver_that_reads_slowly_may_take_longer_than_the_limit():
    async def slow(peer: Peer) -> None:
        # the slowness is the behaviour itself; no test waits for it
        while len(received) < SIZE and (piece := await peer.reader.read(1 << 18)):
            received.extend(piece)
            await asyncio.sleep(len(piece) / 6_000_000)
        await peer.send(bad._plain(200, SUCCESS))

    received = bytearray()
    limits = Timeouts(send_s=1.5, reply_s=1.5)
    transport = HttpClient(limits=limits)
    async with BadReceiver(slow) as receiver:
        began = asyncio.get_running_loop().time()
        reply = await asyncio.wait_for(transport.post(receiver.url, b"", (b"x" * SIZE,)), 60)
        took = asyncio.get_running_loop().time() - began
        await transport.close()
    assert isinstance(reply, HttpResponse)
    assert took > 2 * limits.send_s


@pytest.mark.usefixtures("got_through")
async def test_a_receiver_that_does_not_read_is_a_time_out_while_sending(hasty):
    async with BadReceiver(bad.never_reads) as receiver:
        body = (b"x" * SIZE,)
        answer = await asyncio.wait_for(hasty.post(receiver.url, b"", body), 20)
    assert answer == NoReply("time-out while sending", timed_out=True)


async def test_an_address_that_cannot_be_used_is_a_reason(transport):
    assert await post(transport, "ftp://x/") == NoReply("the address cannot be used")


async def test_a_name_that_does_not_resolve_is_a_reason():
    async def no_such_name(host: str, port: int):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    transport = HttpClient(resolver=no_such_name)
    assert await post(transport, "http://receiver.example/") == NoReply(
        "the name of the receiver cannot be resolved",
        connected=False,
    )


async def test_a_name_that_can_be_none_is_a_reason(transport):
    answer = await post(transport, f"http://{'a' * 64}.example/")
    assert answer == NoReply(
        "the name of the receiver cannot be resolved: it is no host name", connected=False
    )


async def test_a_name_server_that_does_not_answer_is_a_time_out():
    async def hangs(host: str, port: int):
        await asyncio.Event().wait()

    transport = HttpClient(resolver=hangs, limits=Timeouts(connect_s=0.02))
    assert await post(transport, "http://receiver.example/") == NoReply(
        "time-out while connecting", connected=False, timed_out=True
    )


async def test_every_address_of_a_name_is_tried():
    async with BadReceiver(bad.good) as receiver, BadReceiver(bad.good, listening=False) as dead:

        async def two(host: str, port: int):
            return [*await resolve("127.0.0.1", dead.port), *await resolve("127.0.0.1", receiver.port)]

        transport = HttpClient(resolver=two)
        assert isinstance(await post(transport, "http://receiver.example/"), HttpResponse)
        await transport.close()


@pytest.mark.parametrize("behaviour", [bad.endless, bad.endless_chunks])
async def test_a_reply_of_1_gb_is_not_read(transport, behaviour):
    async with BadReceiver(behaviour) as receiver:
        reply = await post(transport, receiver.url)
    assert isinstance(reply, HttpResponse)
    assert (reply.status, reply.body) == (200, None)
    assert receiver.sent < 20_000_000, "what the sockets' buffers hold, but no more"


async def test_a_compression_bomb_costs_64_kb(transport):
    async with BadReceiver(bad.bomb()) as receiver:
        await post(transport, receiver.url)
        gc.collect()
        tracemalloc.start()
        try:
            reply = await post(transport, receiver.url)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert isinstance(reply, HttpResponse)
    assert reply.body is None
    assert peak < 1_000_000


async def test_a_redirect_is_a_reply_and_is_not_followed(transport):
    async with BadReceiver(bad.good) as elsewhere, BadReceiver(bad.good) as receiver:
        receiver.behave(bad.answer(302, b"", f"location: {elsewhere.url}"))
        reply = await post(transport, receiver.url)
    assert isinstance(reply, HttpResponse)
    assert (reply.status, elsewhere.requests) == (302, [])


async def test_a_reply_before_the_whole_request_is_read_does_not_leave_the_rest_in_the_way(transport):
    async def hasty(peer: Peer) -> None:
        if not peer.receiver.sent:
            await peer.reader.readexactly(10)
            peer.receiver.sent = 1
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await peer.send(bad._plain(200, SUCCESS))
            await asyncio.Event().wait()
        await bad.good(peer)

    async with BadReceiver(hasty) as receiver:
        early = await asyncio.wait_for(transport.post(receiver.url, b"", (b"x" * 20_000_000,)), 20)
        assert isinstance(early, HttpResponse)
        assert isinstance(await post(transport, receiver.url), HttpResponse)
    assert [request.body for request in receiver.stored] == [b"".join(BODY)]


async def test_cancelling_a_post_closes_its_connection(transport):
    async with BadReceiver(bad.silence) as receiver:
        request = asyncio.create_task(transport.post(receiver.url, b"", BODY))
        await until(lambda: receiver.requests)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        receiver.behave(bad.good)
        await until(lambda: receiver.open_now == 0)
        assert isinstance(await post(transport, receiver.url), HttpResponse)


async def test_closing_ends_requests_under_way_and_refuses_new_ones():
    transport = HttpClient()
    async with BadReceiver(bad.silence) as receiver:
        request = asyncio.create_task(transport.post(receiver.url, b"", BODY))
        await until(lambda: receiver.requests)
        await transport.close()
        assert await request == NoReply("the client is closed")
        assert await post(transport, receiver.url) == NoReply("the client is closed")
        await transport.close()


class TestTls:
    async def test_a_trusted_receiver_is_pushed_to(self, tmp_path):
        transport = HttpClient(trust=Trust(ca_file=certificates.ca_file(tmp_path)))
        async with BadReceiver(bad.good, tls=certificates.trusted()) as receiver:
            replies = [await post(transport, receiver.url) for _ in range(3)]
            await transport.close()
        assert all(isinstance(reply, HttpResponse) for reply in replies)
        assert receiver.connections == 1

    @pytest.mark.parametrize(
        ("tls", "reason"),
        [
            (certificates.expired, "TLS: certificate has expired"),
            (lambda: certificates.self_signed()[0], "TLS: "),
            (certificates.for_another_host, "TLS: IP address mismatch"),
            (certificates.tls_1_0_only, ("TLS: ", "connection reset")),
        ],
    )
    async def test_a_receiver_that_is_not_to_be_trusted_gets_no_request(self, tmp_path, tls, reason):
        transport = HttpClient(trust=Trust(ca_file=certificates.ca_file(tmp_path)))
        async with BadReceiver(bad.good, tls=tls()) as receiver:
            answer = await post(transport, receiver.url)
            await transport.close()
        assert isinstance(answer, NoReply)
        assert answer.reason.startswith(reason)
        assert receiver.requests == []

    async def test_a_receiver_that_never_shakes_hands_is_a_time_out(self):
        transport = HttpClient(limits=HASTY)
        async with BadReceiver(bad.silence) as receiver:
            answer = await post(transport, receiver.url.replace("http", "https"))
            await transport.close()
        assert answer == NoReply("time-out while connecting", connected=False, timed_out=True)

    async def test_a_receiver_that_shakes_hands_and_does_not_reply_is_a_time_out(self):
        hasty = Timeouts(send_s=HASTY.send_s, reply_s=HASTY.reply_s)
        transport = HttpClient(limits=hasty, trust=Trust(verify=False))
        async with BadReceiver(bad.silence, tls=certificates.self_signed()[0]) as receiver:
            answer = await post(transport, receiver.url)
            await transport.close()
        assert answer == NoReply("time-out while waiting for the reply", timed_out=True)

    async def test_without_verification_any_certificate_will_do(self):
        transport = HttpClient(trust=Trust(verify=False))
        async with BadReceiver(bad.good, tls=certificates.self_signed()[0]) as receiver:
            assert isinstance(await post(transport, receiver.url), HttpResponse)
            await transport.close()

    async def test_a_pinned_certificate_is_trusted_and_no_other(self):
        tls, der = certificates.self_signed()
        transport = HttpClient(trust=Trust(fingerprint=fingerprint_of(der)))
        async with BadReceiver(bad.good, tls=tls) as receiver:
            assert isinstance(await post(transport, receiver.url), HttpResponse)
        async with BadReceiver(bad.good, tls=certificates.trusted()) as impostor:
            answer = await post(transport, impostor.url)
        await transport.close()
        assert answer == NoReply("the receiver's certificate is not the pinned one", connected=False)
        assert impostor.requests == []

    async def test_the_terminal_identifies_itself_with_its_certificate(self, tmp_path):
        ca_file = certificates.ca_file(tmp_path)
        cert, key = certificates.client_files(tmp_path)
        named = HttpClient(trust=Trust(ca_file=ca_file, client_cert=cert, client_key=key))
        nameless = HttpClient(trust=Trust(ca_file=ca_file))
        async with BadReceiver(bad.good, tls=certificates.asks_for_a_client()) as receiver:
            assert isinstance(await post(named, receiver.url), HttpResponse)
            assert isinstance(await post(nameless, receiver.url), NoReply)
            await named.close()
            await nameless.close()

    def test_files_that_cannot_be_used_are_told_at_the_start(self, tmp_path):
        with pytest.raises(SettingsError, match="ca_file"):
            HttpClient(trust=Trust(ca_file=tmp_path / "absent")).check()


class TestProxy:
    async def test_http_goes_through_the_proxy_with_the_whole_address(self):
        async with BadReceiver(bad.good) as proxy:
            transport = HttpClient(proxies={"http": f"http://u:p@127.0.0.1:{proxy.port}"})
            assert isinstance(await post(transport, "http://receiver.example/Record"), HttpResponse)
            await transport.close()
        assert proxy.requests[0].line == "POST http://receiver.example/Record HTTP/1.1"
        assert proxy.requests[0].headers["proxy-authorization"] == "Basic dTpw"

    async def test_https_goes_through_a_tunnel_and_the_proxy_sees_nothing(self, tmp_path):
        asked: list[str] = []

        async def tunnel(peer: Peer) -> None:
            head = await peer.reader.readuntil(b"\r\n\r\n")
            asked.append(head.decode().split("\r\n")[0])
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", receiver.port)
            await peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")

            async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                while data := await reader.read(65536):
                    assert b"uuid" not in data
                    writer.write(data)

            try:
                await asyncio.gather(copy(peer.reader, far_writer), copy(far_reader, peer.writer))
            finally:
                far_writer.transport.abort()

        async with (
            BadReceiver(bad.good, tls=certificates.trusted()) as receiver,
            BadReceiver(tunnel) as proxy,
        ):
            transport = HttpClient(
                trust=Trust(ca_file=certificates.ca_file(tmp_path)),
                proxies={"https": f"http://127.0.0.1:{proxy.port}"},
            )
            replies = [await post(transport, receiver.url) for _ in range(2)]
            await transport.close()
        assert all(isinstance(reply, HttpResponse) for reply in replies)
        assert asked == [f"CONNECT 127.0.0.1:{receiver.port} HTTP/1.1"]
        assert len(receiver.stored) == 2

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (b"HTTP/1.1 403 Forbidden\r\n\r\n", "the proxy refused: HTTP 403"),
            (b"SSH-2.0\r\n\r\n", "the proxy refused: HTTP "),
            (b"", "the proxy gave no reply that can be used"),
            (b"x" * 10_000, "the proxy gave no reply that can be used"),
        ],
    )
    async def test_a_proxy_that_gives_no_tunnel_is_a_reason(self, answer, reason):
        async with BadReceiver(bad.raw(answer)) as proxy:
            transport = HttpClient(proxies={"https": f"http://127.0.0.1:{proxy.port}"})
            assert await post(transport, "https://receiver.example/") == NoReply(reason, connected=False)

    async def test_a_proxy_that_asks_for_credentials_has_not_refused_the_event(self):
        async with BadReceiver(bad.answer(407)) as proxy:
            transport = HttpClient(proxies={"http": f"http://127.0.0.1:{proxy.port}"})
            assert await post(transport, "http://receiver.example/") == NoReply(
                "the proxy asks for credentials"
            )
            await transport.close()

    async def test_hosts_that_no_proxy_names_are_reached_directly(self):
        async with BadReceiver(bad.good) as receiver:
            transport = HttpClient(proxies={"http": "http://127.0.0.1:1", "no": "127.0.0.1"})
            assert isinstance(await post(transport, receiver.url), HttpResponse)
            await transport.close()

    async def test_the_environment_says_nothing_unless_it_is_handed_over(self, monkeypatch):
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        transport = HttpClient()
        async with BadReceiver(bad.good) as receiver:
            assert isinstance(await post(transport, receiver.url), HttpResponse)
        await transport.close()

    def test_a_proxy_that_cannot_be_used_is_told_at_the_start(self):
        with pytest.raises(SettingsError, match="proxy"):
            HttpClient(proxies={"https": "socks5://proxy:1080"})


@pytest.mark.parametrize("dribbles", [False, True])
async def test_a_handshake_of_tls_that_does_not_move_is_given_up(hasty, dribbles):
    async def hold_up(peer: Peer) -> None:
        peer.writer.write(b"\x16\x03\x03\x40\x00")  # a record of 16 KB
        while True:
            await asyncio.sleep(0.02)  # slow is what it is
            peer.writer.write(b"\x02" if dribbles else b"")
            await peer.writer.drain()

    async with BadReceiver(hold_up) as receiver:
        found = await post(hasty, receiver.url.replace("http:", "https:"))
    assert found == NoReply("time-out while connecting", connected=False, timed_out=True)


@pytest.mark.parametrize("is_busy", [False, True])
async def test_a_connection_has_more_time_where_others_have_pushes_under_way(is_busy):
    resolving = asyncio.Event()

    async def resolves_late(host: str, port: int):
        if host == "late.example":
            resolving.set()
            await asyncio.sleep(0.5)  # the way is long, which is the behaviour itself
        return await resolve("127.0.0.1", port)

    async with BadReceiver(bad.silence) as busy, BadReceiver(bad.good) as receiver:
        transport = HttpClient(resolver=resolves_late, limits=Timeouts(connect_s=0.1))
        pushing = asyncio.create_task(transport.post(busy.url, b"", [bytes(20_000)]))
        if is_busy:
            await until(lambda: busy.requests)
        else:
            pushing.cancel()
        found = await post(transport, f"http://late.example:{receiver.port}/")
        assert resolving.is_set()
        assert isinstance(found, HttpResponse if is_busy else NoReply)
        await transport.close()
        await asyncio.wait([pushing])


async def test_connections_that_are_being_made_give_each_other_no_more_time():
    async def hangs(host: str, port: int):
        await asyncio.Event().wait()

    transport = HttpClient(resolver=hangs, limits=Timeouts(connect_s=0.1))
    async with asyncio.timeout(20):
        found = await asyncio.gather(
            *(transport.post("http://receiver.example/", b"", [bytes(100_000)]) for _ in range(8))
        )
    assert found == [NoReply("time-out while connecting", connected=False, timed_out=True)] * 8
    await transport.close()
