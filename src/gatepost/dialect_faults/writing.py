"""Rewrite a body: bytes, a text, a value, a time, a picture, an identifier.

A body that a fault does not concern (a passage by card has no picture) is left alone: ``None``.
"""

from __future__ import annotations

import base64
import json
import random
import struct
import zlib
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any

from gatepost.dialect_faults.faults import Body, Json, Variant

__all__ = [
    "WEBP",
    "bmp",
    "cased",
    "counted",
    "doubles",
    "exponent",
    "identifier_variant",
    "if_other",
    "instead",
    "iso_time",
    "joined",
    "padded",
    "picture_variant",
    "png",
    "raw_variant",
    "score_variant",
    "text_variant",
    "time_variant",
    "trace_cloned",
    "trace_counted",
    "truth_variant",
    "value_variant",
]


_MARK = "\u0001"
"""Stands in a text where bytes go that no JSON writer would write; no field of an event has it."""


def joined(bodies: Sequence[bytes], *, lines: bool = False) -> Body:
    """Return several events as one body: a JSON array, or with ``lines`` one event a line (NDJSON)."""
    if lines:
        return Body(b"\r\n".join(bodies) + b"\r\n", "application/x-ndjson")
    return Body(b"[" + b",".join(bodies) + b"]")


def raw_variant(name: str, change: Callable[[bytes], bytes], content_type: str | None = None) -> Variant:
    """Return a variant that works on the bytes."""
    return Variant(name, lambda body, _: Body(change(body), content_type), content_type is not None)


def value_variant(name: str, change: Callable[[Json, Json, random.Random], bool]) -> Variant:
    """Return a variant that changes ``data`` or ``user``, and says whether there was anything to change."""

    def write(body: bytes, rand: random.Random) -> Body | None:
        event = json.loads(body)
        data = event["data"]
        user = data.get("user")
        if not change(data, user if isinstance(user, dict) else {}, rand):
            return None
        return Body(_written(event))

    return Variant(name, write)


def text_variant(
    name: str,
    text: str | bytes,
    *,
    field: str = "remark",
    charset: str = "utf-8",
    content_type: str | None = None,
) -> Variant:
    """Return a variant with a text of its own in a person's ``field``, or in an alarm's description."""

    def write(body: bytes, _: random.Random) -> Body | None:
        event = json.loads(body)
        user = event["data"].get("user")
        if event["type"] == 1:
            event["data"]["description"] = _MARK
        elif isinstance(user, dict) and field in user:  # firmware before API 1.2.0 has no remark
            user[field] = _MARK
        else:
            return None
        raw = text if isinstance(text, bytes) else text.encode(charset)
        content = _written(event).decode().encode(charset, "backslashreplace")
        return Body(content.replace(b"\\u0001", raw), content_type)

    return Variant(name, write, content_type is not None)


def _written(event: Json) -> bytes:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def score_variant(literal: str) -> Variant:
    def write(body: bytes, _: random.Random) -> Body | None:
        event = json.loads(body)
        if "recognizeScore" not in event["data"]:
            return None
        event["data"]["recognizeScore"] = _MARK
        return Body(_written(event).replace(b'"\\u0001"', literal.encode()))

    return Variant(literal, write)


def time_variant(name: str, change: Callable[[float], Any]) -> Variant:
    """Return a variant that writes the event's time (Unix seconds) in another way."""

    def apply(data: Json, _: Json, __: random.Random) -> bool:
        field = "event_time" if "trace_id" in data else "timestamp"
        if not isinstance(data.get(field), int):
            return False
        data[field] = change(data[field] / (1000 if field == "event_time" else 1))
        return True

    return value_variant(name, apply)


def truth_variant(name: str, yes: Any, no: Any) -> Variant:
    def apply(data: Json, _: Json, __: random.Random) -> bool:
        if not isinstance(data.get("pass"), bool):
            return False
        data["pass"] = yes if data["pass"] else no
        return True

    return value_variant(name, apply)


def picture_variant(name: str, change: Callable[[str], str | None]) -> Variant:
    """Return a variant that writes the picture's base64 in another way; ``None`` where it would not differ."""

    def apply(data: Json, _: Json, __: random.Random) -> bool:
        for field in ("rgb_image", "alarm_photo"):
            text = data.get(field)
            if isinstance(text, str) and len(text) > 8 and (written := change(text)) is not None:
                data[field] = written
                return True
        return False

    return value_variant(name, apply)


