"""Durations as people write them on a command line."""

import re

from gatepost.errors import GatepostError

__all__ = ["BadDuration", "seconds"]

_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


class BadDuration(GatepostError):
    """The text is no duration."""


def seconds(text: str) -> float:
    """Read ``60s``, ``500ms``, ``2m``, ``1.5h`` or ``60`` (seconds). Raises BadDuration."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|min|m|h|)", text.strip())
    if found is None:
        raise BadDuration(f"{text!r} is no duration; write it like 60s, 500ms or 2m")
    return float(found[1]) * _UNITS[found[2]]
