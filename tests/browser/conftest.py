"""One browser and one receiver for a session; a page of its own, in English and logged in, for every test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from tests.browser import kit
from tests.browser.kit import Console

ROLES = {"viewer": "wang", "operator": "li"}

expect.set_options(timeout=30_000)
"""As long as everything else in a browser is waited for: other tests have the processors as well."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A browser is started once, and two at a time would only wait for each other."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Ends with the package: its event loop would stand in the way of other tests' loops."""
    with sync_playwright() as playwright:
        found = kit.launch(playwright)
        yield found
        found.close()


@pytest.fixture(scope="session")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A receiver with two days behind it, and an account of each role."""
    folder = tmp_path_factory.mktemp("console") / "data"
    running = Console(folder)
    kit.prepare(folder, running.doors, days=2, passages_a_day=24, pictures=4)
    running.start()
    try:
        yield running
    finally:
        running.stop()


Opener = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser, console: Console) -> Iterator[Opener]:
    """Opens pages, each in a browser of its own as far as it can tell; fails if one of them broke a rule."""
    contexts: list[BrowserContext] = []
    broken: list[str] = []

    def open_one(
        role: str | None = "admin",
        *,
        locale: str = "en-GB",
        theme: str = "light",
        width: int = 1280,
        script: bool = True,
        anew: bool = False,
        at: Console = console,
    ) -> Page:
        """``anew``: with a session of its own, which may be ended."""
        context = browser.new_context(
            locale=locale,
            color_scheme=theme,  # type: ignore[arg-type] # light or dark
            viewport={"width": width, "height": 800},
            java_script_enabled=script,
        )
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: broken.append(str(error)))
        page.on(
            "console",
            lambda message: (
                broken.append(message.text) if "Content Security Policy" in message.text else None
            ),
        )
        page.on(
            "request", lambda asked: broken.append(asked.url) if not asked.url.startswith(at.url) else None
        )
        if role is not None:
            cookie = at.cookie(ROLES.get(role, "admin"), role, anew=anew)
            context.add_cookies([{"name": cookie[0], "value": cookie[1], "url": at.url}])
            page.goto(at.url)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not broken


@pytest.fixture
def page(opened: Opener) -> Page:
    return opened()
