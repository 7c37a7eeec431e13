"""A terminal's service as the receiver talks to it: the real one, and one that behaves badly."""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.fleet.double import ADMIN, Double

from gatepost import wire
from gatepost.egress import PRIVATE, Egress
from gatepost.errors import SettingsError
from gatepost.fleet.client import Account, TerminalClient, checked_address
from gatepost.fleet.failures import (
    AnotherCertificate,
    AnotherTerminal,
    FleetError,
    NotAllowed,
    NoTerminal,
    TerminalAway,
    TerminalRefused,
    WrongAccount,
)


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Double]:
    made = await Double(tmp_path / "door").open()
    yield made
    await made.close()


async def test_a_terminal_says_who_it_is_before_a_password_is_sent(door: Double) -> None:
    async with TerminalClient(door.address) as client:
        with pytest.raises(FleetError, match="look who it is"):
            await client.login(ADMIN)
        seen = await client.look()

    assert (seen.serial, seen.model) == ("SN-7", "T-1")
    place = ("127.0.0.1", int(door.address.rpartition(":")[2]))
    shown = await asyncio.to_thread(ssl.get_server_certificate, place)
    assert seen.pin == hashlib.sha256(ssl.PEM_cert_to_DER_cert(shown)).digest()
    assert seen.clock_error_s is not None
    assert abs(seen.clock_error_s) < 60


async def test_its_address_is_read_set_and_read_back(door: Double) -> None:
    async with TerminalClient(door.address) as client:
        await client.look()
        await client.login(ADMIN)
        assert await client.subscription() is None
        await client.subscribe("https://example.com/Record/token")
        shown = await client.subscription()
    # It shows no credential of the address.
    assert shown == wire.Subscription("https://example.com/Record/***", True)
    assert await door.terminal.subscription() == wire.Subscription("https://example.com/Record/token", True)


async def test_its_history_comes_in_pages(door: Double) -> None:
    await door.terminal.outbox.subscribe(wire.Subscription("http://127.0.0.1:9/Record", True))
    for second in range(5):
        await door.terminal.record(
            wire.Record(
                serial="SN-7",
                uuid=f"u-{second}",
                recorded_at=datetime.fromtimestamp(1_700_000_000 + second, UTC),
            )
        )
    async with TerminalClient(door.address) as client:
        await client.look()
        await client.login(ADMIN)
        first = await client.history(1_700_000_001, 1_700_000_003, limit=2)
        second_page = await client.history(1_700_000_001, 1_700_000_003, offset=2, limit=2)

    assert (first.total, second_page.total) == (3, 3)
    found = [json.loads(bytes(item))["uuid"] for item in (*first.items, *second_page.items)]
    assert found == ["u-1", "u-2", "u-3"]


async def test_a_wrong_password_is_said_and_not_tried_again(door: Double) -> None:
    async with TerminalClient(door.address) as client:
        await client.look()
        with pytest.raises(WrongAccount, match="password is wrong"):
            await client.login(Account("admin", "another"))
        with pytest.raises(WrongAccount, match="does not know this account"):
            await client.login(Account("someone", "another"))
        with pytest.raises(WrongAccount, match="wants a login"):
            await client.subscription()


async def test_no_password_goes_to_another_certificate(door: Double, tmp_path: Path) -> None:
    async with TerminalClient(door.address) as client:
        pin = (await client.look()).pin
    impostor = await Double(tmp_path / "impostor").open()
    try:
        async with TerminalClient(impostor.address, serial="SN-7", pin=pin) as client:
            with pytest.raises(AnotherCertificate, match="adopt it again"):
                await client.look()
    finally:
        await impostor.close()


async def test_no_password_goes_to_another_terminal_at_its_address(door: Double) -> None:
    """Two that were swapped by DHCP."""
    async with TerminalClient(door.address, serial="SN-8") as client:
        with pytest.raises(AnotherTerminal, match="is terminal SN-7 now, not SN-8"):
            await client.look()
        assert client.token is None


async def test_how_far_a_clock_is_off_is_told(tmp_path: Path) -> None:
    late = await Double(tmp_path / "late", "SN-7", "clock=-8").open()
    try:
        async with TerminalClient(late.address) as client:
            error = (await client.look()).clock_error_s
        assert error is not None
        assert abs(error + 8 * 3600) < 60
    finally:
        await late.close()


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def double() -> AsyncIterator[Callable[[Handler], Awaitable[TerminalClient]]]:
    """Serve one reply for everything, over plain HTTP: a double of a terminal that behaves badly."""
    async with AsyncExitStack() as stack:

        async def serve(handler: Handler) -> TerminalClient:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", handler)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            address = f"http://127.0.0.1:{runner.addresses[0][1]}"
            return await stack.enter_async_context(TerminalClient(address, timeout_s=0.5))

        yield serve


