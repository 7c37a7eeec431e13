import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.receiver.api.roles import least_role
from tests.receiver.kit import SUCCESS, Answer, Running, alarm, receiving, record, until


async def call(receiver: Running, method: str, path: str, body: Any = None) -> Answer:
    data = b"" if body is None else json.dumps(body).encode()
    return await receiver.request(method, f"/api/v1/{path}", data)


async def make(receiver: Running, **fields: Any) -> Any:
    answer = await call(receiver, "POST", "terminals", fields)
    assert answer.status == 201
    return answer.json


def path_of(item: Any) -> str:
    return urlsplit(item["address"]).path


async def test_a_terminal_that_is_made_gets_an_address_once_and_may_push_to_it(receiver: Running) -> None:
    made = await make(receiver, name="Gate")
    assert made["address"].startswith("http://127.0.0.1/Record/")
    assert (made["state"], made["presence"], made["has_token"]) == ("approved", "never", True)
    assert (await receiver.push(alarm(), path_of(made))).status == 200
    seen = (await call(receiver, "GET", f"terminals/{made['id']}")).json
    assert (seen["alarms"], seen["presence"], seen["address"]) == (1, "online", None)
    assert made["address"].encode() not in (await call(receiver, "GET", "terminals")).body


async def test_behind_a_trusted_proxy_the_address_has_its_scheme_and_port(tmp_path: Path) -> None:
    proxy = {"Host": "door.example", "X-Forwarded-Proto": "https,http", "X-Forwarded-Port": "8443"}
    async with receiving(tmp_path / "data", trusted_proxies=("127.0.0.1",)) as receiver:
        made = (await receiver.request("POST", "/api/v1/terminals", b"{}", proxy)).json
        assert made["address"].startswith("https://door.example:8443/Record/")
        again = await receiver.request("POST", f"/api/v1/terminals/{made['id']}/token", b"", proxy)
        assert again.json["address"].startswith("https://door.example:8443/Record/")


async def test_another_address_counts_at_once_and_the_first_one_no_more(receiver: Running) -> None:
    made = await make(receiver)
    await receiver.push(alarm(), path_of(made))  # it is remembered by now
    again = (await call(receiver, "POST", f"terminals/{made['id']}/token")).json
    assert path_of(again) != path_of(made)
    assert (await receiver.push(alarm(trace_id="T-2"), path_of(made))).status == 404
    assert (await receiver.push(alarm(trace_id="T-2"), path_of(again))).status == 200


async def test_what_is_changed_counts_from_the_next_push_on(receiver: Running) -> None:
    await receiver.push(record())
    (item,) = (await call(receiver, "GET", "terminals")).json["items"]
    assert (item["serial"], item["state"], item["presence"], item["backlog"]) == (
        "SN-1",
        "new",
        "online",
        True,
    )
    changed = await call(
        receiver, "PATCH", f"terminals/{item['id']}", {"name": "Gate", "networks": ["10.0.0.0/8"]}
    )
    assert (changed.json["name"], changed.json["networks"]) == ("Gate", ["10.0.0.0/8"])
    assert (await receiver.push(record(uuid="u-2"))).status == 403
    await call(receiver, "PATCH", f"terminals/{item['id']}", {"networks": []})
    assert (await receiver.push(record(uuid="u-2"))).status == 200
    detail = (await call(receiver, "GET", f"terminals/{item['id']}")).json
    assert detail["name"] == "Gate"


async def test_null_takes_a_name_and_a_zone_away(receiver: Running) -> None:
    made = await make(receiver, name="Gate", timezone="Asia/Tokyo")
    assert made["timezone"] == "Asia/Tokyo"
    changed = (
        await call(receiver, "PATCH", f"terminals/{made['id']}", {"name": None, "timezone": None})
    ).json
    assert (changed["name"], changed["timezone"]) == (None, "UTC")


async def test_a_terminal_moves_to_another_site(receiver: Running) -> None:
    site = (await call(receiver, "POST", "sites", {"name": "Berlin", "timezone": "Europe/Berlin"})).json
    made = await make(receiver)
    moved = (await call(receiver, "PATCH", f"terminals/{made['id']}", {"site_id": site["id"]})).json
    assert (moved["site_id"], moved["site"], moved["timezone"]) == (site["id"], "Berlin", "Europe/Berlin")
    listed = (await call(receiver, "GET", f"terminals?site_id={site['id']}")).json["items"]
    assert [item["id"] for item in listed] == [made["id"]]


