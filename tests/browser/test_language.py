"""The language of a page."""

from playwright.sync_api import expect
from tests.browser.conftest import Opener
from tests.browser.kit import Console


def test_the_browser_says_in_which_language_and_one_may_choose_the_other(
    opened: Opener, console: Console
) -> None:
    page = opened(locale="zh-CN")
    page.goto(console.url + "/records?passed=true")
    expect(page.get_by_role("heading", level=1)).to_have_text("通行记录")
    assert page.locator("html").get_attribute("lang") == "zh-Hans"
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Records")
    assert page.url.endswith("/records?passed=true")
    page.goto(console.url + "/alarms")
    expect(page.get_by_role("heading", level=1)).to_have_text("Alarms")


def test_the_login_speaks_both_languages(opened: Opener, console: Console) -> None:
    page = opened(None, locale="zh-CN")
    page.goto(console.url)
    page.get_by_label("用户名").fill("admin")
    page.get_by_label("密码").fill("wrong password")
    page.get_by_role("button", name="登录").click()
    expect(page.get_by_role("alert")).to_have_text("用户名或密码错误。")
