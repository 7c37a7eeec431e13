import time

from tests.receiver.kit import Running, base64, body, record
from tests.store.events import arrival
from tests.store.events import record as stored
from tests.terminals import ensured

from gatepost.store.conversion.values import DAY_MS


async def test_the_state_of_retention_is_visible(receiver: Running) -> None:
    await receiver.push(record(rgb_image=base64(b"\xff\xd8face\xff\xd9")))
    told = (await receiver.get("/api/v1/retention")).json
    parts = {item["part"]: item for item in told["items"]}
    assert {name: item["days"] for name, item in parts.items()} == {
        "images": 90,
        "stranger_images": 30,
        "records": 1095,
        "alarms": 1095,
        "quarantine": 90,
        "audit": 1095,
        "refusal_samples": 7,
        "tombstones": 1096,
    }
    assert parts["images"]["before"] < parts["stranger_images"]["before"] < parts["images"]["oldest"]
    assert parts["records"]["deleted"] == 0
    while receiver.desk.keeper.once().more:
        pass
    told = (await receiver.get("/api/v1/retention")).json
    assert not any(item["pending"] for item in told["items"])
    assert told["finished_at"] is not None


async def test_what_a_wrong_clock_would_delete_is_shown_and_deleted_when_it_is_confirmed(
    receiver: Running,
) -> None:
    now_ms = int(time.time() * 1000)
    ensured(receiver.store, "SN-1", now_ms=now_ms)
    for days in (1200, 1199, 1198):
        receiver.store.write([arrival(stored(days), received_at_ms=now_ms - days * DAY_MS)])
    while receiver.desk.keeper.once().more:
        pass
    assert len(receiver.records()) == 3
    (ask,) = (await receiver.get("/api/v1/retention")).json["asks"]
    assert (ask["part"], ask["why"], ask["days"]) == ("records", "days", 3)
    assert "gatepost_retention_asks 1.0" in (await receiver.get("/metrics")).body.decode()
    wrong = {"part": "records", "last": ask["first"]}
    assert (await receiver.request("POST", "/api/v1/retention/confirm", body(wrong))).status == 400
    right = {"part": "records", "last": ask["last"]}
    assert (await receiver.request("POST", "/api/v1/retention/confirm", body(right))).json == ask
    assert (await receiver.get("/api/v1/retention")).json["asks"] == []
    while receiver.desk.keeper.once().more:
        pass
    assert receiver.records() == []
    lines = (await receiver.get("/api/v1/audit?action=retention.confirmed")).json["items"]
    assert [(line["subject"], line["detail"]["last"]) for line in lines] == [("records", ask["last"])]
