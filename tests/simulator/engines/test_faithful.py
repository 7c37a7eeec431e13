import asyncio
import itertools
import resource
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.simulator.conftest import Listener, reply, until

from gatepost.errors import SettingsError
from gatepost.simulator.engines import faithful
from gatepost.simulator.engines.faithful import Clock, FaithfulEngine, FaithfulOptions
from gatepost.simulator.engines.services import ServiceOptions
from gatepost.simulator.world.people import Site, make_site
from gatepost.simulator.world.scenario import DEFAULT_DAY, Plan, doors, happenings
from gatepost.wire import Alarm, Dialect, Record, decode, key

FAST = 40_000.0  # the thirteen hours in a good second


@pytest.fixture(scope="module")
def site() -> Site:
    return make_site(1, employees=4, visitors=2, blacklist=1, strangers=2)


def plan(**more: Any) -> Plan:
    return Plan(**{"seed": 1, "terminals": 5, "passages": 25, "images": False, **more})


async def run(plan: Plan, site: Site, listener: Listener, folder: Path, **more: Any) -> FaithfulEngine:
    fleet = FaithfulEngine(
        plan, FaithfulOptions(**{"url": listener.url, "folder": folder, "speed": FAST, **more}), site=site
    )
    async with asyncio.timeout(60):
        await fleet.run()
    return fleet


def keys(bodies: list[bytes]) -> Counter[str]:
    found: Counter[str] = Counter()
    for body in bodies:
        event = decode(body, lenient=True).event
        assert isinstance(event, Record | Alarm)
        found[key(event)] += 1
    return found


def planned(plan: Plan, site: Site) -> list[list[Any]]:
    return [list(happenings(plan, site, door)) for door in doors(plan)]


async def test_everything_that_happens_arrives(listener: Listener, site: Site, tmp_path: Path) -> None:
    fleet = await run(plan(), site, listener, tmp_path)
    happened = planned(plan(), site)
    assert [count.recorded for count in fleet.meter.counts] == [len(day) for day in happened]
    assert fleet.meter.acknowledged == fleet.meter.recorded == len(listener.bodies)
    assert len(keys(listener.bodies)) == sum(not h.again for day in happened for h in day)
    assert fleet.phase == "over"


async def test_the_same_seed_sends_the_same_bytes(listener: Listener, site: Site, tmp_path: Path) -> None:
    await run(plan(images=True, passages=6), site, listener, tmp_path / "one")
    first, listener.bodies = sorted(listener.bodies), []
    await run(plan(images=True, passages=6), site, listener, tmp_path / "two")
    assert sorted(listener.bodies) == first != []


async def test_each_terminal_speaks_its_firmware_and_says_who_it_is(
    listener: Listener, site: Site, tmp_path: Path
) -> None:
    fleet = await run(plan(terminals=12), site, listener, tmp_path)
    firmware = {door.serial: door.firmware for door in fleet.doors}
    heard = {
        event.serial
        for body in listener.bodies
        if isinstance(event := decode(body, lenient=True).event, Record)
    }
    assert heard == set(firmware)
    for head in listener.heads:
        sender = next((line for line in head.decode().split("\r\n") if line.startswith("sn: ")), None)
        assert sender is None or firmware[sender.removeprefix("sn: ")] in (Dialect.V1_2_1, Dialect.V1_3_0)


async def test_the_terminal_without_uuid_never_sends_one(
    listener: Listener, site: Site, tmp_path: Path
) -> None:
    fleet = await run(plan(terminals=2), site, listener, tmp_path)
    silent = fleet.doors[1]
    records = [decode(body).event for body in listener.bodies]
    ids = {record.uuid for record in records if isinstance(record, Record) and record.serial == silent.serial}
    assert ids == {None}


async def test_what_happens_in_an_outage_arrives_after_it(
    listener: Listener, site: Site, tmp_path: Path
) -> None:
    fleet = await run(plan(terminals=1, passages=240), site, listener, tmp_path, speed=FAST / 4)
    assert fleet.doors[0].outages
    assert fleet.meter.errors["outage"] > 0
    assert fleet.meter.backlog == 0
    assert len(listener.bodies) == fleet.meter.recorded


async def test_what_is_sent_again_is_the_same_bytes(listener: Listener, site: Site, tmp_path: Path) -> None:
    turn = itertools.count()
    listener.answer = lambda body: reply(b"", b"503 Service Unavailable") if next(turn) % 10 == 3 else reply()
    fleet = await run(plan(faults=False, mix=dict.fromkeys(Dialect, 1)), site, listener, tmp_path)
    assert len(listener.bodies) > fleet.meter.recorded
    assert len(set(listener.bodies)) == fleet.meter.recorded == fleet.meter.acknowledged


