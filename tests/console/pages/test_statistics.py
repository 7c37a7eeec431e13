"""Statistics: each chart stands on a table."""

import re
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from tests.console.kit import Desk
from tests.receiver.kit import record


async def test_each_chart_has_its_numbers_as_a_table(desk: Desk) -> None:
    await desk.running.push(record(uuid="u-1"))
    await desk.running.push(record(uuid="u-2", recognitionType=3, **{"pass": False}))
    page = await desk.get("/statistics?day=2023-05-29", "viewer")
    charts = re.findall(r"<figure.*?</figure>", page.html, re.S)
    assert len(charts) >= 5
    assert all("<table>" in chart and "<canvas" in chart for chart in charts)
    by_hour = next(chart for chart in charts if "By hour" in chart)
    assert by_hour.count("<tr>") == 25
    assert re.search(r'<th scope="row">07</th><td>1</td><td>1</td><td>0</td>', by_hour)


async def test_a_month_has_a_heat_map_of_days_and_hours(desk: Desk) -> None:
    await desk.running.push(record())
    page = await desk.get("/statistics?month=2023-05", "viewer")
    assert 'data-chart="heat"' in page.html
    assert "05-29 Mon" in page.words


async def test_one_terminal_alone_is_counted(desk: Desk) -> None:
    await desk.running.push(record())
    assert "1 Records" in (await desk.get("/statistics?day=2023-05-29&terminal=SN-1")).words
    assert "Nothing in these days." in (await desk.get("/statistics?day=2023-05-29&terminal=SN-9")).words


async def test_an_address_that_makes_no_sense_shows_the_last_days(desk: Desk) -> None:
    page = await desk.get("/statistics?day=yesterday&site=x&month=")
    assert page.status == 200


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("first=2023-05-28&last=2023-05-29", "2023-05-28 – 2023-05-29"),
        ("first=2023-05-29&last=2023-05-28", "2023-05-28 – 2023-05-29"),
        ("last=2023-05-29", "2023-05-29"),
        ("first=1999-01-01&last=2023-05-29", "2022-04-25 – 2023-05-29"),
    ],
)
async def test_any_stretch_of_days_can_be_asked_for(desk: Desk, asked: str, shown: str) -> None:
    await desk.running.push(record())
    page = await desk.get(f"/statistics?{asked}")
    assert f"{shown} " in page.words
    assert "1 Records" in page.words


async def test_today_is_by_the_clocks_of_the_site_that_is_counted(desk: Desk) -> None:
    desk.store.update_site(1, timezone="Etc/GMT+12")
    there = desk.store.create_site("Line Islands", "Pacific/Kiritimati", now_ms=0)
    today = datetime.now(ZoneInfo("Pacific/Kiritimati")).date()
    page = await desk.get(f"/statistics?site={there.id}")
    assert f"– {today}" in page.words
    assert f"day={today}" in page.html
    assert f"– {today}" not in (await desk.get("/statistics")).words
