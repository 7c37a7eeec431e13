"""``/api/v1/fleet/discover``, ``/scan`` and ``/import``: which terminals there are to adopt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.fleet.double import ADMIN, Double
from tests.fleet.finding.test_announcements import ANNOUNCED
from tests.fleet.kit import House, house
from tests.store.conftest import (  # noqa: F401
    Opener,
    empty_folder,
    open_postgres,
    open_sqlite,
    open_store,
)

from gatepost.fleet.finding.discovery import Take
from gatepost.fleet.finding.finder import Finder

HEAD = "address,name,site,username,password\n"


@pytest.fixture
async def desk(open_store: Opener, tmp_path: Path) -> AsyncIterator[House]:  # noqa: F811
    networks = ("127.0.0.0/8", "192.168.0.0/16")
    async with house(open_store, tmp_path, fleet_networks=networks) as made:
        yield made


async def upload(desk: House, text: str | bytes, path: str = "/import") -> Any:
    body = text if isinstance(text, bytes) else text.encode()
    return await desk.receiver.request("POST", f"/api/v1/fleet{path}", body, {"Content-Type": "text/csv"})


async def scanned(desk: House) -> Any:
    """Wait until the scan is over; return it."""
    async with asyncio.timeout(20):
        while (item := (await desk.call("GET", "/scan")).json)["state"] != "over":  # noqa: ASYNC110 - only asking tells
            await asyncio.sleep(0)
    return item


async def test_terminals_that_announce_themselves_are_listed_while_it_is_asked_for(desk: House) -> None:
    heard: list[Take] = []

    @asynccontextmanager
    async def packets(take: Take) -> AsyncIterator[None]:
        heard.append(take)
        yield
        heard.clear()

    # Multicast does not come through loopback: what is heard here are recorded packets.
    finder = Finder(desk.fleet.around.egress, packets=packets)
    desk.receiver.desk._parts["finder"] = finder
    try:
        first = (await desk.call("POST", "/discover")).json
        heard[0](ANNOUNCED, "192.168.1.50")
        second = (await desk.call("POST", "/discover")).json
    finally:
        await finder.close()
    assert (first["listening_s"], first["items"]) == (30.0, [])
    assert second["items"] == [
        {
            "address": "https://192.168.1.7:8000",
            "serial": "AB",
            "model": "M",
            "certificate": None,
            "clock_error_s": None,
            "terminal_id": None,
            "managed_address": None,
        }
    ]
    assert heard == []


async def test_a_scan_finds_terminals_and_tells_which_are_adopted(desk: House) -> None:
    one, other = await desk.double("SN-7"), await desk.double("SN-8")
    adopted = await desk.adopt(one)
    networks = [each.address.removeprefix("https://") for each in (one, other)]
    begun = await desk.call("POST", "/scan", {"networks": [*networks, "127.0.0.1:9"]})
    assert (begun.status, begun.json["total"]) == (202, 3)
    item = await scanned(desk)
    assert (item["asked"], item["others"]) == (3, 0)
    assert [(each["serial"], each["terminal_id"], each["managed_address"]) for each in item["items"]] == [
        ("SN-7", adopted["terminal_id"], one.address),
        ("SN-8", None, None),
    ]
    assert len(item["items"][0]["certificate"]) == 64
    audit = (await desk.receiver.get("/api/v1/audit?limit=50")).json["items"]
    [noted] = [line for line in audit if line["action"] == "fleet.scanned"]
    assert networks[0] in noted["subject"]


async def test_a_terminal_that_is_managed_elsewhere_is_told(desk: House) -> None:
    """Two that were swapped by DHCP."""
    double = await desk.double("SN-7", "move")
    before = (await desk.adopt(double))["address"]
    await double.happens("move")
    await desk.call("POST", "/scan", {"networks": [double.address.removeprefix("https://")]})
    [found] = (await scanned(desk))["items"]
    assert (found["address"], found["managed_address"]) == (double.address, before)


async def test_a_scan_goes_only_where_requests_may(desk: House) -> None:
    for network in ("169.254.169.254", "10.0.0.0/30", "192.168.0.0/19", "nonsense"):
        refused = await desk.call("POST", "/scan", {"networks": [network]})
        assert (refused.status, refused.json["errors"][0]["where"]) == (400, "networks"), refused.body
    assert (await desk.call("GET", "/scan")).status == 404


async def test_a_scan_can_be_ended(desk: House) -> None:
    await desk.call("POST", "/scan", {"networks": ["127.0.0.0/20"]})
    assert (await desk.call("DELETE", "/scan")).status == 204
    ended = (await desk.call("GET", "/scan")).json
    assert ended["state"] == "over"
    assert ended["asked"] < ended["total"] == 4094


async def test_a_file_is_checked_and_nothing_is_done(desk: House) -> None:
    reply = await upload(desk, HEAD + "192.168.1.64,Gate 1,,admin,hunter2\n192.168.1.65,,Nowhere,admin,\n")
    assert reply.status == 200
    assert reply.json == {
        "items": [
            {
                "line": 2,
                "address": "https://192.168.1.64:8000",
                "name": "Gate 1",
                "site": None,
                "username": "admin",
            }
        ],
        "problems": [
            {
                "line": 3,
                "column": "site",
                "why": "is no site here; make it first, or write the name of one that there is",
            },
            {"line": 3, "column": "password", "why": "is missing; write it"},
        ],
        "adoption": None,
    }
    assert b"hunter2" not in reply.body
    assert (await desk.call("GET", "/adoptions")).json["items"] == []


async def test_a_file_with_problems_is_not_adopted(desk: House) -> None:
    reply = await upload(
        desk, HEAD + "192.168.1.64,,,admin,hunter2\n,,,admin,hunter2\n", "/import?adopt=true"
    )
    assert reply.status == 400
    assert reply.json["errors"] == [{"where": "line 3, address", "why": "is missing; write it"}]
    assert b"hunter2" not in reply.body
    assert (await desk.call("GET", "/adoptions")).json["items"] == []


async def test_the_terminals_of_a_file_are_adopted(desk: House) -> None:
    doubles: list[Double] = [await desk.double("SN-7"), await desk.double("SN-8")]
    site = (await desk.receiver.get("/api/v1/sites")).json["items"][0]
    lines = [
        f"{one.address},门{number},{site['name']},{ADMIN.username},{ADMIN.password}"
        for number, one in enumerate(doubles)
    ]
    reply = await upload(desk, (HEAD + "\n".join(lines)).encode("gb18030"), "/import?adopt=true")
    assert (reply.status, reply.json["problems"], len(reply.json["items"])) == (200, [], 2)
    adoption = reply.json["adoption"]["id"]
    async with asyncio.timeout(30):
        while (await desk.call("GET", f"/adoptions/{adoption}")).json["adopted"] < 2:  # noqa: ASYNC110 - only asking tells
            await asyncio.sleep(0.01)
    managed = (await desk.call("GET")).json["items"]
    assert sorted((one["serial"], one["name"], one["site_id"]) for one in managed) == [
        ("SN-7", "门0", site["id"]),
        ("SN-8", "门1", site["id"]),
    ]
    audit = await desk.receiver.get("/api/v1/audit?limit=50")
    assert ADMIN.password.encode() not in audit.body
    assert "fleet.adoption_ordered" in [line["action"] for line in audit.json["items"]]


@pytest.mark.parametrize(("language", "column"), [("en", "address"), ("zh", "地址")])
async def test_the_template_can_be_downloaded(desk: House, language: str, column: str) -> None:
    reply = await desk.receiver.get(f"/api/v1/fleet/import/template?language={language}")
    assert reply.body.decode("utf-8-sig").startswith(column)
    assert "terminals.csv" in reply.headers["content-disposition"]
    checked = await upload(desk, reply.body)
    assert [one["column"] for one in checked.json["problems"]] == ["password"]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\0", b"{}", b"x" * 1_100_000])
async def test_what_is_no_file_of_terminals_is_told(desk: House, content: bytes) -> None:
    reply = await upload(desk, content)
    assert reply.status == 200
    assert reply.json["problems"][0]["line"] == 1
    assert reply.json["items"] == []
