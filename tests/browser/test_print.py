"""Attendance on paper, A4 and Letter: everything that the page has is on it, and nothing of the frame."""

import json

import pytest
from playwright.sync_api import Page
from tests.browser.kit import JSON, Console
from tests.browser.pdf import comparable, sheets

from gatepost.wire import User

POINTS = {"A4": (595, 842), "Letter": (612, 792)}

LONG = "Maximiliana Alexandra von Hohenberg-Schwarzenfels"

FITS = """() => {
    const paper = document.documentElement.clientWidth;
    return [...document.querySelectorAll("main *")].filter((one) => {
        const box = one.getBoundingClientRect();
        const hides = getComputedStyle(one).overflowX !== "visible" && one.scrollWidth > one.clientWidth;
        return box.width > 0 && (box.right > paper + 1 || hides);
    }).map((one) => one.outerHTML.slice(0, 120));
}"""
"""What would be cut at the edge of the paper."""

HIDDEN = ("header.side", ".filters", ".segments", "main button", "main form", ".pager")


def make(console: Console, path: str, content: dict[str, object]) -> None:
    name, value = console.cookie("admin", "admin")
    headers = {**JSON, "Cookie": f"{name}={value}", "Sec-Fetch-Site": "same-origin"}
    status, reply = console.request("POST", f"/api/v1/{path}", json.dumps(content).encode(), headers)
    assert status == 201, reply


@pytest.fixture(scope="module")
def month(console: Console) -> str:
    """A month in which many people were there each day, and one has a long name and a schedule."""
    who = User(user_id="p-paper", name=LONG, type=1)
    console.push(console.doors.passage(user=who))
    day = console.doors.day
    since = day.replace(day=1)
    schedule = {"name": "Early and long", "start": "00:00", "end": "00:10"}
    make(console, "schedules", {**schedule, "days": [1, 2, 3, 4, 5, 6, 7]})
    people = console.get_json("/api/v1/people?q=Maximiliana")["items"]
    for item in people:
        assignment = {"schedule_id": 1, "person_id": item["id"], "since": f"{since:%Y-%m-%d}"}
        make(console, "assignments", assignment)
    return f"{day:%Y-%m}"


@pytest.mark.parametrize("paper", POINTS)
@pytest.mark.parametrize("which", ["day", "month"])
def test_nothing_is_cut_on_paper_and_the_frame_is_not_printed(
    page: Page, console: Console, month: str, paper: str, which: str
) -> None:
    today = f"{console.doors.day:%Y-%m-%d}"
    asked = f"month={month}" if which == "month" else f"day={today}"
    page.goto(f"{console.url}/attendance?{asked}")
    page.emulate_media(media="print")
    short, long = POINTS[paper]
    # Within the margins of the style: 10 mm around a day, 8 mm around a month on the long side.
    inner = (long - 2 * 22.68) if which == "month" else (short - 2 * 28.35)
    page.set_viewport_size({"width": int(inner * 96 / 72), "height": 900})
    assert page.evaluate(FITS) == []
    for selector in HIDDEN:
        assert all(not one.is_visible() for one in page.locator(selector).all()), selector
    expected = page.locator("main tbody th, main tbody .main, main tbody .number").all_inner_texts()
    cells = page.locator("main tbody td").all_inner_texts()
    printed = sheets(page.pdf(format=paper, landscape=which == "month"))
    turned = (long, short) if which == "month" else (short, long)
    for sheet in printed:
        assert (sheet.width, sheet.height) == pytest.approx(turned, abs=2)
    text = "".join(sheet.text for sheet in printed)
    assert len(expected) > 20
    assert [one for one in (*expected, *cells) if comparable(one) not in text] == []
    assert comparable(LONG) in text
    assert "gatepost" not in text
    assert comparable(month if which == "month" else today) in text
    heading = comparable(page.locator("main thead th").first.inner_text())
    assert all(heading in sheet.text for sheet in printed[:-1])  # the last one may have the note alone


def test_the_paper_of_a_dark_console_is_white(page: Page, console: Console, month: str) -> None:
    page.goto(f"{console.url}/attendance?month={month}")
    page.emulate_media(media="print", color_scheme="dark")
    colours = page.evaluate(
        "() => [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    assert colours == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
