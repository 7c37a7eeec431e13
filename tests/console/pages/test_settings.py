"""Settings, sites, users and tokens."""

import re
import time
from pathlib import Path

from tests.console.kit import PASSWORD, Desk
from tests.receiver.kit import receiving, record
from tests.store.events import arrival
from tests.store.events import record as stored
from tests.terminals import ensured

from gatepost.console.routes import routes
from gatepost.receiver.auth.issuing import issue_token
from gatepost.settings import Origin
from gatepost.store.accounts.accounts import Accounts
from gatepost.store.conversion.values import DAY_MS


async def test_a_site_is_made_and_changed_with_its_clock(desk: Desk) -> None:
    await desk.post("/settings/sites", name="Campus", timezone="Asia/Shanghai")
    await desk.post("/settings/sites/1", name="Head office", timezone="Europe/Berlin")
    assert [(site.name, site.timezone) for site in desk.store.sites()] == [
        ("Head office", "Europe/Berlin"),
        ("Campus", "Asia/Shanghai"),
    ]
    for form in ({"name": "X", "timezone": "Mars/Olympus"}, {"name": "", "timezone": "UTC"}):
        assert (await desk.post("/settings/sites", **form)).status == 400
    assert (await desk.post("/settings/sites", name="Campus", timezone="UTC")).status == 409


async def test_settings_are_shown_without_their_secrets_and_with_what_is_kept_how_long(desk: Desk) -> None:
    page = await desk.get("/settings")
    assert "max_body_bytes" in page.words
    kept = (await desk.get("/system")).words
    assert "Images of strangers 30 d" in kept


async def test_what_the_ingest_does_is_shown(desk: Desk) -> None:
    for number in range(3):
        await desk.running.push(record(uuid=f"u-{number}"))
    await desk.running.push(b"{")
    await desk.running.flush()
    words = (await desk.get("/system")).words
    assert "Replies 4" in words
    assert "Of them refusals 1" in words
    assert re.search(r"99 % of the replies came within [\d,.]+\sms", words)
    assert "半数应答用时不超过" in (await desk.get("/system", accept_language="zh-CN")).words


async def test_what_a_setting_does_is_told_in_the_language_of_the_page(desk: Desk) -> None:
    page = await desk.get("/settings", accept_language="zh-CN")
    assert "图片自接收之日（UTC）起保留的天数" in page.words
    assert "90 天" in (await desk.get("/system", accept_language="zh-CN")).words
    assert "For how long" not in page.words


async def test_a_user_is_made_changed_and_locked_out(desk: Desk) -> None:
    await desk.post("/settings/users", name="wang", role="viewer", password="quite long enough", every_site=1)
    account = Accounts(desk.store).account("wang")
    assert account is not None
    await desk.post(f"/settings/users/{account.id}", role="operator", every_site=1)
    await desk.post(f"/settings/users/{account.id}", disabled="yes")
    changed = Accounts(desk.store).account("wang")
    assert changed is not None
    assert (changed.role, changed.disabled) == ("operator", True)


async def test_sites_of_a_user_and_of_a_token_are_ticked(desk: Desk) -> None:
    hamburg = desk.store.create_site("Hamburg", "Europe/Berlin", now_ms=0).id
    accounts = Accounts(desk.store)
    form = {"name": "wang", "role": "viewer", "password": "quite long enough"}
    page = await desk.get("/settings/users")
    assert page.words.count("Hamburg") >= 2
    await desk.post("/settings/users", **form, sites=hamburg)
    wang = accounts.account("wang")
    assert wang is not None
    assert wang.sites == (hamburg,)
    nothing = await desk.post(f"/settings/users/{wang.id}", role="operator")
    assert "Tick the sites, or every site." in nothing.words
    await desk.post(f"/settings/users/{wang.id}", disabled="yes")
    await desk.post(f"/settings/users/{wang.id}", role="operator", sites=[1, hamburg])
    changed = accounts.account("wang")
    assert changed is not None
    assert (changed.role, changed.sites, changed.disabled) == ("operator", (1, hamburg), True)
    await desk.post(f"/settings/users/{wang.id}", role="operator", every_site=1, sites=[1])
    everywhere = accounts.account("wang")
    assert everywhere is not None
    assert everywhere.sites is None
    told = await desk.post("/settings/tokens", name="payroll", role="viewer", sites=hamburg)
    assert "Hamburg" in told.words
    assert accounts.tokens()[0].sites == (hamburg,)


async def test_what_is_wrong_with_a_user_is_said(desk: Desk) -> None:
    for form in (
        {"name": "wang", "role": "viewer", "password": "short", "every_site": "1"},
        {"name": "", "role": "viewer", "password": "quite long enough", "every_site": "1"},
        {"name": "wang", "role": "king", "password": "quite long enough", "every_site": "1"},
        {"name": "viewer", "role": "viewer", "password": "quite long enough", "every_site": "1"},
        {"name": "wang", "role": "viewer", "password": "quite long enough"},
        {"name": "wang", "role": "viewer", "password": "quite long enough", "sites": "7"},
    ):
        page = {"referer": "http://127.0.0.1/settings/users"}
        answer = await desk.post("/settings/users", headers=page, **form)
        assert answer.status in (400, 409)
        assert 'role="alert"' in answer.html
    for path, form in (("users", {"password": PASSWORD}), ("tokens", {})):
        answer = await desk.post(f"/settings/{path}", name="Gatepost", role="viewer", every_site=1, **form)
        assert "the program itself" in answer.words
    admin = Accounts(desk.store).account("admin")
    assert admin is not None
    assert (
        "last administrator"
        in (await desk.post(f"/settings/users/{admin.id}", role="viewer", every_site=1)).words
    )
    assert (await desk.post("/settings/users/999", role="viewer", every_site=1)).status == 404


