"""How each firmware in the field writes the same event.

Rules:

- The names of the wire are repeated here on purpose: `gatepost.wire` writes today's API only, and reads the others.
- Each older firmware writes what the next newer one writes, with something missing or named differently. So each
  version is one step (`_OLDER`), and a body is made by going down from 1.3.0.
- Bodies come in two parts around the base64 of the image, as an outbox keeps them.

Flow: event → `wire.encode_parts` → `translate`: JSON → the steps down to the firmware → `(head, tail)`; `body` joins.
Source: the maker's public change log and examples, API before 1.0 to 1.3.0.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
import pybase64

from gatepost.wire import Alarm, Dialect, Record, encode_parts

Json = dict[str, Any]

_HOLE = "\u0001image\u0001"
"""Stands for the base64 while the rest is written. No field of an event contains control characters."""
_HOLE_BYTES = msgspec.json.encode(_HOLE)[1:-1]

NO_IMAGE = b" "
"""What terminals send without an image: a single space, as in the protocol page's examples."""


def speaks_alarms(firmware: Dialect) -> bool:
    """Tell whether the firmware has device alarms (`type` 1), which API 1.3.0 introduced."""
    return firmware is Dialect.V1_3_0


def headers(firmware: Dialect, *, serial: str, model: str, at: datetime) -> dict[str, str]:
    """Return the HTTP headers of a push. Firmware before API 1.2.1 sends none.

    `at` is the terminal's own time; milliseconds on the wire.
    """
    if firmware not in (Dialect.V1_3_0, Dialect.V1_2_1):
        return {}
    return {"sn": serial, "model": model, "timestamp": str(int(at.timestamp() * 1000)), "account": "admin"}


def parts(event: Record | Alarm, firmware: Dialect, *, trailing_comma: bool = False) -> tuple[bytes, bytes]:
    """Return the push body of `event` as `firmware` writes it, before and after the base64 of `event.image`.

    `trailing_comma` puts a comma before the closing brace of an alarm, as in the protocol page's example.
    An alarm from firmware without alarms raises ValueError.
    """
    return translate(*encode_parts(event), firmware, image=bool(event.image), trailing_comma=trailing_comma)


def translate(
    head: bytes, tail: bytes, firmware: Dialect, *, image: bool, trailing_comma: bool = False
) -> tuple[bytes, bytes]:
    """Rewrite the two parts of a canonical push body, as an outbox keeps them, into what `firmware` writes.

    `image`: whether base64 will be between them. Otherwise as `parts`.
    """
    push: Json = msgspec.json.decode(head + _HOLE_BYTES + tail)
    alarm = push["type"] == 1
    if alarm and not speaks_alarms(firmware):
        raise ValueError(f"firmware {firmware} has no alarms")
    if not alarm:
        _as_published(push["data"])
        for version, step in _OLDER:
            if version is firmware:
                break
            step(push["data"])
    head, tail = msgspec.json.encode(push).split(_HOLE_BYTES)
    if trailing_comma and alarm:
        tail = tail.removesuffix(b"}}") + b",}}"
    return (head if image else head + NO_IMAGE), tail


def body(event: Record | Alarm, firmware: Dialect, *, trailing_comma: bool = False) -> bytes:
    """Return the whole push body of `event` as `firmware` writes it. See `parts`."""
    head, tail = parts(event, firmware, trailing_comma=trailing_comma)
    return head + pybase64.b64encode(event.image or b"") + tail


def _as_published(data: Json) -> None:
    """Write as the published examples do, against the tables: empty user of a stranger, temperature as integer 0."""
    if data.get("recognitionType") == 3 and "user" not in data:
        empty = dict.fromkeys(("user_id", "ic_number", "job_number", "id_number", "remark", "pin"), "")
        data["user"] = {
            "name": None,
            "type": None,
            **empty,
            "guest_time_start": 0,
            "guest_time_end": 0,
            "groups": [],
        }
    if data.get("bodyTemperature") == 0:
        data["bodyTemperature"] = 0


def _to_1_2_1(data: Json) -> None:
    """Take back 1.3.0: `entry_mode`, `abnormal_type` and `pin` were new, blacklist was 3, `mode` had other numbers."""
    data.pop("entry_mode", None)
    data.pop("abnormal_type", None)
    data["mode"] = {2: 3, 3: 2}.get(data.get("mode", 0), data.get("mode", 0))
    user = data.get("user")
    if user:
        user.pop("pin", None)
        if user.get("type") == 5:
            user["type"] = 3
        if "groups" in user:
            data["groups"] = user.pop("groups")


def _to_1_2_0(data: Json) -> None:
    """Take back 1.2.1: `uuid`, `id_number` and `groups` were new, identifiers were integers before."""
    data.pop("uuid", None)
    data.pop("groups", None)
    user = data.get("user")
    if user:
        user.pop("id_number", None)
        user["user_id"] = int(user["user_id"]) if user.get("user_id") else 0


def _to_1_0(data: Json) -> None:
    """Take back 1.2.0: the numbers, the remark and a visitor's times were new."""
    for name in ("ic_number", "job_number", "remark", "guest_time_start", "guest_time_end"):
        (data.get("user") or {}).pop(name, None)


def _to_before_1_0(data: Json) -> None:
    """Take back 1.0: recognition type and temperature were new, serial and score had other names."""
    data.pop("recognitionType", None)
    data.pop("bodyTemperature", None)
    score = data.pop("recognizeScore", 0.0)
    renamed = {
        "TrackID": data.pop("deviceSN", ""),
        "recognizeStatus": score,
        "livenessScore": round(0.9 + score / 11, 6),
    }
    rest = dict(data)
    data.clear()
    data.update(renamed | rest)


_OLDER: tuple[tuple[Dialect, Callable[[Json], None]], ...] = (
    (Dialect.V1_3_0, _to_1_2_1),
    (Dialect.V1_2_1, _to_1_2_0),
    (Dialect.V1_2_0, _to_1_0),
    (Dialect.V1_0, _to_before_1_0),
)
"""For each version, the step from it to the one before."""
