"""``If-Match``: a change is made to what its sender saw, whatever is changed."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from tests.receiver.api.visits import person, seen
from tests.receiver.kit import Answer, Running, body, record

from gatepost.receiver.api.versions import wanted_versions

DESTINATION = {"name": "there", "kind": "webhook", "url": "https://localhost/", "enabled": False}


async def call(
    receiver: Running, method: str, path: str, content: Any = None, if_match: str | None = None
) -> Answer:
    headers = {} if if_match is None else {"if-match": if_match}
    data = b"" if content is None else body(content)
    return await receiver.request(method, f"/api/v1/{path}", data, headers=headers)


async def a_schedule(receiver: Running) -> str:
    made = await call(receiver, "POST", "schedules", {"name": "Office", "start": "07:00", "end": "16:00"})
    assert made.headers["etag"] == f'"{made.json["version"]}"'
    return str(made.json["version"])


async def a_site(receiver: Running) -> str:
    return str((await receiver.get("/api/v1/sites")).json["items"][0]["version"])


async def a_setting(receiver: Running) -> str:
    return (await receiver.get("/api/v1/settings")).headers["etag"].strip('"')


async def a_destination(receiver: Running) -> str:
    made = await call(receiver, "POST", "destinations", DESTINATION)
    assert made.status == 201, made.body
    shown = await receiver.get("/api/v1/destinations/1")
    assert shown.headers["etag"] == f'"{shown.json["version"]}"'
    return str(shown.json["version"])


async def a_terminal(receiver: Running) -> str:
    assert (await receiver.push(record())).status == 200
    return str((await receiver.get("/api/v1/terminals")).json["items"][0]["version"])


async def an_account(receiver: Running) -> str:
    told = {"role": "admin", "password": "correct horse battery"}
    await call(receiver, "POST", "accounts", {**told, "name": "anna"})
    made = await call(receiver, "POST", "accounts", {**told, "name": "maria"})
    assert made.json["id"] == 2, made.body
    return str(made.json["version"])


CHANGES: Mapping[str, tuple[Callable[[Running], Awaitable[str]], str, tuple[Any, Any]]] = {
    "schedule": (a_schedule, "schedules/1", ({"grace_min": 5}, {"grace_min": 6})),
    "site": (a_site, "sites/1", ({"name": "Works"}, {"name": "Yard"})),
    "setting": (a_setting, "settings", ({"repeat_s": 7}, {"retention_audit_days": 400})),
    "terminal": (a_terminal, "terminals/1", ({"name": "Gate"}, {"direction": "in"})),
    "account": (an_account, "accounts/2", ({"role": "operator"}, {"role": "guard"})),
    "destination": (a_destination, "destinations/1", ({"shape": "flat"}, {"name": "elsewhere"})),
}


@pytest.mark.parametrize("what", CHANGES)
async def test_a_change_of_what_another_person_changed_meanwhile_is_412_and_says_by_whom(
    receiver: Running, what: str
) -> None:
    make, path, (first, second) = CHANGES[what]
    version = await make(receiver)
    done = await call(receiver, "PATCH", path, first, f'"{version}"')
    assert done.status == 200, done.body
    refused = await call(receiver, "PATCH", path, second, f'"{version}"')
    assert refused.status == 412, refused.body
    line = (await receiver.get("/api/v1/audit?limit=1")).json["items"][0]
    assert line["action"] == f"{what}.changed"
    assert (
        f"was changed by {line['actor']} at {line['at'][:19]}Z, after you read it" in (refused.json["detail"])
    )
    again = done.headers["etag"]
    assert again != f'"{version}"'
    assert (await call(receiver, "PATCH", path, second, again)).status == 200
    # Who names no version changes what is there.
    assert (await call(receiver, "PATCH", path, first)).status == 200


async def test_a_mark_is_set_in_the_place_of_the_one_that_was_read(receiver: Running) -> None:
    await seen(receiver, 0, user=person("5"))
    who = (await receiver.get("/api/v1/people")).json["items"][0]["id"]
    path = f"people/{who}/mark"
    made = await call(receiver, "PUT", path, {"reason": "a"}, '"unmarked"')
    assert (made.status, made.headers["etag"]) == (200, f'"{made.json["version"]}"')
    refused = await call(receiver, "PUT", path, {"reason": "b"}, '"unmarked"')
    assert (refused.status, f"was changed by {made.json['made_by']} at" in refused.json["detail"]) == (
        412,
        True,
    )
    assert (await call(receiver, "PUT", path, {"reason": "b"}, f'W/"{made.json["version"]}"')).status == 200
    assert (await call(receiver, "DELETE", path)).status == 204
    gone = await call(receiver, "PUT", path, {"reason": "c"}, made.headers["etag"])
    assert (gone.status, " at " in gone.json["detail"]) == (412, True)


async def test_what_is_no_version_is_refused(receiver: Running) -> None:
    await a_schedule(receiver)
    answer = await call(receiver, "PATCH", "schedules/1", {"grace_min": 5}, "abc")
    assert (answer.status, answer.json["detail"].startswith("If-Match: write versions")) == (400, True)


def test_a_header_names_one_version_several_or_any() -> None:
    assert wanted_versions(None) is None
    assert wanted_versions(" * ") is None
    assert wanted_versions('"a", W/"b"') == ["a", "b"]
