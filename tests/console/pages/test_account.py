"""One's own password, and the audit log."""

import re
from datetime import UTC, datetime

import pytest
from tests.console.kit import PASSWORD, Desk

from gatepost.store.accounts.accounts import Accounts


async def test_a_new_password_ends_the_other_sessions_and_opens_this_one_anew(desk: Desk) -> None:
    form = {"current": PASSWORD, "new": "quite another one", "again": "quite another one"}
    answer = await desk.post("/account/password", "viewer", **form)
    assert answer.location == "/account?done=password"
    assert "gatepost_session=" in answer.headers["set-cookie"]
    assert (await desk.get("/account", "viewer")).status == 303
    desk.cookies["viewer"] = answer.headers["set-cookie"].partition(";")[0].partition("=")[2]
    assert (await desk.get("/account", "viewer")).status == 200


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"current": "wrong"}, "The current password is wrong."),
        ({"again": "something else"}, "The two new passwords differ."),
        ({"new": "short", "again": "short"}, "must have 12 to 256 characters"),
    ],
)
async def test_what_is_wrong_is_said_and_nothing_is_changed(
    desk: Desk, changed: dict[str, str], said: str
) -> None:
    form = {"current": PASSWORD, "new": "quite another one", "again": "quite another one", **changed}
    answer = await desk.post("/account/password", "viewer", **form)
    assert answer.status == 400
    assert said in answer.words
    assert (await desk.get("/account", "viewer")).status == 200


async def test_the_log_is_read_page_by_page_and_by_who_and_what(desk: Desk) -> None:
    accounts = Accounts(desk.store)
    for number in range(120):
        accounts.note(now_ms=number, actor="anna", address="10.0.0.1", action="made.up", subject=str(number))
    page = await desk.get("/audit?actor=anna")
    assert "119" in page.words
    assert "cursor=" in page.html
    assert "anna" not in (await desk.get("/audit?action=login")).words
    assert (await desk.get("/audit?cursor=x")).status == 400


async def test_the_log_is_read_by_days_which_stand_in_the_address(desk: Desk) -> None:
    accounts = Accounts(desk.store)
    desk.store.update_site(1, name=None, timezone="Asia/Shanghai")
    for at in ("2024-05-05T15:59:59", "2024-05-05T16:00:00", "2024-05-06T15:59:59", "2024-05-06T16:00:00"):
        moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
        accounts.note(
            now_ms=int(moment.timestamp() * 1000), actor="anna", address="", action="made.up", subject=at
        )
    page = await desk.get("/audit?actor=anna&since=2024-05-06&until=2024-05-06")
    assert re.findall(r"<td>(2024-[^<]*)</td>", page.html) == ["2024-05-06T15:59:59", "2024-05-05T16:00:00"]
    assert len(re.findall("<td>2024-", (await desk.get("/audit?actor=anna&since=2024-05-06")).html)) == 3
    assert len(re.findall("<td>2024-", (await desk.get("/audit?actor=anna&until=2024-05-05")).html)) == 1
    assert len(re.findall("<td>2024-", (await desk.get("/audit?actor=anna&since=tomorrow")).html)) == 4
    assert 'value="2024-05-06"' in page.html


async def test_what_was_done_is_told_in_words(desk: Desk) -> None:
    await desk.post("/settings/tokens", name="payroll", role="viewer", every_site=1)
    assert "Token made" in (await desk.get("/audit?action=token.created")).words
    assert "创建令牌" in (await desk.get("/audit?action=token.created", accept_language="zh")).words
    Accounts(desk.store).note(now_ms=1, actor="x", address="", action="made.up", subject="")
    assert "made.up" in (await desk.get("/audit?actor=x")).words


async def test_a_password_that_was_made_up_leads_to_the_change_of_it(desk: Desk) -> None:
    accounts = Accounts(desk.store)
    admin = accounts.account("admin")
    assert admin is not None
    accounts.change(admin.id, now_ms=0, password=admin.password, must_change=True)
    sent = await desk.post("/login", None, name="admin", password=PASSWORD, next="/alarms")
    desk.cookies["admin"] = sent.headers["set-cookie"].partition(";")[0].partition("=")[2]
    for path in ("/", "/alarms", "/settings/users", "/welcome"):
        answer = await desk.get(path)
        assert (answer.status, answer.location) == (303, "/account")
    page = await desk.get("/account")
    assert "made up for the first login" in page.words
    assert 'href="/alarms"' not in page.html
    form = {"current": PASSWORD, "new": "quite another one", "again": "quite another one", "back": "/welcome"}
    changed = await desk.post("/account/password", **form)
    assert changed.location == "/welcome?done=password"
    desk.cookies["admin"] = changed.headers["set-cookie"].partition(";")[0].partition("=")[2]
    assert (await desk.get("/alarms")).status == 200
    assert 'href="/alarms"' in (await desk.get("/account")).html
