import json
from pathlib import Path
from typing import Any

from tests.receiver.kit import Running, alarm, base64, receiving, record

FACE = b"\xff\xd8" + b"the face of wang wu" * 2000 + b"\xff\xd9"
USER = record()["data"]["user"]


def stored(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def fill(receiver: Running) -> None:
    for number in range(3):
        assert (await receiver.push(record(uuid=f"u-{number}", rgb_image=base64(FACE)))).status == 200
    other = {**USER, "user_id": "6", "name": "李四", "job_number": "99999", "ic_number": "88888"}
    await receiver.push(record(uuid="u-9", user=other))
    await receiver.push(alarm(user_id=5, alarm_photo=base64(FACE)))
    await receiver.push({"type": 9, "data": {"user_id": "5", "photo": base64(FACE)}})


async def people(receiver: Running) -> dict[str, str]:
    return {one["name"]: one["id"] for one in (await receiver.get("/api/v1/people")).json["items"]}


async def erase(receiver: Running, path: str, body: dict[str, Any] | None = None) -> Any:
    answer = await receiver.request("POST", f"/api/v1/people/{path}", json.dumps(body or {}).encode())
    return answer.json if answer.status == 200 else answer.status


async def test_an_erased_person_is_in_no_file_any_more_and_their_passages_count(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data") as receiver:
        await fill(receiver)
        known = await people(receiver)
        done = await erase(receiver, f"{known['王五']}/erase")
        assert done == {"identities": 1, "records": 3, "alarm_steps": 1, "quarantined": 1}
        for path in (tmp_path / "data").rglob("*"):
            left = path.read_bytes() if path.is_file() else b""
            for trace in ("王五", "12345", "23385", "the face of wang wu"):
                assert trace.encode() not in left, path
        assert list(await people(receiver)) == ["李四"]
        items = (await receiver.get("/api/v1/records")).json["items"]
        assert [
            (item["uuid"], item["person"] and item["person"]["name"], item["image"]) for item in items
        ] == [
            ("u-9", "李四", None),
            *((f"u-{number}", None, None) for number in (2, 1, 0)),
        ]
        assert (await receiver.get("/api/v1/stats")).json["records"] == 4


async def test_the_audit_log_says_who_erased_and_how_much_and_not_whom(receiver: Running) -> None:
    await fill(receiver)
    person = (await people(receiver))["王五"]
    await erase(receiver, f"{person}/erase")
    (line,) = (await receiver.get("/api/v1/audit?action=person.erased")).json["items"]
    assert (line["actor"], line["subject"]) == ("token:test", person)
    counts = {"identities": 1, "records": 3, "alarm_steps": 1, "quarantined": 1}
    assert line["detail"] == {**counts, "token": 1, "made_by": "test"}


async def test_somebody_only_seen_in_an_alarm_is_erased_by_number(receiver: Running) -> None:
    await receiver.push(alarm(user_id=77, description="door forced"))
    assert (await erase(receiver, "erase", {"user_id": "77", "site_id": 1}))["alarm_steps"] == 1
    (line,) = (await receiver.get("/api/v1/audit?action=person.erased")).json["items"]
    assert "77" not in json.dumps([line["subject"], line["detail"]])
    assert await erase(receiver, "erase", {"user_id": ""}) == 400


async def test_within_terminals_the_number_alone_says_too_little(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data", people_scope="terminal") as receiver:
        await fill(receiver)
        assert await erase(receiver, "erase", {"user_id": "5"}) == 400
        assert (await erase(receiver, "erase", {"user_id": "5", "terminal_id": 1}))["records"] == 3


async def test_who_is_not_there_cannot_be_erased(receiver: Running) -> None:
    assert await erase(receiver, "12345/erase") == 404
    assert await erase(receiver, "nobody/erase") == 404


async def test_who_is_erased_is_in_no_window_of_the_live_stream(receiver: Running) -> None:
    await fill(receiver)
    live = receiver.desk.live
    forgotten = []
    live.forget = lambda: forgotten.append(True)  # type: ignore[method-assign]
    await erase(receiver, f"{(await people(receiver))['王五']}/erase")
    assert forgotten == [True]
