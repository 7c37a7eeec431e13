"""Destinations, in a real browser, with a receiver whose events go to an endpoint on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Page, expect
from tests.browser import kit
from tests.browser.conftest import Opener
from tests.browser.kit import Console, severe


class Endpoint:
    """Notes what it is sent, and replies with a status."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, object]] = []
        self.status = 204
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                endpoint.bodies.append(json.loads(body))
                self.send_response(endpoint.status)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(scope="module")
def forwarding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A receiver that may send to this machine."""
    folder = tmp_path_factory.mktemp("forwarding") / "data"
    running = Console(folder, GATEPOST_FORWARD_NETWORKS="127.0.0.0/8")
    kit.prepare(folder, running.doors, days=1, passages_a_day=4, pictures=0)
    running.start()
    try:
        yield running
    finally:
        running.stop()


def make(page: Page, console: Console, name: str, url: str) -> None:
    page.goto(console.url + "/destinations")
    page.get_by_role("link", name="Make a destination").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.locator("[name=url]").fill(url)
    page.get_by_role("button", name="Make it, paused").click()
    expect(page.locator("#secret")).to_contain_text("whsec_")


def reloaded(page: Page, part: str, value: str) -> None:
    """Load a page again until the ledger has a number."""
    kit.until(
        lambda: (page.reload() is not None) and page.locator(f"[data-part={part}]").inner_text() == value,
        page,
    )


def test_one_is_made_step_by_step_and_sent_what_arrives(
    opened: Opener, forwarding: Console, endpoint: Endpoint
) -> None:
    page = opened(at=forwarding)
    make(page, forwarding, "HR", endpoint.url)
    forwarding.push(forwarding.doors.passage())
    page.get_by_label("Shape").select_option("flat")
    page.get_by_role("button", name="Show the latest event so").click()
    expect(page.locator("#example")).to_contain_text('"event":"record"')
    page.locator("#sent").get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("Saved")
    page.get_by_role("button", name="Send a test event").click()
    expect(page.get_by_role("status")).to_contain_text("delivered")
    assert [body["event"] for body in endpoint.bodies] == ["test"]
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    reloaded(page, "delivered", "1")
    assert endpoint.bodies[-1]["event"] == "record"


def test_one_that_closes_itself_is_told_on_every_page_and_deleted_by_its_name(
    opened: Opener, forwarding: Console, endpoint: Endpoint
) -> None:
    page = opened(at=forwarding)
    endpoint.status = 410
    make(page, forwarding, "Gone", endpoint.url)
    page.get_by_role("button", name="Start").click()
    forwarding.push(forwarding.doors.passage())
    page.goto(forwarding.url + "/records")
    kit.until(
        lambda: page.reload() is not None and page.locator("a", has_text="Gone wants").count() > 0, page
    )
    page.locator("a", has_text="Gone wants").click()
    page.get_by_text("Delete", exact=True).click()
    page.get_by_label("Type Gone to confirm").fill("Gone")
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_role("status")).to_contain_text("Deleted")
    expect(page.get_by_role("link", name="Gone")).to_have_count(0)


@pytest.mark.parametrize(("locale", "theme", "width"), [("en-GB", "light", 1280), ("zh-CN", "dark", 390)])
def test_axe_finds_nothing_in_both_languages_and_themes(
    opened: Opener, forwarding: Console, endpoint: Endpoint, locale: str, theme: str, width: int
) -> None:
    make(opened(at=forwarding), forwarding, f"axe {locale}", endpoint.url)
    listed = forwarding.get_json("/api/v1/destinations")["items"]
    which = next(one["id"] for one in listed if one["name"] == f"axe {locale}")
    page = opened(at=forwarding, locale=locale, theme=theme, width=width)
    found = {}
    for path in ("/destinations", "/destinations/new", f"/destinations/{which}"):
        page.goto(forwarding.url + path)
        if ones := severe(page):
            found[path] = ones
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{path} is {wide} pixels wide"
    assert found == {}


def test_the_keyboard_opens_one_from_the_list(
    opened: Opener, forwarding: Console, endpoint: Endpoint
) -> None:
    page = opened(at=forwarding)
    make(page, forwarding, "Keys", endpoint.url)
    page.goto(forwarding.url + "/destinations")
    link = page.get_by_role("link", name="Keys")
    link.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Keys")


def test_the_terminal_is_chosen_by_its_name(opened: Opener, forwarding: Console, endpoint: Endpoint) -> None:
    page = opened(at=forwarding)
    make(page, forwarding, "By name", endpoint.url)
    sent = page.locator("#sent")
    sent.locator("select[name=terminal]").select_option(label="Lobby 大堂")
    sent.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("Saved")
    expect(page.locator("#sent select[name=terminal] option:checked")).to_have_text("Lobby 大堂")
