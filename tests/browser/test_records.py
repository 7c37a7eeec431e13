"""Records, in a real browser: filter, share, look closely, take away."""

import csv
import io
import re
import zipfile
from pathlib import Path

from playwright.sync_api import Page, expect
from tests.browser.conftest import Opener
from tests.browser.kit import Console

from gatepost.wire import User


def someone(console: Console, name: str, **changed: object) -> None:
    console.push(console.doors.passage(user=User(user_id=f"r-{name}", name=name, type=1), **changed))


def test_what_is_filtered_stands_in_the_address_and_shows_the_same_to_a_colleague(
    page: Page, opened: Opener, console: Console
) -> None:
    someone(console, "Shared Link")
    someone(console, "Somebody Else")
    page.goto(console.url + "/records")
    page.get_by_role("searchbox").fill("Shared")
    page.get_by_label("Result").select_option("true")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url(re.compile(r"\?q="))
    assert page.locator("tbody tr").count() == 1
    expect(page.locator("tbody tr")).to_contain_text("Shared Link")
    assert "Shared" not in page.url
    assert "passed=true" in page.url
    colleague = opened("viewer")
    colleague.goto(page.url)
    expect(colleague.locator("tbody tr")).to_contain_text("Shared Link")
    expect(colleague.get_by_role("searchbox")).to_have_value("Shared")


def test_a_name_in_an_address_is_sealed_at_once(page: Page, console: Console) -> None:
    page.goto(console.url + "/records?q=Shared")
    assert "Shared" not in page.url
    expect(page.get_by_role("searchbox")).to_have_value("Shared")


def test_a_chip_takes_its_filter_away(page: Page, console: Console) -> None:
    page.goto(console.url + "/records?passed=false&entry_mode=3")
    page.get_by_role("link", name="Remove the filter Result").click()
    page.wait_for_url(re.compile(r"/records\?entry_mode=3$"))


def test_a_record_opens_beside_the_list_with_everything_in_words(page: Page, console: Console) -> None:
    someone(console, "Seen Closely", temperature=36.6, mask=2)
    page.goto(console.url + "/records")
    link = page.get_by_role("link", name="Seen Closely")
    link.click()
    panel = page.get_by_role("dialog")
    expect(panel.get_by_role("heading", level=1)).to_have_text("Seen Closely")
    expect(panel).to_contain_text("36.6 °C")
    expect(panel).to_contain_text("with mask")
    image = panel.get_by_role("img", name="Capture of Seen Closely")
    page.wait_for_function("image => image.naturalWidth > 100", arg=image.element_handle())
    panel.get_by_text("As it was pushed").click()
    expect(panel.locator("pre")).to_contain_text('"deviceSN"')
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(link).to_be_focused()


def test_pages_follow_one_another_without_a_gap(page: Page, console: Console) -> None:
    page.goto(console.url + "/records")
    first = page.locator("a.row").evaluate_all("links => links.map(link => link.href)")
    page.get_by_role("link", name="Next page").click()
    page.wait_for_url(re.compile("cursor="))
    second = page.locator("a.row").evaluate_all("links => links.map(link => link.href)")
    assert len(first) == 50
    assert second
    assert not set(first) & set(second)


def test_an_export_holds_exactly_what_is_filtered(page: Page, console: Console, tmp_path: Path) -> None:
    someone(console, "=Formula()")
    someone(console, "Export Two")
    page.goto(console.url + "/records?person=r-Export Two")
    with page.expect_download() as given:
        page.get_by_role("link", name="Export CSV").click()
    path = tmp_path / given.value.suggested_filename
    given.value.save_as(path)
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    assert [row["Name"] for row in rows] == ["Export Two"]
    page.goto(console.url + "/records?q=Formula")
    with page.expect_download() as given:
        page.get_by_role("link", name="Export Excel").click()
    with zipfile.ZipFile(given.value.path()) as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
    assert "=Formula()" in re.findall(r"<t[^>]*>([^<]*)</t>", sheet)
    assert "<f>" not in sheet
    assert "Export Two" not in sheet
    with page.expect_download() as given:
        page.get_by_role("link", name="Export ZIP").click()
    with zipfile.ZipFile(given.value.path()) as archive:
        assert any(name.endswith(".jpg") for name in archive.namelist())


def test_a_filter_that_makes_no_sense_is_said_and_left_out(page: Page, console: Console) -> None:
    page.goto(console.url + "/records?passed=perhaps&since=yesterday")
    expect(page.get_by_role("alert")).to_contain_text("From")
    expect(page.get_by_role("alert")).to_contain_text("Result")
    assert page.locator("tbody tr").count() > 0


def test_times_are_those_of_the_site(page: Page, console: Console) -> None:
    someone(console, "Clock Check")
    page.goto(console.url + "/records?person=r-Clock Check")
    expect(page.locator("td.time time")).to_have_attribute("title", re.compile(r"\+0800 Asia/Shanghai"))
