"""What holds on every page: axe, 360 pixels, no script, the keyboard, and how much is sent."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.browser.conftest import Opener
from tests.browser.kit import Console, severe

from gatepost.wire import User

PAGES = (
    "/",
    "/records",
    "/records?passed=false&has_image=true&q=nobody-at-all",
    "/records/RECORD",
    "/alarms",
    "/inside",
    "/people",
    "/alarms/acknowledge?show=open",
    "/views",
    "/people/PERSON",
    "/attendance",
    "/attendance?month=MONTH",
    "/schedules",
    "/corrections",
    "/statistics",
    "/terminals",
    "/terminals/1",
    "/terminals/new",
    "/terminals/names",
    "/why",
    "/why?asked=NO-SUCH-SERIAL",
    "/quarantine",
    "/settings",
    "/system",
    "/settings/users",
    "/audit",
    "/account",
    "/welcome",
    "/help",
    "/records/999999999",
)


@pytest.fixture(scope="module")
def paths(console: Console) -> list[str]:
    """The pages, with ids that are there."""
    console.push({"type": 9, "data": {"what": "no event that anybody knows"}})
    console.push(
        console.doors.passage(user=User(user_id="u" * 60, name="Nobody" * 20, type=1, job_number="7" * 60))
    )
    console.push(console.doors.alarm(1), door=1)
    month = console.doors.day.strftime("%Y-%m")
    answer = console.get_json("/api/v1/records?limit=1&has_image=true&recognition_type=1")
    record = str(answer["items"][0]["id"])
    person = console.get_json("/api/v1/people?limit=1")["items"][0]["id"]
    return [
        path.replace("RECORD", record).replace("PERSON", person).replace("MONTH", month) for path in PAGES
    ]


@pytest.mark.parametrize(("locale", "theme", "width"), [("en-GB", "light", 1280), ("zh-CN", "dark", 360)])
def test_axe_finds_nothing_on_any_page(
    opened: Opener, console: Console, paths: list[str], locale: str, theme: str, width: int
) -> None:
    page = opened(locale=locale, theme=theme, width=width)
    found = {}
    for path in paths:
        page.goto(console.url + path)
        if severe_ones := severe(page):
            found[path] = severe_ones
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{path} is {wide} pixels wide"
    page.goto(console.url + "/records")
    page.locator("a.row").first.click()
    page.get_by_role("dialog").wait_for()
    found |= {"panel": panel} if (panel := severe(page)) else {}
    page.context.clear_cookies()
    page.goto(console.url + "/login")
    found |= {"login": login} if (login := severe(page)) else {}
    assert found == {}


def test_without_script_one_filters_opens_pages_and_acknowledges(opened: Opener, console: Console) -> None:
    console.push(console.doors.alarm(0))
    page = opened(script=False)
    page.goto(console.url + "/records")
    page.get_by_label("Result").select_option("true")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url(re.compile(r"passed=true$"))
    page.get_by_role("link", name="Next page").click()
    page.locator("a.row").first.click()
    page.wait_for_url(re.compile(r"/records/\d+$"))
    assert page.locator("article.detail").count() == 1
    page.goto(console.url + "/alarms?show=open")
    alarm = page.locator("article.alarm").filter(has_text="Main gate").first
    alarm.get_by_text("Acknowledge").first.click()
    alarm.get_by_label("Note").fill("without a script")
    alarm.get_by_role("button", name="Acknowledge").click()
    assert page.get_by_text("without a script").count() > 0


def test_the_keyboard_reaches_everything(page: Page, console: Console) -> None:
    page.goto(console.url + "/records")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Today")).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.locator("h1").click()
    page.keyboard.press("j")
    page.keyboard.press("j")
    second = page.locator("a.row").nth(1)
    expect(second).to_be_focused()
    page.keyboard.press("Enter")
    panel = page.get_by_role("dialog")
    expect(panel.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("j")
    third = page.locator("a.row").nth(2).inner_text()
    expect(panel.get_by_role("heading", level=1)).to_have_text(third)
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()


def test_the_first_page_is_small_and_waits_for_nothing_but_its_style(
    opened: Opener, console: Console
) -> None:
    """How soon it is painted is measured in ``benchmarks/console.py``."""
    blocking, sent = first_sight(opened(None), opened().context.cookies(), console)
    assert sent < 400 * 1024
    assert [name.rpartition(".")[2] for name in blocking] == ["css"]


def first_sight(page: Page, cookies: Any, console: Console) -> tuple[list[str], float]:
    """What a browser that has nothing yet waits for before it paints the live page, and the bytes without images."""
    page.context.add_cookies(cookies)
    client = page.context.new_cdp_session(page)
    client.send("Network.enable")
    sizes: dict[str, float] = {}
    images: set[str] = set()
    client.on(
        "Network.responseReceived", lambda it: images.add(it["requestId"]) if it["type"] == "Image" else None
    )
    client.on(
        "Network.loadingFinished", lambda it: sizes.__setitem__(it["requestId"], it["encodedDataLength"])
    )
    page.goto(console.url + "/")
    page.wait_for_selector('.live[data-connected="yes"]')
    blocking = page.evaluate(
        "performance.getEntriesByType('resource')"
        ".filter(it => it.renderBlockingStatus === 'blocking').map(it => it.name)"
    )
    return blocking, sum(size for each, size in sizes.items() if each not in images)


def test_charts_are_drawn_and_have_their_numbers_as_a_table(page: Page, console: Console) -> None:
    page.goto(console.url + "/statistics")
    charts = page.locator("figure[data-chart]")
    assert charts.count() >= 6
    expect(page.locator("figure[data-drawn]")).to_have_count(charts.count())
    painted = page.evaluate(
        """() => [...document.querySelectorAll("figure canvas")].map(canvas =>
        canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some(value => value > 0))"""
    )
    assert all(painted)
    charts.first.get_by_text("Numbers").click()
    assert charts.first.locator("tbody tr").count() == 7


def test_a_page_is_fetched_while_the_mouse_rests_on_its_link(page: Page, console: Console) -> None:
    page.goto(console.url + "/account")
    link = page.get_by_role("link", name="Records")
    link.hover()
    link.click(delay=300)
    page.wait_for_url(console.url + "/records")
    fetched = page.evaluate("performance.getEntriesByType('navigation')[0].deliveryType")
    assert fetched == "navigational-prefetch"


def test_what_is_asked_for_within_a_page_leaves_the_page_where_it_is(page: Page, console: Console) -> None:
    """A list, its filters and pages, the language, an acknowledgement: the frame and the scripts stay."""
    console.push(console.doors.alarm(2), door=2)
    page.goto(console.url + "/records")
    page.evaluate("document.documentElement.dataset.here = 'still'")
    page.get_by_label("Result").select_option("true")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url(re.compile(r"/records\?passed=true$"))
    page.get_by_role("link", name="Next page").click()
    page.wait_for_url(re.compile("cursor="))
    second = page.locator("a.row").evaluate_all("links => links.map(link => link.href)")
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("通行记录")
    expect(page).to_have_title("通行记录 · gatepost")
    assert page.locator("html").get_attribute("lang") == "zh-Hans"
    assert page.locator("a.row").evaluate_all("links => links.map(link => link.href)") == second
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("button", name="English")).to_be_focused()
    page.go_back()
    page.wait_for_url(re.compile(r"/records\?passed=true$"))
    expect(page.get_by_role("link", name="First page")).to_have_count(0)
    assert page.locator("html").get_attribute("data-here") == "still"


def test_a_session_that_ends_within_a_list_leads_to_the_login(opened: Opener, console: Console) -> None:
    page = opened()
    page.goto(console.url + "/records")
    page.context.clear_cookies()
    page.get_by_role("link", name="Next page").click()
    page.wait_for_url(re.compile(r"/login\?next=/records"))
