"""Forms that are refused, settings by the keyboard alone, help and its keys."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.browser.conftest import Opener
from tests.browser.kit import Console, log_in, severe


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Console]:
    """A receiver that nothing has ever been pushed to."""
    running = Console(tmp_path / "data")
    running.start()
    yield running
    running.stop()


def test_a_mistake_in_the_first_start_loses_nothing_and_it_is_taken_up_elsewhere(
    opened: Opener, fresh: Console
) -> None:
    page = opened(None, at=fresh)
    log_in(page, fresh)
    page.wait_for_url(fresh.url + "/welcome")
    page.get_by_label("Name of the site").fill("Hangzhou 杭州")
    page.get_by_label("Time zone").fill("Asia/Hangzhou")
    page.get_by_label("Current password").fill("not the password")
    page.get_by_label("New password").fill("quite my own password")
    page.get_by_label("The new one again").fill("quite my own password")
    page.locator("form[action='/account/password'] button").click()
    expect(page.locator("#refused")).to_have_text("The current password is wrong.")
    assert page.url == fresh.url + "/welcome"
    expect(page.get_by_label("New password")).to_have_value("quite my own password")
    expect(page.get_by_label("Name of the site")).to_have_value("Hangzhou 杭州")
    page.locator("form[action='/welcome/site'] button").click()
    expect(page.locator("#refused")).to_contain_text("Asia/Hangzhou")
    expect(page.get_by_label("Name of the site")).to_have_value("Hangzhou 杭州")
    assert severe(page) == []
    page.get_by_label("Time zone").fill("Asia/Shanghai")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Saved.")
    elsewhere = opened(None, at=fresh)
    log_in(elsewhere, fresh)
    elsewhere.goto(fresh.url + "/")
    expect(elsewhere.locator("form.unlisted")).to_contain_text("2 steps of the first start are left")
    elsewhere.get_by_role("link", name="a password of your own").click()
    elsewhere.wait_for_url(re.compile("/welcome#password$"))


@pytest.mark.parametrize("script", [True, False])
def test_a_refused_correction_keeps_its_form(opened: Opener, console: Console, script: bool) -> None:
    page = opened("operator", script=script)
    person = console.get_json("/api/v1/people?limit=1")["items"][0]["id"]
    page.goto(f"{console.url}/people/{person}")
    page.locator("summary", has_text="Add a passage").click()
    form = page.locator("form.rowform[action='/corrections']")
    form.locator("[name=day]").fill("2999-01-01")
    form.locator("[name=time]").fill("08:00")
    form.locator("[name=note]").fill("left by the gate")
    form.locator("button").click()
    expect(page.locator("#refused")).to_be_visible()
    expect(form.locator("[name=note]")).to_have_value("left by the gate")
    expect(form.locator("[name=day]")).to_have_value("2999-01-01")
    expect(form.locator("[name=note]")).to_be_visible()


@pytest.mark.parametrize("script", [True, False])
def test_who_was_quicker_is_told_and_what_was_typed_stays(
    opened: Opener, console: Console, script: bool
) -> None:
    name = f"Gate {script}"
    made = console.change("POST", "/api/v1/schedules", {"name": name, "start": "08:00", "end": "17:00"})
    page = opened("operator", script=script)
    page.goto(console.url + "/schedules")
    console.change("PATCH", f"/api/v1/schedules/{made['id']}", {"start": "09:30"})
    page.locator("summary", has_text=f"Change {name}").click()
    form = page.locator(f"form[action='/schedules/{made['id']}']")
    form.locator("[name=end]").fill("18:15")
    form.get_by_role("button", name="Save").click()
    expect(page.locator("#refused")).to_contain_text("after you opened it")
    expect(form.locator("[name=end]")).to_have_value("18:15")
    expect(form.locator("[name=end]")).to_be_visible()
    # What it is now stands in the list above.
    expect(page.locator("tbody tr", has_text=name).first).to_contain_text("09:30")
    assert not script or severe(page) == []
    form.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_have_text("Saved.")
    shown = console.get_json(f"/api/v1/schedules/{made['id']}")
    assert (shown["start"], shown["end"]) == ("08:00", "18:15")


@pytest.mark.parametrize("width", [390, 1920])
def test_a_setting_is_changed_by_the_keyboard_alone(opened: Opener, console: Console, width: int) -> None:
    page = opened(width=width)
    page.goto(console.url + "/settings")
    days = page.get_by_label("retention_audit_days", exact=True)
    days.focus()
    days.press("ControlOrMeta+a")
    page.keyboard.type("399" if width == 390 else "401")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Saved.")
    expect(page.get_by_label("retention_audit_days", exact=True)).to_have_value(
        "399" if width == 390 else "401"
    )
    page.goto(console.url + "/audit")
    expect(page.locator("tbody tr").first).to_contain_text("retention_audit_days")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_key_opens_the_help_and_keys_do_nothing_in_fields(page: Page, console: Console) -> None:
    page.goto(console.url + "/records")
    page.keyboard.press("?")
    help = page.get_by_role("dialog")
    expect(help).to_contain_text("Every passage that a terminal reported.")
    expect(help).to_contain_text("next row")
    assert severe(page) == []
    page.keyboard.press("j")
    expect(help).to_be_visible()
    page.keyboard.press("Escape")
    expect(help).to_be_hidden()
    search = page.get_by_role("searchbox")
    search.focus()
    page.keyboard.type("?j/k")
    expect(search).to_have_value("?j/k")
    expect(help).to_be_hidden()
    page.locator("[data-help]").focus()
    page.keyboard.press("Enter")
    expect(help).to_be_visible()
    help.get_by_role("link", name="All pages").click()
    page.wait_for_url(console.url + "/help")


def test_an_address_that_is_none_leads_on(page: Page, console: Console) -> None:
    page.goto(console.url + "/no/such/page")
    expect(page.get_by_role("heading", level=1)).to_contain_text("There is no such page")
    assert severe(page) == []
    page.get_by_role("link", name="Back to the live page").click()
    page.wait_for_url(console.url + "/")
