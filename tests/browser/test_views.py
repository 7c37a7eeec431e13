"""Views, in a real browser: with the keyboard alone, on a telephone."""

from playwright.sync_api import expect
from tests.browser.conftest import Opener
from tests.browser.kit import Console, severe


def test_the_keyboard_saves_a_view_begins_with_it_and_deletes_it(opened: Opener, console: Console) -> None:
    page = opened("operator", width=390)
    page.goto(console.url + "/records?passed=false")
    expect(page.locator(".found")).to_contain_text("Found:")
    page.locator("summary").filter(has_text="Save as a view").press("Enter")
    page.get_by_label("Name", exact=True).last.focus()
    page.keyboard.type("No entry")
    page.get_by_label("Begin this page with it").press("Space")
    assert not severe(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="Save", exact=True).press("Enter")
    expect(page.get_by_role("status")).to_have_text("View saved.")
    shown = page.get_by_role("navigation", name="Views").get_by_role("link", name="No entry")
    expect(shown).to_have_attribute("aria-current", "true")
    page.goto(console.url + "/records")
    page.wait_for_url("**/records?passed=false")
    page.get_by_role("link", name="Clear filters").press("Enter")
    page.wait_for_url("**/records?view=all")
    page.get_by_role("link", name="Manage views").press("Enter")
    expect(page.get_by_role("heading", name="Views")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("summary").filter(has_text="Rename").press("Enter")
    page.get_by_label("Name", exact=True).fill("Refused")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Refused")).to_be_visible()
    page.get_by_role("button", name="Delete Refused").press("Enter")
    expect(page.get_by_text("No views yet.")).to_be_visible()
