"""The live page and what its script asks for."""

import asyncio
import re
import time
from datetime import datetime

import pytest
from tests.console.kit import Desk, Text
from tests.receiver.api.listener import Listener
from tests.receiver.kit import Clock, alarm, base64, record
from tests.receiver.test_thumbnails import picture

from gatepost.receiver.auth.cookies import COOKIE


def cards(answer: Text) -> list[str]:
    return re.findall(r'data-id="(\d+)"', answer.html)


async def test_the_page_has_the_latest_to_arrive_first(desk: Desk) -> None:
    for number in range(3):
        await desk.running.push(record(uuid=f"u-{number}", timestamp=1_685_343_715 - number))
    shown = cards(await desk.get("/"))
    assert shown == sorted(shown, key=int, reverse=True)
    assert len(shown) == 3


async def test_what_came_after_a_place_is_answered_once_with_the_place_to_go_on_from(desk: Desk) -> None:
    await desk.running.push(record(uuid="u-1"))
    first = await desk.get("/since?after=0", x_part="live")
    assert len(cards(first)) == 1
    place = first.headers["x-place"]
    assert cards(await desk.get(f"/since?after={place}", x_part="live")) == []
    await desk.running.push(record(uuid="u-2"))
    again = await desk.get(f"/since?after={place}", x_part="live")
    assert len(cards(again)) == 1
    assert cards(again) != cards(first)


async def test_after_a_long_absence_the_latest_are_shown_and_the_rest_is_counted(desk: Desk) -> None:
    for number in range(51):
        await desk.running.push(record(uuid=f"u-{number}"))
    answer = await desk.get("/since?after=0", x_part="live")
    assert len(cards(answer)) == 48
    assert "3 more arrived in the meantime." in answer.words


async def test_a_passage_is_shown_when_it_happened_and_when_it_was_delivered_later(desk: Desk) -> None:
    received = time.time()
    for number, ago in enumerate((5, 3600)):
        await desk.running.push(record(uuid=f"u-{number}", timestamp=int(received) - ago))
    later, at_once = re.findall(r'<p class="when">(.*?)</p>', (await desk.get("/")).html, re.DOTALL)
    moments = [re.findall(r'datetime="([^"]*)"', shown) for shown in (at_once, later)]
    assert [len(found) for found in moments] == [1, 2]
    happened, delivered = map(datetime.fromisoformat, moments[1])
    assert (delivered - happened).total_seconds() >= 3600
    assert later.index("<small>") > later.index("</time>")
    assert "delivered later" in later
    assert "补传" in (await desk.get("/", accept_language="zh")).html


async def test_open_alarms_come_along_until_they_are_cleared(desk: Desk) -> None:
    await desk.running.push(record())  # says which terminal pushes from here: an alarm has no serial
    await desk.running.push(alarm())
    assert "device tampered with" in (await desk.get("/since?after=0", x_part="live")).words
    await desk.running.push(alarm(status=3))
    assert "device tampered with" not in (await desk.get("/since?after=0", x_part="live")).words


async def test_a_place_that_is_none_is_refused(desk: Desk) -> None:
    assert (await desk.get("/since?after=-1", x_part="live")).status == 400
    assert (await desk.get("/since", x_part="live")).status == 400


async def test_the_number_of_open_alarms_is_as_new_as_the_alarms_beside_it(desk: Desk) -> None:
    await desk.get("/")  # which counts, for a while
    await desk.running.push(alarm())
    for path in ("/since?after=0", "/"):
        page = await desk.get(path)
        assert page.html.count('<article class="alarm') == 1
        assert 'data-badge="1"' in page.html
        assert "1 Open alarms" in page.words
    assert 'title="1 open alarm not acknowledged">1</b>' in page.html


