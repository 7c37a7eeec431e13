import json
from collections.abc import Sequence
from typing import Any

from tests.receiver.api.roles import least_role
from tests.receiver.kit import Answer, Running


async def call(receiver: Running, method: str, path: str = "", body: Any = None) -> Answer:
    data = b"" if body is None else json.dumps(body).encode()
    return await receiver.request(method, f"/api/v1/quarantine{path}", data)


async def strange(receiver: Running, count: int = 1) -> list[int]:
    """Push what no version knows; answer the ids, newest first."""
    for number in range(count):
        await receiver.push({"type": 7, "data": {"number": number}}, headers={"sn": "SN-1"})
    return await ids(receiver)


async def ids(receiver: Running) -> list[int]:
    return [item["id"] for item in (await call(receiver, "GET")).json["items"]]


async def test_the_quarantine_is_listed_without_what_was_pushed_and_shown_with_it(receiver: Running) -> None:
    (number,) = await strange(receiver)
    (item,) = (await call(receiver, "GET")).json["items"]
    assert (item["terminal"], item["tries"], item["original"]) == ("SN-1", 0, None)
    shown = (await call(receiver, "GET", f"/{number}")).json
    assert json.loads(shown["original"]) == {"type": 7, "data": {"number": 0}}
    assert shown["size"] == len(shown["original"])


async def test_the_quarantine_is_listed_page_by_page(receiver: Running) -> None:
    everything = await strange(receiver, 5)
    found: list[int] = []
    cursor = ""
    while cursor is not None:
        page = (await call(receiver, "GET", f"?limit=2{cursor and '&cursor=' + cursor}")).json
        found += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert found == everything


async def test_what_is_still_not_known_stays_and_is_counted(receiver: Running) -> None:
    chosen = await strange(receiver, 2)
    done = await call(receiver, "POST", "/process", {"ids": chosen})
    assert done.json == {"stored": 0, "duplicates": 0, "still_unknown": 2}
    assert [item["tries"] for item in (await call(receiver, "GET")).json["items"]] == [1, 1]


async def test_what_is_discarded_is_gone(receiver: Running) -> None:
    first, *rest = await strange(receiver, 3)
    assert (await call(receiver, "DELETE", f"/{first}")).status == 204
    assert (await call(receiver, "DELETE", f"/{first}")).status == 404
    assert (await call(receiver, "POST", "/discard", {"ids": [first, *rest]})).json == {"discarded": 2}
    assert await ids(receiver) == []
    for number in (first, 1 << 64):
        assert (await call(receiver, "GET", f"/{number}")).status == 404


async def test_nothing_is_chosen_by_leaving_out_what(receiver: Running) -> None:
    await strange(receiver)
    bodies: Sequence[Any] = ({}, {"ids": []}, {"ids": [0]}, {"ids": [1 << 63]}, {"ids": list(range(1, 1002))})
    for path in ("/process", "/discard"):
        for body in bodies:
            assert (await call(receiver, "POST", path, body)).status == 400
    assert len(await ids(receiver)) == 1


async def test_changes_are_in_the_audit_log(receiver: Running) -> None:
    first, second = await strange(receiver, 2)
    await call(receiver, "POST", "/process", {"ids": [second, first]})
    await call(receiver, "DELETE", f"/{first}")
    await call(receiver, "POST", "/discard", {"ids": [second]})
    log = (await receiver.get("/api/v1/audit")).json["items"]
    assert [(item["action"], item["subject"]) for item in log[:3]] == [
        ("quarantine.discarded", str(second)),
        ("quarantine.discarded", str(first)),
        ("quarantine.processed", f"{second}, {first}"),
    ]


async def test_everybody_reads_an_operator_processes_and_an_administrator_discards(receiver: Running) -> None:
    (number,) = await strange(receiver)
    chosen = {"ids": [number]}
    assert await least_role(receiver, "GET", "quarantine") == "viewer"
    assert await least_role(receiver, "GET", f"quarantine/{number}") == "viewer"
    assert await least_role(receiver, "POST", "quarantine/process", chosen) == "operator"
    assert await least_role(receiver, "POST", "quarantine/discard", chosen) == "admin"
    assert await least_role(receiver, "DELETE", f"quarantine/{number}") == "admin"
