"""The page of schedules, holidays and assignments, and what attendance shows of them."""

import re

from tests.console.kit import Desk
from tests.receiver.kit import record

OFFICE = {
    "name": "Office",
    "start": "06:00",
    "end": "15:00",
    "grace_min": "5",
    "break_min": "60",
    "days": ["1", "2", "3", "4", "5"],
    "half_days": "5",
    "half_end": "12:00",
}


async def send(desk: Desk, path: str, **fields: object) -> int:
    return (await desk.post(path, "operator", **fields)).status


async def test_a_schedule_is_made_changed_assigned_and_deleted(desk: Desk) -> None:
    await desk.running.push(record())
    assert "There is no schedule yet." in (await desk.get("/schedules", "viewer")).words
    assert await send(desk, "/schedules", **OFFICE) == 303
    page = await desk.get("/schedules", "operator")
    assert "Office" in page.words
    assert (
        await send(desk, "/schedules/1", **{**OFFICE, "name": "Early", "half_days": [], "half_end": ""})
        == 303
    )
    (item,) = (await desk.running.get("/api/v1/schedules")).json["items"]
    assert (item["name"], item["half_days"], item["break_min"]) == ("Early", [], 60)
    assert await send(desk, "/schedules/assignments", schedule=1, group="测试3", since="2023-05-29") == 303
    assert await send(desk, "/schedules/assignments", schedule=1, group="g" * 257, since="2023-05-29") == 400
    person = (await desk.running.get("/api/v1/people")).json["items"][0]["id"]
    assert await send(desk, "/schedules/assignments", schedule="", person=person, since="2023-05-31") == 303
    page = await desk.get("/schedules", "viewer")
    assert "测试3 Early 2023-05-29" in page.words
    assert "王五 No schedule 2023-05-31" in page.words
    day = await desk.get("/attendance?day=2023-05-29", "viewer")
    assert "late" in day.words
    assert "passage missing" in day.words
    assert "absent" in (await desk.get("/attendance?day=2023-05-30", "viewer")).words
    assert "absent" not in (await desk.get("/attendance?day=2023-05-31", "viewer")).words
    month = await desk.get("/attendance?month=2023-05", "viewer")
    assert "late 1" in month.words
    assert "absent 1" in month.words
    assert f"/schedules?person={person}#assignments" in (await desk.get(f"/people/{person}", "operator")).html
    assert f'value="{person}"' in (await desk.get(f"/schedules?person={person}", "operator")).html
    shown = await desk.get(f"/people/{person}?month=2023-05&day=2023-05-30", "viewer")
    assert "absent" in shown.words
    assert await send(desk, "/schedules/1/delete") == 409
    for number in (1, 2):
        assert await send(desk, f"/schedules/assignments/{number}/delete") == 303
    assert await send(desk, "/schedules/1/delete") == 303
    for path in ("/schedules/1/delete", "/schedules/assignments/1/delete", "/schedules/holidays/1/delete"):
        assert await send(desk, path) == 404
    log = (await desk.running.get("/api/v1/audit")).json["items"]
    assert {"schedule.created", "schedule.changed", "assignment.created", "schedule.deleted"} <= {
        item["action"] for item in log
    }


async def test_what_is_wrong_is_said_in_the_language_of_the_reader(desk: Desk) -> None:
    for wrong, english, chinese in (
        ({"start": "8"}, "is no time of day", "不是时刻"),
        ({"break_min": "x"}, "write a number of minutes", "分钟数"),
        ({"days": []}, "choose at least one day of the week", "至少选择一天"),
        ({"name": ""}, "use 1 to 64 characters", "1 到 64 个字符"),
    ):
        form = OFFICE | wrong
        page = await desk.post("/schedules", "operator", **form)
        assert (page.status, english in page.words) == (400, True), wrong
        page = await desk.post("/schedules", "operator", headers={"accept-language": "zh"}, **form)
        assert chinese in page.words, wrong


