"""Several terminals are approved, changed, named and deleted at once: all of them or none."""

import json
from typing import Any

from tests.receiver.kit import Answer, Running, record

from gatepost.receiver.auth.issuing import issue_token
from gatepost.store.accounts.accounts import Accounts


async def call(receiver: Running, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await receiver.request(method, f"/api/v1/terminals{path}", data, headers or None)


async def three(receiver: Running) -> list[int]:
    """Have three terminals introduce themselves; return their ids."""
    for number in range(3):
        await receiver.push(record(deviceSN=f"SN-{number}", uuid=f"u-{number}"))
    return [row["id"] for row in (await call(receiver, "GET", "")).json["items"]]


async def states(receiver: Running) -> list[str]:
    return [row["state"] for row in (await call(receiver, "GET", "")).json["items"]]


async def test_several_are_approved_and_a_retired_one_stops_all(receiver: Running) -> None:
    ids = await three(receiver)
    done = await call(receiver, "POST", "/approve", {"terminals": ids[:2]})
    assert (done.status, [row["id"] for row in done.json["items"]]) == (200, ids[:2])
    assert await states(receiver) == ["approved", "approved", "new"]

    assert (await call(receiver, "POST", f"/{ids[0]}/retire")).status == 200
    refused = await call(receiver, "POST", "/approve", {"terminals": ids})
    assert (refused.status, "SN-0 is retired" in refused.json["detail"]) == (409, True)
    assert await states(receiver) == ["retired", "approved", "new"]


async def test_each_is_changed_by_its_own_values_or_none_is(receiver: Running) -> None:
    ids = await three(receiver)
    site = json.loads(
        (await receiver.request("POST", "/api/v1/sites", b'{"name": "B", "timezone": "UTC"}')).body
    )["id"]
    changes = [
        {"id": ids[0], "name": "Gate"},
        {"id": ids[1], "site_id": site, "state": "retired"},
    ]
    for wrong, status in (
        ([*changes, {"id": 987654321, "name": "x"}], 404),
        ([*changes, {"id": ids[0], "name": "x"}], 400),
        ([*changes, {"id": ids[2], "site_id": 4321}], 400),
        ([*changes, {"id": ids[2], "colour": "red"}], 400),
    ):
        assert (await call(receiver, "PATCH", "", {"terminals": wrong})).status == status
    assert await states(receiver) == ["new"] * 3

    done = (await call(receiver, "PATCH", "", {"terminals": changes})).json["items"]

    assert [(row["name"], row["site_id"], row["state"]) for row in done] == [
        ("Gate", 1, "new"),
        (None, site, "retired"),
    ]
    lines = (await receiver.get("/api/v1/audit")).json["items"]
    changed = [one["detail"]["changed"] for one in lines if one["action"] == "terminal.changed"]
    assert sorted(changed) == [["name"], ["site_id", "state"]]


async def test_a_list_of_names_is_checked_and_then_saved(receiver: Running) -> None:
    ids = await three(receiver)
    content = f"serial,name\nSN-0,前门\nSN-9,x\n#{ids[1]},Yard\n"
    for encoding in ("utf-8-sig", "gb18030"):
        checked = (await call(receiver, "POST", "/names", content.encode(encoding))).json["items"]
        assert [(one["line"], one["problem"], one["changes"]) for one in checked] == [
            (2, None, True),
            (3, "unknown", False),
            (4, None, True),
        ]
    assert (await call(receiver, "POST", "/names?save=true", content.encode())).status == 200

    names = [row["name"] for row in (await call(receiver, "GET", "")).json["items"]]
    assert names == ["前门", "Yard", None]
    assert (await call(receiver, "POST", "/names", b"")).status == 400


async def test_a_list_of_names_names_nothing_of_another_site(receiver: Running) -> None:
    await three(receiver)
    body = b'{"name": "B", "timezone": "UTC"}'
    site = (await receiver.request("POST", "/api/v1/sites", body)).json["id"]
    secret, _ = issue_token(Accounts(receiver.store), "limited", "admin", by="t", now_ms=0, sites=[site])
    limited = {"Authorization": f"Bearer {secret}"}
    done = await call(receiver, "POST", "/names?save=true", b"SN-0,Mine\n", **limited)
    assert [one["problem"] for one in done.json["items"]] == ["unknown"]
    assert [row["name"] for row in (await call(receiver, "GET", "")).json["items"]] == [None] * 3


async def test_only_retired_ones_are_deleted_and_one_that_is_not_stops_all(receiver: Running) -> None:
    ids = await three(receiver)
    assert (await call(receiver, "POST", f"/{ids[0]}/retire")).status == 200
    refused = await call(receiver, "POST", "/delete", {"terminals": ids[:2]})
    assert (refused.status, "SN-1 is not retired" in refused.json["detail"]) == (409, True)
    assert len(await states(receiver)) == 3
    assert (await call(receiver, "POST", f"/{ids[1]}/retire")).status == 200

    done = await call(receiver, "POST", "/delete", {"terminals": [*ids[:2], ids[0]]})

    assert (done.status, done.json["records"]) == (200, 2)
    assert await states(receiver) == ["new"]
