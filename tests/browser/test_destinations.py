"""Destinations, in a real browser, with a receiver whose events go to an endpoint on this machine."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
import pytest
from playwright.sync_api import Locator, Page, expect
from tests.browser import kit
from tests.browser.conftest import Opener
from tests.browser.kit import Console, Endpoint, severe


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    yield made
    made.close()


@pytest.fixture(scope="module")
def forwarding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A receiver that may send to this machine."""
    folder = tmp_path_factory.mktemp("forwarding") / "data"
    running = Console(folder, GATEPOST_FORWARD_NETWORKS="127.0.0.0/8")
    kit.prepare(folder, running.doors, days=4, passages_a_day=4, pictures=0)
    running.start()
    try:
        yield running
    finally:
        running.stop()


def make(page: Page, console: Console, name: str, url: str) -> None:
    """Make a webhook, and open its page."""
    page.goto(console.url + "/destinations")
    page.get_by_role("link", name="Make a destination").click()
    page.get_by_role("link", name=re.compile("^Webhook")).click()
    page.get_by_label("Name of the destination").fill(name)
    page.get_by_label("Address").fill(url)
    page.get_by_role("button", name="Make it, paused").click()
    expect(page.locator("#secret")).to_contain_text("whsec_")
    page.goto(one(console, name))


def one(console: Console, name: str) -> str:
    """Return the address of a destination's page."""
    listed = console.get_json("/api/v1/destinations")["items"]
    return f"{console.url}/destinations/{next(one['id'] for one in listed if one['name'] == name)}"


def posted(page: Page, button: str) -> None:
    """Send a form, and wait for the page that comes of it: what is loaded again meanwhile would end it."""
    with page.expect_navigation():
        page.get_by_role("button", name=button).click()


def reloaded(page: Page, part: str, value: str) -> None:
    """Load a page again until the ledger has a number."""
    kit.until(
        lambda: (page.reload() is not None) and page.locator(f"[data-part={part}]").inner_text() == value,
        page,
        timeout=60.0,
    )


@pytest.mark.parametrize(("script", "width"), [(True, 1920), (False, 390)])
def test_one_is_made_step_by_step_and_sent_what_arrives(
    opened: Opener, forwarding: Console, endpoint: Endpoint, script: bool, width: int
) -> None:
    name = f"HR {width}"
    page = opened(at=forwarding, script=script, width=width)
    page.goto(forwarding.url + "/destinations/new")
    page.get_by_role("link", name=re.compile("^Webhook")).click()
    page.get_by_label("Name of the destination").fill(name)
    page.get_by_label("Address").fill("ftp://nowhere/")
    page.get_by_role("button", name="Make it, paused").click()
    expect(page.get_by_role("alert")).to_contain_text("Address: must begin with http:// or https://")
    expect(page.get_by_label("Name of the destination")).to_have_value(name)
    expect(page.get_by_label("Address")).to_have_value("ftp://nowhere/")
    page.get_by_label("Address").fill(endpoint.url)
    page.get_by_role("button", name="Make it, paused").click()
    expect(page.locator("#secret")).to_contain_text("whsec_")
    expect(page.locator("[aria-current=step]")).to_have_text("Which events")
    page.get_by_label("Alarms", exact=True).uncheck()
    page.get_by_label("a terminal fell silent").check()
    page.get_by_role("button", name="Next").click()
    forwarding.push(forwarding.doors.passage())
    page.get_by_label("Shape").select_option("flat")
    page.get_by_role("button", name="Next").click()
    expect(page.locator("#example")).to_contain_text('"event":"record"')
    page.get_by_role("button", name="Send a test event").click()
    expect(page.get_by_role("status")).to_contain_text("delivered")
    assert [body["event"] for body in endpoint.bodies] == ["test"]
    posted(page, "Start")
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    reloaded(page, "delivered", "1")
    assert endpoint.bodies[-1]["event"] == "record"
    expect(page.get_by_label("a terminal fell silent")).to_be_checked()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("paused", exact=True)).to_be_visible()


