"""The live page, in a real browser."""

import re
import time
from datetime import datetime, timedelta

from playwright.sync_api import Page, expect
from tests.browser.conftest import Opener
from tests.browser.kit import Console, log_in, severe, until

from gatepost.simulator.world.scenario import SITE_TIME
from gatepost.wire import User
from gatepost.wire.codes import AlarmStatus


def connected(page: Page) -> None:
    page.wait_for_selector('.live[data-connected="yes"]')


def named(name: str) -> User:
    return User(user_id=f"live-{name}", name=name, type=1)


def test_a_card_arrives_within_a_second_of_the_push(page: Page, console: Console) -> None:
    """The best of a few: what else a busy machine does can only add to it."""
    connected(page)
    took: list[float] = []
    while len(took) < 8 and min(took, default=1.0) >= 1.0:
        card = page.get_by_role("article").filter(has_text=f"Arrival {len(took)}")
        acknowledged = console.push(console.doors.passage(user=named(f"Arrival {len(took)}")))
        card.wait_for()
        took.append(time.monotonic() - acknowledged)
        expect(card).to_contain_text("Main gate 正门")
        expect(card).to_contain_text("Passed")
    assert min(took) < 1.0


def test_after_an_outage_the_page_says_so_goes_on_by_itself_and_misses_nothing(
    page: Page, console: Console
) -> None:
    connected(page)
    console.stop()
    page.wait_for_selector('.live[data-connected="no"]')
    expect(page.locator("[data-state]")).to_contain_text("Connection lost at")
    console.start()
    for number in range(5):
        console.push(console.doors.passage(user=named(f"Missed {number}")), settles=False)
    connected(page)
    for number in range(5):
        page.get_by_role("article").filter(has_text=f"Missed {number}").wait_for()
    expect(page.locator("[data-state]")).to_contain_text("Nothing was missed")
    ids = page.locator(".card").evaluate_all("cards => cards.map(card => card.dataset.id)")
    assert len(ids) == len(set(ids))


def beside(page: Page) -> Page:
    """Another tab of the same browser, on the live page."""
    tab = page.context.new_page()
    tab.goto(page.url)
    return tab


def test_many_tabs_follow_live_and_another_page_still_loads(page: Page, console: Console) -> None:
    """A browser opens six connections to a host; a stream for every tab would take them all."""
    tabs = [page, *(beside(page) for _ in range(6))]
    for tab in tabs:
        connected(tab)
    other = page.context.new_page()
    other.goto(console.url + "/records", timeout=8000)
    expect(other.locator("h1")).to_have_text("Records")
    console.push(console.doors.passage(user=named("Seen By All")))
    for tab in tabs:
        tab.get_by_role("article").filter(has_text="Seen By All").wait_for()
    page.close()  # it was the first, and the stream is not its own
    tabs[1].goto(console.url + "/alarms")
    console.push(console.doors.passage(user=named("Seen By The Others")))
    for tab in tabs[2:]:
        tab.get_by_role("article").filter(has_text="Seen By The Others").wait_for()


def test_every_tab_goes_on_after_an_outage(page: Page, console: Console) -> None:
    tabs = [page, beside(page), beside(page)]
    for tab in tabs:
        connected(tab)
    console.stop()
    for tab in tabs:
        tab.wait_for_selector('.live[data-connected="no"]')
    console.start()
    console.push(console.doors.passage(user=named("Missed By All")))
    for tab in tabs:
        tab.get_by_role("article").filter(has_text="Missed By All").wait_for()
        connected(tab)
    console.push(console.doors.passage(user=named("After It")))
    for tab in tabs:
        tab.get_by_role("article").filter(has_text="After It").wait_for()


def test_without_shared_workers_a_hidden_tab_has_no_stream_and_misses_nothing(
    page: Page, console: Console
) -> None:
    page.context.add_init_script(
        "delete window.SharedWorker; let hidden = false;"
        "Object.defineProperty(document, 'hidden', {get: () => hidden});"
        "window.hide = (now) => { hidden = now; document.dispatchEvent(new Event('visibilitychange')); }"
    )
    page.reload()
    tabs = [page]
    for _ in range(6):
        connected(tabs[-1])
        tabs[-1].evaluate("hide(true)")
        tabs.append(beside(page))
    connected(tabs[-1])
    console.push(console.doors.passage(user=named("Behind The Curtain")))
    tabs[-1].get_by_role("article").filter(has_text="Behind The Curtain").wait_for()
    assert page.get_by_role("article").filter(has_text="Behind The Curtain").count() == 0
    page.evaluate("hide(false)")
    page.get_by_role("article").filter(has_text="Behind The Curtain").wait_for()


def test_the_stream_stands_still_while_one_reads(page: Page, console: Console) -> None:
    connected(page)
    page.get_by_role("button", name="Pause").click()
    console.push(console.doors.passage(user=named("Comes Later")))
    newer = page.get_by_role("button", name="1 new")
    newer.wait_for()
    assert page.locator(".card").filter(has_text="Comes Later").count() == 0
    newer.click()
    page.locator(".card").filter(has_text="Comes Later").wait_for()


