"""The first start."""

import pytest
from tests.console.kit import PASSWORD, Desk
from tests.receiver.kit import record

from gatepost.console.pages.administration import welcome
from gatepost.console.simulated import Simulated
from gatepost.store.accounts.accounts import Accounts


async def test_the_steps_are_those_of_the_role(desk: Desk) -> None:
    page = await desk.get("/welcome", "admin")
    assert "Start a simulated terminal" in page.words
    assert "http://127.0.0.1/Record" in page.words
    viewer = await desk.get("/welcome", "viewer")
    assert "Start a simulated terminal" not in viewer.words
    assert "An administrator can do this." in viewer.words


async def test_the_site_gets_its_name_and_its_clock(desk: Desk) -> None:
    answer = await desk.post("/welcome/site", name="杭州", timezone="Asia/Shanghai")
    assert answer.location == "/welcome?done=saved"
    assert (desk.store.sites()[0].name, desk.store.sites()[0].timezone) == ("杭州", "Asia/Shanghai")
    assert (await desk.post("/welcome/site", name="x", timezone="nowhere")).status == 400


async def test_the_simulated_terminal_has_an_address_of_its_own_on_our_own_socket(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    monkeypatch.setattr(Simulated, "start", lambda self, address: started.append(address) or True)
    answer = await desk.post("/welcome/simulate", "admin")
    assert answer.location == "/?done=simulated"
    assert started[0].startswith(f"http://127.0.0.1:{desk.running.port}/Record/")
    row = desk.store.terminals()[0]
    assert (row.name, row.has_token, row.state) == ("Simulated terminal", True, "approved")
    assert Accounts(desk.store).audit(action="terminal.simulated").items[0].subject == str(row.id)


async def test_without_the_simulator_one_is_told_what_to_install(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(welcome, "installed", lambda: False)
    assert "pip install '.[simulator]'" in (await desk.get("/welcome")).words
    answer = await desk.post("/welcome/simulate")
    assert answer.status == 400
    assert "pip install" in answer.words


async def test_what_is_left_is_told_on_the_overview_until_it_is_done(desk: Desk) -> None:
    page = await desk.get("/")
    assert "3 steps of the first start are left:" in page.words
    assert 'href="/welcome#site"' in page.html
    assert "are left" not in (await desk.get("/", "operator")).words
    form = {"name": "Campus", "timezone": "Asia/Shanghai"}
    await desk.post("/welcome/site", **form)
    assert "done" in (await desk.get("/welcome")).words
    page = await desk.get("/", accept_language="zh")
    assert "首次设置还有 2 步" in page.words
    await desk.running.push(record())
    assert "1 step of the first start is left: a password of your own" in (await desk.get("/")).words
    new = {"current": PASSWORD, "new": "quite another one", "again": "quite another one"}
    changed = await desk.post("/account/password", "admin", **new)
    desk.cookies["admin"] = changed.headers["set-cookie"].partition(";")[0].partition("=")[2]
    assert "of the first start" not in (await desk.get("/")).words


async def test_the_hint_is_hidden_and_the_steps_stay(desk: Desk) -> None:
    assert (await desk.post("/welcome/hide")).location == "/"
    assert "of the first start" not in (await desk.get("/")).words
    assert (await desk.get("/welcome")).status == 200
