"""Keep what ``gatepost check-store`` found last, in the data folder, to be shown on the page System."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from gatepost.store.maintenance.findings import Report

__all__ = ["FILE", "CheckResult", "keep_check", "last_check"]

FILE = "check-store.json"


class Found(Struct, frozen=True):
    """One kind of thing that was wrong."""

    count: int
    kind: str
    advice: str


class CheckResult(Struct, frozen=True, kw_only=True):
    """A report, and when it was made."""

    at: datetime
    events: int
    images: int
    repaired: int
    found: Sequence[Found]


def keep_check(folder: Path, report: Report, at: datetime) -> None:
    """Write the result; a folder that cannot be written to is left without."""
    found = [Found(one.count, one.kind, one.advice) for one in report.findings]
    result = CheckResult(
        at=at, events=report.events, images=report.images, repaired=report.repaired, found=found
    )
    half = folder / f"{FILE}.new"
    with suppress(OSError):
        half.write_bytes(msgspec.json.encode(result))
        half.replace(folder / FILE)


def last_check(folder: Path) -> CheckResult | None:
    """Return the last result; ``None``: there is none that can be read."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=CheckResult)
    except (OSError, msgspec.MsgspecError):
        return None
