"""Declare a setting: its help, unit and bounds, in the annotation of its field."""

from typing import Any

from msgspec import Meta

__all__ = ["HIDDEN", "PREFIX", "is_secret", "meta_of", "setting"]

PREFIX = "GATEPOST_"
"""Prefix of the environment variables."""

HIDDEN = "********"
"""Shown in place of a secret."""


def setting(help: str, *, unit: str = "", secret: bool = False, **bounds: Any) -> Meta:
    """Return the annotation of a setting. ``bounds``: those of :class:`msgspec.Meta`."""
    return Meta(description=help, extra={"unit": unit, "secret": secret}, **bounds)


def meta_of(field: Any) -> Meta:
    """Return the annotation of a field of a settings class."""
    found: Meta = field.type.__metadata__[0]
    return found


def is_secret(field: Any) -> bool:
    """Return whether the value of a field must not be shown."""
    return bool((meta_of(field).extra or {}).get("secret"))
