"""How firmware in the field breaks the push protocol: each class of fault, as a rewriting of one push body.

Rules:

- Wire names stand here by hand, outside ``gatepost.wire``: what is written here is what the decoder has to understand.
- A fault keeps the event: whoever reads the body with some care finds the same passage, unless the class is about what
  the event lacks. Its key stays different from that of every other event.
- A rewriting is a function of the body and of the lots: the same ones write the same bytes.
- A body that a fault does not concern (a passage by card has no picture) is left alone: ``None``.

Flow: a canonical body → ``CLASSES`` → ``Variant.write`` → :class:`Body`, or ``None``; ``joined`` makes one of several.
Sources: public bug reports of this field; the protocol page, 事件推送示例.
"""

from __future__ import annotations

import base64
import json
import random
import struct
import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from msgspec import Struct

__all__ = ["CLASSES", "MOST", "Body", "FaultClass", "Variant", "joined", "spoiled"]

Json = dict[str, Any]

MOST = 3
"""Events that :func:`joined` is given at once."""

_MARK = "\u0001"
"""Stands in a text where bytes go that no JSON writer would write; no field of an event has it."""

_SITE = timezone(timedelta(hours=8))


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


def spoiled(body: bytes, rand: random.Random, *, headers: bool = True) -> tuple[str, Body] | None:
    """Return the body with one fault, drawn evenly among the classes that concern it, and the name of its class.

    Without ``headers``, only faults that need no Content-Type of their own.
    """
    for found in rand.sample(CLASSES, len(CLASSES)):
        variants = [variant for variant in found.variants if headers or not variant.needs_header]
        for variant in rand.sample(variants, len(variants)):
            written = variant.write(body, rand)
            if written is not None:
                return found.name, written
    return None


def joined(bodies: Sequence[bytes], *, lines: bool = False) -> Body:
    """Return several events as one body: a JSON array, or with ``lines`` one event a line (NDJSON)."""
    if lines:
        return Body(b"\r\n".join(bodies) + b"\r\n", "application/x-ndjson")
    return Body(b"[" + b",".join(bodies) + b"]")


# -- helpers


def _raw(name: str, change: Callable[[bytes], bytes], content_type: str | None = None) -> Variant:
    """Return a variant that works on the bytes."""
    return Variant(name, lambda body, _: Body(change(body), content_type), content_type is not None)


def _value(name: str, change: Callable[[Json, Json, random.Random], bool]) -> Variant:
    """Return a variant that changes ``data`` or ``user``, and says whether there was anything to change."""

    def write(body: bytes, rand: random.Random) -> Body | None:
        event = json.loads(body)
        data = event["data"]
        user = data.get("user")
        if not change(data, user if isinstance(user, dict) else {}, rand):
            return None
        return Body(_written(event))

    return Variant(name, write)