async def test_what_is_refused_for_good_is_a_dead_letter_in_the_report(
    listener: Listener, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = faithful.TerminalSettings(retry_first_s=0.01, retry_cap_s=0.02, max_refusals=2)
    monkeypatch.setattr(faithful, "SETTINGS", settings)
    refusal = reply(b'{"code":400,"message":"no","data":{}}')
    # An event is given up only where the receiver accepts others.
    listener.answer = lambda body: refusal if body == listener.bodies[0] else reply()
    fleet = await run(plan(terminals=1, passages=20, alarms=0, faults=False), site, listener, tmp_path)
    assert fleet.meter.counts[0].dead == 1
    assert fleet.meter.acknowledged == fleet.meter.recorded - 1 > 3
    assert fleet.meter.backlog == 0


async def test_a_terminal_that_nobody_subscribed_to_caches_nothing_until_somebody_does(
    listener: Listener, site: Site, tmp_path: Path
) -> None:
    task = FaithfulOptions(url=None, folder=tmp_path, speed=FAST / 8, offer=ServiceOptions())
    morning = plan(terminals=2, passages=400, faults=False, opens=8, closes=12)
    fleet = FaithfulEngine(morning, task, site=site)
    running = asyncio.create_task(fleet.run())
    await until(lambda: fleet.meter.counts[0].unheard)
    async with aiohttp.ClientSession() as session:
        for address in fleet.addresses:
            wanted = {"event_dest": listener.url, "enabled": True}
            async with session.post(f"{address}/v1/event/subscribe", json=wanted) as answer:
                assert (await answer.json())["code"] == 200
                assert answer.headers["sn"] in {door.serial for door in fleet.doors}
    await until(lambda: listener.bodies)
    async with asyncio.timeout(60):
        await running
    assert fleet.meter.acknowledged == fleet.meter.recorded == len(listener.bodies)


async def test_a_kept_folder_delivers_what_an_earlier_run_could_not(
    listener: Listener, site: Site, tmp_path: Path
) -> None:
    await listener.stop()
    first = await run(plan(terminals=2, faults=False), site, listener, tmp_path, drain_s=0)
    assert first.meter.backlog == first.meter.recorded > 0
    await listener.start()
    second = await run(plan(terminals=2, faults=False, opens=19.9), site, listener, tmp_path)
    assert second.meter.backlog == 0
    assert second.meter.recorded >= first.meter.recorded
    assert len(listener.bodies) == second.meter.acknowledged == second.meter.recorded


async def test_a_day_can_be_ended_early_and_what_was_recorded_is_delivered(
    listener: Listener, site: Site, tmp_path: Path
) -> None:
    fleet = FaithfulEngine(
        plan(passages=400), FaithfulOptions(url=listener.url, folder=tmp_path, speed=4000), site=site
    )
    running = asyncio.create_task(fleet.run())
    await until(lambda: fleet.meter.acknowledged > 5)
    fleet.stop()
    async with asyncio.timeout(30):
        await running
    assert 5 < fleet.meter.recorded == fleet.meter.acknowledged < 400 * 5
    assert fleet.elapsed < 12


async def test_a_serial_in_the_address_is_filled_in(listener: Listener, site: Site, tmp_path: Path) -> None:
    fleet = await run(plan(terminals=2), site, listener, tmp_path, url=f"{listener.url}/of-{{sn}}")
    asked = {head.split(b" ")[1].decode() for head in listener.heads}
    assert asked == {f"/Record/of-{door.serial}" for door in fleet.doors}


async def test_too_few_open_files_are_told_before_anything_starts(
    listener: Listener, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 512))
    with pytest.raises(SettingsError, match="ulimit"):
        await run(plan(terminals=300), site, listener, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_clock_of_the_site_runs_faster_than_ours() -> None:
    ours = itertools.chain([100.0, 200.0], itertools.repeat(210.0))
    clock = Clock(DEFAULT_DAY, 60.0, monotonic=lambda: next(ours))
    clock.start()
    assert clock.now() == DEFAULT_DAY + timedelta(minutes=10)
    assert clock.wait(DEFAULT_DAY + timedelta(minutes=12)) == pytest.approx(2.0)
    assert clock.wait(DEFAULT_DAY) == 0.0


async def test_with_dialect_faults_an_event_that_is_pushed_again_is_the_same_bytes_and_counts_once(
    listener: Listener, site: Site, tmp_path: Path
) -> None:
    turn = itertools.count()
    listener.answer = lambda body: reply(b"", b"503 Service Unavailable") if next(turn) % 4 == 1 else reply()
    playing = plan(passages=60, faults=False, dialect_faults=True)
    fleet = await run(playing, site, listener, tmp_path)
    faults = fleet.meter.faults
    assert fleet.meter.acknowledged == fleet.meter.recorded == len(set(listener.bodies))
    assert len(listener.bodies) > len(set(listener.bodies))
    assert len(faults) > 4
    assert "other-content-type" not in faults
    assert all(found.sent == found.acknowledged > 0 for found in faults.values())
