"""Many terminals at once, without losing the place in the list."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from tests.browser.conftest import Opener
from tests.browser.kit import Console

from gatepost.store.sqlite.store import SqliteStore

MANY = 40


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A receiver with many terminals that wait for approval, some for each test."""
    folder = tmp_path_factory.mktemp("crowd") / "data"
    with contextlib.closing(SqliteStore.open(folder)) as store:
        for test in "ABCD":
            for number in range(MANY):
                store.create_terminal(now_ms=0, serial=f"{test}-{number:02}", state="held")
    running = Console(folder)
    running.start()
    try:
        yield running
    finally:
        running.stop()


def test_approving_one_keeps_the_place_and_the_filter(opened: Opener, crowd: Console) -> None:
    page = opened("operator", at=crowd)
    page.goto(crowd.url + "/terminals?show=to_approve&q=A-")
    row = page.locator("tbody tr").nth(12)
    name = row.locator("b").inner_text()
    row.get_by_role("button", name="Approve").scroll_into_view_if_needed()
    page.evaluate("scrollBy(0, 120)")
    before = page.evaluate("scrollY")
    assert before > 100
    row.get_by_role("button", name="Approve").click()
    expect(page.locator("tbody tr").filter(has_text=name)).to_have_count(0)
    expect(page.locator("tbody tr")).to_have_count(MANY - 1)
    assert page.evaluate("scrollY") == before
    assert "show=to_approve&q=A-" in page.url
    expect(page.get_by_role("status")).to_contain_text("Approved")
    expect(page.get_by_role("status")).to_be_in_viewport()
    expect(page.locator("tbody tr").nth(12).get_by_role("button")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(MANY - 2)


def test_those_that_are_ticked_are_approved_retired_and_deleted(opened: Opener, crowd: Console) -> None:
    page = opened(at=crowd)
    page.goto(crowd.url + "/terminals?q=B-")
    work = page.get_by_role("form", name="Those that are ticked")
    expect(work).to_be_hidden()
    for number in range(3):
        page.get_by_label(f"Choose B-{number:02}").check()
    work.get_by_role("button", name="Approve").click()
    expect(page.get_by_role("status")).to_contain_text("Approved")
    expect(page.locator("tbody tr").filter(has_text="held")).to_have_count(MANY - 3)
    page.get_by_label("Choose all of this page").check()
    work.get_by_role("button", name="Retire").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Retire {MANY} terminals")
    page.get_by_role("button", name=f"Retire {MANY} terminals").click()
    page.wait_for_url("**/terminals?q=B-&done=saved")
    expect(page.locator("tbody tr.faint")).to_have_count(MANY)
    page.get_by_label("Choose all of this page").check()
    page.get_by_role("form", name="Those that are ticked").get_by_role("button", name="Delete").click()
    sure = page.get_by_role("button", name="Delete for good")
    expect(sure).to_be_disabled()
    page.get_by_label(f"Type {MANY} to confirm").fill(str(MANY))
    sure.click()
    page.wait_for_url("**/terminals?q=B-&done=deleted")
    expect(page.locator("tbody tr")).to_have_count(0)


@pytest.mark.parametrize(("test", "encoding"), [("C", "utf-8-sig"), ("D", "gb18030")])
def test_names_are_taken_from_the_file_of_a_spreadsheet(
    opened: Opener, crowd: Console, test: str, encoding: str
) -> None:
    page = opened(at=crowd)
    page.goto(crowd.url + "/terminals")
    page.get_by_role("link", name="Names from a list").click()
    listed = f"序列号,名称\r\n{test}-05,北门 {encoding}\r\n{test}-99,无\r\n".encode(encoding)
    page.get_by_label("Take it from a file").set_input_files(
        [{"name": "names.csv", "mimeType": "text/csv", "buffer": listed}]
    )
    expect(page.get_by_label("Serial number, name")).to_have_value(
        f"序列号,名称\n{test}-05,北门 {encoding}\n{test}-99,无\n"
    )
    page.get_by_role("button", name="Check the list").click()
    expect(page.get_by_role("status")).to_contain_text("1 terminal is changed. 1 line is not used.")
    page.get_by_role("button", name="Change 1 terminal").click()
    page.goto(crowd.url + f"/terminals?q={test}-05")
    expect(page.locator("tbody tr")).to_contain_text(f"北门 {encoding}")


def test_another_address_is_asked_first(page: Page, console: Console) -> None:
    page.goto(console.url + "/terminals/new")
    expect(page.get_by_text("Only this computer reaches this address.")).to_be_visible()
    page.get_by_label("Name", exact=True).fill("Asked first")
    page.get_by_role("button", name="Make it, and show its address").click()
    first = page.locator("#address").inner_text()
    page.get_by_text("Another address", exact=True).click()
    expect(page.get_by_text("The present address is refused at once.")).to_be_visible()
    page.get_by_role("button", name="Replace the address").click()
    expect(page.locator("#address")).not_to_have_text(first)
