"""Hold a class of faults, its variants, and a body that one has spoiled. Pure values."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from msgspec import Struct

__all__ = ["Body", "FaultClass", "Json", "Variant"]


Json = dict[str, Any]


class Body(Struct, frozen=True):
    """A push body, and the Content-Type that it is sent with: ``None`` for application/json, "" for none at all."""

    content: bytes
    content_type: str | None = None


class Variant(Struct, frozen=True):
    """One form of a class."""

    name: str
    write: Callable[[bytes, random.Random], Body | None]
    needs_header: bool = False
    """It is told by the Content-Type, which a terminal's pusher does not change."""


class FaultClass(Struct, frozen=True):
    """A class of faults. ``name`` is for reports and never changes."""

    name: str
    variants: tuple[Variant, ...]
