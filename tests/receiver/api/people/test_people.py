from typing import Any
from urllib.parse import quote

import pytest
from tests.receiver.api.roles import least_role
from tests.receiver.api.visits import FIRST, get, person, seen
from tests.receiver.kit import Running, receiving, record


async def test_people_are_listed_and_found_by_name_and_numbers(receiver: Running) -> None:
    await seen(receiver, 1)
    await seen(receiver, 2, user=person("6", name="Anna", job_number="J-6"))
    assert [item["user_id"] for item in (await get(receiver, "people"))["items"]] == ["6", "5"]
    for q, found in (("王", ["5"]), ("J-6", ["6"]), ("nobody", [])):
        items = (await get(receiver, f"people?q={quote(q)}"))["items"]
        assert [item["user_id"] for item in items] == found
    assert (await get(receiver, "people?type=2"))["items"] == []
    assert len((await get(receiver, "people?group=3&site_id=1"))["items"]) == 2


async def test_people_are_listed_page_by_page(receiver: Running) -> None:
    for number in range(5):
        await seen(receiver, number, user=person(str(number)))
    first = await get(receiver, "people?limit=3")
    rest = await get(receiver, f"people?limit=3&cursor={first['next_cursor']}")
    assert [item["user_id"] for item in (*first["items"], *rest["items"])] == ["4", "3", "2", "1", "0"]
    assert rest["next_cursor"] is None


async def test_a_person_has_days_and_a_day_has_passages(receiver: Running) -> None:
    for number in range(3):
        await seen(receiver, number)
    await seen(receiver, 3, **{"pass": False})
    (someone,) = (await get(receiver, "people"))["items"]
    assert await get(receiver, f"people/{someone['id']}") == someone
    shift = {
        "day": "2023-05-29",
        "first_in": "2023-05-29T07:01:55Z",
        "last_out": "2023-05-29T07:03:55Z",
        "hours": 0.03,
        "worked_hours": 0.03,
        "passages": 3,
        "name": "王五",
        "type": 1,
        "site_id": 1,
        "site": "default",
        "timezone": "UTC",
        "schedule": None,
        "planned_from": None,
        "planned_until": None,
        "marks": [],
    }
    for stretch in ("month=2023-05", "first=2023-05-29&last=2023-05-30"):
        assert (await get(receiver, f"people/{someone['id']}/shifts?{stretch}"))["items"] == [shift]
    day = await get(receiver, f"people/{someone['id']}/days/2023-05-29")
    assert day["shifts"] == [shift]
    assert (day["refused"], day["timezone"], day["person"]) == (1, "UTC", someone)
    assert [item["refused"] for item in day["items"]] == [False, False, False, True]
    records = (await get(receiver, "records?order=oldest"))["items"]
    assert [item["record_id"] for item in day["items"]] == [item["id"] for item in records]


async def test_strangers_and_visitors_outside_their_time_have_lists_of_their_own(receiver: Running) -> None:
    await seen(receiver, 1)
    await seen(receiver, 2, user={"name": None, "type": None}, recognitionType=3)
    guest = person("7", type=2, guest_time_start=0, guest_time_end=FIRST * 1000)
    await seen(receiver, 3, user=guest)
    strangers = (await get(receiver, "people/strangers"))["items"]
    assert [(item["uuid"], item["person"]) for item in strangers] == [("u-2", None)]
    assert (await get(receiver, "people/strangers?has_image=true"))["items"] == []
    outside = (await get(receiver, "people/outside-time"))["items"]
    assert [item["uuid"] for item in outside] == ["u-3"]
    assert (await get(receiver, "records?outside_time=true"))["items"] == outside
    assert (await get(receiver, "people/outside-time?until=2023-05-01"))["items"] == []


async def test_groups_are_listed(receiver: Running) -> None:
    await seen(receiver, 1)
    assert (await get(receiver, "groups"))["items"] == [{"id": "3", "ids": ["3"], "name": "测试3"}]
    assert (await get(receiver, "groups?site_id=2"))["items"] == []


