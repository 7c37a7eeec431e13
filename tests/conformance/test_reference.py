"""The page that documents the rules says what the rules say."""

from pathlib import Path

import pytest

from gatepost.conformance.reference import page

DOCS = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize(("lang", "name"), [("en", "conformance.md"), ("zh", "conformance.zh.md")])
def test_the_page_is_as_the_rules_are(lang: str, name: str) -> None:
    made = (DOCS / name).read_text(encoding="utf-8")
    assert made == page(lang), (
        f"write it anew: python -m gatepost.conformance.reference {lang} > docs/reference/{name}"
    )
