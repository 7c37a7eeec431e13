"""Terminals, in a real browser."""

import re

from playwright.sync_api import Page, expect
from tests.browser.conftest import Opener
from tests.browser.kit import Console

import gatepost.wire
from gatepost.wire import User


def test_a_terminal_that_introduced_itself_is_approved(opened: Opener, console: Console) -> None:
    record = console.doors.passage(serial="NEW-0001", user=User(user_id="t-1", name="First Push", type=1))
    headers = {"Content-Type": "application/json", "sn": "NEW-0001"}
    console.request("POST", "/Record", gatepost.wire.encode(record), headers)
    page = opened("operator")
    page.goto(console.url + "/terminals?show=to_approve")
    row = page.locator("tbody tr").filter(has_text="NEW-0001")
    expect(row).to_contain_text("new")
    row.get_by_role("button", name="Approve NEW-0001").click()
    expect(page.get_by_role("status")).to_contain_text("Approved")
    page.goto(console.url + "/terminals")
    row = page.locator("tbody tr").filter(has_text="NEW-0001")
    expect(row).not_to_contain_text("new")
    expect(row).to_contain_text("online")


def test_a_terminal_that_is_made_gets_an_address_that_works(page: Page, console: Console) -> None:
    page.goto(console.url + "/terminals/new")
    page.get_by_label("Name", exact=True).fill("Back door")
    page.get_by_role("button", name="Make it, and show its address").click()
    address = page.locator("#address").inner_text()
    assert address.startswith(console.url + "/Record/")
    expect(page.get_by_role("img", name="The address as a QR code")).to_be_visible()
    expect(page.locator("#command")).to_contain_text("/v1/event/subscribe")
    record = console.doors.passage(serial=None, user=User(user_id="t-2", name="By Address", type=1))
    path = address.removeprefix(console.url)
    status, _ = console.request(
        "POST", path, gatepost.wire.encode(record), {"Content-Type": "application/json"}
    )
    assert status == 200
    console.settle()
    page.goto(console.url + "/records?person=t-2")
    expect(page.locator("tbody tr")).to_contain_text("Back door")
    page.goto(console.url + "/terminals")
    page.get_by_role("link", name="Back door").click()
    page.wait_for_url(re.compile(r"/terminals/\d+$"))
    assert address not in page.content()


def test_a_push_to_a_wrong_path_is_shown_to_whoever_sets_up(page: Page, console: Console) -> None:
    console.request("POST", "/Reocrd", b"{}", {"Content-Type": "application/json", "sn": "LOST-1"})
    # Counts are written down once a second.
    page.goto(console.url + "/terminals")
    for _ in range(60):
        if page.get_by_text("/Reocrd").count():
            break
        page.reload()
    expect(page.get_by_text("/Reocrd")).to_be_visible()


def test_a_retired_terminal_is_refused(page: Page, console: Console) -> None:
    record = console.doors.passage(serial="OLD-0001", user=User(user_id="t-3", name="Before", type=1))
    body, headers = gatepost.wire.encode(record), {"Content-Type": "application/json", "sn": "OLD-0001"}
    assert console.request("POST", "/Record", body, headers)[0] == 200
    console.settle()
    page.goto(console.url + "/terminals?q=OLD-0001")
    page.get_by_role("link", name="OLD-0001").click()
    page.get_by_role("button", name="Retire").click()
    expect(page.get_by_role("status")).to_contain_text("Saved")
    again = gatepost.wire.encode(console.doors.passage(serial="OLD-0001"))
    answer = console.request("POST", "/Record", again, headers)
    assert b'"code":200' not in answer[1].replace(b" ", b"")
