"""Public docstrings begin with an imperative verb and have one summary line.

Ruff checks this for every docstring (``D401``, ``D205``), but takes some words for verbs that are none; this test
knows them.
"""

import ast
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src/gatepost"

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
    """Return every docstring that begins with a word that is no verb, by where it is."""
    return {
        f"{file.relative_to(ROOT)}:{line}": text
        for file in sorted(SOURCE.rglob("*.py"))
        for line, text in docstrings(file).items()
        if text.partition(" ")[0] in NO_VERB
    }


def test_a_docstring_begins_with_a_verb() -> None:
    """If it fails: "Return …", "Store …", "Raise …" in one line, then a blank line, then the rest."""
    assert offenders() == {}


def test_ruff_exempts_no_module_from_the_rules_for_docstrings() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]
    assert not list(SOURCE.rglob("ruff.toml"))
    for files, rules in settings["per-file-ignores"].items():
        if files.startswith("src"):
            assert not {"D205", "D401"} & set(rules), files
