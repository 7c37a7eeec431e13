"""Alarms, in a real browser."""

from datetime import datetime, timedelta

from playwright.sync_api import Page, expect
from tests.browser.conftest import Opener
from tests.browser.kit import Console

from gatepost.simulator.world.scenario import SITE_TIME
from gatepost.wire.codes import AlarmStatus


def test_an_operator_acknowledges_with_a_note(opened: Opener, console: Console) -> None:
    console.push(console.doors.alarm(2, began=datetime.now(SITE_TIME) - timedelta(seconds=40)), door=2)
    page = opened("operator")
    page.goto(console.url + "/alarms?show=open")
    alarm = page.locator("article.alarm").filter(has_text="Loading bay").first
    alarm.get_by_text("Acknowledge").first.click()
    alarm.get_by_label("Note").fill("Door closed by hand <b>now</b>")
    alarm.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_role("status")).to_have_text("Acknowledged.")
    alarm = page.locator("article.alarm").filter(has_text="Loading bay").first
    expect(alarm).to_contain_text("li")
    expect(alarm).to_contain_text("Door closed by hand <b>now</b>")
    expect(alarm).to_contain_text("Open")


def test_the_life_of_an_alarm_is_told_step_by_step(page: Page, console: Console) -> None:
    began = datetime.now(SITE_TIME) - timedelta(seconds=75)
    for status in (AlarmStatus.OCCURRED, AlarmStatus.CLEAR_FAILED, AlarmStatus.CLEARED):
        console.push(console.doors.alarm(3, began=began, status=status), door=3)
    page.goto(console.url + "/alarms?show=cleared")
    life = page.locator("article.alarm").filter(has_text="Car park").first.locator(".life li")
    expect(life).to_have_count(3)
    expect(life.nth(0)).to_contain_text("occurred")
    expect(life.nth(1)).to_contain_text("clearing failed")
    expect(life.nth(2)).to_contain_text("cleared")


def test_a_viewer_is_not_offered_to_acknowledge_and_may_not(opened: Opener, console: Console) -> None:
    console.push(console.doors.alarm(4), door=4)
    page = opened("viewer")
    page.goto(console.url + "/alarms?show=open")
    assert page.locator("article.alarm").count() > 0
    assert page.get_by_text("Acknowledge", exact=True).count() == 0
    answer = page.request.post(
        console.url + "/alarms/1/acknowledge", form={"note": "no"}, headers={"Sec-Fetch-Site": "same-origin"}
    )
    assert answer.status == 403


def test_an_operator_closes_an_alarm_after_a_note_and_a_confirmation(
    opened: Opener, console: Console
) -> None:
    console.push(console.doors.alarm(1, began=datetime.now(SITE_TIME) - timedelta(seconds=20)), door=1)
    page = opened("operator")
    page.goto(console.url + "/alarms?show=open")
    alarm = page.locator("article.alarm").first
    number = alarm.get_attribute("id")
    alarm.locator("summary").filter(has_text="Close").click()
    alarm.get_by_label("Reason").fill("Reset by hand")
    alarm.get_by_label("The cause is gone").check()
    alarm.get_by_role("button", name="Close").click()
    expect(page.get_by_role("status")).to_have_text("Closed.")
    expect(page.locator(f"#{number}")).to_have_count(0)
    page.goto(console.url + "/alarms?show=cleared")
    expect(page.locator(f"#{number}")).to_contain_text("Reset by hand")


def test_alarms_are_filtered_by_the_name_of_a_terminal(opened: Opener, console: Console) -> None:
    console.push(console.doors.alarm(2), door=2)
    page = opened("viewer")
    page.goto(console.url + "/alarms")
    page.get_by_label("Terminal").select_option(label="Loading bay 装卸区")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".chips")).to_contain_text("Loading bay")
    expect(page.locator("article.alarm").first).to_contain_text("Loading bay")
    expect(page.locator("article.alarm").filter(has_not_text="Loading bay")).to_have_count(0)


def test_the_badge_follows_on_the_live_page(opened: Opener, console: Console) -> None:
    console.push(console.doors.alarm(3, began=datetime.now(SITE_TIME) - timedelta(seconds=10)), door=3)
    page = opened("operator")
    page.reload()
    badge = page.locator("nav [data-page=alarms] .count")
    before = int(badge.inner_text())
    alarm = page.locator("article.alarm:not(.seen)").first
    alarm.get_by_text("Acknowledge").first.click()
    alarm.get_by_role("button", name="Acknowledge").click()
    if before == 1:
        expect(badge).to_have_count(0)
    else:
        expect(badge).to_have_text(str(before - 1))


def test_the_keyboard_ticks_alarms_and_writes_one_note_for_all(opened: Opener, console: Console) -> None:
    for number in range(2):
        began = datetime.now(SITE_TIME) - timedelta(seconds=5 + number)
        console.push(console.doors.alarm(1, began=began), door=1)
    page = opened("guard", width=390)
    page.goto(console.url + "/alarms?show=open")
    page.locator("article.alarm summary").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("article.alarm").first.get_by_label("Note")).to_be_focused()
    boxes = page.locator('[name="ids"]')
    count = boxes.count()
    page.get_by_label("Tick all on this page").focus()
    page.keyboard.press("Space")
    expect(page.locator('[name="ids"]:checked')).to_have_count(count)
    page.get_by_label("Note for all of them").focus()
    page.keyboard.type("a drill")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Acknowledged.")
    expect(boxes).to_have_count(0)
    assert page.locator("article.alarm q").filter(has_text="a drill").count() >= 2
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
