"""Texts use the words of ``docs/glossary.md``; a word of its last column fails."""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GLOSSARY = ROOT / "docs/glossary.md"
HAN = re.compile("[\u4e00-\u9fff]")

Found = tuple[str, str]
"""Where a sentence is, and the sentence."""


@cache
def forbidden() -> dict[str, re.Pattern[str]]:
    """Return every word of a column *not* with the pattern that finds it, in English with its endings."""
    found = {}
    for line in GLOSSARY.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")] if line.startswith("|") else [""]
        if len(cells) < 2 or line.rstrip().endswith("| |") or cells[-1] == "not" or set(line) <= set("|- "):
            continue
        for word in re.split(r",\s*", cells[-1]):
            english = rf"(?<![\w-]){re.escape(word)}(?:e?s|e?d|ing|rs?)?(?![\w-])"
            found[word] = re.compile(word if HAN.search(word) else english, re.IGNORECASE)
    return found


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a text, without code, addresses and quotations of the protocol's page."""
    text = re.sub(r"```.*?```|<!--.*?-->", "\n\n", text, flags=re.DOTALL)
    text = re.sub(r"(?m)^(?:Rests on|依据): .*$", "", text)
    text = re.sub(r"`[^`]*`|\]\([^)]*\)|https?://\S+", " · ", text)
    for block in re.split(r"\n\s*\n|\n(?=\s*[-*|#>]|\s*\d+\. )|(?<=\|)\n", text):
        for sentence in re.split(r"(?<=[.!?;:])\s+|(?<=[。！？；：])| \| ", block):
            plain = " ".join(re.sub(r"[*_#>|]", " ", sentence).split())
            if plain:
                yield plain


def pages() -> Iterator[Found]:
    """Yield the sentences of the documentation."""
    for file in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")]):
        if file != GLOSSARY:
            for sentence in sentences(file.read_text(encoding="utf-8")):
                yield str(file.relative_to(ROOT)), sentence


def console() -> Iterator[Found]:
    """Yield the sentences of the console, in both languages."""
    for file in sorted(ROOT.glob("src/gatepost/console/words/*.toml")):
        for key, texts in tomllib.loads(file.read_text(encoding="utf-8")).items():
            for text in [texts] if isinstance(texts, str) else texts:
                yield from ((f"{file.name}: {key}", sentence) for sentence in sentences(text))


def findings() -> Iterator[Found]:
    """Yield the sentences on why nothing arrives, in both languages."""
    file = ROOT / "src/gatepost/fleet/why_words.toml"
    for key, texts in tomllib.loads(file.read_text(encoding="utf-8")).items():
        for text in texts:
            yield from ((f"{file.name}: {key}", sentence) for sentence in sentences(text))


def command_line() -> Iterator[Found]:
    """Yield the sentences of every ``t(en, zh)``, and of the table of commands."""
    for file in sorted(ROOT.glob("src/gatepost/**/*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"t", "Entry"}:
                for text in map(literal, node.args):
                    yield from ((f"{file.name}:{node.lineno}", sentence) for sentence in sentences(text))


def literal(node: ast.expr) -> str:
    """Return the text of a literal, with a dot for each part that is filled in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(literal(part) or "·" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def faults(texts: Iterator[Found]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield each sentence that has a forbidden word: where it is, the sentence, the words."""
    for where, sentence in texts:
        bad = [word for word, pattern in forbidden().items() if pattern.search(sentence)]
        if bad:
            yield where, sentence, bad


@pytest.mark.parametrize("texts", [pages, console, findings, command_line], ids=lambda texts: texts.__name__)
def test_a_sentence_has_no_word_that_the_glossary_forbids(texts: "type[pages]") -> None:
    """If it fails: write the sentence with the glossary's own word."""
    assert list(faults(texts())) == []


def test_every_term_has_both_languages() -> None:
    terms = [line for line in GLOSSARY.read_text(encoding="utf-8").splitlines() if line.startswith("| **")]
    assert len(terms) > 40
    for line in terms:
        term, english, chinese, *_ = (cell.strip() for cell in line.strip("|").split(" | "))
        assert term.strip("* "), line
        assert english, line
        assert not HAN.search(english), line
        assert HAN.search(chinese), line


def test_a_forbidden_word_is_found_in_any_form_and_not_within_another_one_or_in_code() -> None:
    def found(text: str) -> list[str]:
        return [word for _, _, bad in faults(("", sentence) for sentence in sentences(text)) for word in bad]

    assert found("The receiver answered\nwith 200.") == ["answer"]
    assert found("- Alerts are shown\n- A photo") == ["alert", "photo"]
    assert found("| `a` | 终端上传报警 |") == ["报警", "上传"]
    assert found("**Pictures** of it") == ["picture"]
    assert found("`answer` and ```\nwhoever\n``` and [a page](docs/photo.md), unanswered, alertness") == []
