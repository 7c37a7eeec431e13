from typing import Any

import pytest
from tests.receiver.api.roles import least_role
from tests.receiver.kit import Answer, Running, body

from gatepost.store.terminals.registry import Conflict

PASSWORD = "correct horse"


async def ask(receiver: Running, method: str, path: str, content: Any = None) -> Answer:
    return await receiver.request(method, f"/api/v1/{path}", b"" if content is None else body(content))


async def make(receiver: Running, name: str = "anna", role: str = "admin") -> int:
    answer = await ask(receiver, "POST", "accounts", {"name": name, "role": role, "password": PASSWORD})
    assert answer.status == 201
    number: int = answer.json["id"]
    return number


async def log_in(receiver: Running, password: str = PASSWORD) -> Answer:
    sender = await receiver.connect()
    return await sender.request("POST", "/api/v1/session", body({"name": "anna", "password": password}))


async def audit(receiver: Running, action: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await receiver.get(f"/api/v1/audit?action={action}")).json["items"]
    return found


async def test_who_may_let_others_in_is_an_administrator(receiver: Running) -> None:
    for method, path in (
        ("GET", "accounts"), ("POST", "accounts"), ("PATCH", "accounts/99"),
        ("GET", "tokens"), ("POST", "tokens"), ("DELETE", "tokens/99"), ("GET", "audit"),
    ):  # fmt: skip
        assert await least_role(receiver, method, path, {}) == "admin"


async def test_an_account_that_is_made_can_log_in_and_its_password_is_told_to_nobody(
    receiver: Running,
) -> None:
    await make(receiver)
    assert (await log_in(receiver)).status == 200
    answers = [await ask(receiver, "GET", "accounts"), await ask(receiver, "GET", "audit")]
    assert [item["name"] for item in answers[0].json["items"]] == ["anna"]
    for answer in answers:
        assert PASSWORD.encode() not in answer.body
        assert b"argon2" not in answer.body
    (line,) = await audit(receiver, "account.created")
    assert (line["actor"], line["subject"], line["detail"]["role"], line["detail"]["sites"]) == (
        "token:test",
        "anna",
        "admin",
        None,
    )


async def test_a_name_that_is_taken_and_one_that_is_none_are_refused(receiver: Running) -> None:
    await make(receiver)
    for name, status in (("anna", 409), ("", 400), (" anna", 400), ("x" * 65, 400)):
        new = {"name": name, "role": "viewer", "password": PASSWORD}
        assert (await ask(receiver, "POST", "accounts", new)).status == status


async def test_a_password_that_is_too_short_is_refused(receiver: Running) -> None:
    new = {"name": "anna", "role": "viewer", "password": "short"}
    assert (await ask(receiver, "POST", "accounts", new)).status == 400
    assert (await ask(receiver, "GET", "accounts")).json["items"] == []


@pytest.mark.parametrize("change", [{"role": "viewer"}, {"password": "another horse"}, {"disabled": True}])
async def test_every_change_ends_the_sessions_and_is_noted_without_the_password(
    receiver: Running, change: dict[str, Any]
) -> None:
    number = await make(receiver)
    await make(receiver, "berta")
    cookie = (await log_in(receiver)).headers["set-cookie"].partition(";")[0]
    sender = await receiver.connect()
    assert (await sender.request("GET", "/api/v1/session", headers={"Cookie": cookie})).status == 200
    assert (await ask(receiver, "PATCH", f"accounts/{number}", change)).status == 200
    assert (await sender.request("GET", "/api/v1/session", headers={"Cookie": cookie})).status == 401
    (line,) = await audit(receiver, "account.changed")
    assert line["detail"]["changed"] == list(change)
    assert "horse" not in str(line)


async def test_a_disabled_account_is_let_in_again_when_it_is_enabled(receiver: Running) -> None:
    number = await make(receiver)
    await make(receiver, "berta")
    for disabled, status in ((True, 401), (False, 200)):
        await ask(receiver, "PATCH", f"accounts/{number}", {"disabled": disabled})
        assert (await log_in(receiver)).status == status


