"""Sort the coded fields of records, for lists and filters."""

from gatepost.wire import (
    AbnormalType,
    EntryMode,
    RecognitionType,
    Record,
)

__all__ = [
    "FACET_COLUMNS",
    "KNOWN_CODES",
    "known",
    "Facet",
    "facet",
]

FACET_COLUMNS = ("recognition_type", "passed", "abnormal_type", "entry_mode", "has_image", "outside_time")

Facet = tuple[int, int, int, int, int, int]
"""The values of :data:`FACET_COLUMNS`."""

KNOWN_CODES: dict[str, frozenset[int]] = {
    "recognition_type": frozenset(map(int, RecognitionType)) | {0},
    "abnormal_type": frozenset(map(int, AbnormalType)),
    "entry_mode": frozenset(map(int, EntryMode)),
}
"""The codes that a facet tells apart: those of the page, and the 0 that strangers are seen with."""

_RECOGNITION, _ABNORMAL, _ENTRY = KNOWN_CODES.values()


def known(name: str, code: int) -> int:
    """How a facet has this code of one of :data:`KNOWN_CODES`."""
    return _known(code, KNOWN_CODES[name])


def _known(code: int | None, table: frozenset[int]) -> int:
    if code is None:
        return -1
    return code if code in table else -2


def facet(record: Record, *, has_image: bool, outside_time: bool) -> Facet:
    """Return the combination of codes by which a record is found. There are at most some thousands."""
    return (
        _known(record.recognition_type, _RECOGNITION),
        -1 if record.passed is None else int(record.passed),
        _known(record.abnormal_type, _ABNORMAL),
        _known(record.entry_mode, _ENTRY),
        int(has_image),
        int(outside_time),
    )
