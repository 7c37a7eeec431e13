"""Words for marks of shifts, the same in files and on pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gatepost.store.attendance.schedules import Mark
from gatepost.wire.codes import Language

__all__ = ["MARKS", "mark_words"]

MARKS: Mapping[Mark, tuple[str, str]] = {
    "no_out": ("no last out", "无末次离开"),
    "late": ("late", "迟到"),
    "early": ("left early", "早退"),
    "missing": ("passage missing", "缺卡"),
    "absent": ("absent", "缺勤"),
    "holiday": ("holiday", "节假日"),
    "corrected": ("corrected", "已更正"),
}
"""English and Chinese."""


def mark_words(marks: Iterable[Mark], language: Language) -> list[str]:
    """Return marks in words. Where a passage is missing, it is not said again that there is no last out."""
    known = list(marks)
    return [MARKS[mark][language == "zh"] for mark in known if mark != "no_out" or "missing" not in known]
