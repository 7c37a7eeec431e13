from tests.receiver.kit import Running, base64, record


async def test_the_state_of_retention_is_visible(receiver: Running) -> None:
    await receiver.push(record(rgb_image=base64(b"\xff\xd8face\xff\xd9")))
    told = (await receiver.get("/api/v1/retention")).json
    parts = {item["part"]: item for item in told["items"]}
    assert list(parts) == ["images", "stranger_images", "records", "alarms", "quarantine", "audit"]
    assert {name: item["days"] for name, item in parts.items()} == {
        "images": 90,
        "stranger_images": 30,
        "records": 1095,
        "alarms": 1095,
        "quarantine": 90,
        "audit": 1095,
    }
    assert parts["images"]["before"] < parts["stranger_images"]["before"] < parts["images"]["oldest"]
    assert parts["records"]["deleted"] == 0
    while receiver.desk.keeper.once().more:
        pass
    told = (await receiver.get("/api/v1/retention")).json
    assert not any(item["pending"] for item in told["items"])
    assert told["finished_at"] is not None
