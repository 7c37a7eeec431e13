"""List every class of faults, in the order of the reference, and draw one by lot."""

from __future__ import annotations

import random
from datetime import UTC, timedelta, timezone

from gatepost.dialect_faults.faults import Body, FaultClass, Variant
from gatepost.dialect_faults.writing import (
    WEBP,
    bmp,
    cased,
    counted,
    doubles,
    exponent,
    identifier_variant,
    if_other,
    instead,
    iso_time,
    joined,
    padded,
    picture_variant,
    png,
    raw_variant,
    score_variant,
    text_variant,
    time_variant,
    trace_cloned,
    trace_counted,
    truth_variant,
    value_variant,
)

__all__ = ["CLASSES", "MOST", "spoiled"]


MOST = 3
"""Events that :func:`joined` is given at once."""

_SITE = timezone(timedelta(hours=8))


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


CUT_NAME = ("名" * 43).encode()[:128]
"""The maker's limit is 128 bytes, and firmware cuts there."""

CLASSES: tuple[FaultClass, ...] = (
    FaultClass(
        "trailing-bytes",
        (
            raw_variant("NUL", lambda body: body + b"\0"),
            raw_variant("CRLF and NULs", lambda body: body + b"\r\n\0\0"),
            raw_variant("a buffer of NULs", lambda body: body + b"\0" * 64),
            raw_variant("blanks and NUL", lambda body: body + b" \t\n\0 "),
        ),
    ),
    FaultClass("byte-order-mark", (raw_variant("UTF-8", lambda body: b"\xef\xbb\xbf" + body),)),
    FaultClass(
        "control-characters",
        (
            text_variant("TAB", b"east\twing"),
            text_variant("LF", b"east\nwing"),
            text_variant("CRLF in a name", b"Lee\r\nMing", field="name"),
            text_variant("U+0001", b"east\x01wing"),
        ),
    ),
    FaultClass(
        "unknown-escapes",
        (
            text_variant("a path", rb"C:\docs"),
            text_variant("hexadecimal", rb"\x41"),
            text_variant("an apostrophe", rb"O\'Brien", field="name"),
        ),
    ),
    FaultClass(
        "no-numbers",
        tuple(
            map(
                score_variant,
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
        (
            text_variant("a name of 128 bytes", CUT_NAME, field="name"),
            text_variant("a remark", "备注".encode()[:5]),
        ),
    ),
    FaultClass(
        "other-charset",
        (
            text_variant("GBK", "欧阳修", field="name", charset="gb18030"),
            text_variant(
                "GBK, declared",
                "欧阳修",
                field="name",
                charset="gb18030",
                content_type="application/json; charset=gbk",
            ),
            text_variant("Latin-1", "Zoë Núñez", field="name", charset="latin-1"),
            text_variant(
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
            raw_variant(kind or "none", lambda body: body, kind)
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
            raw_variant("a list", lambda body: joined([body]).content),
            raw_variant("a line", lambda body: body + b"\r\n", "application/x-ndjson"),
        ),
    ),
    FaultClass("doubles", (Variant("206.0", doubles), Variant("2.06E2", exponent))),
    FaultClass(
        "times",
        (
            time_variant("a fraction", lambda at: at + 0.5 if at == int(at) else at),
            time_variant("a fraction as text", lambda at: f"{at:.2f}"),
            time_variant("digits as text", lambda at: f"{int(at)}"),
            time_variant("microseconds", lambda at: int(at * 1000) * 1000),
            time_variant("nanoseconds", lambda at: int(at * 1000) * 1_000_000),
            time_variant("ISO 8601 with a zone", lambda at: iso_time(at, _SITE)),
            time_variant("ISO 8601 in UTC", lambda at: iso_time(at, UTC, suffix="Z")),
            time_variant("without a zone", lambda at: iso_time(at, _SITE, suffix="", sep=" ")),
            time_variant("no clock", lambda at: 0),
        ),
    ),
    FaultClass(
        "booleans",
        (
            truth_variant("Python", "True", "False"),
            truth_variant("Visual Basic", "TRUE", "FALSE"),
            truth_variant("words", "yes", "no"),
            truth_variant("doubles", 1.0, 0.0),
            truth_variant("digits", 1, 0),
        ),
    ),
    FaultClass(
        "padding",
        (
            value_variant("NULs", padded("\0\0\0")),
            value_variant("one NUL", padded("\0")),
            value_variant("blanks", padded(" ", " ")),
        ),
    ),
    FaultClass(
        "base64",
        (
            picture_variant("blanks for +", if_other(lambda text: text.replace("+", " "))),
            picture_variant("url-safe", if_other(lambda text: text.replace("+", "-").replace("/", "_"))),
            picture_variant(
                "percent-encoded",
                if_other(lambda text: text.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")),
            ),
            picture_variant("a NUL behind", lambda text: text + "\0"),
            picture_variant(
                "lines of 76",
                lambda text: "\r\n".join(text[at : at + 76] for at in range(0, len(text), 76)),
            ),
        ),
    ),
    FaultClass(
        "key-case",
        (
            Variant("Capitals in front", cased(lambda name: name[:1].upper() + name[1:])),
            Variant("ALL CAPITALS", cased(str.upper)),
            Variant("no capitals", cased(str.lower)),
        ),
    ),
    FaultClass(
        "picture-format",
        (
            picture_variant("PNG", instead(png())),
            picture_variant("BMP", instead(bmp())),
            picture_variant("WebP", instead(WEBP)),
        ),
    ),
    FaultClass(
        "placeholder-ids",
        tuple(
            identifier_variant(text or "empty", text)
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
            value_variant("a counter", counted),
            identifier_variant("a clone", "4d3987c1-a3b3-470b-9fb7-e114772c069c"),
        ),
    ),
    FaultClass(
        "reused-trace-ids",
        (value_variant("a counter", trace_counted), value_variant("a clone", trace_cloned)),
    ),
)
"""Every class, in the order of the reference."""
