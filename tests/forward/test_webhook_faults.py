"""Whatever a destination does on the wire, it is said what that means for the event, and in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.faults import certificates
from tests.forward.kit import hooked
from tests.receiver.kit import Clock
from tests.test_egress import event

from gatepost.egress import Egress
from gatepost.forward.options.destination import decode
from gatepost.forward.options.secrets import decode_secrets
from gatepost.forward.sinks import Closed, Result
from gatepost.forward.sinks.webhook import Webhook, signature, signing_key
from gatepost.wire import Delivered, Refused, Unreachable

Script = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[str]:
    """A server that reads a request and then does what the script has it do; yields its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            await script(writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()


async def sent(
    url: str, *, secrets: Any = None, now: Callable[[], float] | None = None, **told: Any
) -> Result:
    """Send an event; return what came of it."""
    destination = decode({"kind": "webhook", "url": url, "timeout_s": 60, **told})
    options: dict[str, Any] = {} if now is None else {"now": now}
    sink = Webhook(destination, decode_secrets(secrets or {}), Egress(["127.0.0.0/8"]), **options)
    try:
        return (await sink.send([event()]))[0]
    finally:
        await sink.close()


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (200, Delivered),
        (204, Delivered),
        (299, Delivered),
        (301, Refused),
        (304, Refused),
        (308, Refused),
        (400, Refused),
        (401, Refused),
        (404, Refused),
        (408, Unreachable),
        (410, Closed),
        (413, Refused),
        (429, Unreachable),
        (500, Refused),
        (503, Unreachable),
    ],
)
async def test_what_a_status_means(status: int, meaning: type[Any]) -> None:
    async with hooked() as hook:
        hook.reply = lambda _: web.Response(status=status)
        result = await sent(hook.url)
    assert isinstance(result.outcome, meaning)
    assert result.status == f"HTTP {status}"


@pytest.mark.parametrize(
    "said", ["99999999999999999999", "-5", "never", "", "Mon, 99 Foo 2024 00:00:00 GMT", "1e9"]
)
async def test_an_absurd_retry_after_is_survived(said: str) -> None:
    async with hooked() as hook:
        hook.reply = lambda _: web.Response(status=503, headers={"Retry-After": said})
        result = await sent(hook.url)
    assert isinstance(result.outcome, Unreachable)


async def test_a_reply_that_is_lost_says_nothing() -> None:
    async with hooked() as hook:
        hook.reply = lambda _: None
        result = await sent(hook.url)
    assert len(hook.requests) == 1
    assert isinstance(result.outcome, Unreachable)


@pytest.mark.parametrize(("status", "meaning"), [(200, Delivered), (422, Refused), (503, Unreachable)])
async def test_half_a_body_changes_nothing(status: int, meaning: type[Any]) -> None:
    async def half(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 %d Said\r\nContent-Length: 100\r\n\r\nhalf" % status)
        await writer.drain()

    async with scripted(half) as url:
        assert isinstance((await sent(url)).outcome, meaning)


async def test_a_body_that_never_comes_changes_nothing() -> None:
    is_over = asyncio.Event()

    async def silent(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        await is_over.wait()

    async with scripted(silent) as url:
        while not isinstance((result := await sent(url, timeout_s=1)).outcome, Delivered):
            assert result.outcome == Unreachable(
                "no reply within 1 s"
            )  # on a busy machine: not even the head
        is_over.set()


async def test_half_a_head_says_nothing() -> None:
    async def half(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200")
        await writer.drain()

    async with scripted(half) as url:
        assert isinstance((await sent(url)).outcome, Unreachable)


async def test_what_is_no_http_says_nothing() -> None:
    async def nonsense(writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\xff" * 1000)
        await writer.drain()

    async with scripted(nonsense) as url:
        assert isinstance((await sent(url)).outcome, Unreachable)


async def test_an_endless_body_is_not_read_to_its_end() -> None:
    is_cut_off = asyncio.Event()

    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
                await writer.drain()
        except ConnectionError:
            is_cut_off.set()

    async with scripted(endless) as url:
        result = await sent(url)
        assert isinstance(result.outcome, Delivered)
        assert len(result.reply) <= 2048
        async with asyncio.timeout(60):
            await is_cut_off.wait()


async def test_a_reply_after_the_time_out_is_none() -> None:
    is_over = asyncio.Event()

    async def late(writer: asyncio.StreamWriter) -> None:
        await is_over.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with scripted(late) as url:
        result = await sent(url, timeout_s=1)
        is_over.set()
    assert isinstance(result.outcome, Unreachable)
    assert result.outcome.reason == "no reply within 1 s"


async def test_a_server_that_is_not_there_says_nothing() -> None:
    async with scripted(_nothing) as url:
        pass
    result = await sent(url)
    assert isinstance(result.outcome, Unreachable)
    assert "cannot be reached" in result.outcome.reason


async def test_a_name_that_is_gone_says_nothing() -> None:
    result = await sent("http://nowhere.invalid/", timeout_s=1)
    assert isinstance(result.outcome, Unreachable)


@pytest.mark.parametrize("server", ["self-signed", "expired", "for another host", "no TLS"])
async def test_tls_that_cannot_be_trusted_says_nothing_and_is_sent_nothing(
    server: str, tmp_path: Path
) -> None:
    contexts = {
        "self-signed": certificates.self_signed()[0],
        "expired": certificates.expired(),
        "for another host": certificates.for_another_host(),
    }
    options = {"ssl_context": contexts[server]} if server in contexts else {}
    async with hooked(**options) as hook:
        url = hook.url.replace("http://", "https://")
        result = await sent(url, ca_file=str(certificates.ca_file(tmp_path)))
    assert isinstance(result.outcome, Unreachable)
    assert hook.requests == []


async def test_tls_of_an_authority_that_was_named_is_trusted(tmp_path: Path) -> None:
    async with hooked(ssl_context=certificates.trusted()) as hook:
        result = await sent(hook.url, ca_file=str(certificates.ca_file(tmp_path)))
    assert isinstance(result.outcome, Delivered)


async def test_a_secret_that_was_replaced_signs_until_its_time_is_over() -> None:
    old, new = "whsec_" + "b2xk" * 8, "whsec_" + "bmV3" * 8
    clock = Clock(1_000.0)
    secrets = {"signing": [{"value": new}, {"value": old, "until_ms": 2_000_000}]}
    async with hooked() as hook:
        await sent(hook.url, secrets=secrets, now=clock)
        clock.at = 2_000.0
        await sent(hook.url, secrets=secrets, now=clock)
    both, later = (headers["webhook-signature"] for headers, _ in hook.requests)
    assert both == signature([signing_key(new), signing_key(old)], "record-1", 1_000, b"{}")
    assert later == signature([signing_key(new)], "record-1", 2_000, b"{}")


async def _nothing(_: asyncio.StreamWriter) -> None:
    pass