def _text(
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


def _score(literal: str) -> Variant:
    def write(body: bytes, _: random.Random) -> Body | None:
        event = json.loads(body)
        if "recognizeScore" not in event["data"]:
            return None
        event["data"]["recognizeScore"] = _MARK
        return Body(_written(event).replace(b'"\\u0001"', literal.encode()))

    return Variant(literal, write)


def _time(name: str, change: Callable[[float], Any]) -> Variant:
    """Return a variant that writes the event's time (Unix seconds) in another way."""

    def apply(data: Json, _: Json, __: random.Random) -> bool:
        field = "event_time" if "trace_id" in data else "timestamp"
        if not isinstance(data.get(field), int):
            return False
        data[field] = change(data[field] / (1000 if field == "event_time" else 1))
        return True

    return _value(name, apply)


def _truth(name: str, yes: Any, no: Any) -> Variant:
    def apply(data: Json, _: Json, __: random.Random) -> bool:
        if not isinstance(data.get("pass"), bool):
            return False
        data["pass"] = yes if data["pass"] else no
        return True

    return _value(name, apply)


def _picture(name: str, change: Callable[[str], str | None]) -> Variant:
    """Return a variant that writes the picture's base64 in another way; ``None`` where it would not differ."""

    def apply(data: Json, _: Json, __: random.Random) -> bool:
        for field in ("rgb_image", "alarm_photo"):
            text = data.get(field)
            if isinstance(text, str) and len(text) > 8 and (written := change(text)) is not None:
                data[field] = written
                return True
        return False

    return _value(name, apply)


def _identifier(name: str, text: str) -> Variant:
    """Return a variant that says ``text`` where a record's ``uuid`` stands."""

    def apply(data: Json, _: Json, __: random.Random) -> bool:
        if "uuid" not in data:
            return False
        data["uuid"] = text
        return True

    return _value(name, apply)


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


def _doubles(body: bytes, _: random.Random) -> Body:
    return Body(_written(_whole_doubles(json.loads(body))))


def _exponent(body: bytes, _: random.Random) -> Body | None:
    event = json.loads(body)
    user = event["data"].get("user")
    number = user.get("user_id") if isinstance(user, dict) else event["data"].get("user_id")
    if not _is_short_number(str(number)):
        return None
    digits = str(number)
    (user if isinstance(user, dict) else event["data"])["user_id"] = _MARK
    literal = f"{digits[0]}.{digits[1:] or '0'}E{len(digits) - 1}"
    return Body(_written(event).replace(b'"\\u0001"', literal.encode()))


def _padded(ends: str, begins: str = "") -> Callable[[Json, Json, random.Random], bool]:
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


def _cased(change: Callable[[str], str]) -> Callable[[bytes, random.Random], Body | None]:
    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {change(name): renamed(item) for name, item in value.items()}
        return [renamed(item) for item in value] if isinstance(value, list) else value

    def write(body: bytes, _: random.Random) -> Body | None:
        event = json.loads(body)
        made = renamed(event)
        return None if made == event else Body(_written(made))

    return write


def _counted(data: Json, _: Json, rand: random.Random) -> bool:
    """Count from 1 again after each start of the terminal."""
    if "uuid" not in data:
        return False
    data["uuid"] = str(rand.randrange(1, 4))
    return True


def _trace_counted(data: Json, _: Json, rand: random.Random) -> bool:
    if "trace_id" not in data:
        return False
    data["trace_id"] = str(rand.randrange(1, 4))
    return True


def _trace_cloned(data: Json, _: Json, __: random.Random) -> bool:
    if "trace_id" not in data:
        return False
    data["trace_id"] = "SPX-1684381418208-004-3Adb4v"
    return True


def _png(width: int = 8, height: int = 8) -> bytes:
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


def _bmp(width: int = 8, height: int = 8) -> bytes:
    pixels = b"\xff\xaa\x55" * (width * height)
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(pixels), 2835, 2835, 0, 0)
    return struct.pack("<2sIHHI", b"BM", 54 + len(pixels), 0, 0, 54) + head + pixels


_WEBP = base64.b64decode("UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA")
"""One grey pixel."""


def _instead(image: bytes) -> Callable[[str], str]:
    return lambda _: base64.b64encode(image).decode()


def _if_other(change: Callable[[str], str]) -> Callable[[str], str | None]:
    return lambda text: written if (written := change(text)) != text else None


def _iso(seconds: float, zone: timezone, *, suffix: str | None = None, sep: str = "T") -> str:
    text = datetime.fromtimestamp(seconds, zone).isoformat(sep, "seconds")
    return text if suffix is None else text[:19] + suffix


CUT_NAME = ("名" * 43).encode()[:128]
"""The maker's limit is 128 bytes, and firmware cuts there."""


