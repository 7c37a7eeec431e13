"""The simulated terminals' own HTTP services."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from gatepost.fleet.finding.csv_import import read
from gatepost.simulator.engines.services import ServiceOptions, offered
from gatepost.terminal import Terminal
from gatepost.terminal.rehearsal.faults import Faults

BASIC = {"Authorization": aiohttp.encode_basic_auth("admin", "secret")}


@pytest.fixture
async def terminals(tmp_path: Path) -> AsyncIterator[list[Terminal]]:
    async with Terminal("SN-1", tmp_path / "SN-1") as one, Terminal("SN-2", tmp_path / "SN-2") as other:
        yield [one, other]


async def serial(address: str) -> str:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{address}/v2/datasync/ping", ssl=False) as reply,
    ):
        return reply.headers["sn"]


async def test_each_has_an_address_of_its_own(terminals: list[Terminal], tmp_path: Path) -> None:
    async with offered(terminals, ["M", "M"], ServiceOptions(), folder=tmp_path) as addresses:
        assert [address.partition(":")[0] for address in addresses] == ["http", "http"]
        assert [await serial(address) for address in addresses] == ["SN-1", "SN-2"]


async def test_with_an_account_they_speak_tls(terminals: list[Terminal], tmp_path: Path) -> None:
    offer = ServiceOptions(username="admin", password="secret")
    async with (
        offered(terminals, ["M", "M"], offer, folder=tmp_path) as (address, _),
        aiohttp.ClientSession() as http,
    ):
        asked = f"{address}/v1/event/subscribe"
        assert address.startswith("https://")
        async with http.get(asked, ssl=False) as reply:
            assert reply.status == 401
        async with http.get(asked, ssl=False, headers=BASIC) as reply:
            assert reply.status == 200
    certificates = [(tmp_path / one.serial / "certificate.pem").read_bytes() for one in terminals]
    assert certificates[0] != certificates[1]


async def test_neighbours_swap_their_addresses(terminals: list[Terminal], tmp_path: Path) -> None:
    offer = ServiceOptions(faults=Faults(swap=0.05))
    async with offered(terminals, ["M", "M"], offer, folder=tmp_path) as (address, _), asyncio.timeout(20):
        while True:
            try:
                if await serial(address) == "SN-2":
                    break
            except aiohttp.ClientError:
                continue  # just while they exchange


async def test_their_list_is_one_that_a_receiver_imports(terminals: list[Terminal], tmp_path: Path) -> None:
    file = tmp_path / "terminals.csv"
    file.write_text("of an earlier run, for everyone to read")
    offer = ServiceOptions(username="admin", password="a, secret", list_file=file)
    async with offered(terminals, ["M", "M"], offer, folder=tmp_path) as addresses:
        found = read(file.read_bytes(), sites={})
    assert found.problems == ()
    assert [(row.address, row.name) for row in found.rows] == list(
        zip(addresses, ["SN-1", "SN-2"], strict=True)
    )
    assert {(row.username, row.password) for row in found.rows} == {("admin", "a, secret")}
    assert file.stat().st_mode & 0o777 == 0o600
