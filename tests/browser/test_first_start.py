"""The first minute: somebody starts a receiver, and sees a terminal talk to it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.browser.conftest import Opener
from tests.browser.kit import Console, log_in


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Console]:
    """A receiver that nothing has ever been pushed to."""
    running = Console(tmp_path / "data")
    running.start()
    yield running
    running.stop()


def test_from_the_first_login_to_the_first_card(opened: Opener, fresh: Console) -> None:
    page = opened(None, at=fresh)
    page.goto(fresh.url)
    expect(page.get_by_text("First time?")).to_be_visible()
    log_in(page, fresh)
    page.wait_for_url(fresh.url + "/welcome")
    page.get_by_label("Current password").fill("correct horse battery")
    page.get_by_label("New password").fill("quite my own password")
    page.get_by_label("The new one again").fill("quite my own password")
    page.locator("form[action='/account/password'] button").click()
    expect(page.get_by_role("status")).to_contain_text("Your password is changed.")
    page.get_by_label("Name of the site").fill("Hangzhou 杭州")
    page.get_by_label("Time zone").fill("Asia/Shanghai")
    page.locator("form[action='/welcome/site'] button").click()
    expect(page.get_by_role("status")).to_have_text("Saved.")
    expect(page.locator("#address")).to_have_text(f"{fresh.url}/Record")
    page.get_by_role("button", name="Start a simulated terminal").click()
    page.wait_for_url(re.compile(r"/\?done=simulated"))
    page.locator(".card").first.wait_for()
    expect(page.locator(".card").first).to_contain_text("Simulated terminal")
    expect(page.locator(".numbers a").nth(3)).to_contain_text("1")
    page.goto("about:blank")  # the open page leaves by itself when it is asked who it is
    page.context.clear_cookies()
    page.goto(fresh.url)
    log_in(page, fresh, password="quite my own password")