def test_the_keyboard_alone_makes_one(opened: Opener, forwarding: Console, endpoint: Endpoint) -> None:
    page = opened(at=forwarding)
    page.goto(forwarding.url + "/destinations/new")
    tab_to(page, page.get_by_role("link", name=re.compile("^Webhook")))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_label("Name of the destination"))
    page.keyboard.type("Keyboard")
    page.keyboard.press("Tab")
    page.keyboard.type(endpoint.url)
    page.keyboard.press("Enter")
    expect(page.locator("[aria-current=step]")).to_have_text("Which events")
    tab_to(page, page.get_by_label("Alarms", exact=True))
    page.keyboard.press("Space")
    tab_to(page, page.get_by_role("button", name="Next"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_label("Shape"))
    page.keyboard.type("flat")
    tab_to(page, page.get_by_role("button", name="Next"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("button", name="Send a test event"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("delivered")
    assert endpoint.bodies[-1]["event"] == "test"
    tab_to(page, page.get_by_role("link", name="Leave it paused"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Start")).to_be_visible()
    expect(page.get_by_label("Alarms", exact=True)).not_to_be_checked()


def tab_to(page: Page, wanted: Locator) -> None:
    """Press Tab until something has the focus."""
    for _ in range(80):
        if wanted.evaluate("it => it === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError("Tab does not lead there")


def test_people_are_told_by_rules_that_show_what_they_need(opened: Opener, forwarding: Console) -> None:
    page = opened(at=forwarding, script=False)
    page.goto(forwarding.url + "/destinations/new?kind=mail")
    page.get_by_label("Name of the destination").fill("Guards")
    page.get_by_label("Mail server").fill("smtp://127.0.0.1:2525")
    page.get_by_label("To: mail addresses").fill("guard@example.com")
    page.get_by_label("From: mail address").fill("gatepost@example.com")
    page.get_by_role("button", name="Make it, paused").click()
    rule = page.get_by_role("group", name="Rule 1")
    expect(rule.get_by_label("door forced open")).to_be_visible()
    expect(rule.get_by_label("Watch list")).to_be_hidden()
    rule.get_by_label("door forced open").check()
    page.get_by_role("button", name="Add a rule").click()
    expect(page.get_by_role("group", name="Rule 1").get_by_label("door forced open")).to_be_checked()
    second = page.get_by_role("group", name="Rule 2")
    expect(second.get_by_label("Watch list")).to_be_hidden()
    second.get_by_label("About").select_option("passage")
    second.get_by_label("Watch list").fill("1007")
    expect(second.get_by_label("door forced open")).to_be_hidden()
    page.get_by_role("group", name="Quiet hours").get_by_label("From", exact=True).fill("22:00")
    page.get_by_role("group", name="Quiet hours").get_by_label("To", exact=True).fill("06:00")
    page.get_by_role("button", name="Next").click()
    expect(page.locator("[aria-current=step]")).to_have_text("Test and start")
    listed = forwarding.get_json("/api/v1/destinations")["items"]
    told = next(one for one in listed if one["name"] == "Guards")["notify"]
    assert [rule["event"] for rule in told["rules"]] == ["alarm", "passage"]
    assert (told["rules"][0]["codes"], told["rules"][1]["users"]) == ([10002], ["1007"])
    assert told["quiet"] == {"begin": "22:00", "end": "06:00", "alarms": False}


def test_the_password_of_a_broker_is_replaced_by_another(opened: Opener, forwarding: Console) -> None:
    page = opened(at=forwarding)
    page.goto(forwarding.url + "/destinations/new?kind=mqtt")
    page.get_by_label("Name of the destination").fill("Broker")
    page.get_by_label("Address").fill("mqtt://127.0.0.1:1")
    page.get_by_label("User name").fill("gatepost")
    page.get_by_label("Password").fill("the first one")
    page.get_by_role("button", name="Make it, paused").click()
    expect(page.locator("[aria-current=step]")).to_have_text("Which events")
    page.goto(one(forwarding, "Broker"))
    expect(page.get_by_label("Topic", exact=True)).to_have_value("gatepost/{terminal}/{kind}")
    form = page.locator("form[action$=rotate]")
    form.get_by_label("Password").fill("the second one")
    form.get_by_role("button", name="Replace it").click()
    expect(page.get_by_role("status")).to_contain_text("Saved")
    assert "the second one" not in page.content()
    audit = forwarding.get_json("/api/v1/audit")["items"]
    assert audit[0]["action"] == "destination.rotated"


def test_dead_letters_are_retried_and_dropped_and_a_span_is_sent_again(
    opened: Opener, forwarding: Console, endpoint: Endpoint
) -> None:
    page = opened(at=forwarding)
    make(page, forwarding, "Refuser", endpoint.url)
    which = int(page.url.rpartition("/")[2])
    forwarding.change(
        "PATCH",
        f"/api/v1/destinations/{which}",
        {"max_refusals": 1, "shape": "flat", "filter": {"alarms": None}},
    )
    endpoint.refused = "Nobody"
    page.goto(one(forwarding, "Refuser"))
    posted(page, "Start")
    for _ in range(2):
        passage = forwarding.doors.passage()
        assert passage.user is not None
        bad = msgspec.structs.replace(passage, user=msgspec.structs.replace(passage.user, name="Nobody"))
        forwarding.push(bad)
    kit.until(lambda: sum("Nobody" in str(body) for body in endpoint.bodies) >= 2, page)
    for _ in range(4):
        forwarding.push(forwarding.doors.passage())
    reloaded(page, "dead", "2")
    expect(page.locator("#dead")).to_contain_text("HTTP 400")
    page.goto(forwarding.url + "/destinations")
    row = page.get_by_role("row", name="Refuser")
    expect(row.get_by_text("running")).to_be_visible()
    hour = row.get_by_role("img", name="Delivered in the last hour: 4")
    kit.until(lambda: page.reload() is not None and hour.count() > 0, page)
    expect(row).to_contain_text("HTTP 400")
    row.get_by_role("link", name="Refuser").click()
    endpoint.refused = ""
    page.get_by_role("checkbox", name="Choose event").first.check()
    page.get_by_role("button", name="Retry the chosen").click()
    expect(page.get_by_role("status")).to_contain_text("Saved")
    reloaded(page, "dead", "1")
    reloaded(page, "delivered", "5")
    posted(page, "Drop all")
    reloaded(page, "dropped", "1")
    expect(page.locator("#ledger")).to_contain_text("by a person")
    page.get_by_label("Received from").fill("2020-01-01T00:00")
    posted(page, "Send again")
    kit.until(
        lambda: page.reload() is not None and page.locator("#replays").get_by_text("finished").count() > 0,
        page,
    )
    progress = page.get_by_role("progressbar", name="Replay")
    assert progress.get_attribute("value") == progress.get_attribute("max") != "1"
    assert sum(body.get("replay") is True for body in endpoint.bodies) > 6
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()


def test_one_that_is_away_says_so_in_words_and_how_far_it_is_behind(
    opened: Opener, forwarding: Console, endpoint: Endpoint
) -> None:
    page = opened(at=forwarding)
    endpoint.status = 503
    make(page, forwarding, "Away", endpoint.url)
    posted(page, "Start")
    forwarding.push(forwarding.doors.passage())
    kit.until(lambda: page.reload() is not None and "HTTP 503" in page.locator("#ledger").inner_text(), page)
    expect(page.get_by_text("cannot be reached").first).to_be_visible()
    expect(page.locator("#ledger")).to_contain_text("Next attempt")
    page.goto(forwarding.url + "/destinations")
    row = page.get_by_role("row", name="Away")
    expect(row.locator("[data-title=Waiting]")).to_have_text("1")
    expect(row.locator("[data-title='Behind by']")).to_contain_text(" s")
    expect(row).to_contain_text("HTTP 503")
    page.goto(one(forwarding, "Away"))
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()


def test_one_that_closes_itself_is_told_on_every_page_and_deleted_by_its_name(
    opened: Opener, forwarding: Console, endpoint: Endpoint
) -> None:
    page = opened(at=forwarding)
    endpoint.status = 410
    make(page, forwarding, "Gone", endpoint.url)
    posted(page, "Start")
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


@pytest.mark.parametrize(("locale", "theme", "width"), [("en-GB", "light", 1920), ("zh-CN", "dark", 390)])
def test_axe_finds_nothing_in_both_languages_and_themes(
    opened: Opener, forwarding: Console, endpoint: Endpoint, locale: str, theme: str, width: int
) -> None:
    page = opened(at=forwarding)
    make(page, forwarding, f"axe {locale}", endpoint.url)
    which = one(forwarding, f"axe {locale}").rpartition("/")[2]
    page.goto(forwarding.url + "/destinations/new?kind=slack")
    page.get_by_label("Name of the destination").fill(f"Slack {locale}")
    page.get_by_label("Address of the webhook").fill("https://hooks.slack.com/services/x")
    page.get_by_role("button", name="Make it, paused").click()
    expect(page.locator("[aria-current=step]")).to_have_text("Of what people are told")
    slack = one(forwarding, f"Slack {locale}").rpartition("/")[2]
    page = opened(at=forwarding, locale=locale, theme=theme, width=width)
    found = {}
    paths = ["/destinations", "/destinations/new", f"/destinations/{which}", f"/destinations/{slack}"]
    paths += [f"/destinations/new?kind={kind}" for kind in ("webhook", "mqtt", "mail", "telegram")]
    paths += [f"/destinations/{which}/setup/{step}" for step in ("filter", "how", "test")]
    paths += [f"/destinations/{slack}/setup/rules"]
    for path in paths:
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
