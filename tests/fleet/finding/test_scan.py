"""A scan of networks: what is asked, what is found, and what is left alone."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web
from tests.fleet.double import Double

from gatepost.egress import PRIVATE, Egress
from gatepost.errors import SettingsError
from gatepost.fleet.client import Seen
from gatepost.fleet.finding.scan import AT_ONCE, Outcome, Place, Scan, Scanner, addresses, look_there

HERE = Egress([*PRIVATE, "127.0.0.0/8"], setting="fleet_networks")
ELSEWHERE = Egress(PRIVATE, setting="fleet_networks")


def hosts(*typed: str) -> list[str]:
    return [f"{place.host}:{place.port}" for place in addresses(typed, egress=ELSEWHERE)]


def seen(serial: str) -> Seen:
    return Seen(serial=serial, model="M", clock_error_s=0.0, pin=bytes(32))


@pytest.mark.parametrize(
    ("typed", "places"),
    [
        ("192.168.1.0/30", ["192.168.1.1:8000", "192.168.1.2:8000"]),
        ("192.168.1.1/30", ["192.168.1.1:8000", "192.168.1.2:8000"]),
        ("192.168.1.4/31", ["192.168.1.4:8000", "192.168.1.5:8000"]),
        (" 192.168.1.7 ", ["192.168.1.7:8000"]),
        ("192.168.1.7:8443", ["192.168.1.7:8443"]),
        ("192.168.1.7-9", ["192.168.1.7:8000", "192.168.1.8:8000", "192.168.1.9:8000"]),
        ("10.0.0.255 - 10.0.1.0:81", ["10.0.0.255:81", "10.0.1.0:81"]),
    ],
)
def test_a_network_is_read_as_people_type_it(typed: str, places: list[str]) -> None:
    assert hosts(typed) == places


def test_networks_that_overlap_are_asked_once() -> None:
    assert hosts("192.168.1.1-3", "192.168.1.2-4") == [f"192.168.1.{last}:8000" for last in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "has ''"),
        ("door-3", "has 'door-3'"),
        ("192.168.1.9-7", "write 192.168.1.0/24"),
        ("192.168.1.7:0", "write"),
        ("192.168.1.7:99999", "write"),
        ("192.168.1.300", "write"),
        ("2001:db8::/64", "write"),
        ("10.0.0.0/8", "more than 4096 addresses"),
        ("127.0.0.0/30", "127.0.0.0/30, where no request may go; name it in fleet_networks"),
        ("169.254.169.254", "where no request may go"),
    ],
)
def test_what_cannot_be_scanned_is_said(typed: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        hosts(typed)


def test_no_network_and_too_many_are_said() -> None:
    with pytest.raises(SettingsError, match="must name a network"):
        hosts()
    with pytest.raises(SettingsError, match="more than 4096"):
        hosts("10.0.0.0/21", "10.1.0.0/21", "10.2.0.0/29")


async def test_terminals_are_found_and_other_services_are_counted(tmp_path: Path) -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<html>")

    app = web.Application()
    app.router.add_get("/{path:.*}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    one, wrong = Double(tmp_path / "1"), Double(tmp_path / "2", "SN-8", "reply=500")
    try:
        ports = [int((await each.open()).address.rpartition(":")[2]) for each in (wrong, one)]
        ports += [runner.addresses[0][1], 9]
        scan = Scan([Place("127.0.0.1", port) for port in ports], partial(look_there, egress=HERE))
        await scan.run()
    finally:
        await one.close()
        await wrong.close()
        await runner.cleanup()

    found = scan.found()
    assert [(each.serial, each.model, each.address) for each in found] == [
        ("SN-8", "T-1", wrong.address),
        ("SN-7", "T-1", one.address),
    ]
    assert all(each.certificate and len(each.certificate) == 64 for each in found)
    assert (scan.asked, scan.total, scan.others, scan.is_over) == (4, 4, 1, True)


async def test_so_many_are_asked_at_a_time_and_no_more() -> None:
    asked: list[Place] = []
    full, go = asyncio.Event(), asyncio.Event()

    async def look(place: Place) -> Outcome:
        asked.append(place)
        if len(asked) == AT_ONCE:
            full.set()
        await go.wait()
        return "nothing"

    scan = Scan([Place(f"10.0.0.{last}") for last in range(200)], look)
    running = asyncio.create_task(scan.run())
    await full.wait()
    for _ in range(10):
        await asyncio.sleep(0)
    assert (len(asked), scan.asked) == (AT_ONCE, 0)
    go.set()
    await running
    assert (len(asked), scan.asked) == (200, 200)


async def test_another_scan_ends_the_one_that_runs_which_keeps_what_it_found() -> None:
    reached = asyncio.Event()

    async def look(place: Place) -> Outcome:
        if place.host == "10.0.0.1":
            return seen("SN-1")
        reached.set()
        return await asyncio.Future()

    scanner = Scanner(look)
    first = await scanner.begin([Place("10.0.0.1"), Place("10.0.0.2")])
    await reached.wait()
    assert not first.is_over
    second = await scanner.begin([Place("10.0.0.1")])
    assert (first.is_over, [each.serial for each in first.found()]) == (True, ["SN-1"])
    assert scanner.last is second
    await scanner.end()
    await scanner.end()
