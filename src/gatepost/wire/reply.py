"""The receiver's reply, and what it means for the event that was pushed.

The page: ``code`` 200 means success, any other value failure; the three fields are required (响应结构). It does not
mention any other response, so :func:`classify` decides whether a terminal waits or may give an event up. *Refused*: a
receiver that understood the event refused it, in the page's own JSON. Every other response concerns the receiver, which
cannot be reached now, and not the event.
"""

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec
from msgspec import Struct, field

from gatepost.wire.decoding.json.repair import CONTROL, ESCAPE, HALF, mended

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
    "retry_after",
]

MAX_REPLY = 64 * 1024
"""Bytes of a reply that are read, decompressed; the documented reply has some forty."""


_BLANKS = " \t\r\n\v\f\0\ufeff\xa0\u3000\u200b\u0085\u2028\u2029"
_BLANK_BYTES = b" \t\r\n\v\f\0"
_IN_TEXTS = (CONTROL, ESCAPE, HALF)
_CHARSET = re.compile(
    r"charset\s*=\s*[\"']?((?:gb|big5|shift|sjis|euc|ks_c|iso-?8859|windows|cp|koi8|latin|tis|utf-8)[\w.:-]{0,20})",
    re.IGNORECASE,
)
"""Charsets of texts. Python also has other codecs, and slow ones."""


class Reply(Struct, frozen=True):
    """``{"code": …, "message": …, "data": {…}}``."""

    code: int
    message: str
    data: dict[str, Any] = field(default_factory=dict)


class Delivered(Struct, frozen=True):
    """The receiver has the event."""


class Unreachable(Struct, frozen=True):
    """No statement of the receiver about the event. Keep it and try again, for ever."""

    reason: str
    retry_after_s: float | None = None
    """Seconds that the receiver asked for (RFC 9110, section 10.2.3)."""


class Refused(Struct, frozen=True):
    """The receiver understood the event, and refuses it."""

    reason: str
    """Status and code, then a colon and the receiver's own text, which may be about a person."""

    @property
    def kind(self) -> str:
        """Return status and code alone, for logs."""
        return self.reason.partition(":")[0]


Outcome = Delivered | Unreachable | Refused


def encode_reply(code: int, message: str, data: Mapping[str, Any] | None = None) -> bytes:
    """Encode the documented reply."""
    return msgspec.json.encode({"code": code, "message": message, "data": data or {}})


SUCCESS = encode_reply(200, "success")
"""The reply of success, after which a terminal no longer pushes the event."""


def classify(
    status: int, body: bytes | None, *, headers: Mapping[str, str] | None = None, now: float | None = None
) -> Outcome:
    """Tell what a reply means.

    ``status`` is the HTTP status, ``body`` the decompressed body of the reply, or ``None`` if it was longer than
    :data:`MAX_REPLY`. ``headers`` (names in lower case) are for ``Retry-After`` and the charset, ``now`` (Unix
    seconds) for ``Retry-After``.

    Delivered is a 2xx with a JSON object whose ``code`` is the integer 200. Refused is a 2xx or 4xx with such an
    object and another integer. A 4xx without one comes from a proxy or another server, and 408 and 429 are about
    time, so they are unreachable, as is everything else. :func:`_code_of` tells in which forms the object is accepted.
    """
    headers = headers or {}
    later = retry_after(headers.get("retry-after"), now)
    success = 200 <= status < 300
    if not success and (not 400 <= status < 500 or status in (408, 429)):
        return Unreachable(f"HTTP {status}", later)
    code, message = _code_of(body or b"", headers.get("content-type", ""))
    http = "" if status == 200 else f"HTTP {status}, "
    if code is None and not success:
        return Unreachable(
            f"HTTP {status} without the documented JSON, as from a proxy; check event_dest", later
        )
    if body is None:
        return Unreachable(f"{http}the reply is larger than {MAX_REPLY // 1024} KB", later)
    if code is None:
        return Unreachable(f"{http}the reply is not the documented JSON with an integer code", later)
    if code != 200:
        return Refused(f"{http}code {str(code)[:20]}: {message}")
    return Delivered() if success else Unreachable(f"HTTP {status} contradicts its code 200", later)


def _code_of(body: bytes, content_type: str) -> tuple[int | None, str]:
    """Return ``code`` and the message, cut short; ``None`` without an object with an integer ``code``.

    Accepted besides plain JSON: a byte order mark, UTF-16 and UTF-32, a message in another charset, control
    characters and unknown escapes in strings, a comma before a bracket, and NUL and blanks around the object.
    """
    for value in _readings(body, content_type):
        code = value.get("code") if isinstance(value, dict) else None
        if type(code) is int:
            words = str(value.get("message") or value.get("msg") or "")[:200]
            # shown on a terminal and stored, so without control characters and halves of characters
            return code, "".join(letter if letter.isprintable() else " " for letter in words)
    return None, ""


def _readings(body: bytes, content_type: str) -> Iterator[Any]:
    """Yield the possible values of the body, the likeliest first."""
    try:
        yield msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    else:
        return
    narrow = body.strip(_BLANK_BYTES).removeprefix(codecs.BOM_UTF8)
    readings = [(body, charset, "ignore") for charset in _wide(body)]
    readings += [
        (narrow, charset, "strict") for charset in (_charset(content_type), "utf-8", "gb18030", "latin-1")
    ]
    texts = []
    for content, charset, errors in readings:
        try:
            text = content.decode(charset, errors).strip(_BLANKS)
            texts.append(text)
            # not strict: control characters are allowed
            yield json.loads(text, strict=False)
        except (ValueError, LookupError, RecursionError):
            continue  # UnicodeDecodeError is a ValueError
    for text in dict.fromkeys(texts):
        nearly, problems = mended(text.encode())
        if all(problem in _IN_TEXTS for problem in problems):  # numbers stay texts
            try:
                yield json.loads(nearly)
            except (ValueError, RecursionError):
                continue


def _wide(body: bytes) -> list[str]:
    """Return the encodings of more than one byte that fit the first four bytes (RFC 4627, section 3)."""
    start = body[:4]
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return ["utf-32"]
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return ["utf-16"]
    if 0 not in start:
        return []
    return ["utf-32-be", "utf-32-le", "utf-16-be", "utf-16-le"]


def _charset(content_type: str) -> str:
    found = _CHARSET.search(content_type)
    return found[1] if found else "utf-8"


def retry_after(value: str | None, now: float | None) -> float | None:
    """Return the seconds of a ``Retry-After`` (RFC 9110, section 10.2.3); ``None`` without any."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    if not text or now is None:
        return None
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None