async def test_a_terminal_that_moves_takes_its_people_along_at_once(receiver: Running) -> None:
    site = (await call(receiver, "POST", "sites", {"name": "Berlin", "timezone": "Europe/Berlin"})).json["id"]
    await receiver.push(record())
    (before,) = (await call(receiver, "GET", "people")).json["items"]
    would = (await call(receiver, "GET", f"terminals/1/would-move?site_id={site}")).json
    assert (would["site"], would["timezone"]) == ("Berlin", "Europe/Berlin")
    counts = ("records", "people", "divided", "joining", "different", "names")
    assert [would[name] for name in counts] == [1, 1, 0, 0, 0, []]
    await call(receiver, "PATCH", "terminals/1", {"site_id": site})

    async def person() -> Any:
        return (await call(receiver, "GET", "people")).json["items"][0]

    async with asyncio.timeout(20):
        while (await person())["site_id"] != site:
            pass
    assert (await person())["id"] == before["id"]
    await receiver.push(record(uuid="another-passage-1"))
    assert len((await call(receiver, "GET", "people")).json["items"]) == 1


async def test_a_preview_of_a_move_names_what_is_wrong_with_the_question(receiver: Running) -> None:
    await receiver.push(record())
    assert (await call(receiver, "GET", "terminals/1/would-move?site_id=99")).status == 400
    assert (await call(receiver, "GET", "terminals/1/would-move")).status == 400
    assert (await call(receiver, "GET", "terminals/99/would-move?site_id=1")).status == 404
    assert (await call(receiver, "GET", "terminals/1/would-move?site_id=1")).json["people"] == 0


async def test_an_erasure_completes_a_move_before_it_looks_for_the_person(receiver: Running) -> None:
    store = receiver.store
    site = store.create_site("Berlin", "Europe/Berlin", now_ms=0)
    await receiver.push(record())
    (person,) = (await call(receiver, "GET", "people")).json["items"]
    store.update_terminal(1, site_id=site.id)  # as another process moves it
    erased = await call(receiver, "POST", f"people/{person['id']}/erase")
    assert (erased.status, erased.json["records"]) == (200, 1)
    assert (await call(receiver, "GET", "people")).json["items"] == []


async def test_a_retired_terminal_is_refused_until_an_administrator_takes_it_back(receiver: Running) -> None:
    await receiver.push(record())
    assert (await call(receiver, "POST", "terminals/1/retire")).json["state"] == "retired"
    assert (await receiver.push(record(uuid="u-2"))).status == 403
    assert (await call(receiver, "POST", "terminals/1/approve")).status == 409
    assert (await call(receiver, "POST", "terminals/1/token")).status == 409
    assert (await call(receiver, "PATCH", "terminals/1", {"state": "approved"})).status == 200
    assert (await receiver.push(record(uuid="u-2"))).status == 200
    refusals = (await call(receiver, "GET", "terminals/1")).json["refusals"]
    assert refusals in ({}, {"retired": 1})  # they are counted once a second


async def test_who_else_it_said_to_be_is_told(receiver: Running) -> None:
    made = await make(receiver, serial="SN-7")
    await receiver.push(record(deviceSN="SN-8"), path_of(made), {"sn": "SN-9"})
    detail = (await call(receiver, "GET", f"terminals/{made['id']}")).json
    assert {(one["source"], one["said"], one["count"]) for one in detail["disagreed"]} == {
        ("header", "SN-9", 1),
        ("body", "SN-8", 1),
    }


async def test_terminals_are_listed_page_by_page(receiver: Running) -> None:
    for number in range(5):
        await make(receiver, serial=f"SN-{number}", token=False)
    await call(receiver, "POST", "terminals/2/retire")
    found: list[str] = []
    path = "terminals?limit=2&state=approved"
    cursor = ""
    while cursor is not None:
        page = (await call(receiver, "GET", f"{path}&cursor={cursor}" if cursor else path)).json
        found += [item["serial"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert found == ["SN-0", "SN-2", "SN-3", "SN-4"]


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ({"timezone": "Mars/Olympus"}, 400, "Mars/Olympus"),
        ({"networks": ["here"]}, 400, "networks"),
        ({"site_id": 7}, 400, "no site 7"),
        ({"site_id": 0}, 400, "site_id"),
        ({"serial": " "}, 400, "serial"),
        ({"serial": "SN-1"}, 409, "SN-1"),
        ({"name": "x" * 129}, 400, "name"),
    ],
)
async def test_what_cannot_be_is_named(receiver: Running, body: Any, status: int, named: str) -> None:
    await make(receiver, serial="SN-1")
    answer = await call(receiver, "POST", "terminals", body)
    assert answer.status == status
    assert named in answer.body.decode()


