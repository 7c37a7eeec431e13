"""Help on every page, in both languages, and the list of keys."""

import re
from pathlib import Path

import pytest
from tests.console.kit import Desk

from gatepost.console import help
from gatepost.console.words import LANGUAGES, table, words

ROOT = Path(help.__file__).parents[3]
TEMPLATES = Path(help.__file__).parent / "templates"
PAGES = [
    file.stem
    for file in sorted(TEMPLATES.glob("*.html"))
    if 'extends "base.html"' in file.read_text(encoding="utf-8") and file.stem != "login"
]


@pytest.mark.parametrize("name", PAGES)
def test_every_page_says_what_it_is_for_and_names_a_guide_that_there_is(name: str) -> None:
    assert f"help.{name}" in table()
    for language in LANGUAGES:
        found = help.help_of(f"{name}.html", words(language))
        assert found.name == name
        assert not found.guide or (ROOT / found.guide).is_file()


def test_every_key_of_the_list_is_one_that_the_page_listens_for() -> None:
    script = (ROOT / "frontend/src/pages/console.ts").read_text(encoding="utf-8")
    by_browser = {"Enter", "Esc"}
    for key, name in help.KEYS:
        assert f"help.key_{name}" in table()
        assert key in by_browser or f'event.key === "{key}"' in script, key


async def test_the_help_is_on_every_page_and_a_page_of_its_own(desk: Desk) -> None:
    page = await desk.get("/records")
    assert "Every passage that a terminal reported." in page.html
    assert 'href="/help#records"' in page.html
    assert "终端上报的全部通行记录" in (await desk.get("/records", accept_language="zh")).html
    every = await desk.get("/help")
    assert set(re.findall(r'<section class="sheet" id="(\w+)"', every.html)) >= {
        "live",
        "system",
        "keys",
        "users",
    }
    guard = await desk.get("/help", "guard")
    assert 'id="system"' not in guard.html
    assert "data-help" not in (await desk.get("/login", None)).html
