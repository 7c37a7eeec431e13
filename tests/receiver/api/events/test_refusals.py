import json
from typing import Any

import pytest
from tests.receiver.api.roles import least_role
from tests.receiver.kit import Answer, Running, record

from gatepost.receiver.auth.issuing import issue_token
from gatepost.store.accounts.accounts import Accounts


async def refusals(receiver: Running, query: str = "") -> list[dict[str, Any]]:
    await receiver.flush()
    answer = await receiver.get(f"/api/v1/refusals{query}")
    assert answer.json["next_cursor"] is None
    return list(answer.json["items"])


async def sample(receiver: Running, number: int | None, role: str = "admin") -> Answer:
    token, _ = issue_token(Accounts(receiver.store), role, role, by="test", now_ms=0)  # type: ignore[arg-type]
    return await receiver.request(
        "GET", f"/api/v1/refusals/samples/{number}", headers={"Authorization": f"Bearer {token}"}
    )


async def test_what_went_to_a_wrong_path_is_listed_with_whose_it_was_and_how_often(receiver: Running) -> None:
    for path in ("/record", "/record", "/Record/a-token-that-nobody-has"):
        assert (await receiver.push(record(), path)).status == 404
    items = {item["path"]: item for item in await refusals(receiver)}
    assert sorted(items) == ["/Record/a-to…", "/record"]
    assert (items["/record"]["reason"], items["/Record/a-to…"]["reason"]) == ("path", "token wrong")
    assert items["/record"]["count"] == 2
    assert items["/record"]["serial"] == "SN-1"
    assert items["/record"]["peer"] == "127.0.0.1"
    assert items["/record"]["first_at"] <= items["/record"]["last_at"]
    assert items["/record"]["sample"] is None


async def test_what_could_not_be_read_is_listed_with_a_sample_of_it(receiver: Running) -> None:
    text = json.dumps(record(), ensure_ascii=False).encode().replace(b'"pin": ""', b'"pin": "8291"')[:-4]
    for _ in range(3):
        assert (await receiver.push(text, headers={"sn": "SN-1"})).status == 400
    (item,) = await refusals(receiver)
    assert (item["status"], item["reason"], item["serial"], item["count"]) == (400, "no JSON", "SN-1", 3)
    assert "JSON" in item["detail"]
    found = (await sample(receiver, item["sample"])).json
    assert (found["peer"], found["status"], found["reason"]) == ("127.0.0.1", 400, "no JSON")
    assert "王五" in found["content"]
    assert "8291" not in found["content"]


async def test_the_list_can_be_narrowed_down(receiver: Running) -> None:
    await receiver.push(b"{", headers={"sn": "SN-1"})
    await receiver.push(record(deviceSN="SN-2"), "/record")
    assert [item["status"] for item in await refusals(receiver, "?status=404")] == [404]
    assert [item["status"] for item in await refusals(receiver, "?serial=SN-1")] == [400]
    assert await refusals(receiver, "?peer=10.0.0.1") == []
    assert len(await refusals(receiver, "?peer=127.0.0.1")) == 2
    assert (await receiver.get("/api/v1/refusals?status=x")).status == 400


async def test_a_viewer_may_see_the_list_and_only_an_administrator_a_sample(receiver: Running) -> None:
    await receiver.push(b"{")
    (item,) = await refusals(receiver)
    assert await least_role(receiver, "GET", "refusals") == "viewer"
    assert await least_role(receiver, "GET", f"refusals/samples/{item['sample']}") == "admin"


@pytest.mark.parametrize("number", [12345, 10**30])
async def test_a_sample_that_is_not_there_is_told_so(receiver: Running, number: int) -> None:
    answer = await receiver.get(f"/api/v1/refusals/samples/{number}")
    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
    assert "7 days" in answer.json["detail"]


async def test_a_sample_shows_no_control_characters(receiver: Running) -> None:
    await receiver.push(b"{\r\n\t\xc2\x9b31m \xe4\xb8")
    (item,) = await refusals(receiver)
    assert (await sample(receiver, item["sample"])).json["content"] == "{\n\t\ufffd31m \ufffd"


async def test_an_erasure_deletes_every_sample_those_in_memory_too(receiver: Running) -> None:
    await receiver.push(b"{")
    (item,) = await refusals(receiver)
    await receiver.push(b"[")
    await receiver.push(b"{", headers={"content-encoding": "gzip"})
    erased = await receiver.request("POST", "/api/v1/people/erase", json.dumps({"user_id": "5"}).encode())
    assert erased.status == 200
    assert {one["sample"] for one in await refusals(receiver)} == {None}
    assert (await sample(receiver, item["sample"])).status == 404
