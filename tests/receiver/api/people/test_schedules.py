from typing import Any

import pytest
from tests.receiver.api.roles import least_role
from tests.receiver.api.visits import get, person, seen
from tests.receiver.kit import Answer, Running, body

OFFICE = {"name": "Office", "start": "07:00", "end": "16:00", "grace_min": 2, "break_min": 60}


async def call(receiver: Running, method: str, path: str, content: Any = None) -> Answer:
    return await receiver.request(method, f"/api/v1/{path}", b"" if content is None else body(content))


async def made(receiver: Running, path: str, content: Any) -> Any:
    answer = await call(receiver, "POST", path, content)
    assert answer.status == 201, answer.body
    return answer.json


@pytest.fixture
async def visited(receiver: Running) -> Running:
    """Person 5 was there on Monday, 2023-05-29, at 07:01:55 and 07:03:55, person 6 at 07:02:55."""
    for number, user_id in enumerate(("5", "6", "5")):
        await seen(receiver, number, user=person(user_id))
    return receiver


async def marks(receiver: Running, path: str = "attendance?first=2023-05-29&last=2023-06-04") -> Any:
    items = (await get(receiver, path))["items"]
    return {
        item["person"]["user_id"]: {one["day"][-2:]: one["marks"] for one in item["days"]} for item in items
    }


async def test_a_schedule_is_made_changed_listed_and_deleted(receiver: Running) -> None:
    item = await made(receiver, "schedules", {**OFFICE, "half_days": [5], "half_end": "12:00"})
    assert item == {
        "id": 1,
        "name": "Office",
        "start": "07:00",
        "end": "16:00",
        "grace_min": 2,
        "break_min": 60,
        "days": [1, 2, 3, 4, 5],
        "half_days": [5],
        "half_end": "12:00",
        "on_holidays": False,
        "assignments": 0,
        "version": item["version"],
    }
    changed = await call(receiver, "PATCH", "schedules/1", {"end": "24:00", "half_days": [], "half_end": ""})
    assert (changed.json["end"], changed.json["half_end"], changed.json["start"]) == ("00:00", None, "07:00")
    assert (await get(receiver, "schedules"))["items"] == [changed.json]
    one = await call(receiver, "GET", "schedules/1")
    assert (one.json, one.headers["etag"]) == (changed.json, f'"{changed.json["version"]}"')
    assert (await call(receiver, "DELETE", "schedules/1")).status == 204
    assert (await get(receiver, "schedules"))["items"] == []
    for method in ("PATCH", "DELETE"):
        assert (await call(receiver, method, "schedules/1", {})).status == 404
    assert (await call(receiver, "GET", "schedules/1")).status == 404


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"start": "7"}, "start: '7' is no time of day; write it like 08:00"),
        ({"end": "25:00"}, "end: '25:00' is no time of day"),
        ({"half_end": "noon"}, "half_end: 'noon' is no time of day"),
        ({"grace_min": 241}, "grace_min: use 0 to 240 minutes"),
        ({"break_min": 540}, "break_min: a break is shorter than the shift"),
        ({"days": []}, "days: choose at least one day of the week"),
        ({"days": [0]}, "days: choose at least one day of the week"),
        ({"half_days": [6], "half_end": "12:00"}, "half_days: choose among the days of the schedule"),
        ({"half_days": [5]}, "half_end: say when work ends on half days"),
        ({"name": ""}, "name"),
    ],
)
async def test_what_is_wrong_with_a_schedule_is_named(
    receiver: Running, wrong: dict[str, Any], why: str
) -> None:
    answer = await call(receiver, "POST", "schedules", OFFICE | wrong)
    assert answer.status == 400
    assert why in str(answer.json)
    assert (await get(receiver, "schedules"))["items"] == []