def identifier_variant(name: str, text: str) -> Variant:
    """Return a variant that says ``text`` where a record's ``uuid`` stands."""

    def apply(data: Json, _: Json, __: random.Random) -> bool:
        if "uuid" not in data:
            return False
        data["uuid"] = text
        return True

    return value_variant(name, apply)


def _whole_doubles(value: Any) -> Any:
    """Write every integer, and every identifier of digits, as a double, as a JSON library without integers does."""
    if isinstance(value, dict):
        return {
            name: float(item) if name in _NUMBERS and _is_short_number(item) else _whole_doubles(item)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_whole_doubles(item) for item in value]
    return float(value) if type(value) is int else value


_NUMBERS = ("user_id", "job_number", "ic_number")


def _is_short_number(item: object) -> bool:
    """Return whether a double holds the identifier and gives it back: a number with zeros in front would change."""
    return isinstance(item, str) and item.isascii() and item.isdigit() and len(item) < 16 and item[:1] != "0"


def doubles(body: bytes, _: random.Random) -> Body:
    return Body(_written(_whole_doubles(json.loads(body))))


def exponent(body: bytes, _: random.Random) -> Body | None:
    event = json.loads(body)
    user = event["data"].get("user")
    number = user.get("user_id") if isinstance(user, dict) else event["data"].get("user_id")
    if not _is_short_number(str(number)):
        return None
    digits = str(number)
    (user if isinstance(user, dict) else event["data"])["user_id"] = _MARK
    literal = f"{digits[0]}.{digits[1:] or '0'}E{len(digits) - 1}"
    return Body(_written(event).replace(b'"\\u0001"', literal.encode()))


def padded(ends: str, begins: str = "") -> Callable[[Json, Json, random.Random], bool]:
    def apply(data: Json, user: Json, _: random.Random) -> bool:
        places = [
            (data, "deviceSN"),
            (data, "TrackID"),
            (user, "user_id"),
            (user, "job_number"),
            (user, "name"),
        ]
        found = [(where, name) for where, name in places if isinstance(where.get(name), str) and where[name]]
        for where, name in found:
            where[name] = f"{begins if name != 'name' else ''}{where[name]}{ends}"
        return bool(found)

    return apply


def cased(change: Callable[[str], str]) -> Callable[[bytes, random.Random], Body | None]:
    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {change(name): renamed(item) for name, item in value.items()}
        return [renamed(item) for item in value] if isinstance(value, list) else value

    def write(body: bytes, _: random.Random) -> Body | None:
        event = json.loads(body)
        made = renamed(event)
        return None if made == event else Body(_written(made))

    return write


def counted(data: Json, _: Json, rand: random.Random) -> bool:
    """Count from 1 again after each start of the terminal."""
    if "uuid" not in data:
        return False
    data["uuid"] = str(rand.randrange(1, 4))
    return True


def trace_counted(data: Json, _: Json, rand: random.Random) -> bool:
    if "trace_id" not in data:
        return False
    data["trace_id"] = str(rand.randrange(1, 4))
    return True


def trace_cloned(data: Json, _: Json, __: random.Random) -> bool:
    if "trace_id" not in data:
        return False
    data["trace_id"] = "SPX-1684381418208-004-3Adb4v"
    return True


def png(width: int = 8, height: int = 8) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        whole = kind + content
        return struct.pack(">I", len(content)) + whole + struct.pack(">I", zlib.crc32(whole))

    rows = b"".join(b"\0" + b"\x55\xaa\xff" * width for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def bmp(width: int = 8, height: int = 8) -> bytes:
    pixels = b"\xff\xaa\x55" * (width * height)
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(pixels), 2835, 2835, 0, 0)
    return struct.pack("<2sIHHI", b"BM", 54 + len(pixels), 0, 0, 54) + head + pixels


WEBP = base64.b64decode("UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA")
"""One grey pixel."""


def instead(image: bytes) -> Callable[[str], str]:
    return lambda _: base64.b64encode(image).decode()


def if_other(change: Callable[[str], str]) -> Callable[[str], str | None]:
    return lambda text: written if (written := change(text)) != text else None


def iso_time(seconds: float, zone: timezone, *, suffix: str | None = None, sep: str = "T") -> str:
    text = datetime.fromtimestamp(seconds, zone).isoformat(sep, "seconds")
    return text if suffix is None else text[:19] + suffix
