"""A terminal that misbehaves, as the software around it meets it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from tests.fleet.double import ADMIN, Double

from gatepost import wire
from gatepost.errors import SettingsError
from gatepost.settings import TerminalServiceSettings
from gatepost.terminal.program import running
from gatepost.terminal.rehearsal.faults import Faults, parse
from gatepost.terminal.rehearsal.rehearsal import ANOTHER_TOOL, Timetable, exchange

BASIC = {"Authorization": aiohttp.encode_basic_auth(ADMIN.username, ADMIN.password)}
OURS = "http://127.0.0.1:9/Record/ours"
JPEG = b"\xff\xd8\xff\xe0 an image"


class Make:
    """Open doubles that are closed in the end, and ask them."""

    def __init__(self, folder: Path, stack: AsyncExitStack, session: aiohttp.ClientSession) -> None:
        self._folder, self._stack, self._session = folder, stack, session

    async def terminal(self, *options: str, serial: str = "SN-7") -> Double:
        double = await Double(self._folder / serial, serial, *options, tls=False).open()
        self._stack.push_async_callback(double.close)
        return double

    async def ask(self, double: Double, method: str, path: str, body: object = None, **more: Any) -> Any:
        more.setdefault("headers", BASIC)
        url = double.address + path
        async with self._session.request(method, url, json=body, **more) as reply:
            return msgspec.json.decode(await reply.read())

    async def subscription(self, double: Double) -> Any:
        return (await self.ask(double, "GET", "/v1/event/subscribe"))["data"]

    async def page(self, double: Double, offset: int = 0) -> Any:
        asked = {"begin_time": 1, "offset": offset, "limit": 2}
        return (await self.ask(double, "POST", "/v1/event/records", asked))["data"]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Make(tmp_path, stack, session)


async def recorded(double: Double, *, count: int) -> None:
    await double.terminal.subscribe(OURS, enabled=False)
    for second in range(count):
        at = datetime.fromtimestamp(1_700_000_000 + second, UTC)
        await double.terminal.record(wire.Record(uuid=f"u{second}", recorded_at=at, image=JPEG))


def test_what_is_due_happens_once_however_late_it_is() -> None:
    timetable = Timetable(Faults(forget=10.0, move=25.0), now=100.0)
    assert timetable.wait_s(100.0) == 10.0
    assert list(timetable.due(109.0)) == []
    assert list(timetable.due(131.0)) == ["forget", "move"]
    assert list(timetable.due(131.0)) == []
    assert timetable.wait_s(140.5) == 0.5
    assert Timetable(Faults(slow=3.0), now=0.0).wait_s(0.0) is None


async def test_it_forgets_at_a_reboot_where_events_go(make: Make) -> None:
    double = await make.terminal("forget=3600")
    await double.terminal.subscribe(OURS)
    token = (await make.ask(double, "POST", "/v1/auth/login", _login()))["data"]["token"]
    before = double.address
    await double.happens("forget")

    assert double.address == before
    assert await make.subscription(double) is None
    # Each login ended with it.
    bearer = {"Authorization": f"Bearer {token}"}
    told = await make.ask(double, "GET", "/v1/event/subscribe", headers=bearer)
    assert told["code"] == 401


async def test_what_happens_while_it_forgot_is_kept(make: Make) -> None:
    double = await make.terminal("forget=3600")
    await recorded(double, count=1)
    await double.happens("forget")
    await double.terminal.record(wire.Record(uuid="meanwhile"))
    assert (await double.terminal.status()).pending == 2


async def test_another_tool_sets_its_address_again_and_again(make: Make) -> None:
    double = await make.terminal("contested=3600")
    for _ in range(2):
        await double.terminal.subscribe(OURS)
        await double.happens("contested")
        assert await double.terminal.subscription() == ANOTHER_TOOL


async def test_things_happen_by_themselves_when_their_time_comes(make: Make) -> None:
    double = await make.terminal("contested=0.01")
    async with asyncio.timeout(10):
        while await double.terminal.subscription() != ANOTHER_TOOL:  # noqa: ASYNC110 (no one tells when it is set)
            await asyncio.sleep(0)


async def test_it_moves_to_another_port(make: Make) -> None:
    double = await make.terminal("move=3600")
    before = double.address
    await double.happens("move")
    assert double.address != before
    assert (await make.ask(double, "GET", "/v2/datasync/ping"))["code"] == 200
    with pytest.raises(aiohttp.ClientConnectorError):
        async with aiohttp.ClientSession() as http, http.get(f"{before}/v2/datasync/ping"):
            pass


async def test_two_exchange_their_addresses(make: Make) -> None:
    one, other = await make.terminal("swap"), await make.terminal("swap", serial="SN-8")
    await exchange(one.rehearsal, other.rehearsal)
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{one.address}/v2/datasync/ping") as first,
        http.get(f"{other.address}/v2/datasync/ping") as second,
    ):
        assert (first.headers["sn"], second.headers["sn"]) == ("SN-8", "SN-7")


async def test_its_certificate_changes(tmp_path: Path) -> None:
    double = await Double(tmp_path, "SN-7", "certificate=3600").open()
    try:
        before = await _certificate(double)
        await double.happens("certificate")
        assert await _certificate(double) != before
    finally:
        await double.close()


async def test_a_certificate_changes_only_where_there_is_one(make: Make) -> None:
    with pytest.raises(SettingsError, match="certificate needs a service that speaks TLS"):
        await make.terminal("certificate")


@pytest.mark.parametrize(
    ("kind", "login", "asked"),
    [("1000", 1000, 200), ("1001", 1001, 200), ("401", 200, 401), ("404", 404, 404), ("500", 500, 500)],
)
async def test_a_code_stands_for_the_right_reply(make: Make, kind: str, login: int, asked: int) -> None:
    double = await make.terminal(f"reply={kind}")
    assert (await make.ask(double, "GET", "/v2/datasync/ping", headers={}))["code"] == 200
    assert (await make.ask(double, "POST", "/v1/auth/login", _login(), headers={}))["code"] == login
    assert (await make.ask(double, "GET", "/v1/event/subscribe"))["code"] == asked


async def test_a_page_stands_for_the_right_reply(make: Make) -> None:
    double = await make.terminal("reply=html")
    with pytest.raises(msgspec.DecodeError):
        await make.subscription(double)


async def test_a_reply_never_ends(make: Make) -> None:
    double = await make.terminal("reply=endless")
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{double.address}/v1/event/subscribe") as reply,
    ):
        assert len(await reply.content.readexactly(1024 * 1024)) == 1024 * 1024


async def test_a_login_holds_for_less_than_was_asked_for(make: Make) -> None:
    double = await make.terminal("token=0.01")
    token = (await make.ask(double, "POST", "/v1/auth/login", _login()))["data"]["token"]
    bearer = {"Authorization": f"Bearer {token}"}
    async with asyncio.timeout(10):
        while True:
            told = await make.ask(double, "GET", "/v1/event/subscribe", headers=bearer)
            if told["code"] == 401:
                break
    assert "expired" in told["msg"]


async def test_it_keeps_to_itself_where_it_pushes_to(make: Make) -> None:
    double = await make.terminal("silent")
    told = await make.ask(double, "POST", "/v1/event/subscribe", {"event_dest": OURS, "enabled": True})
    assert told["code"] == 200
    assert await make.subscription(double) is None
    assert await double.terminal.subscription() == wire.Subscription(OURS, True)


async def test_it_is_another_terminal_with_another_clock(make: Make) -> None:
    double = await make.terminal("other-serial=SN-9", "clock=8")
    async with aiohttp.ClientSession() as http, http.get(f"{double.address}/v2/datasync/ping") as reply:
        assert reply.headers["sn"] == "SN-9"
        ahead_s = int(reply.headers["timestamp"]) / 1000 - datetime.now(UTC).timestamp()
    assert 7.9 < ahead_s / 3600 < 8.1


async def test_its_history_has_other_totals_on_each_page(make: Make) -> None:
    double = await make.terminal("history=totals", "history=no-uuid", "history=paths")
    await recorded(double, count=3)
    pages = [await make.page(double, offset) for offset in (0, 2)]
    assert [page["total"] for page in pages] == [4, 5]
    items = [item for page in pages for item in page["items"]]
    assert len(items) == 3
    assert not any("uuid" in item for item in items)
    assert items[0]["rgb_image"] == "/userdata/capture/1700000000.jpg"


@pytest.mark.parametrize(("kind", "second"), [("repeat", ["u0", "u1"]), ("overlap", ["u1", "u2"])])
async def test_its_history_repeats_pages(make: Make, kind: str, second: list[str]) -> None:
    double = await make.terminal(f"history={kind}")
    await recorded(double, count=4)
    page = await make.page(double, 2)
    assert (page["offset"], [item["uuid"] for item in page["items"]]) == (2, second)


async def test_each_reply_waits(make: Make) -> None:
    double = await make.terminal("slow=3600")
    waiting = asyncio.create_task(make.ask(double, "GET", "/v2/datasync/ping"))
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done
    waiting.cancel()


async def test_the_program_misbehaves_as_it_is_told(tmp_path: Path) -> None:
    given = TerminalServiceSettings(listen="127.0.0.1:0", drain_timeout_s=0.2)
    async with (
        running("GP0001", tmp_path, given, faults=parse(["reply=500"])) as ready,
        aiohttp.ClientSession() as http,
        http.get(ready.split()[4] + "/v1/event/subscribe") as reply,
    ):
        assert reply.status == 500
    with pytest.raises(SettingsError, match="swap needs a neighbour"):
        async with running("GP0001", tmp_path, given, faults=parse(["swap"])):
            pass


def _login() -> dict[str, object]:
    return {"username": ADMIN.username, "password": ADMIN.password, "validTime": 60}


async def _certificate(double: Double) -> str:
    place = ("127.0.0.1", int(double.address.rpartition(":")[2]))
    return await asyncio.to_thread(ssl.get_server_certificate, place)
