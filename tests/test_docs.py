"""The texts of the repository: none sends its reader to a package index for a name that is not ours."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

BY_NAME = re.compile(
    r"(?:uvx|(?:pip3?|pipx|uv|poetry|pdm)\s+(?:pip\s+|tool\s+)?(?:install|add|run|download))\b"
    r"[^`\n|;&#]*?[ '\"]gatepost(?![\w./-])",
    re.IGNORECASE,
)
"""A command that fetches a distribution of this name from an index."""


TOOLS = tuple(tool + after for tool in ("pip", "pip3", "pipx", "uv", "poetry", "pdm") for after in " \t\n")
"""How a command begins; most texts have none, and looking for these costs a tenth of the pattern."""


def commands(text: str) -> list[str]:
    """Return the commands of a text that fetch this name from an index."""
    small = text.lower()
    has_tool = "uvx" in small or any(tool in small for tool in TOOLS)
    return BY_NAME.findall(text) if has_tool else []


def texts() -> Iterator[Path]:
    """Every text file that a person may read: the documentation, what is deployed, and the sources."""
    yield from (file for file in ROOT.iterdir() if file.suffix in {".md", ".toml", ".py"})
    yield ROOT / "Makefile"
    for folder in ("docs", "deploy", "src", "benchmarks", "frontend/src", "tests"):
        for file in sorted((ROOT / folder).rglob("*")):
            if file.is_file() and "dist" not in file.parts and file.suffix not in {".png", ".jpg", ".pyc"}:
                yield file


def test_nobody_is_told_to_install_this_name_from_an_index() -> None:
    """Whoever registers the name there would run code at our users."""
    told = {
        str(file.relative_to(ROOT)): found
        for file in texts()
        if file != Path(__file__) and (found := commands(file.read_text(encoding="utf-8", errors="replace")))
    }
    assert told == {}


def test_the_tests_that_the_security_page_names_are_there() -> None:
    named = re.findall(r"`((?:tests|benchmarks)/[\w/]+\.py)`", (ROOT / "SECURITY.md").read_text())
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_the_files_that_a_page_for_contributors_names_are_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"`([\w.-]+(?:/[\w.*-]+)+/?|[\w-]+\.py)`", text)
    assert len(named) > 20
    places = (ROOT, ROOT / "src" / "gatepost")
    assert [name for name in named if not any(any(place.glob(name)) for place in places)] == []


def test_an_advice_to_install_it_by_name_is_noticed_however_it_is_written() -> None:
    for text in (
        "pip install gatepost",
        "pip install 'gatepost[receiver]'",
        'python -m pip install --upgrade "gatepost[all]"',
        "/opt/gatepost/bin/pip install gatepost==0.1",
        "pipx install gatepost",
        "pipx run gatepost",
        "uvx gatepost",
        "uv add gatepost",
        "uv tool install gatepost",
        "uv pip install gatepost",
    ):
        assert BY_NAME.search(text), text
    for text in (
        "pip install '.[receiver]'      # in a checkout\ngatepost serve",
        "/opt/gatepost/bin/pip install '.[receiver]'",
        "pip install ./gatepost",
        "pip install . && gatepost serve",
    ):
        assert not BY_NAME.search(text), text
