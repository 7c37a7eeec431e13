"""Put findings into words, in either language. Pure, but for the file of words next to it.

Each finding has a sentence; each that is amiss has another one, that says what to do.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from importlib.resources import files

from msgspec import Struct

from gatepost.fleet.why import Finding, Value

__all__ = ["LANGUAGES", "Writer", "plain", "table"]

LANGUAGES = ("en", "zh")
"""In the order of the columns of ``why_words.toml``."""


class Writer(Struct, frozen=True):
    """Write findings in a language; moments, spans and reasons as the reader is used to."""

    language: str
    moment: Callable[[datetime], str]
    span: Callable[[float], str]
    reason: Callable[[str], str] = str

    def says(self, finding: Finding) -> str:
        """Return what was found."""
        return self._text(finding.code, finding)

    def do(self, finding: Finding) -> str:
        """Return what to do; empty where there is nothing."""
        key = f"{finding.code}_do"
        return self._text(key, finding) if key in table() else ""

    def _text(self, key: str, finding: Finding) -> str:
        text = table()[key][LANGUAGES.index(self.language)]
        return text.format(**{name: self._shown(name, value) for name, value in finding.values.items()})

    def _shown(self, name: str, value: Value) -> str:
        if isinstance(value, datetime):
            return self.moment(value)
        if isinstance(value, float):
            return self.span(value)
        return self.reason(str(value)) if name in ("reason", "said") else str(value)


def plain(seconds: float) -> str:
    """Return a span for a program: ``3 d 4 h``, ``5 min``, ``8 s``."""
    left = round(seconds)
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


@lru_cache(maxsize=1)
def table() -> Mapping[str, tuple[str, str]]:
    """Return every text in each of :data:`LANGUAGES`."""
    text = files(__package__).joinpath("why_words.toml").read_text(encoding="utf-8")
    return {key: (one[0], one[1]) for key, one in tomllib.loads(text).items()}
