"""Every text of the console, in every language.

Rules:

* A text has a key, ``page.what``, and stands once, in ``words/PAGE.toml``, as ``what = ["English", "中文"]``.
* A key that is not there is an error, at the latest in the test that reads every template and page for keys.
* ``{name}`` in a text is filled in. ``one | many`` chooses by ``n``, in English.
* Codes of the protocol have their words in :mod:`gatepost.wire.codes`, not here. What a setting does stands beside it
  in :mod:`gatepost.settings`, in English; ``words/setting.toml`` has the other language only.

Flow: ``Accept-Language`` or the cookie → :func:`choose` → :class:`Words` of that language → ``words("live.title")``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

from markupsafe import Markup, escape

from gatepost.settings import ReceiverSettings, described
from gatepost.wire.codes import Language

__all__ = ["COOKIE", "LANGUAGES", "NAMES", "Words", "choose", "table", "words"]

COOKIE = "gatepost_language"

LANGUAGES: tuple[Language, ...] = ("en", "zh")
"""In the order of the columns of ``words/``."""

NAMES: Mapping[Language, str] = {"en": "English", "zh": "中文"}

TAGS: Mapping[Language, str] = {"en": "en", "zh": "zh-Hans"}
"""As a page says what it is written in (BCP 47)."""


class Words:
    """The texts of one language."""

    def __init__(self, language: Language, texts: Mapping[str, str]) -> None:
        self.language = language
        self.tag = TAGS[language]
        self._texts = texts

    def __call__(self, key: str, **values: object) -> str:
        """Return the text of ``key``, filled in. Raises ``KeyError`` for a key that is not there."""
        text = self._texts[key]
        if " | " in text:
            one, _, many = text.partition(" | ")
            text = one if values.get("n") == 1 else many
        if not values:
            return text
        if any(isinstance(value, Markup) for value in values.values()):
            return escape(text).format(**values)
        return text.format(**values)

    def has(self, key: str) -> bool:
        return key in self._texts

    def why(self, said: str) -> str:
        """Translate a message of the receiver; it stays English where ``why.toml`` does not have it."""
        for pattern, text in _whys(self.language):
            if (found := pattern.fullmatch(said)) is not None:
                return text.format(**found.groupdict())
        return said

    def may_be(self, key: str, otherwise: str) -> str:
        """Return the text of ``key``, for words that are defined elsewhere: an action of the audit log, a reason."""
        return self._texts.get(key, otherwise)


@lru_cache(maxsize=1)
def table() -> dict[str, tuple[str, ...]]:
    """Every key with its text in each of :data:`LANGUAGES`."""
    found: dict[str, tuple[str, ...]] = {}
    english = {f"setting.{one['name']}": str(one["help"]) for one in described(ReceiverSettings)}
    for file in sorted(files(__package__).joinpath("words").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            content: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
            page = file.name.removesuffix(".toml")
            keys = {f"{page}.{what}": texts for what, texts in content.items()}
            found |= {
                key: (english.get(key, ""), texts) if isinstance(texts, str) else tuple(texts)
                for key, texts in keys.items()
            }
    return found


@lru_cache(maxsize=len(LANGUAGES))
def _whys(language: Language) -> list[tuple[re.Pattern[str], str]]:
    column = LANGUAGES.index(language)
    return [
        (re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.*)", re.escape(texts[0])), re.DOTALL), texts[column])
        for key, texts in table().items()
        if key.startswith("why.")
    ]


@lru_cache(maxsize=len(LANGUAGES))
def words(language: Language) -> Words:
    """Hold the texts of a language."""
    column = LANGUAGES.index(language)
    return Words(language, {key: texts[column] for key, texts in table().items()})


def choose(cookie: str | None, accept_language: str | None) -> Language:
    """Which language: what was chosen, else what the browser asks for (RFC 9110 § 12.5.4), else English."""
    for language in LANGUAGES:
        if cookie == language:
            return language
    best: tuple[float, Language] = (0.0, "en")
    for part in (accept_language or "").split(","):
        name, _, parameters = part.partition(";")
        weight = _weight(parameters)
        for language in LANGUAGES:
            if name.strip().lower().split("-")[0] == language and weight > best[0]:
                best = (weight, language)
    return best[1]


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