@pytest.mark.parametrize("number", [9, 1 << 62, 1 << 64])
async def test_what_is_not_there_is_a_404(receiver: Running, number: int) -> None:
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "x"}),
        ("POST", "/approve", None),
        ("POST", "/retire", None),
        ("POST", "/token", None),
    ):
        assert (await call(receiver, method, f"terminals/{number}{path}", body)).status == 404


async def test_every_change_is_in_the_audit_log_and_no_token_is(receiver: Running) -> None:
    made = await make(receiver, serial="SN-1", name="Gate")
    await call(receiver, "PATCH", "terminals/1", {"name": "Door"})
    again = (await call(receiver, "POST", "terminals/1/token")).json
    await call(receiver, "POST", "terminals/1/approve")
    await call(receiver, "POST", "terminals/1/retire")
    log = await call(receiver, "GET", "audit")
    told = [
        (item["action"], item["subject"])
        for item in log.json["items"]
        if item["action"].startswith("terminal")
    ]
    assert told == [
        (f"terminal.{action}", "1")
        for action in ("retired", "approved", "token_rotated", "changed", "created")
    ]
    for item in (made, again):
        assert path_of(item).rpartition("/")[2] not in log.body.decode()


@pytest.mark.parametrize(
    ("method", "path", "body", "role"),
    [
        ("GET", "terminals", None, "viewer"),
        ("GET", "terminals/1", None, "viewer"),
        ("GET", "terminals/1/would-move?site_id=1", None, "viewer"),
        ("POST", "terminals/1/approve", None, "operator"),
        ("POST", "terminals", {}, "admin"),
        ("PATCH", "terminals/1", {"name": "x"}, "admin"),
        ("POST", "terminals/1/token", None, "admin"),
        ("POST", "terminals/1/retire", None, "admin"),
    ],
)
async def test_who_may_do_what(receiver: Running, method: str, path: str, body: Any, role: str) -> None:
    await receiver.push(record())
    assert await least_role(receiver, method, path, body) == role


async def test_a_terminal_is_bound_to_its_address_once_it_used_it_until_that_is_taken_away(
    receiver: Running,
) -> None:
    made = (await call(receiver, "POST", "terminals", {"serial": "SN-7"})).json
    assert (made["token_used_at"], made["token_required_since"]) == (None, None)
    path = "/Record/" + made["address"].rpartition("/")[2]
    pushed = record(deviceSN="SN-7")
    assert (await receiver.push(pushed)).status == 200
    assert (await receiver.push(pushed, path)).status == 200
    (item,) = (await call(receiver, "GET", "terminals")).json["items"]
    assert item["token_used_at"] == item["token_required_since"]
    assert item["tokenless_at"] is not None
    assert (await receiver.push(pushed)).status == 403
    await call(receiver, "POST", "terminals/1/token")
    assert (await receiver.push(pushed)).status == 403
    assert (await receiver.push(pushed, path)).status == 404
    freed = (await call(receiver, "DELETE", "terminals/1/token")).json
    assert (freed["has_token"], freed["token_required_since"]) == (False, None)
    assert (await receiver.push(pushed)).status == 200


async def test_what_stricter_settings_would_refuse_can_be_asked_for(receiver: Running) -> None:
    await receiver.push(record())
    for query, reason in (
        ("require_token=always", "token missing"),
        ("unknown_terminals=refuse", "unknown terminal"),
        ("allowed_networks=10.0.0.0/8", "address"),
    ):
        (item,) = (await call(receiver, "GET", f"terminals/would-refuse?{query}")).json["items"]
        assert (item["terminal_id"], item["serial"], item["reason"]) == (1, "SN-1", reason)
        assert item["peer"] == "127.0.0.1"
    for query in ("", "?unknown_terminals=hold", "?allowed_networks=127.0.0.0/8", "?require_token=never"):
        assert (await call(receiver, "GET", f"terminals/would-refuse{query}")).json["items"] == []
    for query in ("allowed_networks=here", "require_token=sometimes"):
        assert (await call(receiver, "GET", f"terminals/would-refuse?{query}")).status == 400


