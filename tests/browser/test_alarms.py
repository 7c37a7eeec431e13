"""Alarms, in a real browser."""

from datetime import datetime, timedelta

from playwright.sync_api import Page, expect
from tests.browser.conftest import Opener
from tests.browser.kit import Console

from gatepost.simulator.scenario import SITE_TIME
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
