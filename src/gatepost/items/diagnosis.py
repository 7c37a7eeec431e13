"""Define what the API says of a terminal from which nothing arrives."""

from typing import Any, Literal

from msgspec import Struct

__all__ = ["FindingItem", "WhyItem"]


class FindingItem(Struct, frozen=True, kw_only=True):
    """Hold what one check has found."""

    check: str
    """``known``, ``reachable``, ``subscribed``, ``refused``, ``heard``, ``clock``, ``ids`` or ``listed``."""
    level: Literal["good", "unknown", "look", "bad"]
    code: str
    text: str
    """The finding in English."""
    do: str
    """The next thing to do; empty where there is none."""
    values: dict[str, Any]
    """The kind of the value that is filled in: ``when`` a time, ``span`` seconds."""


class WhyItem(Struct, frozen=True, kw_only=True):
    """Say why nothing arrives of a terminal."""

    asked: str
    terminal_id: int | None
    """``null``: none is known."""
    serial: str | None
    name: str | None
    next: FindingItem | None
    """The fault that has to be mended first; ``null``: there is none."""
    findings: list[FindingItem]
