from typing import Any

import pytest
from tests.receiver.api.people.test_schedules import call, made
from tests.receiver.api.roles import least_role
from tests.receiver.api.visits import get, seen
from tests.receiver.kit import Running


@pytest.fixture
async def visited(receiver: Running) -> Running:
    """Person 5 was there at 07:01:55, 07:02:55 and 07:03:55."""
    for number in range(3):
        await seen(receiver, number)
    return receiver


async def who(receiver: Running) -> str:
    return str((await get(receiver, "people"))["items"][0]["id"])


async def shift(receiver: Running) -> Any:
    (item,) = (await get(receiver, "attendance?day=2023-05-29"))["items"]
    (found,) = item["days"]
    return found


async def test_a_passage_is_added_and_withdrawn(visited: Running) -> None:
    person_id = await who(visited)
    records = await get(visited, "records")
    added = {"person_id": person_id, "at": "2023-05-29T18:00:00+02:00", "note": "gate"}
    item = await made(visited, "corrections", added)
    assert {name: item[name] for name in ("person_id", "user_id", "kind", "at", "note", "withdrawn_at")} == {
        "person_id": person_id,
        "user_id": "5",
        "kind": "added",
        "at": "2023-05-29T16:00:00Z",
        "note": "gate",
        "withdrawn_at": None,
    }
    found = await shift(visited)
    assert (found["last_out"], found["passages"], found["marks"]) == (
        "2023-05-29T16:00:00Z",
        4,
        ["corrected"],
    )
    (listed,) = (await get(visited, "attendance?day=2023-05-29"))["items"]
    assert listed["corrections"] == [item]
    day = await get(visited, f"people/{person_id}/days/2023-05-29")
    assert day["corrections"] == [item]
    assert await get(visited, "records") == records
    assert (await call(visited, "POST", "corrections", added)).status == 409
    withdrawn = await call(visited, "DELETE", f"corrections/{item['id']}")
    assert withdrawn.status == 200
    assert withdrawn.json["withdrawn_by"]
    assert (await shift(visited))["marks"] == []
    assert (await get(visited, "corrections"))["items"] == [withdrawn.json]


async def test_a_passage_is_struck(visited: Running) -> None:
    person_id = await who(visited)
    first = (await get(visited, "records?order=oldest"))["items"][0]["id"]
    item = await made(visited, "corrections", {"person_id": person_id, "record_id": first, "note": "not her"})
    assert (item["kind"], item["record_id"], item["at"]) == ("struck", first, "2023-05-29T07:01:55Z")
    found = await shift(visited)
    assert (found["first_in"], found["passages"]) == ("2023-05-29T07:02:55Z", 2)
    day = await get(visited, f"people/{person_id}/days/2023-05-29")
    assert [one["is_struck"] for one in day["items"]] == [True, False, False]


async def test_corrections_are_filtered(visited: Running) -> None:
    person_id = await who(visited)
    ids = [
        (
            await made(
                visited, "corrections", {"person_id": person_id, "at": f"2023-05-29T1{hour}Z", "note": "x"}
            )
        )["id"]
        for hour in range(3)
    ]
    for query, expected in (
        ("", ids[::-1]),
        (f"?person_id={person_id}&limit=1000", ids[::-1]),
        ("?since=2023-05-29T11:00:00Z&until=2023-05-29T12:00:00Z", [ids[1]]),
    ):
        assert [one["id"] for one in (await get(visited, f"corrections{query}"))["items"]] == expected
    assert (await visited.get("/api/v1/corrections?person_id=99")).status == 400


async def test_what_is_wrong_with_a_correction_is_said(visited: Running) -> None:
    person_id = await who(visited)
    right = {"person_id": person_id, "at": "2023-05-29T16:00:00Z", "note": "x"}
    for wrong, status, why in (
        ({"at": None}, 400, "give at to add a passage, or record_id to strike one"),
        ({"record_id": 1}, 400, "give at to add a passage, or record_id to strike one"),
        ({"at": "today"}, 400, "at is no time"),
        ({"at": " "}, 400, "at is no time"),
        ({"at": "2999-01-01T00:00:00Z"}, 400, "at: a passage is added for a time that is past"),
        ({"at": None, "record_id": 99}, 400, "record_id: this is no passage of this person"),
        ({"note": " "}, 400, "note: say why"),
        ({"note": ""}, 400, "note"),
        ({"person_id": "99"}, 400, "person_id: there is no such person"),
    ):
        answer = await call(visited, "POST", "corrections", right | wrong)
        assert (answer.status, why in str(answer.json)) == (status, True), (wrong, answer.body)
    assert (await call(visited, "DELETE", "corrections/99")).status == 404


async def test_the_audit_log_says_what_was_corrected_and_neither_name_nor_note(visited: Running) -> None:
    person_id = await who(visited)
    await made(
        visited, "corrections", {"person_id": person_id, "at": "2023-05-29T16:00:00Z", "note": "a secret"}
    )
    await call(visited, "DELETE", "corrections/1")
    log = (await get(visited, "audit"))["items"]
    assert [(item["action"], item["detail"]["person"]) for item in log[:2]] == [
        ("correction.withdrawn", person_id),
        ("correction.made", person_id),
    ]
    assert "a secret" not in str(log)
    assert "王五" not in str(log)


async def test_viewers_look_and_operators_correct(visited: Running) -> None:
    content = {"person_id": await who(visited), "at": "2023-05-29T16:00:00Z", "note": "x"}
    assert await least_role(visited, "GET", "corrections") == "viewer"
    assert await least_role(visited, "POST", "corrections", content) == "operator"
    assert await least_role(visited, "DELETE", "corrections/1") == "operator"