@pytest.mark.parametrize("change", [{"role": "operator"}, {"disabled": True}])
async def test_the_last_administrator_stays_one(receiver: Running, change: dict[str, Any]) -> None:
    number = await make(receiver)
    await make(receiver, "berta", "operator")
    answer = await ask(receiver, "PATCH", f"accounts/{number}", change)
    assert answer.status == 409
    assert "last administrator" in answer.json["detail"]
    assert (await log_in(receiver)).status == 200


@pytest.mark.parametrize("path", ["accounts/99", "accounts/0", "accounts/99999999999999999999"])
async def test_an_account_that_is_not_there_cannot_be_changed(receiver: Running, path: str) -> None:
    assert (await ask(receiver, "PATCH", path, {"role": "viewer"})).status == 404


async def test_a_token_is_told_once_works_and_works_no_more_when_it_is_withdrawn(receiver: Running) -> None:
    made = (await ask(receiver, "POST", "tokens", {"name": "gate", "role": "viewer"})).json
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert (await receiver.request("GET", "/api/v1/records", headers=headers)).status == 200
    listed = next(
        row for row in (await ask(receiver, "GET", "tokens")).json["items"] if row["id"] == made["id"]
    )
    assert listed["token"] is None
    assert listed["created_by"] == "token:test"
    assert listed["last_used_at"] is not None
    assert (await ask(receiver, "DELETE", f"tokens/{made['id']}")).status == 204
    assert (await receiver.request("GET", "/api/v1/records", headers=headers)).status == 401
    assert (await ask(receiver, "DELETE", f"tokens/{made['id']}")).status == 404
    assert [line["subject"] for line in await audit(receiver, "token.revoked")] == [str(made["id"])]
    assert made["token"] not in str(await audit(receiver, "token.created"))


async def test_a_tokens_end_is_a_moment_and_not_an_hour_of_somewhere(receiver: Running) -> None:
    new = {"name": "gate", "role": "viewer", "expires_at": "2030-01-01T00:00:00"}
    answer = await ask(receiver, "POST", "tokens", new)
    assert answer.status == 400
    assert "time zone" in answer.json["detail"]
    for year, status in ((2020, 401), (2130, 200)):
        new = {"name": f"until {year}", "role": "viewer", "expires_at": f"{year}-01-01T00:00:00+08:00"}
        token = (await ask(receiver, "POST", "tokens", new)).json["token"]
        headers = {"Authorization": f"Bearer {token}"}
        assert (await receiver.request("GET", "/api/v1/records", headers=headers)).status == status


async def test_the_audit_log_is_read_by_action_by_actor_and_page_by_page(receiver: Running) -> None:
    for number in range(5):
        await make(receiver, f"name-{number}")
    await ask(receiver, "POST", "tokens", {"name": "gate", "role": "viewer"})
    page = (await ask(receiver, "GET", "audit?action=account.created&actor=token:test&limit=3")).json
    rest = (
        await ask(receiver, "GET", f"audit?action=account.created&limit=3&cursor={page['next_cursor']}")
    ).json
    assert [line["subject"] for line in page["items"] + rest["items"]] == [
        f"name-{n}" for n in (4, 3, 2, 1, 0)
    ]
    assert rest["next_cursor"] is None
    assert page["items"][0]["address"] == "127.0.0.1"
    assert (await ask(receiver, "GET", "audit?actor=somebody")).json["items"] == []


async def test_a_line_of_a_token_names_the_token_and_who_made_it(receiver: Running) -> None:
    made = (await ask(receiver, "POST", "tokens", {"name": "hr", "role": "admin"})).json
    headers = {"Authorization": f"Bearer {made['token']}"}
    new = {"name": "anna", "role": "viewer", "password": PASSWORD}
    assert (await receiver.request("POST", "/api/v1/accounts", body(new), headers)).status == 201
    (line,) = await audit(receiver, "account.created")
    assert line["actor"] == "token:hr"
    own = {"token": made["id"], "made_by": "token:test"}
    assert line["detail"] == {"role": "viewer", "sites": None, **own}