def says(value: Any, status: int = 200, **headers: str) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return web.Response(body=body, status=status, headers=headers)

    return handler


OK = {"code": 200, "msg": "OK", "data": None}


@pytest.mark.parametrize(
    ("handler", "error", "said"),
    [
        (says(b"<html>login</html>"), NoTerminal, "no JSON of a terminal"),
        (says(OK), NoTerminal, "says no serial"),
        (says(OK, sn=" "), NoTerminal, "says no serial"),
        (says({"code": 500, "msg": "Internal Server Error", "data": None}, 500), TerminalRefused, "code 500"),
        (says({"code": 404, "msg": "Not Found"}, 404), TerminalRefused, "code 404"),
        (says(b"[1, 2]"), NoTerminal, "no JSON"),
        (says(b"x" * 100_000), TerminalAway, "more than 64 KB"),
        (says(OK, 302, location="http://127.0.0.1:1/"), NoTerminal, "says no serial"),
    ],
)
async def test_what_is_no_terminal_is_told(
    double: Any, handler: Handler, error: type[FleetError], said: str
) -> None:
    client = await double(handler)
    with pytest.raises(error, match=said):
        await client.look()


async def test_the_token_of_a_login_goes_to_no_peer_that_was_not_looked_at(double: Any) -> None:
    shown: list[tuple[str, str | None]] = []

    async def reply(request: web.Request) -> web.Response:
        shown.append((request.path, request.headers.get("Authorization")))
        return web.json_response(OK, headers={"sn": "SN-7"})

    client = await double(reply)
    client.token = "of a login before"
    await client.look()
    await client.subscription()
    assert shown == [("/v2/datasync/ping", None), ("/v1/event/subscribe", "Bearer of a login before")]


async def test_an_endless_reply_ends(double: Any) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse()
        await reply.prepare(request)
        while True:
            await reply.write(b" " * 4096)

    client = await double(endless)
    with pytest.raises(TerminalAway):
        await client.look()


async def test_one_that_never_replies_is_away(double: Any) -> None:
    async def never(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    client = await double(never)
    with pytest.raises(TerminalAway, match="in time"):
        await client.look()


async def test_nothing_listens_there() -> None:
    async with TerminalClient("https://127.0.0.1:9") as client:
        with pytest.raises(TerminalAway, match=r"cannot be reached: Connection refused$"):
            await client.look()


async def test_what_another_tool_wrote_is_read_as_it_is(double: Any) -> None:
    client = await double(
        says({"code": 200, "msg": "OK", "data": {"event_dest": "what ever", "enabled": True}})
    )
    assert await client.subscription() == wire.Subscription("what ever", True)


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("192.0.2.7", "https://192.0.2.7:8000"),
        (" door-3 ", "https://door-3:8000"),
        ("door-3:8443", "https://door-3:8443"),
        ("https://192.0.2.7:8000/", "https://192.0.2.7:8000"),
        ("http://192.0.2.7", "http://192.0.2.7:8000"),
        ("[2001:db8::7]:8000", "https://[2001:db8::7]:8000"),
    ],
)
def test_an_address_is_read_as_people_type_it(typed: str, address: str) -> None:
    assert checked_address(typed) == address


@pytest.mark.parametrize("typed", ["", "ftp://x", "https://user@x", "https://x/path", "x:99999", "[::"])
def test_what_is_no_address_is_said(typed: str) -> None:
    with pytest.raises(SettingsError, match="address"):
        checked_address(typed)


@pytest.mark.parametrize(
    "address", ["https://127.0.0.1:{port}", "https://localhost:{port}", "https://127.1:{port}"]
)
@pytest.mark.parametrize("pinned", [False, True])
async def test_nothing_is_sent_where_no_request_may_go(door: Double, address: str, pinned: bool) -> None:
    place = address.format(port=door.address.rpartition(":")[2])
    egress = Egress(PRIVATE, setting="fleet_networks")
    async with TerminalClient(place, egress=egress, pin=b"x" * 32 if pinned else None) as client:
        with pytest.raises(NotAllowed, match="fleet_networks"):
            await client.look()


async def test_it_is_reached_where_its_network_is_named(door: Double) -> None:
    async with TerminalClient(door.address, egress=Egress(["127.0.0.0/8"])) as client:
        assert (await client.look()).serial == "SN-7"
        await client.login(ADMIN)
        token = client.token
    async with TerminalClient(door.address, egress=Egress(["127.0.0.0/8"]), token=token) as client:
        await client.look()
        assert await client.subscription() is None


async def test_one_without_tls_says_how_to_write_its_address(tmp_path: Path) -> None:
    door = await Double(tmp_path / "door", tls=False).open()
    async with TerminalClient(door.address.replace("http:", "https:")) as client:
        with pytest.raises(TerminalAway, match="write http://"):
            await client.look()
    await door.close()
