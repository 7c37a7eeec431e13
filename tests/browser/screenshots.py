"""``make screenshots``: every page of the console, in both languages and both themes.

Those that a page of the documentation shows are written to ``docs/images/``, all others to ``dist/screenshots/``. What
is on them is simulated: no such person exists. The files are reduced to a palette, which keeps each of them below some
80 KB. ``python -m tests.browser.screenshots inside schedules`` makes those pages alone, in the light theme.
"""

import json
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from io import BytesIO
from pathlib import Path

import msgspec
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from tests.browser import kit
from tests.browser.kit import Console, Endpoint
from tests.browser.terminals import TerminalProcess

from gatepost import wire
from gatepost.simulator.world.scenario import SITE_TIME
from gatepost.wire.codes import AlarmStatus

IMAGES = kit.ROOT / "docs/images"
OTHERS = kit.ROOT / "dist/screenshots"
WIDE, TALL = 1280, 800
NARROW = 360
COLOURS = 200

PAGES = {
    "live": "/",
    "records": "/records",
    "record": "/records/RECORD",
    "alarms": "/alarms",
    "inside": "/inside",
    "people": "/people",
    "person": "/people/PERSON",
    "attendance": "/attendance",
    "attendance-month": "/attendance?month=MONTH",
    "schedules": "/schedules",
    "statistics": "/statistics",
    "terminals": "/terminals",
    "terminal": "/terminals/1",
    "terminal-new": "/terminals/new",
    "terminal-names": "/terminals/names",
    "why": "/why?asked=SPX700C0MC22F04711",
    "fleet": "/fleet",
    "fleet-find": "/fleet/find",
    "fleet-adopt": "/fleet/adopt",
    "fleet-import": "/fleet/import",
    "fleet-history": "/fleet/history",
    "quarantine": "/quarantine",
    "destinations": "/destinations",
    "destination": "/destinations/1",
    "destination-new": "/destinations/new",
    "settings": "/settings",
    "system": "/system",
    "users": "/settings/users",
    "audit": "/audit",
    "account": "/account",
    "welcome": "/welcome",
}

MANAGED = ("SPX700C0MC22F04801", "SPX700C0MC22F04802", "SPX700C0MC22F04803")
"""Serials of terminals that are adopted."""

LANGUAGES = {"en": "en-GB", "zh": "zh-CN"}


def main(only: Sequence[str] = ()) -> int:
    """Start a receiver with a week behind it, and photograph it, or these pages alone."""
    for folder in (IMAGES, OTHERS):
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="gatepost-screenshots-") as root:
        console = Console(
            Path(root) / "data",
            GATEPOST_FORWARD_NETWORKS="127.0.0.0/8",
            GATEPOST_FLEET_NETWORKS="127.0.0.0/8",
        )
        endpoint = Endpoint()
        terminals = [TerminalProcess(Path(root) / serial, serial) for serial in MANAGED]
        kit.prepare(console.folder, console.doors, days=7, passages_a_day=70, pictures=12)
        console.start()
        try:
            _pass_on(console, endpoint)
            _enliven(console)
            _plan(console)
            _manage(console, terminals)
            with sync_playwright() as playwright:
                browser = kit.launch(playwright)
                for path, picture in _pictures(browser, console, only):
                    path.write_bytes(picture)
                    sys.stdout.write(f"{path.relative_to(kit.ROOT)}  {len(picture) // 1024} KB\n")
                browser.close()
        finally:
            console.stop()
            endpoint.close()
            for one in terminals:
                one.stop()
    return 0


def _pass_on(console: Console, endpoint: Endpoint) -> None:
    """Make destinations: one that takes what it is sent, one that is away, one that is paused."""
    hr = {"name": "HR 人事系统", "kind": "webhook", "url": endpoint.url, "shape": "flat"}
    away = {"name": "Broker 消息队列", "kind": "mqtt", "url": "mqtt://127.0.0.1:9"}
    mail = {"to": ["guard@example.com"], "sender": "gatepost@example.com"}
    guards = {"name": "Guards 值班室", "kind": "notify", "url": "smtp://127.0.0.1:9", "notify": mail}
    for told in (hr, away, {**guards, "enabled": False}):
        console.change("POST", "/api/v1/destinations", told)


def _enliven(console: Console) -> None:
    """Something of everything that can be on a page."""
    doors = console.doors
    now = datetime.now(SITE_TIME)
    for door, ago, status in (
        (4, 247, AlarmStatus.OCCURRED),
        (4, 65, AlarmStatus.CLEAR_FAILED),
        (2, 93, AlarmStatus.OCCURRED),
    ):
        began = now - timedelta(seconds=247 if door == 4 else 93)
        step = doors.alarm(door, began=began, status=status, at=now - timedelta(seconds=ago))
        console.push(step, door=door)
    console.push({"type": 7, "data": {"event": "firmware_update", "version": "1.4.0"}}, door=1)
    console.push({"type": 9, "data": {}}, door=3)
    headers = {"Content-Type": "application/json", "sn": "SPX700C0MC22F04711", "model": "SensePass X"}
    new = msgspec.structs.replace(doors.passage(1), serial="SPX700C0MC22F04711")
    console.request("POST", "/Record", wire.encode(new), headers)
    console.settle()
    stranger = {"recognition_type": 3, "user": None, "passed": False}
    refused = {"passed": False, "abnormal_type": 20002}
    feverish = {"passed": False, "abnormal_type": 40001, "temperature": 38.4}
    came = ((0, {}), (1, {}), (3, {}), (0, {}), (2, {}), (1, {}), (2, stranger), (0, {}), (1, refused), (3, {}),
            (4, feverish), (3, {}), (0, {}))  # fmt: skip
    for number, (door, changed) in enumerate(came):
        at = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=11 * (len(came) - number))
        console.push(doors.passage(door, recorded_at=at, **changed), door=door)
    for name, role in (("wang", "viewer"), ("li", "operator")):
        console.cookie(name, role)