@pytest.mark.parametrize("name", ["GATEPOST", "command line", "token:hr"])
async def test_neither_account_nor_token_has_a_name_of_the_program(receiver: Running, name: str) -> None:
    for path, new in (
        ("accounts", {"name": name, "role": "viewer", "password": PASSWORD}),
        ("tokens", {"name": name, "role": "viewer"}),
    ):
        answer = await ask(receiver, "POST", path, new)
        assert answer.status == 400
        assert "name: is one under which the audit log has the program itself" in answer.json["detail"]


async def test_an_account_that_is_disabled_takes_its_sessions_and_tokens_along(either: Running) -> None:
    receiver = either
    number = await make(receiver)
    await make(receiver, "berta")
    cookie = (await log_in(receiver)).headers["set-cookie"].partition(";")[0]
    sender = await receiver.connect()
    own = {"Cookie": cookie, "Sec-Fetch-Site": "same-origin"}
    new = body({"name": "hr", "role": "admin"})
    first = await sender.request("POST", "/api/v1/tokens", new, own)
    of_first = {"Authorization": f"Bearer {first.json['token']}"}
    second = await sender.request("POST", "/api/v1/tokens", new, of_first)
    of_second = {"Authorization": f"Bearer {second.json['token']}"}

    async def opened() -> list[int]:
        headers = (own, of_first, of_second)
        return [(await sender.request("GET", "/api/v1/records", headers=one)).status for one in headers]

    assert await opened() == [200, 200, 200]
    await ask(receiver, "PATCH", f"accounts/{number}", {"disabled": True})
    assert await opened() == [401, 401, 401]
    assert (await ask(receiver, "GET", "tokens")).status == 200
    await ask(receiver, "PATCH", f"accounts/{number}", {"disabled": False})
    assert await opened() == [401, 401, 401]
    accounts = receiver.desk.access.doors.accounts
    accounts.change(number, now_ms=0, disabled=True)
    with pytest.raises(Conflict, match="disabled"):
        accounts.create_token("late", "viewer", b"digest", by="anna", account_id=number, now_ms=0)


async def test_a_token_loses_what_the_account_that_made_it_loses(either: Running) -> None:
    receiver = either
    number = await make(receiver)
    await make(receiver, "berta")
    cookie = (await log_in(receiver)).headers["set-cookie"].partition(";")[0]
    sender = await receiver.connect()
    own = {"Cookie": cookie, "Sec-Fetch-Site": "same-origin"}
    new = body({"name": "hr", "role": "admin"})
    first = await sender.request("POST", "/api/v1/tokens", new, own)
    headers = {"Authorization": f"Bearer {first.json['token']}"}
    second = await sender.request("POST", "/api/v1/tokens", new, headers)
    of_second = {"Authorization": f"Bearer {second.json['token']}"}

    async def opened(path: str) -> list[int]:
        return [
            (await sender.request("GET", f"/api/v1/{path}", headers=one)).status
            for one in (headers, of_second)
        ]

    assert [await opened(path) for path in ("accounts", "records", "alarms")] == [[200, 200]] * 3
    await ask(receiver, "PATCH", f"accounts/{number}", {"role": "viewer"})
    assert [await opened(path) for path in ("accounts", "records")] == [[403, 403], [200, 200]]
    items = (await ask(receiver, "GET", "tokens")).json["items"]
    assert {item["role"] for item in items if item["name"] == "hr"} == {"viewer"}
    await ask(receiver, "PATCH", f"accounts/{number}", {"role": "guard"})
    assert [await opened(path) for path in ("records", "alarms")] == [[403, 403], [200, 200]]
    await ask(receiver, "PATCH", f"accounts/{number}", {"role": "admin", "sites": [1]})
    assert await opened("accounts") == [403, 403]
    await ask(receiver, "PATCH", f"accounts/{number}", {"sites": None})
    assert await opened("accounts") == [200, 200]
