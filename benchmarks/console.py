"""How quickly does the console answer whoever looks at it, with 2 million records stored?

Debian's Chromium without a window, `gatepost serve` on SQLite. Every figure is by the browser's own clock: from the
time stamp of the click or the key to the end of the first frame that shows what was asked for, across pages where it
leads to another one; and in the `event` entries that the browser measures its own answers by. The mouse is there,
presses, and lets go after 80 ms: it does not rest on a link beforehand, which would let the browser fetch the page
meanwhile. Half of the times are quicker than the figure; the slowest is said, too.
"""

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import BrowserContext, Page, sync_playwright

from benchmarks.bench import Bench
from benchmarks.payloads import run_id
from benchmarks.probe import post_one
from benchmarks.programs import free_port, gatepost, need, start
from benchmarks.report import Row
from benchmarks.stocked import RECORDS, stock

PASSWORD = "correct horse battery"  # noqa: S105 - of an account that exists for a minute
TIMES = 5
"""How often each interaction is done in a round, at `--seconds 5`."""

HELD_MS = 80
"""How long a button of the mouse is held down: a quick click of a hand."""

PAINT_MS = 1000
INTERACTION_MS = 100
FIRST_PAGE_KB = 400

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""What it would do by itself besides showing pages, and asking a network that is not there."""

WATCH = Path(__file__).with_name("console_watch.js")
PAINTED = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


@dataclass(frozen=True)
class Step:
    """Something that somebody does: where they are, what they do, and by what one sees that it is done."""

    what: str
    path: str
    act: Callable[[Page], None]
    shown: str
    """A selector; and the page must be complete."""
    at: str = ""
    """What the address has in it then."""


def _press(page: Page, selector: str) -> None:
    page.locator(selector).first.click(delay=HELD_MS)


def _click(selector: str) -> Callable[[Page], None]:
    return lambda page: _press(page, selector)


def _search(page: Page) -> None:
    page.locator("main [name=q]").fill("7")
    page.locator("main [name=q]").press("Enter")


def _filter(page: Page) -> None:
    page.locator("[name=passed]").select_option("true")
    _press(page, ".filters .last > .button")


def _acknowledge(page: Page) -> None:
    page.locator(".alarm .fold > summary").first.click()
    page.locator(".alarm .fold textarea").first.fill("looked at it")
    _press(page, ".alarm .fold .button:not(summary)")


STEPS = (
    Step("open a record's panel", "/records", _click(".list a.row"), "dialog[open] .facts"),
    Step("apply a filter", "/records", _filter, ".list .row", at="passed=true"),
    Step("next page", "/records", _click(".pager [rel=next]"), ".list .row", at="cursor="),
    Step("switch the language", "/records", _click("[name=language][value=zh]"), "[lang=zh-Hans] .list .row"),
    Step("acknowledge an alarm", "/alarms", _acknowledge, ".done"),
    Step("search people", "/people", _search, ".list .row", at="q="),
    Step("open statistics", "/", _click(".side nav [href$='/statistics']"), ".charts canvas[style]"),
    Step("open the records", "/", _click(".side nav [href$='/records']"), ".list .row"),
    Step("open attendance", "/", _click(".side nav [href$='/attendance']"), ".list .row"),
)


def run(bench: Bench) -> list[Row]:
    """Fill a receiver, look at its first page as a stranger to it, then do each thing `rounds` times."""
    folder, count, times = (
        bench.folder("console"),
        bench.sized(RECORDS),
        max(1, round(bench.seconds / 5 * TIMES)),
    )
    port, began = free_port(), time.perf_counter()
    if not (folder / "data").exists():
        bench.say(f"storing {count:,} records")
        stock(folder / "data", count)
        bench.say(f"  {time.perf_counter() - began:.0f} s")
    command = gatepost("serve", "--data", folder / "data", "--listen", f"127.0.0.1:{port}")
    found: dict[str, list[float]] = {}
    with start(
        "receiver", command, folder=folder, env={"GATEPOST_ADMIN_PASSWORD": PASSWORD}, port=port
    ) as receiver:
        _push_alarms(port, bench.rounds * times + 1)
        with _browser() as opened:
            cookies = _logged_in(opened(), port)
            firsts = [_first_page(opened(cookies), port) for _ in range(bench.rounds * times)]
            page = _page(opened(cookies), port)
            for round_ in range(bench.rounds):
                for step in STEPS:
                    took = [_do(page, port, step) for _ in range(times)]
                    found.setdefault(step.what, []).extend(took)
                    bench.say(
                        f"  {round_ + 1}: {step.what}: " + ", ".join(f"{each:.0f}" for each in took) + " ms"
                    )
            handled = float(page.evaluate("watch.longest()"))
        memory = receiver.peak_mb()
    shutil.rmtree(folder, ignore_errors=True)
    paints, sizes = (list(column) for column in zip(*firsts, strict=True))
    stored = f"{count:,} stored"
    return [
        _row(f"{stored}: first page painted, nothing cached", paints, PAINT_MS),
        Row(
            what="first page transferred, images excluded",
            value=max(sizes),
            unit="KB",
            target=FIRST_PAGE_KB,
            at_most=True,
        ),
        *(_row(f"{stored}: {step.what}", found[step.what], INTERACTION_MS) for step in STEPS),
        Row(
            what="slowest of all from an event to the next frame",
            value=handled,
            unit="ms",
            target=INTERACTION_MS,
            at_most=True,
        ),
        Row(what="peak resident memory of the receiver", value=memory, unit="MB", target=250, at_most=True),
    ]


def _row(what: str, took: list[float], target: float) -> Row:
    return Row(
        what=f"{what} (slowest: {max(took):.0f} ms)",
        value=median(took),
        unit="ms",
        target=target,
        at_most=True,
    )


@contextlib.contextmanager
def _browser() -> Iterator[Callable[..., BrowserContext]]:
    """Opens windows that know nothing of one another, with these cookies."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=need("chromium"), args=ARGUMENTS)

        def opened(cookies: Any = None) -> BrowserContext:
            context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB")
            if cookies:
                context.add_cookies(cookies)
            return context

        try:
            yield opened
        finally:
            browser.close()