def _plan(console: Console) -> None:
    """Make schedules, assign them to groups, and let people come in who are inside then."""
    groups = console.get_json("/api/v1/groups")["items"]
    office = {"name": "Office 办公室", "start": "08:30", "end": "17:30", "grace_min": 10, "break_min": 60}
    night = {"name": "Night watch 夜班", "start": "22:00", "end": "06:00", "break_min": 30}
    since = f"{console.doors.day - timedelta(days=7):%Y-%m-%d}"
    for schedule, group in zip((office, night), groups, strict=False):
        made = console.change("POST", "/api/v1/schedules", schedule)
        assigned = {"schedule_id": made["id"], "group": group["name"], "since": since}
        console.change("POST", "/api/v1/assignments", assigned)
    console.change(
        "POST", "/api/v1/holidays", {"day": f"{console.doors.day.year + 1}-01-01", "name": "New Year 元旦"}
    )


def _manage(console: Console, terminals: Sequence[TerminalProcess]) -> None:
    """Adopt terminals: one that pushes, one of which nothing came yet, and one that is away then."""
    cookie = "=".join(console.cookie("admin", "admin"))
    own = {**kit.JSON, "Cookie": cookie, "Sec-Fetch-Site": "same-origin"}
    for number, one in enumerate(terminals):
        one.start()
        asked = {
            "address": f"https://127.0.0.1:{one.port}", "username": "admin", "password": kit.PASSWORD,
            "name": f"Gate {number + 1} {number + 1}号门",
        }  # fmt: skip
        status, reply = console.request("POST", "/api/v1/fleet/adopt", json.dumps(asked).encode(), own)
        if status != 201:
            raise SystemExit(f"a terminal is not adopted: {reply!r}")
    terminals[0].passes("8001")
    terminals[2].stop()
    which = json.loads(reply)["terminal_id"]
    console.request("POST", f"/api/v1/fleet/{which}/verify", b"", own)
    console.settle()


def _pictures(browser: Browser, console: Console, only: Sequence[str]) -> Iterator[tuple[Path, bytes]]:
    record = console.get_json("/api/v1/records?limit=1&has_image=true&passed=true")["items"][0]
    people = console.get_json("/api/v1/people?type=1&limit=60")["items"]
    names = {
        "RECORD": str(record["id"]),
        "PERSON": max(people, key=lambda one: one["last_seen"])["id"],
        "MONTH": console.doors.day.strftime("%Y-%m"),
    }
    for language, locale in LANGUAGES.items():
        if only:
            page = _page(browser, console, locale, "light", WIDE)
            for name in only:
                yield _file(name, language, "light"), _picture(page, console.url + _path(name, names))
            page.context.close()
            continue
        for theme in ("light", "dark"):
            page = _page(browser, console, locale, theme, WIDE)
            for name in PAGES:
                yield _file(name, language, theme), _picture(page, console.url + _path(name, names))
            page.goto(console.url + "/records")
            page.locator("a.row").nth(3).click()
            page.get_by_role("dialog").wait_for()
            yield _file("record-panel", language, theme), _shot(page)
            page.context.clear_cookies()
            yield _file("login", language, theme), _picture(page, console.url + "/login")
            page.context.close()
        page = _page(browser, console, locale, "light", NARROW)
        for name in ("live", "records", "alarms"):
            yield _file(f"{name}-narrow", language, "light"), _picture(page, console.url + PAGES[name])
        page.context.close()


def _path(name: str, names: dict[str, str]) -> str:
    path = PAGES[name]
    for word, value in names.items():
        path = path.replace(word, value)
    return path


def _page(browser: Browser, console: Console, locale: str, theme: str, width: int) -> Page:
    context = browser.new_context(
        locale=locale,
        timezone_id=kit.ZONE,
        color_scheme=theme,  # type: ignore[arg-type] # light or dark
        viewport={"width": width, "height": TALL},
        reduced_motion="reduce",
        bypass_csp=True,  # waiting for a condition evaluates text on the page
    )
    name, value = console.cookie("admin", "admin")
    context.add_cookies([{"name": name, "value": value, "url": console.url}])
    return context.new_page()


def _file(name: str, language: str, theme: str) -> Path:
    file = f"{name}.{language}.{theme}.png"
    return (IMAGES if file in _shown() else OTHERS) / file


@cache
def _shown() -> frozenset[str]:
    """Return the names of the images that pages of the documentation show."""
    pages = [*kit.ROOT.glob("README*.md"), *(kit.ROOT / "docs").rglob("*.md")]
    return frozenset(
        found for page in pages for found in re.findall(r"images/([\w.-]+\.png)", page.read_text())
    )


def _picture(page: Page, url: str) -> bytes:
    page.goto(url)
    page.evaluate("document.fonts.ready")
    if page.locator("#live").count():
        page.wait_for_selector('.live[data-connected="yes"]')
    page.wait_for_function(
        "[...document.images].filter(it => it.loading !== 'lazy').every(it => it.complete)"
    )
    page.wait_for_load_state("networkidle") if not page.locator("#live").count() else None
    return _shot(page)


def _shot(page: Page) -> bytes:
    page.wait_for_function(
        "[...document.images].filter(it => it.getBoundingClientRect().top < innerHeight).every(it => it.complete)"
    )
    with Image.open(BytesIO(page.screenshot())) as whole:
        reduced = whole.convert("RGB").quantize(COLOURS, kmeans=1, dither=Image.Dither.NONE)
    out = BytesIO()
    reduced.save(out, "PNG", optimize=True)
    return out.getvalue()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
