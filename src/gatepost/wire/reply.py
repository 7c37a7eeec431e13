"""The receiver's reply, and what it means for the event that was pushed.

The page: ``code`` 200 means success, any other value failure; the three fields are required (响应结构). It is
silent about everything else that comes back on a bad day, so :func:`classify` draws the line that decides
whether a terminal waits or gives an event up: *refused* is said of the event by a receiver that understood it;
everything else says nothing about the event, only that the receiver cannot be reached now.
"""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec
from msgspec import Struct, field

__all__ = [
    "MAX_REPLY",
    "SUCCESS",
    "Reply",
    "Delivered",
    "Unreachable",
    "Refused",
    "Outcome",
    "encode_reply",
    "classify",
]

MAX_REPLY = 64 * 1024
"""Bytes of a reply that are read, decompressed; the documented reply has some forty."""


class Reply(Struct, frozen=True):
    """``{"code": …, "message": …, "data": {…}}``."""

    code: int
    message: str
    data: dict[str, Any] = field(default_factory=dict)


class Delivered(Struct, frozen=True):
    """The receiver has the event."""


class Unreachable(Struct, frozen=True):
    """The receiver said nothing about the event. Keep it and try again, for ever."""

    reason: str
    retry_after_s: float | None = None
    """Seconds that the receiver asked for (RFC 9110, section 10.2.3), if it did."""


class Refused(Struct, frozen=True):
    """The receiver understood, and does not take this event."""

    reason: str


Outcome = Delivered | Unreachable | Refused


def encode_reply(code: int, message: str, data: Mapping[str, Any] | None = None) -> bytes:
    """Write the documented reply."""
    return msgspec.json.encode({"code": code, "message": message, "data": data or {}})


SUCCESS = encode_reply(200, "success")
"""The reply that ends a terminal's care for an event."""


def classify(
    status: int, body: bytes | None, *, headers: Mapping[str, str] | None = None, now: float | None = None
) -> Outcome:
    """Tell what a reply means.

    ``status`` is the HTTP status, ``body`` the reply's body, decompressed, or ``None`` where it was longer than
    :data:`MAX_REPLY`. ``headers`` (names in lower case) and ``now`` (Unix seconds) serve ``Retry-After``.

    Delivered is only HTTP 200 with a JSON object whose ``code`` is the integer 200. Refused is a well-formed
    reply with another ``code``, or a 4xx other than 408 and 429, which speak of time and not of the event.
    """
    if status >= 500 or status in (408, 429) or not (status == 200 or status >= 400):
        return Unreachable(f"HTTP {status}", _retry_after(headers or {}, now))
    code, message = _code_of(body)
    if status != 200:
        return Refused(f"HTTP {status}" + (f", code {code}: {message}" if code is not None else ""))
    if body is None:
        return Unreachable(f"the reply is larger than {MAX_REPLY // 1024} KB")
    if code is None:
        return Unreachable("the reply is not the documented JSON with an integer code")
    if code == 200:
        return Delivered()
    return Refused(f"code {code}: {message}")


def _code_of(body: bytes | None) -> tuple[int | None, str]:
    try:
        value = msgspec.json.decode(body or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None, ""
    code = value.get("code") if isinstance(value, dict) else None
    if type(code) is not int:
        return None, ""
    return code, str(value.get("message", ""))[:200]


def _retry_after(headers: Mapping[str, str], now: float | None) -> float | None:
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    if not text or now is None:
        return None
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None