async def test_holidays_are_added_and_deleted(desk: Desk) -> None:
    await desk.running.push(record())
    assert await send(desk, "/schedules/holidays", day="2023-05-29", name="Whit Monday", half="on") == 303
    assert await send(desk, "/schedules/holidays", day="2023-05-29", name="Again") == 409
    page = await desk.get("/schedules", "viewer")
    assert "Whit Monday Half a day" in page.words
    assert await send(desk, "/schedules/holidays/1/delete") == 303
    assert await send(desk, "/schedules/holidays", day="2023-05-29", name="Whit Monday", site=1) == 303
    assert "holiday" in (await desk.get("/attendance?day=2023-05-29", "viewer")).words


async def test_a_viewer_sees_no_forms(desk: Desk) -> None:
    await send(desk, "/schedules", **OFFICE)
    page = await desk.get("/schedules", "viewer")
    assert 'action="/schedules' not in page.html
    assert 'action="/schedules' in (await desk.get("/schedules", "operator")).html


async def test_names_are_checked_before_they_are_imported(desk: Desk) -> None:
    await desk.running.push(record(user={"user_id": "5"}))
    rows = "number,name,department\n5,Anna Meier,Sales\n"
    wrong = await desk.post("/schedules/staff", "operator", csv=f"{rows},Bert,\n")
    assert "Line 3: has no number" in wrong.words
    assert "Import" not in wrong.words
    checked = await desk.post("/schedules/staff", "operator", csv=rows)
    assert "1 rows: 1 new, 0 changed, 0 as before. Nothing is stored yet." in checked.words
    assert "Anna" not in (await desk.get("/people", "viewer")).words
    stored = await desk.post("/schedules/staff", "operator", csv=rows, store=1)
    assert "1 rows are stored" in stored.words
    assert "Anna Meier" in (await desk.get("/people", "viewer")).words
    assert "Anna Meier" in (await desk.get("/attendance?day=2023-05-29&group=Sales", "viewer")).words
    assert (await desk.post("/schedules/staff", "operator", csv="5,Anna")).status == 400


def version_in(page: str, action: str) -> str:
    """Return the hidden version of the form that is sent to a path."""
    found = re.search(rf'action="{action}"[^>]*>.*?name="version" value="(\w+)"', page, re.DOTALL)
    assert found is not None, page
    return found[1]


async def test_who_changes_a_schedule_that_was_changed_meanwhile_is_told_and_keeps_what_was_typed(
    desk: Desk,
) -> None:
    assert await send(desk, "/schedules", **OFFICE) == 303
    version = version_in((await desk.get("/schedules", "operator")).html, "/schedules/1")
    assert await send(desk, "/schedules/1", **OFFICE | {"grace_min": "7", "version": version}) == 303
    late = OFFICE | {"grace_min": "9", "name": "Late", "version": version}
    for language, said in (
        ("en", r"operator changed this at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d, after you opened it"),
        ("zh", r"operator 已于 \d{4}-\d\d-\d\d \d\d:\d\d:\d\d 作了修改"),
    ):
        page = await desk.post(
            "/schedules/1",
            "operator",
            headers={"referer": "http://127.0.0.1/schedules", "accept-language": language},
            **late,
        )
        assert page.status == 412
        assert re.search(said, page.words), page.words
        form = page.html[page.html.index('action="/schedules/1"') :]
        assert 'name="grace_min" type="number" min="0" max="240" value="9"' in form
        assert 'value="Late"' in form
    (item,) = (await desk.running.get("/api/v1/schedules")).json["items"]
    assert (item["name"], item["grace_min"]) == ("Office", 7)
    # What is wrong otherwise is said first, and the version of the form stays until it is told.
    page = await desk.post(
        "/schedules/1", "operator", headers={"referer": "http://127.0.0.1/schedules"}, **late | {"days": []}
    )
    assert (page.status, version_in(page.html, "/schedules/1")) == (400, version)
    # Who was told may put theirs in its place.
    page = await desk.post(
        "/schedules/1", "operator", headers={"referer": "http://127.0.0.1/schedules"}, **late
    )
    assert (
        await send(desk, "/schedules/1", **late | {"version": version_in(page.html, "/schedules/1")}) == 303
    )
