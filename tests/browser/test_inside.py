"""Who is inside, in a real browser: ticked off, kept while the receiver is away, on paper; marked people live."""

import re
from typing import Any
from unicodedata import bidirectional

import pytest
from playwright.sync_api import Page, expect
from tests.browser.conftest import Opener
from tests.browser.kit import Console, severe
from tests.browser.pdf import comparable, sheets
from tests.browser.test_print import FITS, HIDDEN, LONG, POINTS

from gatepost.wire import User
from gatepost.wire.events import Group

DEPARTMENT = "Department of Mechanical Engineering and Assembly Technology"


def come_in(console: Console, number: str, name: str) -> None:
    user = User(user_id=f"in-{number}", name=name, type=1, groups=(Group("77", DEPARTMENT),))
    console.push(console.doors.passage(user=user))


@pytest.fixture(scope="module")
def crowd(console: Console) -> list[str]:
    names = [f"Inside {number:02}" for number in range(40)] + [LONG]
    for number, name in enumerate(names):
        come_in(console, str(number), name)
    return names


def ask_now(page: Page) -> None:
    """Let the page ask at once, as it does when the browser is connected again."""
    page.evaluate("dispatchEvent(new Event('online'))")


def test_the_list_is_ticked_off_and_stays_while_the_receiver_is_away(
    page: Page, console: Console, crowd: list[str]
) -> None:
    page.goto(f"{console.url}/inside")
    listed = page.locator("#inside tbody .main").count()
    assert listed >= len(crowd)
    box = page.get_by_role("checkbox", name="Check off Inside 00")
    box.focus()
    page.keyboard.press("Space")
    expect(page.locator('[data-part="ticked"]')).to_have_text(f"1 of {listed} checked off")
    come_in(console, "late", "Just Arrived")
    ask_now(page)
    page.get_by_text("Just Arrived").wait_for()
    expect(box).to_be_checked()
    expect(box).to_be_focused()
    before = page.locator("#inside tbody").first.inner_text()
    console.stop()
    try:
        ask_now(page)
        expect(page.locator("#inside-state")).to_contain_text("Connection lost at")
        assert page.locator("#inside tbody").first.inner_text() == before
        expect(box).to_be_checked()
        page.get_by_role("checkbox", name="Check off Inside 01").check()
    finally:
        console.start()
    page.wait_for_function(
        "() => { dispatchEvent(new Event('online'));"
        " return document.querySelector('#inside').dataset.connected === 'yes'; }",
        polling=500,
    )
    expect(page.get_by_role("checkbox", name="Check off Inside 01")).to_be_checked()
    expect(page.locator('[data-part="ticked"]')).to_have_text(re.compile(r"2 of \d+ checked off"))


def test_a_session_that_is_over_leaves_the_list(page: Page, console: Console, crowd: list[str]) -> None:
    page.goto(f"{console.url}/inside")
    page.context.clear_cookies()
    ask_now(page)
    expect(page.locator("#inside-state")).to_contain_text("Your session is over")
    assert page.get_by_text("Inside 05").is_visible()


@pytest.mark.parametrize("paper", POINTS)
def test_nothing_is_cut_on_paper(page: Page, console: Console, crowd: list[str], paper: str) -> None:
    page.goto(f"{console.url}/inside")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": int((POINTS[paper][0] - 2 * 28.35) * 96 / 72), "height": 900})
    assert page.evaluate(FITS) == []
    for selector in HIDDEN:
        assert all(not one.is_visible() for one in page.locator(selector).all()), selector
    assert page.locator("#inside .tick input").first.is_visible()
    printed = sheets(page.pdf(format=paper))
    text = "".join(sheet.text for sheet in printed)
    cells = page.locator("#inside tbody td, #inside .inside-sum strong").all_inner_texts()
    # A PDF has the glyphs of names that are read from right to left in the order in which they are drawn.
    shown = [one for one in (*cells, *crowd, DEPARTMENT) if not any(bidirectional(c) == "AL" for c in one)]
    assert [one for one in shown if comparable(one) not in text] == []
    assert comparable(page.locator("#inside .inside-sum strong").inner_text()) in printed[0].text
    assert "gatepost" not in text
    for sheet in printed:
        assert (sheet.width, sheet.height) == pytest.approx(POINTS[paper], abs=2)
        assert comparable("Last passage") in sheet.text


@pytest.mark.parametrize(("locale", "theme", "width"), [("en-GB", "light", 1920), ("zh-CN", "dark", 390)])
def test_axe_and_width(
    opened: Opener, console: Console, crowd: list[str], locale: str, theme: str, width: int
) -> None:
    page = opened(locale=locale, theme=theme, width=width)
    page.goto(f"{console.url}/inside")
    assert severe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def mark(console: Console, name: str, reason: str) -> Any:
    (person,) = console.get_json(f"/api/v1/people?q={name}")["items"]
    return console.change("PUT", f"/api/v1/people/{person['id']}/mark", {"reason": reason})


def test_a_marked_person_stands_out_live_and_sounds(page: Page, console: Console) -> None:
    come_in(console, "marked", "Lookout")
    mark(console, "Lookout", "ask at the desk")
    page.goto(console.url)
    page.wait_for_selector('.live[data-connected="yes"]')
    page.get_by_role("button", name="Sound at alarms and marked people").click()
    rang = int(page.locator("#live").get_attribute("data-rang") or 0)
    come_in(console, "marked", "Lookout")
    card = page.locator(".card.marked").filter(has_text="ask at the desk")
    expect(card).to_have_count(2)
    assert int(page.locator("#live").get_attribute("data-rang") or 0) > rang
    page.goto(f"{console.url}/people")
    expect(page.get_by_role("row").filter(has_text="Lookout")).to_contain_text("ask at the desk")


def test_people_are_joined_and_parted_with_the_keyboard(page: Page, console: Console) -> None:
    come_in(console, "j1", "Joined One")
    come_in(console, "j2", "Joined Two")
    (one,) = console.get_json("/api/v1/people?q=in-j1")["items"]
    page.goto(f"{console.url}/people/{one['id']}")
    page.get_by_text("Same person as …").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Name or number").fill("in-j2")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Join Joined Two in-j2").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Joined.")
    expect(page.get_by_role("heading", name="One person, several numbers")).to_be_visible()
    assert severe(page) == []
    assert len(console.get_json("/api/v1/people?q=in-j1")["items"]) == 1
    page.get_by_role("button", name="Part in-j2").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Parted.")
    assert console.get_json("/api/v1/people?q=in-j2")["items"][0]["name"] == "Joined Two"
