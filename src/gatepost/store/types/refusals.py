"""Hold what is kept of pushes that were refused or not understood: frozen values."""

from datetime import datetime

from msgspec import Struct

from gatepost.wire import Problem

__all__ = [
    "QuarantineRow",
    "RefusalSample",
    "RefusedPush",
    "RefusedRow",
    "RefusedTimes",
    "SampleRow",
]


class QuarantineRow(Struct, frozen=True, kw_only=True):
    """A push that was a JSON object but no event that this version knows."""

    id: int
    terminal_id: int
    serial: str | None
    received_at: datetime
    peer: str
    problems: tuple[Problem, ...]
    tries: int
    """How often it was processed again without success."""
    original: bytes
    """What was pushed, without image, without long texts and without any ``pin``."""
    size: int
    """Of all of it, in bytes, about."""


class RefusedPush(Struct, frozen=True, kw_only=True):
    """The fields by which refused pushes are counted apart; the empty string where one is not known."""

    peer: str
    reason: str
    """The short name under which refusals are counted, such as ``no JSON``."""
    status: int
    """The HTTP status of the reply."""
    path: str = ""
    """The path of the request, without its token."""
    serial: str = ""


class RefusedTimes(Struct, kw_only=True):
    """How often a push was refused, and when."""

    count: int
    first_at_ms: int
    last_at_ms: int
    detail: str
    """The message of the last reply."""


class RefusalSample(Struct, frozen=True, kw_only=True):
    """The beginning of a refused body, redacted."""

    status: int
    at_ms: int
    content: bytes


class RefusedRow(Struct, frozen=True, kw_only=True):
    """Pushes that were refused alike."""

    peer: str
    status: int
    reason: str
    detail: str
    path: str
    serial: str | None
    count: int
    first_at: datetime
    last_at: datetime
    sample_id: int | None
    """Of the sample of this peer and reason, where one is kept."""


class SampleRow(Struct, frozen=True, kw_only=True):
    """A kept sample of a refused body."""

    id: int
    peer: str
    status: int
    reason: str
    at: datetime
    content: bytes