async def test_attendance_is_marked_by_the_schedule_of_a_group_and_of_a_person(visited: Running) -> None:
    office = await made(visited, "schedules", OFFICE)
    assert set((await marks(visited))["5"]) == {"29"}
    (group,) = (await get(visited, "groups"))["items"]
    since = {"schedule_id": office["id"], "since": "2023-05-29"}
    of_group = await made(visited, "assignments", {**since, "group": group["name"]})
    assert (of_group["group"], of_group["schedule"], of_group["person_id"]) == (group["name"], "Office", None)
    assert await marks(visited) == {
        "5": {
            "29": ["early"],
            **{day: ["absent"] for day in ("30", "31", "01", "02")},
        },
        "6": {
            "29": ["no_out", "late", "missing"],
            **{day: ["absent"] for day in ("30", "31", "01", "02")},
        },
    }
    items = (await get(visited, "attendance?first=2023-05-29&last=2023-05-30"))["items"]
    (six,) = (item for item in items if item["person"]["user_id"] == "6")
    assert six["days"][1] == {
        "day": "2023-05-30",
        "first_in": None,
        "last_out": None,
        "hours": None,
        "worked_hours": None,
        "passages": 0,
        "name": "王五",
        "type": 1,
        "site_id": 1,
        "site": "default",
        "timezone": "UTC",
        "schedule": "Office",
        "planned_from": "2023-05-30T07:00:00Z",
        "planned_until": "2023-05-30T16:00:00Z",
        "marks": ["absent"],
    }
    who = six["person"]["id"]
    shifts = (await get(visited, f"people/{who}/shifts?month=2023-05"))["items"]
    assert [one["marks"] for one in shifts] == [["no_out", "late", "missing"], ["absent"], ["absent"]]
    day = await get(visited, f"people/{who}/days/2023-05-30")
    assert [one["marks"] for one in day["shifts"]] == [["absent"]]
    own = await made(visited, "assignments", {"schedule_id": None, "since": "2023-05-30", "person_id": who})
    assert (own["person_id"], own["user_id"], own["schedule"]) == (who, "6", None)
    assert (await marks(visited))["6"] == {"29": ["no_out", "late", "missing"]}
    listed = (await get(visited, "assignments"))["items"]
    assert [one["id"] for one in listed] == [own["id"], of_group["id"]]
    assert (await call(visited, "DELETE", f"assignments/{own['id']}")).status == 204
    assert len((await marks(visited))["6"]) == 5
    answer = await call(visited, "DELETE", f"schedules/{office['id']}")
    assert (answer.status, answer.json["detail"]) == (
        409,
        "this schedule is assigned; delete its assignments first",
    )


async def test_holidays_are_added_and_deleted(visited: Running) -> None:
    item = await made(visited, "holidays", {"day": "2023-05-29", "name": "Whit Monday"})
    assert item == {"id": 1, "day": "2023-05-29", "name": "Whit Monday", "site_id": None, "half": False}
    assert (await marks(visited))["5"] == {"29": ["holiday"]}
    assert (await call(visited, "POST", "holidays", {"day": "2023-05-29", "name": "x"})).status == 409
    own = await made(visited, "holidays", {"day": "2023-05-29", "name": "Fair", "site_id": 1, "half": True})
    assert (await marks(visited))["5"] == {"29": []}
    assert [one["name"] for one in (await get(visited, "holidays"))["items"]] == ["Whit Monday", "Fair"]
    assert (await call(visited, "DELETE", f"holidays/{own['id']}")).status == 204
    assert (await call(visited, "DELETE", f"holidays/{own['id']}")).status == 404
    for wrong in ({"day": "29 May", "name": "x"}, {"day": "2023-05-30", "name": "x", "site_id": 9}):
        assert (await call(visited, "POST", "holidays", wrong)).status == 400


async def test_what_is_wrong_with_an_assignment_is_said(visited: Running) -> None:
    office = await made(visited, "schedules", OFFICE)
    since = {"schedule_id": office["id"], "since": "2023-05-29"}
    for wrong, status in (
        (since, 400),
        (since | {"group": "x", "person_id": "1"}, 400),
        (since | {"group": "x", "since": "May"}, 400),
        (since | {"group": "x", "schedule_id": 99}, 400),
        (since | {"person_id": "99"}, 400),
    ):
        assert (await call(visited, "POST", "assignments", wrong)).status == status
    assert (await call(visited, "POST", "assignments", since | {"group": "x"})).status == 201
    assert (await call(visited, "POST", "assignments", since | {"group": " X"})).status == 409
    assert (await call(visited, "DELETE", "assignments/99")).status == 404


async def test_changes_are_in_the_audit_log_and_name_no_person(visited: Running) -> None:
    office = await made(visited, "schedules", OFFICE)
    await call(visited, "PATCH", "schedules/1", {"grace_min": 5})
    await made(visited, "holidays", {"day": "2023-05-29", "name": "Whit Monday"})
    who = (await get(visited, "people"))["items"][0]["id"]
    own = {"schedule_id": office["id"], "since": "2023-05-29", "person_id": who}
    await made(visited, "assignments", own)
    for path in ("assignments/1", "holidays/1", "schedules/1"):
        assert (await call(visited, "DELETE", path)).status == 204
    log = (await get(visited, "audit"))["items"]
    assert [item["action"] for item in log[:7][::-1]] == [
        "schedule.created",
        "schedule.changed",
        "holiday.added",
        "assignment.created",
        "assignment.deleted",
        "holiday.deleted",
        "schedule.deleted",
    ]
    assert "王五" not in str(log)
    (changed,) = (item for item in log if item["action"] == "schedule.changed")
    assert (changed["detail"]["grace_min"], changed["detail"]["was_grace_min"]) == (5, 2)


async def test_viewers_look_and_operators_change(receiver: Running) -> None:
    for path, content in (
        ("schedules", OFFICE),
        ("holidays", {"day": "2023-05-29", "name": "x"}),
        ("assignments", {"schedule_id": None, "since": "2023-05-29", "group": "x"}),
    ):
        assert await least_role(receiver, "GET", path) == "viewer"
        assert await least_role(receiver, "POST", path, content) == "operator"
        assert await least_role(receiver, "DELETE", f"{path}/1") == "operator"
