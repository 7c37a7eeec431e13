"""Real terminals, managed in a real browser: found, adopted, seen on the live page, and back after a reboot."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from tests.browser.conftest import Opener
from tests.browser.kit import PASSWORD, Console, severe, until
from tests.browser.terminals import TerminalProcess


@pytest.fixture(scope="module")
def managing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A receiver that may talk to terminals on this machine."""
    running = Console(tmp_path_factory.mktemp("fleet") / "data", GATEPOST_FLEET_NETWORKS="127.0.0.0/8")
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def terminals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[TerminalProcess]]:
    folder = tmp_path_factory.mktemp("terminals")
    made = [TerminalProcess(folder / serial, serial) for serial in ("DOOR-1", "DOOR-2", "DOOR-3")]
    try:
        for one in made:
            one.start()
        yield made
    finally:
        for one in made:
            one.stop()


def work_on(page: Page, name: str, button: str) -> None:
    """Press a button of a terminal's work."""
    page.get_by_text(f"Actions {name}").click()
    page.locator("details[open]").get_by_role("button", name=button).click()


@pytest.mark.timeout(240)  # a terminal that is away is tried again after a quarter of a minute
def test_found_adopted_seen_live_and_back_after_a_reboot(
    opened: Opener, managing: Console, terminals: list[TerminalProcess]
) -> None:
    door = terminals[0]
    page = opened(at=managing)
    page.goto(managing.url + "/terminals")
    page.get_by_role("link", name="Adopted terminals").click()
    page.get_by_role("link", name="Find").first.click()
    page.get_by_label("Networks to scan").fill(f"127.0.0.1:{door.port}")
    page.get_by_role("button", name="Scan").click()
    page.get_by_label("Choose DOOR-1").check()
    page.get_by_label("User name at the terminal").fill("admin")
    page.get_by_label("Password at the terminal").fill(PASSWORD)
    page.get_by_role("button", name="Adopt them").click()
    expect(page.get_by_role("status")).to_contain_text("1 adopted, 0 failed, 0 to go")
    page.get_by_role("link", name="See them").click()
    row = page.locator("tbody tr").filter(has_text="DOOR-1")
    # Its address is set at the first look, moments later.
    until(lambda: (page.reload(), "Have a person pass the terminal" in row.inner_text())[1], page)
    live = opened(at=managing)
    assert door.passes("Before the reboot")
    expect(live.locator(".card").filter(has_text="Before the reboot")).to_be_visible()
    page.reload()
    expect(row).to_contain_text("in order")
    door.stop()
    work_on(page, "DOOR-1", "Verify now")
    expect(row).to_contain_text("Look at its power, its cable and its address.")
    door.forget()
    door.start()
    assert not door.passes("Too early")
    # It is tried again by itself, within 18 seconds.
    until(lambda: door.passes("After the reboot"), page, timeout=150)
    expect(live.locator(".card").filter(has_text="After the reboot")).to_be_visible()
    page.reload()
    expect(row).to_contain_text("in order")


def test_many_are_adopted_from_a_list_with_progress_and_what_failed_is_said(
    opened: Opener, managing: Console, terminals: list[TerminalProcess]
) -> None:
    page = opened(at=managing)
    page.goto(managing.url + "/fleet/import")
    listed = "".join(
        f"https://127.0.0.1:{one.port},Gate {number},admin,{PASSWORD if number == 1 else 'wrong'}\r\n"
        for number, one in enumerate(terminals[1:], 1)
    )
    content = f"\ufeffaddress,name,user,password\r\n{listed}".encode()
    page.get_by_label("Take it from a file").set_input_files(
        [{"name": "terminals.csv", "mimeType": "text/csv", "buffer": content}]
    )
    page.get_by_role("button", name="Check the list").click()
    expect(page.get_by_role("status")).to_contain_text("2 terminals can be adopted.")
    assert PASSWORD not in page.content()
    page.get_by_role("button", name="Adopt 2 terminals").click()
    expect(page.get_by_role("status")).to_contain_text("1 adopted, 1 failed, 0 to go")
    expect(page.locator("tbody tr").first).to_contain_text("the password is wrong")


@pytest.mark.parametrize(("locale", "theme", "width"), [("en-GB", "light", 1280), ("zh-CN", "dark", 360)])
def test_axe_finds_nothing(
    opened: Opener, managing: Console, terminals: list[TerminalProcess], locale: str, theme: str, width: int
) -> None:
    page = opened(at=managing, locale=locale, theme=theme, width=width)
    for path in ("/fleet", "/fleet/find", "/fleet/adopt", "/fleet/import", "/fleet/adoptions/1"):
        page.goto(managing.url + path)
        assert severe(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
