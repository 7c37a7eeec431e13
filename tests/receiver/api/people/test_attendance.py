from typing import Any

import pytest
from tests.receiver.api.roles import least_role
from tests.receiver.api.visits import FIRST, get, person, seen
from tests.receiver.kit import Running, record


@pytest.fixture
async def visited(receiver: Running) -> Running:
    """Two people of one group were there on 2023-05-29, one of them twice."""
    for number, user_id in enumerate(("5", "6", "5")):
        await seen(receiver, number, user=person(user_id))
    return receiver


async def test_a_day_and_a_month_have_everybodys_first_and_last_passage(visited: Running) -> None:
    for stretch in ("day=2023-05-29", "month=2023-05", "first=2023-05-01&last=2023-05-30"):
        items = (await get(visited, f"attendance?{stretch}"))["items"]
        assert {item["person"]["user_id"]: item["days"] for item in items} == {
            "5": [
                {
                    "day": "2023-05-29",
                    "first_in": "2023-05-29T07:01:55Z",
                    "last_out": "2023-05-29T07:03:55Z",
                    "hours": 0.03,
                    "worked_hours": 0.03,
                    "passages": 2,
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
            ],
            "6": [
                {
                    "day": "2023-05-29",
                    "first_in": "2023-05-29T07:02:55Z",
                    "last_out": None,
                    "hours": None,
                    "worked_hours": None,
                    "passages": 1,
                    "name": "王五",
                    "type": 1,
                    "site_id": 1,
                    "site": "default",
                    "timezone": "UTC",
                    "schedule": None,
                    "planned_from": None,
                    "planned_until": None,
                    "marks": ["no_out"],
                }
            ],
        }


async def test_attendance_is_listed_page_by_page_and_by_filter(visited: Running) -> None:
    first = await get(visited, "attendance?month=2023-05&limit=1")
    rest = await get(visited, f"attendance?month=2023-05&limit=1&cursor={first['next_cursor']}")
    assert [item["person"]["user_id"] for item in (*first["items"], *rest["items"])] == ["6", "5"]
    assert rest["next_cursor"] is None
    for query, count in (("group=3", 2), ("group=4", 0), ("q=5", 2), ("site_id=2", 0)):
        assert len((await get(visited, f"attendance?month=2023-05&{query}"))["items"]) == count


async def test_visitors_and_blacklisted_people_are_apart_and_refused_ones_are_nowhere(
    either: Running,
) -> None:
    """The type that a person had in a shift decides; person 4 was a visitor on the 29th and an employee on the 30th."""
    day = 24 * 60
    kinds = ((0, "1", 1), (0, "2", 2), (0, "3", 5), (0, "4", 2), (day, "4", 1), (0, "5", None), (0, "6", 9))
    for number, (minutes, user_id, kind) in enumerate(kinds):
        body = {"uuid": f"k-{number}", "timestamp": FIRST + 60 * minutes, "user": person(user_id, type=kind)}
        assert (await either.push(record(**body))).status == 200
    refused = {"uuid": "k-9", "user": person("7", type=1), "pass": False}
    assert (await either.push(record(**refused))).status == 200
    for kind, expected in {
        "": {"1": [29], "4": [30], "5": [29], "6": [29], "7": []},
        "&kind=employees": {"1": [29], "4": [30], "5": [29], "6": [29], "7": []},
        "&kind=visitors": {"2": [29], "4": [29]},
        "&kind=blacklist": {"3": [29]},
        "&kind=all": {"1": [29], "2": [29], "3": [29], "4": [29, 30], "5": [29], "6": [29], "7": []},
    }.items():
        items = (await get(either, f"attendance?month=2023-05{kind}"))["items"]
        found = {item["person"]["user_id"]: [int(one["day"][-2:]) for one in item["days"]] for item in items}
        assert found == expected, kind
        (group,) = (await get(either, f"attendance/groups?month=2023-05{kind}"))["items"]
        assert group["people"] == len(expected)
        present = {int(one["day"][-2:]): one["present"] for one in group["days"]}
        every = [of for days in expected.values() for of in days]
        assert present == {of: every.count(of) for of in set(every)}
        lines = (
            await either.get(f"/api/v1/attendance/export?month=2023-05&format=jsonl{kind}")
        ).body.splitlines()
        assert len(lines) == len(every)
    assert (await get(either, "attendance?month=2023-06&kind=visitors"))["items"][0]["person"][
        "user_id"
    ] == "2"
    assert (await either.get("/api/v1/attendance?month=2023-05&kind=guests")).status == 400


async def test_groups_are_counted_by_day(visited: Running) -> None:
    (group,) = (await get(visited, "attendance/groups?month=2023-05"))["items"]
    assert (group["id"], group["people"]) == ("3", 2)
    assert [(day["day"], day["present"]) for day in group["days"]] == [("2023-05-29", 2)]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("", "month=2024-05"),
        ("day=2023-05-29&month=2023-05", "month=2024-05"),
        ("day=2023-02-30", "2023-02-30"),
        ("first=2022-01-01&last=2023-12-31", "at most 400"),
        ("first=2023-01-01&last=2023-12-31&limit=1000", "at most 136 people"),
        ("month=2023-05&cursor=x", "cursor"),
    ],
)
async def test_what_is_asked_wrongly_is_named(visited: Running, query: str, named: str) -> None:
    answer = await visited.get(f"/api/v1/attendance?{query}")
    assert answer.status == 400
    told: Any = answer.json
    assert named in told["detail"]


async def test_a_viewer_may_see_attendance(receiver: Running) -> None:
    for path in ("attendance?month=2023-05", "attendance/groups?month=2023-05"):
        assert await least_role(receiver, "GET", path) == "viewer"
