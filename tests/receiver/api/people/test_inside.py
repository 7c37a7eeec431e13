"""``/api/v1/inside``: who is inside, its export, and the direction of a terminal."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.receiver.api.people.test_schedules import call
from tests.receiver.api.visits import get
from tests.receiver.kit import Answer, Running, record

from gatepost.receiver.auth.issuing import issue_token
from gatepost.store.accounts.accounts import Accounts


async def passed(receiver: Running, user_id: str, name: str, minutes: float, serial: str = "SN-1") -> None:
    at = datetime.now(UTC) - timedelta(minutes=minutes)
    user = record()["data"]["user"] | {"user_id": user_id, "name": name}
    sent = record(
        uuid=f"{user_id}-{minutes}-{serial}", user=user, deviceSN=serial, timestamp=int(at.timestamp())
    )
    assert (await receiver.push(sent)).status == 200


async def direct(receiver: Running, serial: str, direction: str) -> Answer:
    terminals = (await get(receiver, "terminals"))["items"]
    number = next(one["id"] for one in terminals if one["serial"] == serial)
    return await call(receiver, "PATCH", f"terminals/{number}", {"direction": direction})


async def test_who_is_inside_by_the_direction_of_terminals(receiver: Running) -> None:
    await passed(receiver, "1", "Anna", 60)
    await passed(receiver, "2", "Bert", 50)
    await passed(receiver, "2", "Bert", 5, "SN-2")
    found = await get(receiver, "inside")
    assert [one["name"] for one in found["items"]] == ["Anna", "Bert"]
    assert (await direct(receiver, "SN-2", "out")).json["direction"] == "out"
    assert (await direct(receiver, "SN-1", "in")).status == 200
    found = await get(receiver, "inside")
    (anna,) = found["items"]
    assert {name: anna[name] for name in ("name", "user_id", "terminal_name", "direction", "site")} == {
        "name": "Anna", "user_id": "1", "terminal_name": "SN-1", "direction": "in", "site": "default"
    }  # fmt: skip
    assert (await get(receiver, f"people/{anna['person_id']}"))["name"] == "Anna"
    assert [(one["site"], one["people"], one["strangers"]) for one in found["sites"]] == [("default", 1, 0)]
    before = (datetime.now(UTC) - timedelta(minutes=10)).isoformat().replace("+00:00", "Z")
    assert [one["name"] for one in (await get(receiver, f"inside?at={before}"))["items"]] == ["Anna", "Bert"]
    assert (await direct(receiver, "SN-1", "sideways")).status == 400


async def test_pages_and_wrong_questions(receiver: Running) -> None:
    for number in range(5):
        await passed(receiver, str(number), f"N{number}", 10)
    names: list[str] = []
    query = "inside?limit=2"
    while True:
        page = await get(receiver, query)
        assert len(page["items"]) <= 2
        assert page["sites"][0]["people"] == 5
        names += [one["name"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        query = f"inside?limit=2&cursor={page['next_cursor']}"
    assert names == [f"N{number}" for number in range(5)]
    for wrong in ("at=x", "at=2999-01-01T00:00:00Z", "kind=x", "site=nowhere", "limit=0", "cursor=x", "q=x"):
        assert (await receiver.get(f"/api/v1/inside?{wrong}")).status == 400, wrong


async def test_a_guard_sees_the_list_and_makes_no_file_of_it(receiver: Running) -> None:
    await passed(receiver, "1", "Anna", 10)
    secret, _ = issue_token(Accounts(receiver.store), "g", "guard", by="t", now_ms=0)
    guard = {"Authorization": f"Bearer {secret}"}
    assert (await receiver.request("GET", "/api/v1/inside", b"", guard)).json["items"][0]["name"] == "Anna"
    assert (await receiver.request("GET", "/api/v1/inside/export", b"", guard)).status == 403


async def test_it_is_a_file_too(receiver: Running) -> None:
    await passed(receiver, "1", "Anna", 10)
    columns = "columns=site,name,user_id,last_terminal,direction"
    text = (await receiver.get(f"/api/v1/inside/export?format=csv&{columns}")).body.decode("utf-8-sig")
    assert text.splitlines() == [
        "Site,Name,Person ID,Last terminal,Direction",
        "default,Anna,1,SN-1,both ways",
    ]
    chinese = (await receiver.get(f"/api/v1/inside/export?lang=zh&{columns}")).body.decode("utf-8-sig")
    assert chinese.splitlines()[0] == "站点,姓名,人员编号,最近终端,方向"
    line = (await receiver.get("/api/v1/inside/export?format=jsonl")).body
    (item,) = (await get(receiver, "inside"))["items"]
    told: dict[str, Any] = json.loads(line)
    assert told["name"] == item["name"]
    audit = (await get(receiver, "audit"))["items"]
    assert {one["action"] for one in audit} >= {"inside.exported", "inside.export_ended"}