async def test_what_the_page_asks_for_by_itself_keeps_no_session_alive(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hours without use end a session: neither news, nor images, nor the stream are use; a page is."""
    await desk.running.push(record(rgb_image=base64(picture(8, 8))))
    await desk.running.push(alarm(alarm_photo=base64(picture(8, 8))))
    (passage,), (raised,) = desk.running.records(), desk.running.alarms()
    doors, clock = desk.running.desk.access.doors, Clock()
    monkeypatch.setattr(doors, "_now", clock)
    by_itself = [
        "/since?after=0",
        *(f"/api/v1/records/{passage.id}/{kind}" for kind in ("image", "thumbnail")),
        *(f"/api/v1/alarms/steps/{raised.history[0].id}/{kind}" for kind in ("image", "thumbnail")),
    ]
    for number, path in enumerate(("/alarms", *by_itself, "/api/v1/live")):
        account = doors.accounts.create(f"a-{number}", "guard", "hash", now_ms=doors.now_ms())
        login = await asyncio.to_thread(doors.open_session, account, address="127.0.0.1")
        headers = {"Cookie": f"{COOKIE}={login.secret}"}

        async def status(asked: str, headers: dict[str, str] = headers) -> int:
            if asked == "/api/v1/live":
                listener = await Listener.open(desk.running, Authorization=None, **headers)
                await listener.close()
                return listener.status
            sender = await desk.running.connect()
            return (await sender.request("GET", asked, b"", headers)).status

        clock.at += 4000
        assert await status(path) == 200
        clock.at += 4000
        assert await status("/alarms") == (200 if path == "/alarms" else 303), path


async def two_sites(desk: Desk) -> None:
    """Terminals SN-1 and SN-2 at the first site, SN-3 at the second; each has sent a record and an alarm."""
    harbour = desk.store.create_site("Harbour", "UTC", now_ms=0)
    for number, site in ((1, 1), (2, 1), (3, harbour.id)):
        desk.store.create_terminal(now_ms=0, serial=f"SN-{number}", site_id=site)
    for number in (1, 2, 3):
        sender = {"sn": f"SN-{number}"}
        await desk.running.push(record(uuid=f"u-{number}", deviceSN=f"SN-{number}"), headers=sender)
        raised = alarm(trace_id=f"T-{number}", event_time=1_684_385_033_398 + number, deviceSN=f"SN-{number}")
        await desk.running.push(raised, headers=sender)


def shown(answer: Text) -> tuple[list[str], int]:
    """Return the terminals of the cards, and how many alarms there are."""
    return sorted(re.findall(r'<p class="place">([^<]*)</p>', answer.html)), answer.html.count(
        '<article class="alarm'
    )


async def test_the_page_is_narrowed_to_a_site_or_terminals_by_its_address(desk: Desk) -> None:
    await two_sites(desk)
    ids = {row.serial: row.id for row in desk.store.terminals()}
    some = f"{ids['SN-1']},{ids['SN-3']}"
    for query, expected in (
        ("", (["SN-1", "SN-2", "SN-3"], 3)),
        ("site=2", (["SN-3"], 1)),
        (f"terminals={some}", (["SN-1", "SN-3"], 2)),
        (f"site=1&terminals={some}", (["SN-1"], 1)),
    ):
        assert shown(await desk.get(f"/?{query}")) == expected, query
        assert shown(await desk.get(f"/since?after=0&{query}", x_part="live")) == expected, query
    page = await desk.get("/?site=2")
    assert 'data-badge="3"' in page.html  # beside the navigation it is that of all pages
    assert "1 Open alarms" in page.words
    assert 'data-since="/since?site=2"' in page.html
    answer = await desk.get(f"/?site=2&terminal={ids['SN-3']}&terminal={ids['SN-1']}")
    assert answer.location == f"/?site=2&terminals={ids['SN-1']}%2C{ids['SN-3']}"


async def test_what_the_page_cannot_be_narrowed_to_is_said(desk: Desk) -> None:
    await two_sites(desk)
    page = await desk.get("/?site=77&terminals=x")
    assert "Left out, because the value makes no sense: Site, Terminal" in page.words
    assert shown(page) == (["SN-1", "SN-2", "SN-3"], 3)
    page = await desk.get("/?terminals=1,88")
    assert "1 terminal of this filter is no longer there" in page.words
    assert shown(page)[0] == ["SN-1"]
    page = await desk.get("/?terminals=87,88", accept_language="zh")
    assert "筛选条件中有 2 台终端已不存在" in page.words
    assert shown(page) == (["SN-1", "SN-2", "SN-3"], 3)
    many = "&".join(f"terminal={number}" for number in range(1, 102))
    assert (await desk.get(f"/?{many}")).status == 400


async def test_held_terminals_are_counted_with_a_way_to_approve_them(desk: Desk) -> None:
    await two_sites(desk)
    for number in (1, 3):
        desk.store.update_terminal(number, state="held")
    said = "2 terminals wait for approval"
    assert said in (await desk.get("/", "guard")).words
    assert "/terminals?show=to_approve" not in (await desk.get("/", "guard")).html
    assert "/terminals?show=to_approve" in (await desk.get("/", "operator")).html
    assert "1 terminal waits for approval" in (await desk.get("/?site=2")).words
    assert "2 台终端待批准" in (await desk.get("/", accept_language="zh")).words
