"""Whoever uses the store asks it by name: no connection of the database leaves the package."""

import re
from pathlib import Path

import gatepost

_ROOT = Path(gatepost.__file__).parent
_INTO = re.compile(r"\.(reading|changing)\(\)|\bfrom sqlalchemy\b|\bimport sqlalchemy\b")


def test_only_the_store_opens_transactions_and_knows_sqlalchemy() -> None:
    files = [path for path in sorted(_ROOT.rglob("*.py")) if path.relative_to(_ROOT).parts[0] != "store"]
    assert len(files) > 200
    found = {
        f"{path.relative_to(_ROOT)}:{number}": line.strip()
        for path in files
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if _INTO.search(line)
    }
    assert found == {}
