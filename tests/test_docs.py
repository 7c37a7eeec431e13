"""The texts of the repository: none sends its reader to a package index for a name that is not ours."""

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatch
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


PAGES = sorted(
    str(page.relative_to(ROOT))
    for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md"))
    if page.name != "CHANGELOG.md"  # it names what was there once
)
SOURCE = ROOT / "src" / "gatepost"
ELSEWHERE = {"_core.py", "_config.py", "_readers.py", "north/", "journal/packs/", "PREFIX/etc/gatepost.toml"}
"""Files of others, which the page of the style compares with ours, and what is not in the repository."""

FILE = re.compile(
    r"`((?:src|tests|benchmarks|docs|deploy|frontend|requirements)/[\w./*-]+|[\w./*-]+\.(?:py|html)|[\w*-]+(?:/[\w*-]+)+\.toml"
    r"|pyproject\.toml|\w[\w/]*/)`"
)


def files_named(text: str) -> list[str]:
    """Return the paths of files and folders that a page names as code."""
    return FILE.findall(text)


def found(name: str) -> list[Path]:
    """Return what a name of a file stands for: a path in the repository or in the package, or the end of one."""
    return [
        path
        for place, deep in ((ROOT, ""), (SOURCE, ""), (SOURCE, "**/"))
        for path in place.glob(deep + name)
    ]


@pytest.mark.parametrize("page", PAGES)
def test_the_files_that_a_page_names_are_there(page: str) -> None:
    named = set(files_named((ROOT / page).read_text(encoding="utf-8"))) - ELSEWHERE
    assert [name for name in named if not found(name)] == []


@pytest.mark.parametrize(("page", "least"), [("CONTRIBUTING.md", 50), ("docs/architecture.md", 30)])
def test_a_page_for_contributors_names_files_by_their_whole_path(page: str, least: int) -> None:
    named = [name for name in files_named((ROOT / page).read_text(encoding="utf-8")) if "/" in name]
    assert len(named) > least
    assert [name for name in named if not any(any(place.glob(name)) for place in (ROOT, SOURCE))] == []


def test_every_link_of_a_page_leads_somewhere() -> None:
    lost = []
    for page in PAGES:
        text = re.sub(r"(?s)```.*?```", "", (ROOT / page).read_text(encoding="utf-8"))
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", link):
                continue
            path, _, heading = link.partition("#")
            target = (ROOT / page).parent / path if path else ROOT / page
            if not target.exists() or (heading and heading not in headings(target)):
                lost.append(f"{page}: {link}")
    assert lost == []


def test_every_page_is_reached_from_the_readme() -> None:
    reached, ahead = set[Path](), [ROOT / "README.md", ROOT / "README.zh.md"]
    while ahead:
        page = ahead.pop()
        if page in reached or not page.is_file():
            continue
        reached.add(page)
        if page.suffix == ".md":
            links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
            targets = [(page.parent / link).resolve() for link in links]
            ahead += [target / "README.md" if target.is_dir() else target for target in targets]
    assert [page for page in PAGES if ROOT / page not in reached] == []


def test_the_list_of_decisions_has_each_by_its_title() -> None:
    folder = ROOT / "docs/decisions"
    listed = (folder / "README.md").read_text(encoding="utf-8")
    for page in folder.glob("*.md"):
        title = page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        assert page.name == "README.md" or f"- [{title}]({page.name})" in listed


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as forges make them."""
    text = re.sub(r"(?s)```.*?```", "", page.read_text(encoding="utf-8"))
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in re.findall(r"(?m)^#+ (.+)$", text))
    return {heading.strip().replace(" ", "-") for heading in plain}


def test_the_architecture_has_every_room_and_each_walk_names_functions_that_are_there() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rooms = {folder.parent.name for folder in SOURCE.glob("*/__init__.py")}
    assert set(re.findall(r"(?m)^\| `(\w+)/`", page)) == rooms
    assert re.findall(r"(?m)^## (Walk \d)", page) == ["Walk 1", "Walk 2", "Walk 3"]
    functions = re.findall(r"`(?:\w+\.)?(\w+)\(\)` \(`([\w/]+\.py)`\)", page)
    assert len(functions) >= 3
    for name, file in functions:
        assert f"def {name}(" in (SOURCE / file).read_text(encoding="utf-8"), (name, file)


def test_every_room_has_a_table_of_its_parts() -> None:
    missing = []
    for room in SOURCE.glob("*/**/__init__.py"):
        if "migrations" in room.parts:
            continue  # the names are those of Alembic
        parts = {file.stem for file in room.parent.glob("*.py")} - {"__init__"}
        parts |= {folder.parent.name for folder in room.parent.glob("*/__init__.py")}
        text = ast.get_docstring(ast.parse(room.read_text(encoding="utf-8"))) or ""
        missing += [
            f"{room.parent.relative_to(SOURCE)}: {part}"
            for part in parts
            if not re.search(rf"``{part}/?``", text)
        ]
    assert sorted(missing) == []


CHECKLISTS = [
    # What was added by its list, by which word it is found, and files that do something with it of their own.
    (
        "Add a field to records",
        r"\b(?:temperature|bodyTemperature)\b",
        ("*/statistics.py", "*/dialects.py", "*/pushes.py", "*/icons.html"),
    ),
    ("Add a kind of destination", r"(?i)\bkafka", ()),
    ("Add a setting", r"\bmetrics_per_terminal\b", ("receiver/*.py",)),
    ("Add a console page", r"\bhelp\.html\b|\bHelpPages\b|^help = ", ()),
]


@pytest.mark.parametrize(("title", "word", "others"), CHECKLISTS, ids=[title for title, *_ in CHECKLISTS])
def test_a_checklist_has_every_place_of_one_that_was_added(
    title: str, word: str, others: tuple[str, ...]
) -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = page.partition(f"### {title}\n")[2].partition("\n#")[0]
    places = {path for name in files_named(section) for path in found(name)}
    kinds = {".py", ".html", ".toml"}
    having = {
        file
        for file in (*SOURCE.rglob("*"), ROOT / "pyproject.toml", ROOT / "deploy/gatepost.toml")
        if file.suffix in kinds and re.search(word, file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert having
    missing = {file for file in having if not any(place in (file, *file.parents) for place in places)}
    assert [
        str(file) for file in missing if not any(fnmatch(str(file), f"{SOURCE}/{other}") for other in others)
    ] == []


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
