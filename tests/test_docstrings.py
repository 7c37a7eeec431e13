"""New public docstrings begin with an imperative verb and have one summary line.

Ruff checks this (``D401``, ``D205``) wherever ``src/ruff.toml`` does not exempt a module that is older than the rules.
This test checks the exempted modules too: a docstring that is new or changed has no digest in
``frozen_docstrings.txt``, which may lose lines and never gain one.
"""

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.test_glossary import digest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src/gatepost"
FROZEN = ROOT / "tests/frozen_docstrings.txt"

MOST_FROZEN = 561
"""Lines of the list when it was made. Lower it when you mend old docstrings; never raise it."""

NO_VERB = ("Answer", "Answers", "What", "Whatever", "Whether", "Who", "Whoever", "Somebody", "Nobody")
"""Words that a summary never begins with, besides what ruff knows."""


def docstrings(file: Path) -> dict[int, str]:
    """Return the public docstrings of a module by the line on which each begins."""
    found = {}
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            continue
        private = getattr(node, "name", "").startswith("_")
        if not private and (text := ast.get_docstring(node)) is not None:
            found[node.body[0].lineno] = text
    return found


def offenders() -> dict[str, str]:
    """Return every docstring that breaks a rule, by where it is."""
    told = subprocess.run(
        [
            sys.executable,
            "-m",
            "ruff",
            "check",
            "--isolated",
            "--no-cache",
            "--select=D401,D205",
            "--output-format=json",
            SOURCE,
        ],
        capture_output=True,
        check=False,
    )
    broken: dict[Path, set[int]] = {}
    for one in json.loads(told.stdout):
        broken.setdefault(Path(one["filename"]), set()).add(one["location"]["row"])
    found = {}
    for file in sorted(SOURCE.rglob("*.py")):
        for line, text in docstrings(file).items():
            first = text.partition(" ")[0]
            if line in broken.get(file, set()) or first in NO_VERB:
                found[f"{file.relative_to(ROOT)}:{line}"] = text
    return found


def frozen() -> set[str]:
    """Return the digests of the docstrings that were there before the rules."""
    return set(FROZEN.read_text(encoding="utf-8").split())


def test_a_new_docstring_begins_with_a_verb_and_one_summary_line() -> None:
    """If it fails: "Return …", "Store …", "Raise …" in one line, then a blank line, then the rest."""
    old = frozen()
    new = {where: text for where, text in offenders().items() if digest(text) not in old}
    assert new == {}


def test_the_list_of_old_docstrings_only_shrinks() -> None:
    assert len(frozen()) <= MOST_FROZEN


def test_only_modules_that_there_are_may_be_exempt() -> None:
    exempt = tomllib.loads((ROOT / "src/ruff.toml").read_text(encoding="utf-8"))["lint"]
    for name in exempt["extend-per-file-ignores"]:
        assert (ROOT / "src" / name).is_file(), name
