"""People and attendance, in a real browser."""

import csv
import io
from pathlib import Path

from playwright.sync_api import Page, expect
from tests.browser.conftest import Opener
from tests.browser.kit import Console

from gatepost.wire import Group, User


def test_somebody_is_erased_and_their_image_is_gone(page: Page, console: Console) -> None:
    who = User(user_id="p-gone", name="Soon Forgotten", type=1, job_number="J-77")
    console.push(console.doors.passage(user=who))
    page.goto(console.url + "/records?person=p-gone")
    record = page.get_by_role("link", name="Soon Forgotten").get_attribute("href")
    image = f"{console.url}/api/v1{record}/image"
    assert page.request.get(image).status == 200
    page.goto(console.url + "/people?q=Forgotten")
    page.get_by_role("link", name="Soon Forgotten").click()
    page.get_by_text("Erase this person").click()
    button = page.get_by_role("button", name="Erase for good")
    expect(button).to_be_disabled()
    page.get_by_label("Type Soon Forgotten to confirm").fill("Soon Forgotten")
    button.click()
    expect(page.get_by_role("status")).to_contain_text("Erased.")
    assert page.request.get(image).status == 404
    page.goto(console.url + "/people?q=Forgotten")
    expect(page.get_by_text("Nothing fits these filters.")).to_be_visible()
    page.goto(f"{console.url}{record}")
    assert "Soon Forgotten" not in page.content()
    assert "J-77" not in page.content()


def test_what_was_typed_wrongly_erases_nobody(page: Page, console: Console) -> None:
    console.push(console.doors.passage(user=User(user_id="p-stays", name="Stays Here", type=1)))
    page.goto(console.url + "/people?q=Stays")
    page.get_by_role("link", name="Stays Here").click()
    answer = page.request.post(
        page.url + "/erase", form={"typed": "somebody"}, headers={"Sec-Fetch-Site": "same-origin"}
    )
    assert answer.status == 400
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Stays Here")


def test_a_day_has_first_in_last_out_and_every_passage(page: Page, console: Console) -> None:
    who = User(user_id="p-day", name="All Day", type=1, groups=(Group("g-9", "Night watch"),))
    console.push(console.doors.passage(0, user=who))
    console.push(console.doors.passage(1, user=who), door=1)
    page.goto(console.url + "/people?q=All Day")
    expect(page.locator("tbody tr")).to_contain_text("Night watch")
    page.get_by_role("link", name="All Day").click()
    expect(page.locator(".list tbody tr").first).to_contain_text("2")
    expect(page.locator(".passages li")).to_have_count(2)
    expect(page.locator(".passages")).to_contain_text("Lobby 大堂")


def test_the_attendance_of_a_group_is_exported(page: Page, console: Console, tmp_path: Path) -> None:
    who = User(user_id="p-group", name="Group Member", type=1, groups=(Group("g-8", "Accounting"),))
    console.push(console.doors.passage(user=who))
    page.goto(console.url + "/attendance")
    page.get_by_role("link", name="Accounting").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    with page.expect_download() as given:
        page.get_by_role("link", name="CSV").click()
    path = tmp_path / "attendance.csv"
    given.value.save_as(path)
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    assert [row["Name"] for row in rows] == ["Group Member"]
    page.get_by_role("link", name="Month").click()
    expect(page.locator(".month tbody tr")).to_have_count(1)
    expect(page.locator(".month td.there")).to_have_count(1)


def test_long_names_and_reasons_of_marks_stay_within_the_page(opened: Opener, console: Console) -> None:
    who = User(user_id="p-long", name="N" * 128, type=1)
    console.push(console.doors.passage(user=who))
    (person,) = console.get_json("/api/v1/people?q=p-long")["items"]
    console.change("PUT", f"/api/v1/people/{person['id']}/mark", {"reason": "ask at the desk " * 12})
    page = opened(width=390)
    for path in ("/", "/people?q=p-long", "/inside", f"/people/{person['id']}"):
        page.goto(console.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    page.goto(console.url + "/attendance?q=p-long&month=" + person["last_seen"][:7])
    name = page.locator(".month tbody th").first.bounding_box()
    assert name is not None
    assert name["width"] < 200