CLASSES: tuple[FaultClass, ...] = (
    FaultClass(
        "trailing-bytes",
        (
            _raw("NUL", lambda body: body + b"\0"),
            _raw("CRLF and NULs", lambda body: body + b"\r\n\0\0"),
            _raw("a buffer of NULs", lambda body: body + b"\0" * 64),
            _raw("blanks and NUL", lambda body: body + b" \t\n\0 "),
        ),
    ),
    FaultClass("byte-order-mark", (_raw("UTF-8", lambda body: b"\xef\xbb\xbf" + body),)),
    FaultClass(
        "control-characters",
        (
            _text("TAB", b"east\twing"),
            _text("LF", b"east\nwing"),
            _text("CRLF in a name", b"Lee\r\nMing", field="name"),
            _text("U+0001", b"east\x01wing"),
        ),
    ),
    FaultClass(
        "unknown-escapes",
        (
            _text("a path", rb"C:\docs"),
            _text("hexadecimal", rb"\x41"),
            _text("an apostrophe", rb"O\'Brien", field="name"),
        ),
    ),
    FaultClass(
        "no-numbers",
        tuple(
            map(
                _score,
                (
                    "NaN",
                    "nan",
                    "-nan",
                    "Infinity",
                    "-Infinity",
                    "inf",
                    "-inf",
                    "1.#QNAN",
                    "-1.#IND",
                    "1.#INF",
                ),
            )
        ),
    ),
    FaultClass(
        "cut-text",
        (_text("a name of 128 bytes", CUT_NAME, field="name"), _text("a remark", "备注".encode()[:5])),
    ),
    FaultClass(
        "other-charset",
        (
            _text("GBK", "欧阳修", field="name", charset="gb18030"),
            _text(
                "GBK, declared",
                "欧阳修",
                field="name",
                charset="gb18030",
                content_type="application/json; charset=gbk",
            ),
            _text("Latin-1", "Zoë Núñez", field="name", charset="latin-1"),
            _text(
                "Latin-1, declared",
                "Zoë Núñez",
                field="name",
                charset="latin-1",
                content_type='application/json; charset="iso-8859-1"',
            ),
        ),
    ),
    FaultClass(
        "other-content-type",
        tuple(
            _raw(kind or "none", lambda body: body, kind)
            for kind in (
                "text/plain",
                "text/json",
                "application/x-www-form-urlencoded",
                "application/octet-stream",
                "aplication/json",
                "",
            )
        ),
    ),
    FaultClass(
        "several-events",
        (
            _raw("a list", lambda body: joined([body]).content),
            _raw("a line", lambda body: body + b"\r\n", "application/x-ndjson"),
        ),
    ),
    FaultClass("doubles", (Variant("206.0", _doubles), Variant("2.06E2", _exponent))),
    FaultClass(
        "times",
        (
            _time("a fraction", lambda at: at + 0.5 if at == int(at) else at),
            _time("a fraction as text", lambda at: f"{at:.2f}"),
            _time("digits as text", lambda at: f"{int(at)}"),
            _time("microseconds", lambda at: int(at * 1000) * 1000),
            _time("nanoseconds", lambda at: int(at * 1000) * 1_000_000),
            _time("ISO 8601 with a zone", lambda at: _iso(at, _SITE)),
            _time("ISO 8601 in UTC", lambda at: _iso(at, UTC, suffix="Z")),
            _time("without a zone", lambda at: _iso(at, _SITE, suffix="", sep=" ")),
            _time("no clock", lambda at: 0),
        ),
    ),
    FaultClass(
        "booleans",
        (
            _truth("Python", "True", "False"),
            _truth("Visual Basic", "TRUE", "FALSE"),
            _truth("words", "yes", "no"),
            _truth("doubles", 1.0, 0.0),
            _truth("digits", 1, 0),
        ),
    ),
    FaultClass(
        "padding",
        (
            _value("NULs", _padded("\0\0\0")),
            _value("one NUL", _padded("\0")),
            _value("blanks", _padded(" ", " ")),
        ),
    ),
    FaultClass(
        "base64",
        (
            _picture("blanks for +", _if_other(lambda text: text.replace("+", " "))),
            _picture("url-safe", _if_other(lambda text: text.replace("+", "-").replace("/", "_"))),
            _picture(
                "percent-encoded",
                _if_other(lambda text: text.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")),
            ),
            _picture("a NUL behind", lambda text: text + "\0"),
            _picture(
                "lines of 76",
                lambda text: "\r\n".join(text[at : at + 76] for at in range(0, len(text), 76)),
            ),
        ),
    ),
    FaultClass(
        "key-case",
        (
            Variant("Capitals in front", _cased(lambda name: name[:1].upper() + name[1:])),
            Variant("ALL CAPITALS", _cased(str.upper)),
            Variant("no capitals", _cased(str.lower)),
        ),
    ),
    FaultClass(
        "picture-format",
        (
            _picture("PNG", _instead(_png())),
            _picture("BMP", _instead(_bmp())),
            _picture("WebP", _instead(_WEBP)),
        ),
    ),
    FaultClass(
        "placeholder-ids",
        tuple(
            _identifier(text or "empty", text)
            for text in (
                "00000000-0000-0000-0000-000000000000",
                "ffffffff-ffff-ffff-ffff-ffffffffffff",
                "",
                "null",
                "0",
                "N/A",
                "undefined",
                "none",
            )
        ),
    ),
    FaultClass(
        "repeated-ids",
        (
            _value("a counter", _counted),
            _identifier("a clone", "4d3987c1-a3b3-470b-9fb7-e114772c069c"),
        ),
    ),
    FaultClass(
        "reused-trace-ids",
        (_value("a counter", _trace_counted), _value("a clone", _trace_cloned)),
    ),
)
"""Every class, in the order of the reference."""
