"""Every text of the console, in both languages."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest

import gatepost
import gatepost.console
from gatepost.console.words import LANGUAGES, choose, table, words
from gatepost.settings import ReceiverSettings, described
from gatepost.store.accounts.audit_chain import SHORTENED
from gatepost.store.cursor import BadCursor
from gatepost.store.interface import NOTICE_KINDS
from gatepost.store.local_days import UnknownZone

SOURCE = Path(gatepost.console.__file__).parent
TEMPLATES = sorted((SOURCE / "templates").glob("*.html"))
PAGES = sorted(SOURCE.rglob("*.py"))

SAME = {
    "attendance.export_csv", "attendance.of", "attendance.export_xlsx", "alarms.by", "records.uuid",
    "destinations.wrong", "destinations.kind_webhook", "destinations.kind_mqtt", "destinations.kind_nats",
    "destinations.kind_kafka", "destinations.kind_telegram", "destinations.kind_slack", "destinations.kind_teams",
    "destinations.kind_discord",
}  # fmt: skip
"""What is written alike in both languages."""


COUNTED = {"7 days are too many at once; ask for at most 7", "the last day is before the first one"}
"""What no page asks the store."""


def used() -> set[str]:
    """Every key that a template or a page spells out."""
    found: set[str] = set()
    for file in [*TEMPLATES, *PAGES]:
        text = file.read_text(encoding="utf-8")
        found |= set(
            re.findall(r"""(?:\bt|words|may_be|has)\(\s*["']([a-z_]+\.[a-z_0-9]+)["']\s*[,)]""", text)
        )
    return found


def test_every_key_that_is_used_is_there() -> None:
    assert used() - table().keys() == set()


def test_every_key_that_is_there_is_used() -> None:
    everything = "".join(file.read_text(encoding="utf-8") for file in [*TEMPLATES, *PAGES])
    unused = {key for key in table() if not _put_together(key, everything) and key not in spelled(everything)}
    assert unused == set()


def spelled(everything: str) -> set[str]:
    """The keys that stand in full."""
    return {key for key in table() if f'"{key}"' in everything or f"'{key}'" in everything}


def _put_together(key: str, everything: str) -> bool:
    """The beginning of a key stands before what is put behind it where it is used: ``"kind." ~ kind``."""
    page, _, what = key.partition(".")
    stems = {f"{page}.", *(f"{page}.{what[:end]}" for end in range(1, len(what) + 1))}
    ways = [(f'"{stem}"', f'"{stem}{{') for stem in stems]
    return any(way in everything for pair in ways for way in pair)


def test_every_action_of_the_audit_log_has_words() -> None:
    actions = {
        text.value
        for file in Path(gatepost.__file__).parent.rglob("*.py")
        for call in ast.walk(ast.parse(file.read_text()))
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") in ("note", "note_again")
        for text in [*call.args, *(keyword.value for keyword in call.keywords)]
        if isinstance(text, ast.Constant) and re.fullmatch(r"[a-z]+\.[a-z_]+", str(text.value))
    }
    assert {"login.refused", "images.opened", "site.changed"} < actions
    there = {key.removeprefix("action.").replace("__", ".") for key in table() if key.startswith("action.")}
    assert {*actions, SHORTENED} - there == set()


def test_every_text_is_there_in_both_languages() -> None:
    for key, texts in table().items():
        assert len(texts) == len(LANGUAGES), key
        assert all(text.strip() == text != "" for text in texts), key
        english, chinese = texts
        assert not re.search(r"[\u4e00-\u9fff]", english), key
        assert key in SAME or re.search(r"[\u4e00-\u9fff]", chinese), key


def test_both_languages_are_filled_in_with_the_same_values() -> None:
    for key, texts in table().items():
        english, chinese = (set(re.findall(r"\{(\w+)\}", text)) for text in texts)
        assert english == chinese, key


def test_what_each_setting_does_is_said_in_both_languages_and_in_which_unit() -> None:
    settings = described(ReceiverSettings)
    told = {
        key.removeprefix("setting."): texts for key, texts in table().items() if key.startswith("setting.")
    }
    assert {one["name"]: one["help"] for one in settings} == {name: texts[0] for name, texts in told.items()}
    assert {f"settings.unit_{one['unit']}" for one in settings if one["unit"]} <= table().keys()


SAID = {
    "console/**/*.py": ("ClientException",),
    "wire/decoding/decoder.py": ("wrong", "_NoEvent", "DecodeError"),
    "wire/decoding/json/parser.py": ("DecodeError",),
    "wire/decoding/several.py": ("DecodeError",),
    "wire/decoding/fields.py": ("wrong", "DecodeError"),
    "store/terminals/registry.py": ("Conflict",),
    "store/accounts/accounts.py": ("Conflict",),
    "receiver/terminals/admin.py": ("Conflict",),
    "fleet/client.py": (
        "NoTerminal",
        "AnotherTerminal",
        "AnotherCertificate",
        "TerminalAway",
        "TerminalRefused",
    ),
    "fleet/managing.py": ("FleetError",),
    "fleet/finding/csv_import.py": ("Problem", "_refused"),
    "fleet/a*.py": ("AnotherCertificate", "DiscoveryUnavailable"),
    "fleet/finding/discovery.py": ("DiscoveryUnavailable",),
    "store/local_days.py": ("ValueError",),
}
"""Where sentences come from that a page shows, and what they are handed to."""


def said() -> set[str]:
    """Those sentences, with some text where one is filled in."""
    found = set()
    for files, names in SAID.items():
        for file in SOURCE.parent.glob(files):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if (
                    isinstance(node, ast.Call)
                    and getattr(node.func, "attr", getattr(node.func, "id", "")) in names
                ):
                    found |= {text for text in (sentence(node.args[-1]),) if text} if node.args else set()
    return found


def sentence(node: ast.expr) -> str | None:
    """What stands there, if it is a text."""
    if isinstance(node, ast.JoinedStr):
        return "".join(sentence(part) or "7" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def test_what_the_receiver_says_in_english_is_told_in_chinese() -> None:
    found = said()
    assert len(found) > 25
    assert {text for text in found if words("zh").why(text) == text} <= COUNTED
    assert all(words("en").why(text) == text for text in found)
    assert words("zh").why(str(UnknownZone("Mars/Olympus"))).startswith("没有时区 'Mars/Olympus'")
    assert words("zh").why(str(BadCursor())).startswith("翻页位置无效")


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.name)
def test_no_word_stands_in_a_template(file: Path) -> None:
    text = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", " ", file.read_text(encoding="utf-8"), flags=re.S)
    text = re.sub(r"<svg\b.*?</svg>|<!doctype html>|<title>.*?</title>", " ", text, flags=re.S | re.I)
    attributes = re.findall(r'(?:title|alt|aria-label|placeholder)="([^"]*)"', text)
    between = re.sub(r"<[^>]*>", " ", text)
    said = re.findall(r"[A-Za-z\u4e00-\u9fff]{2,}", between + " ".join(attributes))
    assert set(said) <= {"gatepost", "pip", "install", "simulator"}


def test_a_script_says_nothing_by_itself() -> None:
    """Texts reach scripts through the page; a script that has one would speak one language."""
    frontend = SOURCE.parents[2] / "frontend/src"
    for file in [*frontend.glob("*.ts"), *frontend.glob("pages/*.ts")]:
        assert not re.search(
            r"(?:textContent|innerText|innerHTML) = [\"'`]\w", file.read_text(encoding="utf-8")
        )


def test_numbers_choose_between_one_and_many() -> None:
    assert words("en")("alarms.to_acknowledge", n=1) == "1 open alarm not acknowledged"
    assert words("en")("alarms.to_acknowledge", n=2) == "2 open alarms not acknowledged"
    assert words("zh")("alarms.to_acknowledge", n=1) == "1 条未解除告警尚未确认"


def test_a_key_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError):
        words("en")("records.nothing_of_the_kind")


@pytest.mark.parametrize(
    ("cookie", "accepted", "language"),
    [
        (None, None, "en"),
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, "en;q=0.5, zh;q=0.7", "zh"),
        (None, "fr-FR, de;q=0.7", "en"),
        (None, "zh;q=0, en;q=0.1", "en"),
        (None, "zh;q=lots", "en"),
        ("en", "zh-CN", "en"),
        ("klingon", "zh-CN", "zh"),
    ],
)
def test_the_language_is_what_was_chosen_or_else_what_the_browser_asks_for(
    cookie: str | None, accepted: str | None, language: str
) -> None:
    assert choose(cookie, accepted) == language


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_of_notice_has_words(language: Any) -> None:
    known = words(language)
    assert [
        kind for kind in NOTICE_KINDS if not known.has(f"destinations.notice_{kind.replace('.', '_')}")
    ] == []
