"""What each role is offered, and what it is refused whatever it asks for."""

import re

import pytest
from playwright.sync_api import expect
from tests.browser.conftest import Opener
from tests.browser.kit import Console


def test_a_viewer_sees_no_administration_and_is_refused_it_politely(opened: Opener, console: Console) -> None:
    page = opened("viewer")
    names = page.locator(".side nav a span").all_inner_texts()
    assert "Records" in names
    assert not {"Settings", "Audit"} & set(names)
    assert page.get_by_role("link", name="Export CSV").count() == 0
    page.goto(console.url + "/settings")
    expect(page.get_by_role("heading", level=1)).to_contain_text("It needs: administrator")


@pytest.mark.parametrize(
    ("role", "path", "allowed"),
    [
        ("viewer", "/records/export?format=csv", False),
        ("operator", "/records/export?format=csv", True),
        ("viewer", "/attendance/export?format=csv", False),
        ("operator", "/settings/users", False),
        ("operator", "/audit", False),
        ("admin", "/audit", True),
    ],
)
def test_a_page_asks_for_its_role(
    opened: Opener, console: Console, role: str, path: str, allowed: bool
) -> None:
    answer = opened(role).request.get(console.url + path)
    assert answer.status == (200 if allowed else 403)


def test_a_form_from_another_site_changes_nothing(opened: Opener, console: Console) -> None:
    page = opened("admin")
    answer = page.request.post(
        console.url + "/settings/tokens",
        form={"name": "stolen", "role": "admin"},
        headers={"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"},
        max_redirects=0,
    )
    assert answer.status == 303
    assert answer.headers["location"] == "/login"
    page.goto(console.url + "/settings/users")
    assert page.get_by_text("stolen").count() == 0


def test_a_token_is_shown_once_works_and_is_withdrawn(opened: Opener, console: Console) -> None:
    page = opened("admin")
    page.goto(console.url + "/settings/users")
    page.get_by_text("New token").click()
    form = page.locator("form[action='/settings/tokens']")
    form.get_by_label("Name").fill("payroll")
    form.get_by_role("button", name="Make").click()
    secret = page.locator("#secret").inner_text()
    headers = {"Authorization": f"Bearer {secret}"}
    assert console.request("GET", "/api/v1/stats", headers=headers)[0] == 200
    page.goto(console.url + "/settings/users")
    assert secret not in page.content()
    page.get_by_text("Withdraw payroll").click()
    expect(page.get_by_text("Every program that uses payroll is refused at once")).to_be_visible()
    page.get_by_role("button", name="Withdraw it").click()
    expect(page.get_by_role("status")).to_contain_text("Withdrawn")
    assert console.request("GET", "/api/v1/stats", headers=headers)[0] == 401
    page.goto(console.url + "/audit?action=token.revoked")
    expect(page.locator("tbody tr").first).to_contain_text("admin")


def test_logging_out_ends_the_session(opened: Opener, console: Console) -> None:
    page = opened("viewer", anew=True)
    cookies = page.context.cookies()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(re.compile("/login"))
    page.context.add_cookies(cookies)  # type: ignore[arg-type] # as they were given
    page.goto(console.url + "/records")
    assert "/login" in page.url
