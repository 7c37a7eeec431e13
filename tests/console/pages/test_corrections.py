"""Passages that are added and struck in the console."""

from tests.console.kit import Desk
from tests.receiver.kit import record

DAY = "month=2023-05&day=2023-05-29"


async def send(desk: Desk, path: str, **fields: object) -> int:
    return (await desk.post(path, "operator", **fields)).status


async def test_a_passage_is_added_struck_and_withdrawn(desk: Desk) -> None:
    """The site has the clock of UTC."""
    await desk.running.push(record())
    person = (await desk.running.get("/api/v1/people")).json["items"][0]["id"]
    (row,) = (await desk.running.get("/api/v1/records")).json["items"]
    added = {"person": person, "day": "2023-05-29", "time": "17:30", "note": "left by the gate"}
    assert await send(desk, "/corrections", **added) == 303
    struck = {"person": person, "record": row["id"], "day": "2023-05-29", "note": "not him"}
    assert await send(desk, "/corrections", **struck) == 303
    items = (await desk.running.get("/api/v1/corrections")).json["items"]
    assert [(one["kind"], one["at"], one["note"]) for one in items] == [
        ("struck", row["recorded_at"], "not him"),
        ("added", "2023-05-29T17:30:00Z", "left by the gate"),
    ]
    page = await desk.get(f"/people/{person}?{DAY}", "operator")
    assert "left by the gate" in page.words
    assert "corrected" in page.words
    listed = await desk.get("/corrections", "viewer")
    assert "not him" in listed.words
    assert "Withdraw" not in listed.words
    assert "corrected" in (await desk.get("/attendance?day=2023-05-29", "viewer")).words
    for number in (1, 2):
        assert await send(desk, f"/corrections/{number}/withdraw") == 303
    assert "withdrawn by" in (await desk.get("/corrections", "viewer")).words
    assert "corrected" not in (await desk.get("/attendance?day=2023-05-29", "viewer")).words
    assert await send(desk, "/corrections/9/withdraw") == 404


async def test_what_cannot_be_corrected_is_said(desk: Desk) -> None:
    await desk.running.push(record())
    person = (await desk.running.get("/api/v1/people")).json["items"][0]["id"]
    right = {"person": person, "day": "2023-05-29", "time": "17:30", "note": "x"}
    for wrong, status in (
        ({"time": "x"}, 400),
        ({"day": "x"}, 400),
        ({"note": ""}, 400),
        ({"record": 99}, 400),
        ({"person": "99"}, 400),
    ):
        assert await send(desk, "/corrections", **(right | wrong)) == status, wrong
    assert (await desk.running.get("/api/v1/corrections")).json["items"] == []


async def test_a_time_that_the_clocks_skipped_is_refused(desk: Desk) -> None:
    await desk.running.push(record())
    person = (await desk.running.get("/api/v1/people")).json["items"][0]["id"]
    assert (await desk.post("/settings/sites/1", name="Office", timezone="Europe/Berlin")).status == 303
    right = {"person": person, "day": "2023-03-26", "time": "03:00", "note": "x"}
    refused = await desk.post("/corrections", "operator", **(right | {"time": "02:30"}))
    assert refused.status == 400
    assert "went forward over 02:30 on 2023-03-26" in refused.words
    assert await send(desk, "/corrections", **right) == 303
    (item,) = (await desk.running.get("/api/v1/corrections")).json["items"]
    assert item["at"] == "2023-03-26T01:00:00Z"
    # Half an hour is left out there, and the hour is the same before and after.
    await desk.post("/settings/sites/1", name="Office", timezone="Australia/Lord_Howe")
    half = right | {"day": "2022-10-02", "time": "02:15"}
    assert "went forward over 02:15" in (await desk.post("/corrections", "operator", **half)).words
    assert await send(desk, "/corrections", **(half | {"time": "02:30"})) == 303


async def test_who_was_erased_since_the_page_was_opened_is_corrected_no_more(desk: Desk) -> None:
    await desk.running.push(record())
    person = (await desk.running.get("/api/v1/people")).json["items"][0]["id"]
    (row,) = (await desk.running.get("/api/v1/records")).json["items"]
    assert await send(desk, "/corrections", person=person, day="2023-05-29", time="17:30", note="x") == 303
    await desk.running.request(
        "POST",
        f"/api/v1/people/{person}/erase",
        b"{}",
        {"authorization": f"Bearer {desk.running.token}", "content-type": "application/json"},
    )
    for fields in ({"time": "17:31"}, {"record": row["id"]}):
        answer = await desk.post(
            "/corrections", "operator", person=person, day="2023-05-29", note="x", **fields
        )
        assert answer.status in {400, 404}
    assert await send(desk, "/corrections/1/withdraw") == 404
    assert (await desk.running.get("/api/v1/corrections")).json["items"] == []