@pytest.mark.parametrize(
    ("path", "status", "named"),
    [
        ("people/99", 404, "person"),
        ("people/x", 404, "person"),
        ("people/1/shifts", 400, "month=2024-05"),
        ("people/1/shifts?month=May", 400, "'May'"),
        ("people/1/shifts?first=2023-05-01", 400, "belong together"),
        ("people/1/shifts?month=2023-05&first=2023-05-01&last=2023-05-02", 400, "month=2024-05"),
        ("people/1/shifts?first=2023-05-02&last=2023-05-01", 400, "before"),
        ("people/1/days/today", 400, "'today'"),
        ("people?cursor=x", 400, "cursor"),
        ("people?q=%00", 400, "q contains a NUL"),
        ("people?site_id=0", 400, "site_id"),
        ("people?limit=1001", 400, "limit"),
    ],
)
async def test_what_is_asked_wrongly_is_named(receiver: Running, path: str, status: int, named: str) -> None:
    await seen(receiver, 1)
    answer = await receiver.get(f"/api/v1/{path}")
    assert answer.status == status
    assert named in answer.json["detail"]


async def test_the_settings_say_who_is_one_person_and_what_counts_once(tmp_path: Any) -> None:
    rules = {"people_scope": "terminal", "repeat_s": 300.0}
    async with receiving(tmp_path / "data", **rules) as receiver:
        for number in range(4):
            await seen(receiver, number, deviceSN=f"SN-{number % 2}")
        people = (await get(receiver, "people"))["items"]
        newer, older = (item["terminal_id"] for item in people)
        assert newer > older
        day = await get(receiver, f"people/{people[1]['id']}/days/2023-05-29")
        assert [(shift["passages"], shift["last_out"]) for shift in day["shifts"]] == [(1, None)]
        assert [item["repeats"] for item in day["items"]] == [1]


async def test_a_viewer_may_see_people(receiver: Running) -> None:
    for path in (
        "people",
        "people/1",
        "people/1/shifts?month=2023-05",
        "people/1/days/2023-05-29",
        "people/strangers",
        "people/outside-time",
        "groups",
    ):
        assert await least_role(receiver, "GET", path) == "viewer"


async def test_groups_that_are_named_alike_are_one(either: Running) -> None:
    """The name is the group's; an id may be of several groups, for terminals count by themselves."""
    for user_id, serial, groups in (
        ("1", "SN-1", [{"id": "53", "name": "Ｓales "}]),
        ("2", "SN-2", [{"id": "7", "name": "SALES"}, {"id": "8", "name": "sales"}]),
        ("3", "SN-2", [{"id": "53", "name": "研发"}]),
        ("4", "SN-2", [{"id": "53", "name": ""}]),
    ):
        user = {"user_id": user_id, "name": f"N{user_id}", "groups": groups}
        await either.push(record(uuid=f"u-{user_id}", deviceSN=serial, user=user))
        either.settle()  # of several in one batch, any may be the one that was seen last
    listed = (await get(either, "groups"))["items"]
    assert [(item["id"], item["ids"]) for item in listed] == [
        ("53", ["53"]),
        ("7", ["7", "8", "53"]),
        ("53", ["53"]),
    ]
    for asked, found in (
        ("sales", ["1", "2"]),
        ("7", ["1", "2"]),
        ("8", ["1", "2"]),
        ("53", ["1", "2", "3", "4"]),
        ("#53", ["4"]),
        ("研发", ["3"]),
        ("none such", []),
    ):
        query = f"group={quote(asked)}"
        people = (await get(either, f"people?{query}"))["items"]
        assert sorted(item["user_id"] for item in people) == found, asked
        there = (await get(either, f"attendance?month=2023-05&{query}"))["items"]
        assert sorted(item["person"]["user_id"] for item in there) == found, asked
    counted = (await get(either, "attendance/groups?month=2023-05"))["items"]
    assert [(each["ids"], each["people"], each["days"][0]["present"]) for each in counted] == [
        (["53"], 1, 1),
        (["7", "8", "53"], 2, 2),
        (["53"], 1, 1),
    ]
