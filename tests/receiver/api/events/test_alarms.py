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


async def test_everybody_reads_and_a_guard_acknowledges(receiver: Running) -> None:
    number = await pushed(receiver)
    assert await least_role(receiver, "GET", f"alarms/{number}") == "guard"
    assert await least_role(receiver, "POST", f"alarms/{number}/acknowledge", {"note": ""}) == "guard"


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


async def close(receiver: Running, number: int, note: str) -> Answer:
    return await receiver.request(
        "POST", f"/api/v1/alarms/{number}/close", json.dumps({"note": note}).encode()
    )


async def found(receiver: Running, query: str) -> list[int]:
    return [item["id"] for item in (await receiver.get(f"/api/v1/alarms?{query}")).json["items"]]


async def test_open_is_whatever_is_not_cleared(either: Running) -> None:
    for trace, steps in (("a", (1,)), ("b", (1, 2)), ("c", (1, 3)), ("d", (1, 2, 3))):
        for status in steps:
            await either.push(alarm(trace_id=trace, status=status))
    traces = {
        state: sorted(
            item["trace_id"] for item in (await either.get(f"/api/v1/alarms?state={state}")).json["items"]
        )
        for state in ("open", "clear_failed", "cleared")
    }
    assert traces == {"open": ["a", "b"], "clear_failed": ["b"], "cleared": ["c", "d"]}
    (number, _) = await found(either, "state=open")
    await acknowledge(either, number)
    stats = (await either.get("/api/v1/stats")).json
    assert (stats["alarms"], stats["open_alarms"], stats["unacknowledged_alarms"]) == (4, 2, 1)
    metrics = (await either.get("/metrics")).body.decode()
    assert 'gatepost_open_alarms{acknowledged="false"} 1.0' in metrics
    assert 'gatepost_open_alarms{acknowledged="true"} 1.0' in metrics


async def test_an_operator_closes_an_alarm_with_a_note(either: Running) -> None:
    number = await pushed(either)
    await pushed(either, status=2, code=None)
    answer = await close(either, number, "reset by hand")
    assert answer.status == 200
    shown = (await either.get(f"/api/v1/alarms/{number}")).json
    assert shown == answer.json
    assert (shown["state"], shown["acknowledged"]) == ("cleared", True)
    assert (shown["closed_by"], shown["closed_note"], shown["note"]) == ("token:test", "reset by hand", None)
    assert shown["closed_at"] is not None
    assert (await found(either, "state=open"), await found(either, "state=cleared")) == ([], [number])
    audit = (await either.get("/api/v1/audit?action=alarm.closed")).json["items"]
    assert [line["subject"] for line in audit] == [str(number)]
    file = (await either.get("/api/v1/alarms/export?columns=state,closed_by,closed_note")).body.decode()
    assert "cleared,token:test,reset by hand" in file
    # What the terminal reports later is history; what happens later is another alarm.
    await pushed(either, status=3, code=None)
    shown = (await either.get(f"/api/v1/alarms/{number}")).json
    assert ([step["status"] for step in shown["history"]], shown["closed_note"]) == (
        [1, 2, 3],
        "reset by hand",
    )
    await pushed(either, event_time=1_684_385_033_398)
    assert len(await found(either, "state=open")) == 1


async def test_only_an_open_alarm_is_closed_and_only_with_a_note(receiver: Running) -> None:
    number = await pushed(receiver)
    for note in ("", " ", "x" * 2001):
        assert (await close(receiver, number, note)).status == 400
    assert (await close(receiver, number, "gone")).status == 200
    again = await close(receiver, number, "again")
    assert (again.status, "not open any more" in again.json["detail"]) == (409, True)
    for missing in (9, 1 << 64, -(1 << 64)):
        assert (await close(receiver, missing, "x")).status == 404
    assert await least_role(receiver, "POST", f"alarms/{number}/close", {"note": "x"}) == "operator"


async def many(receiver: Running, order: dict[str, Any], query: str = "") -> Answer:
    return await receiver.request("POST", f"/api/v1/alarms/acknowledge{query}", json.dumps(order).encode())


async def shown(receiver: Running, query: str) -> list[Any]:
    return [item["id"] for item in (await receiver.get(f"/api/v1/alarms?{query}")).json["items"]]


async def test_alarms_are_filtered_by_their_kind(receiver: Running) -> None:
    door = await pushed(receiver, trace_id="1", code=10003)
    # Without a code it is shown with that of its next report.
    await pushed(receiver, trace_id="2", code=None)
    await pushed(receiver, trace_id="2", code=20003, status=2)
    assert await shown(receiver, "code=10003") == [door]
    assert len(await shown(receiver, "code=20003")) == 1
    assert await shown(receiver, "code=10001") == []
    assert (await receiver.get("/api/v1/alarms?code=fire")).status == 400


async def test_alarms_are_acknowledged_together_and_noted_as_one_action(receiver: Running) -> None:
    first = await pushed(receiver, trace_id="1")
    second = await pushed(receiver, trace_id="2", event_time=1_684_385_033_398)
    third = await pushed(receiver, trace_id="3", event_time=1_684_386_033_398)
    await acknowledge(receiver, first, "mine")
    assert (await many(receiver, {"alarms": [first, second], "note": "drill"})).json == {
        "alarms": 1,
        "up_to": None,
    }
    notes = {item["id"]: item["note"] for item in (await receiver.get("/api/v1/alarms")).json["items"]}
    assert notes == {first: "mine", second: "drill", third: None}
    (line, *_) = (await receiver.get("/api/v1/audit?action=alarms.acknowledged")).json["items"]
    assert line["detail"]["count"] == 1
    assert "drill" not in json.dumps(line)


async def test_all_that_a_filter_chooses_is_asked_first_and_takes_nothing_that_arrives_later(
    receiver: Running,
) -> None:
    first = await pushed(receiver, trace_id="1", code=10003)
    await pushed(receiver, trace_id="2", code=20003, event_time=1_684_385_033_398)
    assert (await many(receiver, {}, "?code=10003")).status == 400
    asked = (await many(receiver, {"check": True}, "?code=10003")).json
    assert asked == {"alarms": 1, "up_to": first}
    later = await pushed(receiver, trace_id="3", code=10003, event_time=1_684_386_033_398)
    done = await many(receiver, {"up_to": asked["up_to"]}, "?code=10003")
    assert done.json["alarms"] == 1
    assert await shown(receiver, "acknowledged=true") == [first]
    assert later in await shown(receiver, "acknowledged=false")
    (line, *_) = (await receiver.get("/api/v1/audit")).json["items"]
    assert (line["action"], line["detail"]["code"]) == ("alarms.acknowledged", 10003)


async def test_ids_and_filters_exclude_each_other(receiver: Running) -> None:
    for order in ({"alarms": [1], "check": True}, {"alarms": [1], "up_to": 1}, {"alarms": []}):
        assert (await many(receiver, order)).status == 400
    assert (await many(receiver, {"alarms": [1]}, "?code=10003")).status == 400
    assert (await many(receiver, {"alarms": [1]})).json["alarms"] == 0
    assert await least_role(receiver, "POST", "alarms/acknowledge", {"alarms": [1]}) == "guard"
