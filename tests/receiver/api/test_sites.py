import json
from typing import Any

from tests.receiver.api.roles import least_role
from tests.receiver.kit import Answer, Running


async def call(receiver: Running, method: str, path: str, body: Any = None) -> Answer:
    data = b"" if body is None else json.dumps(body).encode()
    return await receiver.request(method, f"/api/v1/sites{path}", data)


async def test_a_site_is_made_and_listed(receiver: Running) -> None:
    made = await call(receiver, "POST", "", {"name": "上海", "timezone": "Asia/Shanghai"})
    assert (made.status, made.json["name"], made.json["timezone"]) == (201, "上海", "Asia/Shanghai")
    assert [item["id"] for item in (await call(receiver, "GET", "")).json["items"]] == [1, made.json["id"]]


async def test_a_site_is_changed_by_what_is_given(receiver: Running) -> None:
    renamed = await call(receiver, "PATCH", "/1", {"name": "Head office"})
    assert (renamed.json["name"], renamed.json["timezone"]) == ("Head office", "UTC")
    moved = await call(receiver, "PATCH", "/1", {"timezone": "Europe/Berlin"})
    assert (moved.json["name"], moved.json["timezone"]) == ("Head office", "Europe/Berlin")


async def test_a_name_is_taken_once(receiver: Running) -> None:
    body = {"name": "Berlin", "timezone": "Europe/Berlin"}
    await call(receiver, "POST", "", body)
    assert (await call(receiver, "POST", "", body)).status == 409
    assert (await call(receiver, "PATCH", "/1", {"name": "Berlin"})).status == 409


async def test_a_zone_that_there_is_not_is_named(receiver: Running) -> None:
    for method, path in (("POST", ""), ("PATCH", "/1")):
        answer = await call(receiver, method, path, {"name": "Olympus", "timezone": "Mars/Olympus"})
        assert answer.status == 400
        assert "Mars/Olympus" in answer.json["detail"]
    assert len((await call(receiver, "GET", "")).json["items"]) == 1


async def test_a_site_that_there_is_not_is_a_404(receiver: Running) -> None:
    for number in (9, 1 << 64):
        assert (await call(receiver, "PATCH", f"/{number}", {"name": "x"})).status == 404


async def test_changes_are_in_the_audit_log(receiver: Running) -> None:
    await call(receiver, "POST", "", {"name": "Berlin", "timezone": "Europe/Berlin"})
    await call(receiver, "PATCH", "/1", {"name": "Head office"})
    log = (await receiver.get("/api/v1/audit")).json["items"]
    assert [(item["action"], item["subject"]) for item in log[:2]] == [
        ("site.changed", "1"),
        ("site.created", "2"),
    ]


async def test_everybody_reads_and_an_administrator_changes(receiver: Running) -> None:
    assert await least_role(receiver, "GET", "sites") == "guard"
    assert await least_role(receiver, "POST", "sites", {"name": "x", "timezone": "UTC"}) == "admin"
    assert await least_role(receiver, "PATCH", "sites/1", {"name": "y"}) == "admin"
