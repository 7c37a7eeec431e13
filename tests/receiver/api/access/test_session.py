import asyncio
from typing import Any

import pytest
from tests.receiver.kit import Answer, Running, Sender, body

from gatepost.receiver.auth.cookies import COOKIE
from gatepost.receiver.auth.issuing import first_administrator
from gatepost.store.accounts.accounts import Accounts

PASSWORD = "correct horse"


@pytest.fixture
async def browser(receiver: Running) -> Sender:
    """A connection to a receiver that knows Anna."""
    doors = receiver.desk.access.doors
    await asyncio.to_thread(
        lambda: [
            doors.accounts.create(name, "admin", doors.hash(PASSWORD), now_ms=0) for name in ("anna", "berta")
        ]
    )
    return await receiver.connect()


async def log_in(browser: Sender, password: str = PASSWORD) -> Answer:
    return await browser.request("POST", "/api/v1/session", body({"name": "anna", "password": password}))


def page(answer: Answer) -> dict[str, str]:
    """What the console's own page sends along, once somebody is logged in."""
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0], "Sec-Fetch-Site": "same-origin"}


async def status(browser: Sender, headers: dict[str, str]) -> int:
    return (await browser.request("GET", "/api/v1/session", headers=headers)).status


async def test_who_logs_in_is_told_who_they_are(browser: Sender) -> None:
    answer = await log_in(browser)
    assert answer.json == {"name": "anna", "role": "admin", "sites": None}
    who = await browser.request("GET", "/api/v1/session", headers=page(answer))
    assert who.json == {"name": "anna", "role": "admin", "sites": None}


async def test_who_logs_out_is_nobody_and_the_browser_is_told_to_forget(browser: Sender) -> None:
    headers = page(await log_in(browser))
    out = await browser.request("DELETE", "/api/v1/session", headers=headers)
    assert out.status == 204
    assert "Max-Age=0" in out.headers["set-cookie"]
    assert out.headers["clear-site-data"] == '"cache", "storage"'
    assert await status(browser, headers) == 401


async def test_one_logs_out_here_and_stays_elsewhere(browser: Sender) -> None:
    here, there = page(await log_in(browser)), page(await log_in(browser))
    await browser.request("DELETE", "/api/v1/session", headers=here)
    assert (await status(browser, here), await status(browser, there)) == (401, 200)


async def change(browser: Sender, headers: dict[str, str], **passwords: str) -> Answer:
    return await browser.request("POST", "/api/v1/session/password", body(passwords), headers)


async def test_a_new_password_ends_every_session_and_the_old_password(browser: Sender) -> None:
    here, there = page(await log_in(browser)), page(await log_in(browser))
    assert (await change(browser, here, current=PASSWORD, new="another horse")).status == 204
    assert (await status(browser, here), await status(browser, there)) == (401, 401)
    assert (await log_in(browser)).status == 401
    assert (await log_in(browser, "another horse")).status == 200


@pytest.mark.parametrize(
    ("passwords", "expected"),
    [({"current": "wrong horse", "new": "another horse"}, 403), ({"current": PASSWORD, "new": "short"}, 400)],
)
async def test_what_is_no_change_changes_nothing(
    browser: Sender, passwords: dict[str, Any], expected: int
) -> None:
    headers = page(await log_in(browser))
    assert (await change(browser, headers, **passwords)).status == expected
    assert await status(browser, headers) == 200
    assert (await log_in(browser)).status == 200


async def test_a_token_has_no_password_to_change(receiver: Running) -> None:
    passwords = body({"current": PASSWORD, "new": "another horse"})
    assert (await receiver.request("POST", "/api/v1/session/password", passwords)).status == 403


async def test_a_password_that_was_made_up_opens_nothing_but_the_change_of_it(either: Running) -> None:
    accounts = Accounts(either.store)
    made = await asyncio.to_thread(lambda: first_administrator(accounts, password=None, now_ms=0))
    assert made is not None
    sender = await either.connect()
    credentials = {"name": "admin", "password": made}
    login = await sender.request("POST", "/api/v1/session", body(credentials))
    own = {"Cookie": f"{COOKIE}={login.cookies[COOKIE]}", "Sec-Fetch-Site": "same-origin"}
    assert await status(sender, own) == 200
    for method, path in (
        ("GET", "records"), ("GET", "accounts"), ("GET", "live"), ("POST", "tokens"), ("GET", "stats"),
    ):  # fmt: skip
        answer = await sender.request(method, f"/api/v1/{path}", b"", own)
        assert answer.status == 403
        assert "POST /api/v1/session/password" in answer.json["detail"]
    same = await change(sender, own, current=made, new=made)
    assert (same.status, "the one that you have" in same.json["detail"]) == (400, True)
    assert (await change(sender, own, current=made, new=PASSWORD)).status == 204
    again = await sender.request("POST", "/api/v1/session", body({"name": "admin", "password": PASSWORD}))
    own["Cookie"] = f"{COOKIE}={again.cookies[COOKIE]}"
    assert (await sender.request("GET", "/api/v1/accounts", headers=own)).status == 200


async def test_a_first_password_that_was_chosen_need_not_be_changed(either: Running) -> None:
    accounts = Accounts(either.store)
    await asyncio.to_thread(lambda: first_administrator(accounts, password=PASSWORD, now_ms=0))
    sender = await either.connect()
    login = await sender.request("POST", "/api/v1/session", body({"name": "admin", "password": PASSWORD}))
    own = {"Cookie": f"{COOKIE}={login.cookies[COOKIE]}"}
    assert (await sender.request("GET", "/api/v1/accounts", headers=own)).status == 200
