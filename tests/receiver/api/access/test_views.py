"""``/api/v1/views``."""

import json
from typing import Any

from tests.receiver.api.roles import least_role
from tests.receiver.kit import Answer, Running

from gatepost.receiver.auth.issuing import issue_token
from gatepost.store.accounts.accounts import Accounts
from gatepost.store.accounts.rows import Role


async def ask(
    receiver: Running, method: str, path: str, body: Any = None, token: str | None = None
) -> Answer:
    data = b"" if body is None else json.dumps(body).encode()
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return await receiver.request(method, f"/api/v1/views{path}", data, headers)


def token_of(receiver: Running, name: str, role: Role) -> str:
    """Return a token of a user."""
    accounts = Accounts(receiver.store)
    account = accounts.create(name, role, "hash", now_ms=0)
    token, _ = issue_token(accounts, name, role, by=name, now_ms=0, owner_id=account.id)
    return token


async def test_a_view_is_saved_listed_changed_and_deleted(receiver: Running) -> None:
    anna, bert = token_of(receiver, "anna", "viewer"), token_of(receiver, "bert", "viewer")
    order = {"page": "records", "name": "Refused", "filters": {"passed": "false"}, "start": True}
    made = (await ask(receiver, "POST", "", order, anna)).json
    assert (made["shared"], made["start"], made["may_change"], made["made_by"]) == (
        False,
        True,
        True,
        "token:anna",
    )
    assert made["link"] == f"/views/{made['id']}"
    assert (await ask(receiver, "GET", f"/{made['id']}", None, anna)).json == made
    assert (await ask(receiver, "GET", "?page=records", None, anna)).json["items"] == [made]
    assert (await ask(receiver, "GET", "?page=alarms", None, anna)).json["items"] == []
    for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)):
        assert (await ask(receiver, method, f"/{made['id']}", body, bert)).status == 404
    changed = (
        await ask(receiver, "PATCH", f"/{made['id']}", {"name": "No entry", "start": False}, anna)
    ).json
    assert (changed["name"], changed["start"]) == ("No entry", False)
    assert (await ask(receiver, "DELETE", f"/{made['id']}", None, anna)).status == 204
    assert (await ask(receiver, "GET", "", None, anna)).json["items"] == []
    actions = [line["action"] for line in (await receiver.get("/api/v1/audit")).json["items"]]
    assert actions[:3] == ["view.deleted", "view.changed", "view.saved"]


async def test_an_operator_shares_and_a_token_of_no_user_has_shared_ones_only(receiver: Running) -> None:
    order = {"page": "alarms", "name": "Open", "filters": {"show": "open"}}
    assert (await ask(receiver, "POST", "", order)).status == 400
    viewer = token_of(receiver, "anna", "viewer")
    assert (await ask(receiver, "POST", "", {**order, "shared": True}, viewer)).status == 403
    made = (await ask(receiver, "POST", "", {**order, "shared": True})).json
    assert (await ask(receiver, "POST", "", {**order, "shared": True})).status == 409
    assert [item["name"] for item in (await ask(receiver, "GET", "", None, viewer)).json["items"]] == ["Open"]
    assert (await ask(receiver, "PATCH", f"/{made['id']}", {"start": True})).status == 400
    begun = (await ask(receiver, "PATCH", f"/{made['id']}", {"start": True}, viewer)).json
    assert (begun["start"], begun["may_change"]) == (True, False)
    assert (await ask(receiver, "PATCH", f"/{made['id']}", {"filters": {}}, viewer)).status == 404


async def test_what_is_no_view_is_refused_with_the_field(receiver: Running) -> None:
    anna = token_of(receiver, "anna", "viewer")
    for order, field in (
        ({"page": "nowhere", "name": "x", "filters": {}}, "page"),
        ({"page": "audit", "name": "x", "filters": {}}, "page"),
        ({"page": "records", "name": "", "filters": {}}, "name"),
        ({"page": "records", "name": "x", "filters": {"code": "1"}}, "filters"),
    ):
        answer = await ask(receiver, "POST", "", order, anna)
        assert answer.status == 400
        assert field in answer.json["detail"]
    assert (await ask(receiver, "GET", "/999", None, anna)).status == 404
    assert (await ask(receiver, "DELETE", f"/{1 << 64}", None, anna)).status == 404


async def test_each_role_has_views(receiver: Running) -> None:
    assert await least_role(receiver, "GET", "views") == "guard"
    assert await least_role(receiver, "GET", "views/1") == "guard"
