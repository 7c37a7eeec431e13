"""Attendance of a day and of a month."""

import csv
import html
import io
import re
import time
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from tests.console.kit import Desk
from tests.receiver.kit import record

from gatepost.console.pages.people.attendance import PAGE
from gatepost.store.accounts.accounts import Accounts


async def test_a_day_shows_who_was_there_and_how_many_of_each_group(desk: Desk) -> None:
    await desk.running.push(record())
    page = await desk.get("/attendance?day=2023-05-29", "viewer")
    assert "王五" in page.words
    assert "07:01" in page.words
    assert "测试3 1 of 1" in page.words
    absent = await desk.get("/attendance?day=2023-05-30", "viewer")
    assert "not seen" in absent.words
    assert "测试3 0 of 1" in absent.words


async def test_a_month_has_a_column_for_each_of_its_days(desk: Desk) -> None:
    await desk.running.push(record())
    page = await desk.get("/attendance?month=2023-05", "viewer")
    assert page.html.count('scope="col"') == 35
    assert page.html.count(' there"') == 1


async def test_the_page_and_its_files_show_the_kind_of_person_that_was_chosen(desk: Desk) -> None:
    for number, (name, kind) in enumerate((("Employee", 1), ("Visitor", 2), ("Listed", 5))):
        user = {"name": name, "user_id": name, "type": kind}
        await desk.running.push(record(uuid=f"u-{number}", user=user))
    for kind, names in (
        ("", {"Employee"}),
        ("&kind=visitors", {"Visitor"}),
        ("&kind=blacklist", {"Listed"}),
        ("&kind=all", {"Employee", "Visitor", "Listed"}),
    ):
        for stretch in ("day=2023-05-29", "month=2023-05"):
            page = await desk.get(f"/attendance?{stretch}{kind}", "viewer")
            assert {name for name in ("Employee", "Visitor", "Listed") if f">{name}<" in page.html} == names
        answer = await desk.get(f"/attendance/export?format=csv&month=2023-05{kind}", "operator")
        rows = csv.DictReader(io.StringIO(answer.html.removeprefix("\ufeff")))
        assert {row["Name"] for row in rows} == names
    wrong = await desk.get("/attendance?month=2023-05&kind=guests", "viewer")
    assert "Left out, because the value makes no sense: Kind of person" in wrong.words


async def test_it_is_exported_for_operators_and_noted(desk: Desk) -> None:
    await desk.running.push(record())
    answer = await desk.get("/attendance/export?format=csv&month=2023-05", "operator")
    rows = list(csv.DictReader(io.StringIO(answer.html.removeprefix("\ufeff"))))
    assert [(row["Name"], row["Day"], row["First in"]) for row in rows] == [
        ("王五", "2023-05-29", "2023-05-29T07:01:55+00:00")
    ]
    assert Accounts(desk.store).audit(action="attendance.exported").items[0].detail["first"] == "2023-05-01"
    assert (await desk.get("/attendance/export?format=xlsx&month=2023-05", "operator")).html.startswith("PK")
    assert (await desk.get("/attendance/export?format=pdf", "operator")).status == 400
    assert (await desk.get("/attendance/export", "viewer")).status == 403


async def test_a_form_keeps_the_day_or_the_month(desk: Desk) -> None:
    assert (await desk.post("/attendance", "viewer", day="2023-05-29", group="3")).location == (
        "/attendance?day=2023-05-29&group=3"
    )
    assert (await desk.post("/attendance", "viewer", month="2023-05", q="王")).location.startswith(
        "/attendance?month=2023-05&q=~"
    )


async def test_today_is_by_the_clocks_of_the_site_that_is_filtered_by(desk: Desk) -> None:
    desk.store.update_site(1, timezone="Etc/GMT+12")
    there = desk.store.create_site("Line Islands", "Pacific/Kiritimati", now_ms=0)
    today = datetime.now(ZoneInfo("Pacific/Kiritimati")).date()
    user = {"name": "Ina", "user_id": "7", "type": 1}
    desk.store.create_terminal(now_ms=0, serial="LI-1", site_id=there.id)
    await desk.running.desk.table.refresh()
    await desk.running.push(record(uuid="u-li", deviceSN="LI-1", timestamp=int(time.time()), user=user))
    assert "not seen" not in (await desk.get(f"/attendance?site={there.id}")).words
    answer = await desk.get(f"/attendance/export?format=csv&site={there.id}", "operator")
    assert f"{today},7,Ina" in answer.html
    for wrong in ("day=soon", "month=soon"):
        assert (await desk.get(f"/attendance/export?format=csv&{wrong}", "operator")).status == 400


async def test_a_page_without_anyone_of_the_kind_leads_on_to_the_next(desk: Desk) -> None:
    await desk.running.push(record(uuid="v", user={"name": "Guest", "user_id": "v", "type": 2}))
    for number in range(PAGE):  # visitors who were hired before that day
        for kind, before in ((2, 40), (1, 20)):
            user = {"name": f"Hired {number}", "user_id": f"{number}", "type": kind}
            at = 1_685_343_715 - before * 86_400
            await desk.running.push(record(uuid=f"{number}-{kind}", user=user, timestamp=at))
    page = await desk.get("/attendance?day=2023-05-29&kind=visitors", "viewer")
    assert "None of this kind on this page" in page.words
    following = html.unescape(re.findall(r'rel="next" href="([^"]+)"', page.html)[0])
    assert "Guest" in (await desk.get(following, "viewer")).words


@pytest.mark.parametrize(
    ("asked", "title"),
    [("month=2024-13", "Month"), ("day=2023-02-29", "Day"), ("month=0&day=2024-02-29", "Month")],
)
async def test_a_month_or_day_that_is_none_is_said(desk: Desk, asked: str, title: str) -> None:
    page = await desk.get(f"/attendance?{asked}")
    assert f"the value makes no sense: {title}" in page.words


@pytest.mark.parametrize("asked", ["", "?month=2024-02", "?day=2024-02-29", "?month=2024-02&day=x"])
async def test_a_month_or_day_that_is_one_is_not_complained_of(desk: Desk, asked: str) -> None:
    assert 'role="alert"' not in (await desk.get(f"/attendance{asked}")).html
