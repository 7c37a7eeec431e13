import json
from typing import Any

from tests.receiver.api.roles import least_role
from tests.receiver.kit import Answer, Running, alarm


async def acknowledge(receiver: Running, number: int, note: str = "") -> Answer:
    return await receiver.request(
        "POST", f"/api/v1/alarms/{number}/acknowledge", json.dumps({"note": note}).encode()
    )


async def pushed(receiver: Running, **data: Any) -> int:
    await receiver.push(alarm(**data), headers={"sn": "SN-1"})
    return int((await receiver.get("/api/v1/alarms")).json["items"][0]["id"])


async def test_an_alarm_is_acknowledged_with_a_note_and_stays_open(receiver: Running) -> None:
    number = await pushed(receiver)
    answer = await acknowledge(receiver, number, "王五 was locked out")
    assert answer.status == 200
    shown = (await receiver.get(f"/api/v1/alarms/{number}")).json
    assert shown == answer.json
    assert (shown["state"], shown["acknowledged"], shown["acknowledged_by"]) == ("open", True, "token:test")
    assert shown["note"] == "王五 was locked out"
    assert shown["acknowledged_at"] is not None


async def test_a_cleared_alarm_stays_unacknowledged_until_somebody_looks(receiver: Running) -> None:
    number = await pushed(receiver)
    await pushed(receiver, status=3, code=None)
    shown = (await receiver.get(f"/api/v1/alarms/{number}")).json
    assert (shown["state"], shown["acknowledged"], shown["note"]) == ("cleared", False, None)
    for acknowledged, found in (("false", [number]), ("true", [])):
        page = await receiver.get(f"/api/v1/alarms?state=cleared&acknowledged={acknowledged}")
        assert [item["id"] for item in page.json["items"]] == found


async def test_an_acknowledged_alarm_that_is_cleared_later_stays_acknowledged(receiver: Running) -> None:
    number = await pushed(receiver)
    await acknowledge(receiver, number, "on my way")
    await pushed(receiver, status=3, code=None)
    shown = (await receiver.get(f"/api/v1/alarms/{number}")).json
    assert (shown["state"], shown["acknowledged"], shown["note"]) == ("cleared", True, "on my way")


async def test_the_latest_note_counts(receiver: Running) -> None:
    number = await pushed(receiver)
    await acknowledge(receiver, number, "first")
    assert (await acknowledge(receiver, number, "second")).json["note"] == "second"
    assert (await acknowledge(receiver, number, "x" * 2001)).status == 400


async def test_an_alarm_that_there_is_not_is_a_404(receiver: Running) -> None:
    for number in (9, 1 << 64):
        assert (await receiver.get(f"/api/v1/alarms/{number}")).status == 404
        assert (await acknowledge(receiver, number)).status == 404


async def test_the_audit_log_tells_who_looked_but_not_what_they_wrote(receiver: Running) -> None:
    number = await pushed(receiver)
    await acknowledge(receiver, number, "王五 was locked out")
    (line, *_) = (await receiver.get("/api/v1/audit")).json["items"]
    assert (line["action"], line["subject"], line["actor"]) == (
        "alarm.acknowledged",
        str(number),
        "token:test",
    )
    assert "王五" not in json.dumps(line, ensure_ascii=False)


async def test_everybody_reads_and_an_operator_acknowledges(receiver: Running) -> None:
    number = await pushed(receiver)
    assert await least_role(receiver, "GET", f"alarms/{number}") == "viewer"
    assert await least_role(receiver, "POST", f"alarms/{number}/acknowledge", {"note": ""}) == "operator"


async def test_a_fire_alarm_under_a_used_trace_id_is_an_alarm_of_its_own(receiver: Running) -> None:
    await pushed(receiver, trace_id="1", code=10003)
    await pushed(receiver, trace_id="1", code=20003, event_time=1_684_385_033_398)
    items = (await receiver.get("/api/v1/alarms?state=open")).json["items"]
    assert [(item["trace_id"], item["code"]) for item in items] == [("1", 20003), ("1", 10003)]
    await pushed(receiver, trace_id="1", status=3, code=10003, event_time=1_684_385_033_399)
    items = (await receiver.get("/api/v1/alarms?state=open")).json["items"]
    assert [item["code"] for item in items] == [20003]


async def test_a_step_from_the_future_is_listed_by_its_receipt_and_says_so(receiver: Running) -> None:
    await pushed(receiver, event_time=4_436_000_000_000)
    (item,) = (await receiver.get("/api/v1/alarms")).json["items"]
    (step,) = item["history"]
    assert step["at"].startswith("2110-")
    assert step["listed_at"] == step["received_at"] == item["first_at"]
    assert [problem["where"] for problem in step["problems"]] == ["data.event_time"]
