"""One's own password, and the audit log."""

import pytest
from tests.console.kit import PASSWORD, Desk

from gatepost.store.accounts import Accounts


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
        ({"new": "short", "again": "short"}, "A password has 8 to 256 characters."),
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