async def test_what_a_change_of_a_terminal_would_refuse_can_be_asked_for(receiver: Running) -> None:
    await receiver.push(record())
    for query, many in (
        ("state=retired", 1),
        ("networks=10.0.0.0/8", 1),
        ("state=held", 0),
        ("networks=", 0),
    ):
        assert len((await call(receiver, "GET", f"terminals/1/would-refuse?{query}")).json["items"]) == many
    assert (await call(receiver, "GET", "terminals/1/would-refuse?networks=here")).status == 400
    assert (await call(receiver, "GET", "terminals/99/would-refuse?state=held")).status == 404


async def test_a_terminal_whose_pushes_are_not_listed_yet_is_online(
    receiver: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backlog is no silence: the ingest says when a terminal last pushed."""
    path = f"/api/v1/terminals/{(await make(receiver, serial='SN-1', token=False))['id']}"
    monkeypatch.setattr(receiver.desk.projector, "step", lambda: False)
    token = {"Authorization": f"Bearer {receiver.token}"}
    asks, pushes = await receiver.connect(), await receiver.connect()

    async def shown() -> tuple[list[str], str, str]:
        items = (await asks.request("GET", "/api/v1/terminals", headers=token)).json["items"]
        one = (await asks.request("GET", path, headers=token)).json
        metrics = (await asks.request("GET", "/metrics", headers=token)).body.decode()
        (line,) = [line for line in metrics.splitlines() if line.startswith("gatepost_terminal_presence{")]
        return [item["presence"] for item in items], one["presence"], line

    assert await shown() == (
        ["never"],
        "never",
        'gatepost_terminal_presence{terminal="SN-1"} 0.0',
    )
    assert (
        await pushes.request("POST", "/Record", json.dumps(record(deviceSN="SN-1")).encode())
    ).json == SUCCESS
    await receiver.ingest.flush()
    await until(lambda: bool(receiver.desk.ingests.heard))
    online = 'gatepost_terminal_presence{terminal="SN-1"} 3.0'
    assert await shown() == (["online"], "online", online)
    named = await asks.request("PATCH", path, b'{"name": "Lab"}', token)
    assert named.json["presence"] == "online"


async def test_a_terminal_that_was_retired_is_deleted_with_what_it_sent(either: Running) -> None:
    receiver = either
    await receiver.push(record(deviceSN="SN-1"))
    await receiver.push(record(deviceSN="STRANGER", uuid="its"))
    (stranger,) = [row for row in receiver.store.terminals() if row.serial == "STRANGER"]
    path = f"terminals/{stranger.id}"
    refused = await call(receiver, "DELETE", path)
    assert (refused.status, "retire" in refused.json["detail"]) == (409, True)
    assert (await call(receiver, "POST", f"{path}/retire")).status == 200
    assert (await receiver.push(record(deviceSN="STRANGER", uuid="more"))).status == 403
    assert (await call(receiver, "DELETE", path)).json == {"records": 1, "alarm_steps": 0, "quarantined": 0}
    assert (await call(receiver, "DELETE", path)).status == 404
    assert [row.serial for row in receiver.store.terminals()] == ["SN-1"]
    assert [row.serial for row in receiver.records()] == ["SN-1"]
    (line,) = (await call(receiver, "GET", "audit?action=terminal.deleted")).json["items"]
    gone = {"serial": "STRANGER", "records": 1, "alarm_steps": 0, "quarantined": 0}
    assert line["detail"] == gone | {"token": 1, "made_by": "test"}
    assert (await receiver.push(record(deviceSN="STRANGER", uuid="again"))).json == SUCCESS
    (again,) = [row for row in receiver.store.terminals() if row.serial == "STRANGER"]
    assert again.id != stranger.id
    assert (again.state, again.records) == ("new", 1)


async def test_only_an_administrator_deletes_a_terminal(receiver: Running) -> None:
    assert await least_role(receiver, "DELETE", "terminals/5") == "admin"