def test_an_open_alarm_stands_above_everything_and_rings_for_whoever_asked(
    page: Page, console: Console
) -> None:
    connected(page)
    page.get_by_role("button", name="Sound at alarms").click()
    until(lambda: page.evaluate("document.querySelector('#live').dataset.rang") == "1", page)
    began = datetime.now(SITE_TIME) - timedelta(seconds=3)
    console.push(console.doors.alarm(1, began=began), door=1)
    until(lambda: page.evaluate("document.querySelector('#live').dataset.rang") == "2", page)
    first = page.locator('[data-part="alarms"] article').first
    expect(first).to_contain_text("door held open too long")
    expect(first).to_contain_text("Lobby 大堂")
    alarm = page.locator(f"#{first.get_attribute('id')}")
    assert alarm.bounding_box()["y"] < page.locator(".card").first.bounding_box()["y"]  # type: ignore[index]
    console.push(console.doors.alarm(1, began=began, status=AlarmStatus.CLEARED), door=1)
    alarm.wait_for(state="detached")


def test_an_alarm_is_acknowledged_without_leaving_what_goes_on(opened: Opener, console: Console) -> None:
    began = datetime.now(SITE_TIME) - timedelta(seconds=20)
    page = opened("operator")
    connected(page)
    page.evaluate("document.documentElement.dataset.here = 'still'")
    shown = page.locator('[data-part="alarms"] article')
    # A new one may push an old one out, so it has to be the new one that is clicked at.
    old = "".join(f":not(#{one.get_attribute('id')})" for one in shown.all())
    console.push(console.doors.alarm(4, began=began), door=4)
    new = page.locator(f'[data-part="alarms"] article:not(.seen){old}').filter(has_text="Laboratory")
    number = new.get_attribute("id")
    alarm = page.locator(f"#{number}")
    alarm.get_by_text("Acknowledge").first.click()
    alarm.get_by_label("Note").fill("on my way")
    alarm.get_by_role("button", name="Acknowledge").click()
    expect(page.locator("[data-state]")).to_have_text("Acknowledged.")
    # Whoever is looked after stands behind the others, of which three are shown.
    page.wait_for_selector(f"#{number}.seen, body:not(:has(#{number}))")
    assert page.locator("html").get_attribute("data-here") == "still"
    console.push(console.doors.alarm(4, began=began, status=AlarmStatus.CLEARED), door=4)


def test_strangers_and_refusals_stand_out_by_more_than_their_colour(page: Page, console: Console) -> None:
    connected(page)
    console.push(console.doors.passage(user=None, recognition_type=3, passed=False))
    console.push(
        console.doors.passage(user=named("Not Now"), passed=False, abnormal_type=20002, recognition_type=1)
    )
    expect(page.locator(".card.stranger .tag").first).to_have_text("Stranger")
    refused = page.locator(".card.refused").filter(has_text="Not Now")
    expect(refused).to_contain_text("Refused")
    expect(refused).to_contain_text("outside the permitted hours")


def test_script_in_a_name_stays_text(page: Page, console: Console) -> None:
    connected(page)
    evil = "<img src=x onerror=alert(1)><script>document.title='owned'</script>"
    console.push(console.doors.passage(user=User(user_id="live-evil", name=evil, type=1)))
    page.locator(".card h3").filter(has_text="<img src=x").wait_for()
    page.locator(".card h3 a").filter(has_text="<img src=x").click()
    expect(page.locator("#panel h1")).to_contain_text("<script>")
    assert page.title() == "Live · gatepost"
    page.goto(console.url + "/records")
    expect(page.locator("table")).to_contain_text("<img src=x")


def test_a_session_that_is_over_leads_to_the_login_and_back(opened: Opener, console: Console) -> None:
    page = opened()
    page.goto(console.url + "/records?passed=true")
    page.context.clear_cookies()
    page.reload()
    assert "/login?next=" in page.url
    log_in(page, console)
    assert page.url.endswith("/records?passed=true")


def test_a_guard_sees_only_the_terminals_that_are_chosen(opened: Opener, console: Console) -> None:
    for door in (1, 2):
        console.push(console.doors.passage(door, user=named(f"Before {door}")), door=door)
    page = opened("guard", width=390)
    connected(page)
    page.locator("summary").filter(has_text="Filter").press("Enter")
    page.get_by_role("checkbox", name="Loading bay").press("Space")
    assert not severe(page)
    page.get_by_role("button", name="Apply").press("Enter")
    page.wait_for_url("**/?terminals=*")
    connected(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    console.push(console.doors.passage(1, user=named("Elsewhere")), door=1)
    console.push(console.doors.passage(2, user=named("At The Bay")), door=2)
    page.locator(".card").filter(has_text="At The Bay").wait_for()
    assert {place.split()[0] for place in page.locator(".card .place").all_inner_texts()} == {"Loading"}
    page.get_by_role("link", name=re.compile("Remove the filter Loading bay")).click()
    page.locator(".card").filter(has_text="Elsewhere").wait_for()


def test_the_sound_is_on_again_on_the_next_page(page: Page, console: Console) -> None:
    connected(page)
    button = page.get_by_role("button", name="Sound at alarms")
    button.click()
    page.goto(console.url + "/alarms")
    page.goto(console.url + "/")
    expect(button).to_have_attribute("aria-pressed", "true")
    connected(page)
    page.locator("h1").click()
    began = datetime.now(SITE_TIME) - timedelta(seconds=2)
    console.push(console.doors.alarm(3, began=began), door=3)
    until(lambda: page.evaluate("document.querySelector('#live').dataset.rang") == "1", page)
    console.push(console.doors.alarm(3, began=began, status=AlarmStatus.CLEARED), door=3)
    button.click()
    page.reload()
    expect(button).to_have_attribute("aria-pressed", "false")
