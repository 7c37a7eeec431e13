"""Bytes as they are, and values for whatever comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gatepost.conformance.raw_http import (
    BadTarget,
    Connection,
    NoResponse,
    Response,
    Target,
    chunked,
    handshake,
    request,
    show,
    shown,
)


@asynccontextmanager
async def answering(reply: bytes, *, hang: bool = False) -> AsyncIterator[Target]:
    """A server that answers these bytes to whatever comes, and closes unless it hangs."""
    stop = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(reply)
        if hang:
            await stop.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield Target.parse(f"http://127.0.0.1:{port}/Record?a=b")
    stop.set()
    server.close()
    await server.wait_closed()


async def asked(target: Target, timeout_s: float = 2.0) -> Response | NoResponse:
    async with Connection.open(target, timeout_s=timeout_s) as connection:
        await connection.send(*request(target, b"x"))
        return await connection.read()


def test_a_target_knows_where_requests_go() -> None:
    target = Target.parse("https://user@[::1]/Record/a%20b?c=1")
    assert (target.scheme, target.host, target.port, target.path) == (
        "https",
        "::1",
        443,
        "/Record/a%20b?c=1",
    )
    assert target.authority == "[::1]"
    assert target.at("/x").path == "/x"


@pytest.mark.parametrize("url", ["", "receiver:8080", "ftp://h/", "http://", "http://h:99999/"])
def test_what_is_no_address_is_said_to_be_none(url: str) -> None:
    with pytest.raises(BadTarget, match="no address to check"):
        Target.parse(url)


def test_a_request_is_what_was_asked_for_and_nothing_else() -> None:
    target = Target.parse("http://h:1/R")
    head, body = request(target, b"{}", [("A", "b")])
    assert head == b"POST /R HTTP/1.1\r\nHost: h:1\r\nA: b\r\nContent-Length: 2\r\n\r\n"
    assert body == b"{}"
    assert b"Length" not in request(target, b"{}", length=False)[0]


def test_chunks_are_written_as_the_standard_has_them() -> None:
    assert chunked(b"abcde", 3) == b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("reply", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x\r\nh\r\n1\r\ni\r\n0\r\nT: 1\r\n\r\n",
            b"hi",
        ),
        (b"HTTP/1.0 200 OK\r\n\r\nhi", b"hi"),
        (b"HTTP/1.1 204 None\r\n\r\n", b""),
    ],
    ids=["length", "interim", "chunked", "until the end", "no content"],
)
async def test_a_response_is_read_however_it_is_framed(reply: bytes, body: bytes) -> None:
    async with answering(reply) as target:
        answer = await asked(target)
    assert isinstance(answer, Response)
    assert answer.body == body


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (b"", "closed without a response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", "closed in the middle"),
        (b"SSH-2.0-x\r\n\r\n", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: no\r\n\r\n", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n", "no HTTP"),
    ],
)
async def test_what_is_no_response_is_nothing_with_a_reason(reply: bytes, why: str) -> None:
    async with answering(reply) as target:
        answer = await asked(target)
    assert isinstance(answer, NoResponse)
    assert why in answer.why


async def test_silence_ends_at_the_time_limit() -> None:
    async with answering(b"HTTP/1.1 200", hang=True) as target:
        answer = await asked(target, timeout_s=0.05)
    assert answer == NoResponse("no complete response within 0.05 s")


async def test_whether_a_connection_is_kept_is_told_by_its_version_and_header() -> None:
    def response(version: str, *headers: tuple[str, str]) -> Response:
        return Response(200, version, headers, b"", 0.0)

    assert response("HTTP/1.1").keeps
    assert not response("HTTP/1.1", ("connection", "Close")).keeps
    assert not response("HTTP/1.0").keeps
    assert response("HTTP/1.0", ("connection", "keep-alive")).keeps


async def test_a_peer_that_closes_is_noticed_and_one_that_waits_is_not_taken_for_it() -> None:
    async with answering(b"") as target, Connection.open(target) as connection:
        await connection.send(b"x")
        assert await connection.gone(timeout_s=2.0)
    async with answering(b"", hang=True) as target, Connection.open(target) as connection:
        await connection.send(b"x")
        assert not await connection.gone(timeout_s=0.05)


async def test_a_handshake_with_what_speaks_no_tls_is_an_error_and_not_a_version() -> None:
    async with answering(b"HTTP/1.1 400 no\r\n\r\n") as target:
        assert isinstance(await handshake(target), OSError)


async def test_an_authority_that_cannot_be_read_is_the_callers_mistake() -> None:
    with pytest.raises(BadTarget, match="--ca-file"):
        await handshake(Target.parse("https://127.0.0.1:1/"), ca_file="/nowhere.pem")


def test_portraits_are_not_shown_whole() -> None:
    text = show(b'{"rgb_image":"' + b"QUJD" * 1000 + b'","name":"' + "王五".encode() + b'"}')
    assert len(text) < 200
    assert "4000 characters" in text
    assert "王五" in text


def test_a_long_body_is_cut_and_says_how_long_it_was() -> None:
    assert "(9000 bytes in all)" in show(b"a b " * 2250)


def test_nothing_is_shown_with_its_reason() -> None:
    assert shown(NoResponse("no reply")) == "(no reply)"
    assert "HTTP/1.1 200" in shown(Response(200, "HTTP/1.1", (), b"{}", 0.0))
