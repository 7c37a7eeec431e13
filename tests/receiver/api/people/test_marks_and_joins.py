"""Marks of people, and people who are joined and parted, over the API."""

from typing import Any

import pytest
from tests.receiver.api.people.test_schedules import call
from tests.receiver.api.roles import least_role
from tests.receiver.api.visits import get
from tests.receiver.kit import Running, record


@pytest.fixture
async def two(receiver: Running) -> dict[str, str]:
    """The ids of Anna, who is 5 at the first site, and of A. Anna, 70 at the second."""
    store = receiver.store
    store.create_site("Hamburg", "UTC", now_ms=0)
    for number, user_id, name in ((1, "5", "Anna"), (2, "70", "A. Anna")):
        user = record()["data"]["user"] | {"user_id": user_id, "name": name}
        store.create_terminal(now_ms=0, serial=f"SN-{number}", site_id=number)
        await receiver.desk.table.refresh()
        assert (await receiver.push(record(uuid=user_id, user=user, deviceSN=f"SN-{number}"))).status == 200
    return {one["name"]: one["id"] for one in (await get(receiver, "people"))["items"]}


async def actions(receiver: Running) -> list[Any]:
    found = (await get(receiver, "audit"))["items"]
    return [
        (one["action"], one["subject"], one["detail"]) for one in found if one["action"].startswith("person.")
    ]


async def test_a_person_is_marked_listed_and_unmarked(receiver: Running, two: dict[str, str]) -> None:
    path = f"people/{two['Anna']}/mark"
    made = await call(receiver, "PUT", path, {"reason": "ask at the desk", "until": "2999-01-01T00:00:00Z"})
    assert made.status == 200
    assert (made.json["reason"], made.json["until"]) == ("ask at the desk", "2999-01-01T00:00:00Z")
    (listed,) = (await get(receiver, "people/marked"))["items"]
    assert (listed["person_id"], listed["name"], listed["mark"]) == (two["Anna"], "Anna", made.json)
    assert (await get(receiver, f"people/{two['Anna']}"))["mark"] == made.json
    marks = {one["name"]: one["mark"] for one in (await get(receiver, "people"))["items"]}
    assert marks == {"Anna": made.json, "A. Anna": None}
    assert (await call(receiver, "DELETE", path)).status == 204
    assert (await call(receiver, "DELETE", path)).status == 404
    assert (await get(receiver, "people/marked"))["items"] == []
    told = await actions(receiver)
    assert [(action, subject) for action, subject, _ in told] == [
        ("person.unmarked", two["Anna"]),
        ("person.marked", two["Anna"]),
    ]
    assert "ask at the desk" not in str(told)


async def test_what_is_no_mark_is_a_400(receiver: Running, two: dict[str, str]) -> None:
    path = f"people/{two['Anna']}/mark"
    wrong: list[dict[str, object]] = [
        {}, {"reason": ""}, {"reason": " "}, {"reason": "x" * 201}, {"reason": "x", "until": "x"},
        {"reason": "x", "until": "2001-01-01T00:00:00Z"}, {"reason": "x", "more": 1},
    ]  # fmt: skip
    for data in wrong[:6]:
        assert (await call(receiver, "PUT", path, data)).status == 400, data
    assert (await call(receiver, "PUT", "people/99/mark", {"reason": "x"})).status == 404


async def test_people_are_joined_parted_and_erased(receiver: Running, two: dict[str, str]) -> None:
    anna, other = two["Anna"], two["A. Anna"]
    before = (await get(receiver, "people"))["items"]
    path = f"people/{anna}/joined"
    assert (await get(receiver, f"people/{anna}/joined"))["items"] == []
    joined = await call(receiver, "POST", path, {"other_id": other})
    assert joined.status == 200
    assert [one["id"] for one in (await get(receiver, "people"))["items"]] == [joined.json["id"]]
    assert (await call(receiver, "POST", path, {"other_id": other})).status == 409
    assert (await call(receiver, "POST", path, {"other_id": "99"})).status == 400
    numbers = (await get(receiver, f"people/{other}/joined"))["items"]
    assert [(one["user_id"], one["site"]) for one in numbers] == [("5", "default"), ("70", "Hamburg")]
    people = {one["person"]["id"] for one in (await get(receiver, "records"))["items"]}
    assert people == {joined.json["id"]}
    number = numbers[1]["number_id"]
    assert (await call(receiver, "DELETE", f"{path}/{number}")).status == 204
    assert (await call(receiver, "DELETE", f"{path}/{number}")).status == 404
    assert (await get(receiver, "people"))["items"] == before
    assert [action for action, _, _ in await actions(receiver)] == ["person.parted", "person.joined"]
    await call(receiver, "POST", path, {"other_id": other})
    erased = await call(receiver, "POST", f"people/{other}/erase", {})
    assert (erased.json["identities"], erased.json["records"]) == (2, 2)
    assert (await get(receiver, "people"))["items"] == []


async def test_erasing_a_joined_person_erases_all_that_was_written_about_each_number(
    receiver: Running, two: dict[str, str]
) -> None:
    about = []
    for person, user_id in ((two["Anna"], "5"), (two["A. Anna"], "70")):
        at = "2023-05-29T17:30:00Z"
        about += [
            await call(receiver, "PUT", f"people/{person}/mark", {"reason": f"mark {user_id}"}),
            await call(
                receiver, "POST", "corrections", {"person_id": person, "at": at, "note": f"note {user_id}"}
            ),
            await call(
                receiver,
                "POST",
                "assignments",
                {"person_id": person, "schedule_id": None, "since": "2023-05-01"},
            ),
            await call(
                receiver,
                "POST",
                "views",
                {
                    "page": "records",
                    "name": f"view {user_id}",
                    "filters": {"person": user_id},
                    "shared": True,
                },
            ),
        ]
    assert {one.status for one in about} <= {200, 201}, [one.json for one in about]
    joined = await call(receiver, "POST", f"people/{two['Anna']}/joined", {"other_id": two["A. Anna"]})
    await call(receiver, "POST", f"people/{joined.json['id']}/erase", {})
    for path in ("people", "people/marked", "corrections", "assignments", "views"):
        assert (await get(receiver, path))["items"] == [], path
    records = (await get(receiver, "records"))["items"]
    assert len(records) == 2
    assert "Anna" not in str(records)


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "mark"), ("DELETE", "mark"), ("POST", "joined"), ("DELETE", "joined/1")],
)
async def test_an_operator_marks_and_joins(receiver: Running, method: str, path: str) -> None:
    content = {"reason": "x"} if method == "PUT" else {"other_id": "1"} if method == "POST" else None
    assert await least_role(receiver, method, f"people/1/{path}", content) == "operator"
