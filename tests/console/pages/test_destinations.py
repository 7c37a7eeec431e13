"""The pages of destinations, asked without a browser, with a real endpoint at the other end."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from tests.console.kit import Desk, Text
from tests.forward.kit import Hook, hooked
from tests.receiver.kit import alarm, receiving, record

from gatepost.console.routes import routes
from gatepost.forward.options.destination import decode
from gatepost.forward.options.filters import RecordFilter


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with receiving(
        tmp_path / "data", pages=routes, real_time=True, forward_networks=("127.0.0.0/8",)
    ) as running:
        yield await Desk.made(running)


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    async with hooked() as made:
        yield made


async def made(desk: Desk, hook: Hook, **form: object) -> Text:
    page = await desk.post("/destinations", name="HR", kind="webhook", url=hook.url, **form)
    assert page.status == 200, page.words
    assert "Which events" in page.title
    return page


def parts(page: Text) -> dict[str, int]:
    """The ledger that a page shows; it adds up."""
    found = {name: int(value) for name, value in re.findall(r'data-part="(\w+)">(\d+)<', page.html)}
    assert found["seen"] == sum(value for name, value in found.items() if name != "seen")
    return found


async def settled(desk: Desk, **wanted: int) -> Text:
    async with asyncio.timeout(50):
        while True:
            page = await desk.get("/destinations/1")
            if all(parts(page)[name] == value for name, value in wanted.items()):
                return page


async def test_one_is_made_paused_tried_and_started(desk: Desk, hook: Hook) -> None:
    assert "No destination yet" in (await desk.get("/destinations")).words
    assert (await desk.get("/destinations/new")).status == 200
    page = await made(desk, hook)
    secret = re.search(r"whsec_[\w+/=]+", html.unescape(page.html))
    assert secret is not None
    assert secret[0] not in html.unescape((await desk.get("/destinations/1")).html)
    await desk.running.push(record(uuid="u-1"))
    await desk.running.push(alarm())
    sent = {"part": ["filter", "how"], "records": "1", "passed": "yes", "shape": "flat", "batch": "1"}
    sent["image_link_s"] = "86400"
    shown = await desk.post("/destinations/1/sent", preview="1", **sent)
    assert '"uuid":"u-1"' in html.unescape(shown.html)
    saved = await desk.post("/destinations/1/sent", **sent)
    assert (saved.status, saved.location) == (303, "/destinations/1?done=saved#sent")
    row = desk.running.desk.destinations.one("HR")
    assert row is not None
    kept = {"records": {"has_image": False}, "alarms": {}, "notices": ["disk.low"]}
    await asyncio.to_thread(desk.running.desk.forwarding.admin.change, row, {"filter": kept})
    await desk.post("/destinations/1/sent", **sent, notices=["disk.low", "login.locked"])
    row = desk.running.desk.destinations.one("HR")
    assert row is not None
    told = decode(row.config).filter
    assert told.records == RecordFilter(passed=True, has_image=False)
    assert (told.alarms, told.notices) == (None, ("disk.low", "login.locked"))
    await asyncio.to_thread(desk.running.desk.forwarding.admin.change, row, {"filter": {"alarms": None}})
    trial = await desk.post("/destinations/1/test")
    assert "delivered HTTP 204" in trial.words
    assert len(hook.requests) == 1
    await desk.running.desk.forwarding.refresh()
    assert (await desk.post("/destinations/1/resume")).status == 303
    await settled(desk, delivered=1, filtered=1)
    listed = await desk.get("/destinations")
    assert "running" in listed.words
    assert "HR" in listed.words
    await desk.running.desk.forwarding.refresh()
    assert "Delivered in the last hour: 1" in html.unescape((await desk.get("/destinations")).html)


async def test_what_cannot_be_is_said_and_what_was_typed_stays(desk: Desk, hook: Hook) -> None:
    page = await desk.post("/destinations", name="HR", kind="webhook", url="ftp://x/")
    assert page.status == 400
    assert "Address: must begin with" in page.words
    assert 'value="ftp://x/"' in page.html
    assert (await desk.post("/destinations", name="", kind="webhook", url=hook.url)).status == 400
    await made(desk, hook)
    again = await desk.post("/destinations", name="HR", kind="webhook", url=hook.url)
    assert "already a destination called HR" in again.words
    for path, form in (
        ("address", {"name": "HR", "url": "x"}),
        ("replay", {"since": ""}),
        ("replay", {"since": "x"}),
        ("replay", {"since": "2024-01-01T00:00", "rate": "-1"}),
        ("dead", {"do": "drop"}),
        ("sent", {"part": "filter", "records": "1", "site": "99999"}),
        ("sent", {"part": "how", "batch": "x"}),
    ):
        reply = await desk.post(f"/destinations/1/{path}", **form)
        assert reply.status in (303, 400), (path, form)
    assert (await desk.get("/destinations/77")).status == 404


async def test_dead_letters_are_retried_and_dropped(desk: Desk, hook: Hook) -> None:
    wrong = {"u-0", "u-1"}
    hook.reply = lambda number: web.Response(
        status=400 if any(name.encode() in hook.requests[number - 1][1] for name in wrong) else 204
    )
    await made(desk, hook)
    destinations = desk.running.desk.destinations
    row = destinations.one("HR")
    assert row is not None
    await asyncio.to_thread(desk.running.desk.forwarding.admin.change, row, {"max_refusals": 1}, enabled=True)
    for number in range(2):
        await desk.running.push(record(uuid=f"u-{number}"))
    # Three of the kind have to be accepted after the first refusal of each.
    async with asyncio.timeout(50):
        while len(await asyncio.to_thread(destinations.attempts, 1)) < 2:
            pass
    for number in range(2, 6):
        await desk.running.push(record(uuid=f"u-{number}"))
    page = await settled(desk, dead=2, delivered=4)
    first, second = re.findall(r'name="events" value="(\d+)"', page.html)
    wrong.clear()
    assert (await desk.post("/destinations/1/dead", do="retry", events=first)).status == 303
    await settled(desk, dead=1, delivered=5)
    assert (await desk.post("/destinations/1/dead", do="drop_all")).status == 303
    page = await settled(desk, dead=0, dropped=1)
    assert "by a person" in page.words
    assert second not in re.findall(r'name="events" value="(\d+)"', page.html)


async def test_it_is_paused_rotated_replayed_renamed_and_deleted(desk: Desk, hook: Hook) -> None:
    await made(desk, hook)
    await desk.post("/destinations/1/resume")
    await desk.running.push(record())
    await settled(desk, delivered=1)
    assert "whsec_" in html.unescape((await desk.post("/destinations/1/rotate")).html)
    assert (await desk.post("/destinations/1/replay", since="2020-01-01T00:00")).status == 303
    async with asyncio.timeout(50):
        while "finished" not in (page := await desk.get("/destinations/1")).words:
            pass
    assert "1 of 1" in page.words
    assert (await desk.post("/destinations/2/delete")).location == "/destinations/1?done=deleted"
    assert (await desk.post("/destinations/1/pause")).status == 303
    assert "paused" in (await desk.get("/destinations/1")).words
    await desk.post("/destinations/1/address", name="ERP", url=hook.url, **{"secrets.header": "Bearer x"})
    page = await desk.get("/destinations/1")
    assert (page.title, "Remove: Authorization header" in page.words) == ("ERP", True)
    assert "That is not its name" in (await desk.post("/destinations/1/delete", typed="HR")).words
    assert (await desk.post("/destinations/1/delete", typed="ERP")).location == "/destinations?done=deleted"


async def test_every_page_tells_administrators_of_one_that_closed_itself(desk: Desk, hook: Hook) -> None:
    hook.reply = lambda _: web.Response(status=410)
    await made(desk, hook)
    await desk.post("/destinations/1/resume")
    await desk.running.push(record())
    async with asyncio.timeout(50):
        while "wants no more events" not in (await desk.get("/records")).words:
            await desk.running.desk.forwarding.refresh()
    assert "不再接收事件" in (await desk.get("/", accept_language="zh")).words
    assert "wants no more events" not in (await desk.get("/records", "operator")).words
    await desk.post("/destinations/1/pause")


async def test_in_chinese_the_pages_are_whole(desk: Desk, hook: Hook) -> None:
    await made(desk, hook)
    for path in ("/destinations", "/destinations/new", "/destinations/1"):
        page = await desk.get(path, accept_language="zh")
        assert page.status == 200
        assert '<html lang="zh-Hans">' in page.html
    for who in ("guard", "viewer", "operator"):
        assert (await desk.get("/destinations", who)).status == 403