def _logged_in(context: BrowserContext, port: int) -> Any:
    """Log in as anybody does; the cookies of that."""
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{port}/login")
    page.fill("[name=name]", "admin")
    page.fill("[name=password]", PASSWORD)
    page.click(".stack .button")
    page.wait_for_selector(".live")
    cookies = context.cookies()
    context.close()
    return cookies


def _first_page(context: BrowserContext, port: int) -> tuple[float, float]:
    """The first contentful paint in ms, and what was transferred in KB (10^3 bytes), headers included."""
    page, images, sizes = context.new_page(), set[str](), dict[str, float]()
    client = context.new_cdp_session(page)
    client.send("Network.enable")
    client.on(
        "Network.responseReceived",
        lambda it: images.update([it["requestId"]] if it["type"] == "Image" else []),
    )
    client.on("Network.loadingFinished", lambda it: sizes.update({it["requestId"]: it["encodedDataLength"]}))
    page.goto(f"http://127.0.0.1:{port}/")
    page.wait_for_selector('.live[data-connected="yes"]')
    paint = page.wait_for_function(PAINTED)
    found = float(paint.json_value()), sum(size for each, size in sizes.items() if each not in images) / 1000
    context.close()
    return found


def _page(context: BrowserContext, port: int) -> Page:
    page = context.new_page()
    page.add_init_script(path=WATCH)
    page.goto(f"http://127.0.0.1:{port}/")
    return page


def _do(page: Page, port: int, step: Step) -> float:
    """Go there, be still, do it: milliseconds until it was there to see."""
    page.context.clear_cookies(name="gatepost_language")
    page.goto(f"http://127.0.0.1:{port}{step.path}")
    if step.path == "/":
        page.wait_for_selector('.live[data-connected="yes"]')
    else:
        page.wait_for_load_state("networkidle")
    page.evaluate("want => watch.want(want)", {"shown": step.shown, "at": step.at})
    step.act(page)
    return float(page.wait_for_function("() => window.took", polling=50).json_value())


def _push_alarms(port: int, count: int) -> None:
    """Doors that are held open, one for each time that an alarm is acknowledged."""
    now_ms, run = int(time.time() * 1000), run_id()
    for number in range(count):
        data = {
            "trace_id": f"{run}-{number}",
            "code": 10003,
            "status": 1,
            "event_time": now_ms - number * 1000,
        }
        post_one(port, json.dumps({"type": 1, "data": data}).encode())