async def test_a_token_is_told_once_and_withdrawn(desk: Desk) -> None:
    page = await desk.post("/settings/tokens", name="payroll", role="viewer", days="30", every_site=1)
    found = re.search(r'id="secret">([^<]+)<', page.html)
    assert found
    assert found[1] not in (await desk.get("/settings/users")).html
    token = Accounts(desk.store).tokens()[0]
    assert token.expires_at is not None
    assert (await desk.post(f"/settings/tokens/{token.id}/revoke")).location == "/settings/users?done=revoked"
    assert Accounts(desk.store).tokens()[0].revoked_at is not None


async def test_days_of_a_token_are_a_number(desk: Desk) -> None:
    for days in ("soon", "-1", "99999"):
        answer = await desk.post("/settings/tokens", name="payroll", role="viewer", days=days, every_site=1)
        assert answer.status == 400
        assert "Days are a number up to 3650." in answer.words


async def test_what_stricter_settings_would_refuse_is_shown_before_they_are_set(desk: Desk) -> None:
    await desk.running.push(record(deviceSN="SN-7"))
    page = await desk.get("/settings")
    assert "require_token = always : would refuse 1 terminal" in page.words
    assert "unknown_terminals = hold : would refuse 0 terminals" in page.words
    assert "unknown_terminals = refuse : would refuse 1 terminal" in page.words
    assert 'href="/terminals/1">SN-7' in page.html
    here = await desk.get("/settings?allowed_networks=10.0.0.0/8")
    assert "allowed_networks = 10.0.0.0/8 : would refuse 1 terminal" in here.words
    assert (await desk.get("/settings?allowed_networks=here")).status == 400


async def test_what_retention_asks_is_told_on_every_page_and_confirmed_with_the_dates(desk: Desk) -> None:
    now_ms = int(time.time() * 1000)
    ensured(desk.store, "SN-1", now_ms=now_ms)
    for days in (1200, 1199, 1198):
        desk.store.write([arrival(stored(days), received_at_ms=now_ms - days * DAY_MS)])
    keeper = desk.running.desk.keeper
    while keeper.once().more:
        pass
    (ask,) = keeper.asks
    assert f"received from {ask.first} to {ask.last}" in (await desk.get("/records")).words
    waits = "waits until it is confirmed"
    assert waits in (await desk.get("/records")).words
    assert waits not in (await desk.get("/records", who="operator")).words
    secret, _ = issue_token(Accounts(desk.store), "one", "admin", by="t", now_ms=now_ms, sites=[1])
    of_one_site = await desk.get("/records", who=None, authorization=f"Bearer {secret}")
    assert (of_one_site.status, waits in of_one_site.words) == (200, False)
    page = await desk.get("/system")
    assert f"{ask.first} – {ask.last} (3 days)" in page.words
    assert "more days are due than have passed" in page.words
    wrong = await desk.post("/system/retention", records=ask.first.isoformat())
    assert (wrong.status, len(keeper.asks)) == (400, 1)
    assert "look at the dates again" in wrong.words
    assert (await desk.post("/system/retention", who="operator", records=ask.last.isoformat())).status == 403
    assert (await desk.post("/system/retention", records=ask.last.isoformat())).location.startswith("/system")
    while keeper.once().more:
        pass
    assert desk.running.records() == []
    assert "Deletion by retention confirmed" in (await desk.get("/audit")).words


async def test_settings_are_changed_in_the_console_and_locked_where_a_file_sets_them(tmp_path: Path) -> None:
    origins = {"repeat_s": Origin("file", "/etc/gatepost.toml")}
    async with receiving(tmp_path, pages=routes, repeat_s=5, origins=origins) as running:
        desk = await Desk.made(running)
        page = await desk.get("/settings")
        assert 'name="unknown_terminals"' in page.html
        assert 'name="repeat_s"' not in page.html
        assert "set in the file /etc/gatepost.toml" in page.words
        form = dict(re.findall(r'<input name="(\w+)" type="number" value="([^"]*)"', page.html))
        assert (await desk.send("/settings/values", {**form, "unknown_terminals": "accept"})).status == 303
        assert not Accounts(desk.store).audit(action="setting.changed").items
        form |= {"retention_audit_days": "400", "unknown_terminals": "hold", "repeat_s": "9"}
        assert (await desk.send("/settings/values", form)).location == "/settings?done=saved"
        assert running.desk.in_force.changes == {"retention_audit_days": 400, "unknown_terminals": "hold"}
        assert "changed by admin" in (await desk.get("/settings")).words
        assert "由 admin 修改" in (await desk.get("/settings", accept_language="zh")).words
        form["retention_audit_days"] = ""
        await desk.send("/settings/values", form)
        assert running.desk.in_force.changes == {"unknown_terminals": "hold"}
        form["max_terminals"] = "0"
        headers = {"referer": "http://127.0.0.1/settings"}
        refused = await desk.send("/settings/values", form, headers=headers)
        assert refused.status == 400
        assert "max_terminals" in refused.words
        assert 'name="max_terminals" type="number" value="0"' in refused.html
