"""The bodies that are pushed to a receiver: the page's, those of every dialect, portraits of any size.

Rules:

- The names of the wire are written by hand, from the page. A check that used ``gatepost.wire`` would not find the
  mistakes of ``gatepost.wire``.
- Every event is unique: its ``uuid`` or ``trace_id`` comes from ``rand``. Its serial begins with ``GATEPOST-CHECK``, so
  that the operator of the receiver can find and remove the events of a check.

Source: the protocol page, 事件推送示例; the dialects: the maker's change log.
"""

import base64
import json
import random
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

__all__ = ["ABSENT_ALARM", "ABSENT_RECORD", "DIALECTS", "SERIAL", "VARIANTS", "Samples", "jpeg", "write"]

Json = dict[str, Any]

SERIAL = "GATEPOST-CHECK"

# A grey JPEG of 8 by 8 pixels, the smallest that every decoder reads.
_JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAP//////////////////////////////////////////////////////////////////////////////"
    "////////wAALCAAIAAgBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAAv/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AT//Z"
)


def jpeg(size: int) -> bytes:
    """Return a valid JPEG of ``size`` bytes (at least 200): a grey square and comments."""
    padding = bytearray()
    missing = size - len(_JPEG)
    while missing >= 4:
        # A comment segment holds at most 65,533 bytes (ITU-T T.81, section B.2.4.5); the rest must leave room for one.
        room = min(missing, 65_537)
        if 0 < missing - room < 4:
            room -= 4
        padding += b"\xff\xfe" + (room - 2).to_bytes(2, "big") + b"\x55" * (room - 4)
        missing -= room
    return _JPEG[:2] + bytes(padding) + _JPEG[2:]


def write(event: Json) -> bytes:
    """Return an event as terminals write it: UTF-8, not escaped."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


class Samples:
    """Makes events. ``rand`` makes them unique, ``now`` (Unix seconds) dates them."""

    def __init__(self, rand: random.Random, now: Callable[[], float]) -> None:
        self.rand = rand
        self.now = now
        self.serial = f"{SERIAL}-{rand.randrange(16**6):06X}"

    def uuid(self) -> str:
        return str(uuid.UUID(int=self.rand.getrandbits(128), version=4))

    def record(self, changes: Mapping[str, Any] | None = None, **user: Any) -> Json:
        """Return a new record of the page with changed fields of ``data`` and ``user``; ``...`` omits one."""
        person: Json = {
            "name": "王五",
            "ic_number": "12345",
            "id_number": "",
            "job_number": "23385",
            "pin": "",
            "user_id": "5",
            "remark": "",
            "guest_time_start": 0,
            "guest_time_end": 0,
            "type": 1,
            "groups": [{"id": "3", "name": "测试3"}, {"id": "4", "name": "测试4"}],
            **user,
        }
        whole: Json = {
            "deviceSN": self.serial,
            "recognitionType": 1,
            "entry_mode": 1,
            "abnormal_type": 0,
            "uuid": self.uuid(),
            "recognizeScore": 0.9302213788032532,
            "mask": 0,
            "mode": 3,
            "rgb_image": " ",
            "bodyTemperature": 36.5,
            "pass": True,
            "timestamp": int(self.now()),
            "user": _without_dots(person),
            **(changes or {}),
        }
        return {"type": 0, "data": _without_dots(whole)}

    def alarm(self, changes: Mapping[str, Any] | None = None) -> Json:
        """Return a new alarm of the page with changed fields; ``...`` omits one."""
        milliseconds = int(self.now() * 1000)
        whole = {
            "trace_id": f"SPX-{milliseconds}-004-{self.rand.randrange(16**6):06x}",
            "description": "gatepost check",
            "code": 10001,
            "event_time": milliseconds,
            "status": 1,
            "alarm_photo": " ",
            **(changes or {}),
        }
        return {"type": 1, "data": _without_dots(whole)}

    def mark(self) -> str:
        """Return a word that nothing else in a receiver contains."""
        return f"gpc-{self.rand.getrandbits(64):016x}"

    def iso(self, seconds: float) -> str:
        """Return a time in ISO 8601, in UTC."""
        return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")

    def picture(self) -> str:
        """Return the base64 of a JPEG that contains every letter of the base64 alphabet."""
        comment = bytes(range(256)) * 3
        part = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
        return base64.b64encode(_JPEG[:2] + part + _JPEG[2:]).decode()

    def portrait(self, size: int) -> str:
        """Return the base64 of a JPEG of ``size`` bytes; "" for 0."""
        return base64.b64encode(jpeg(size)).decode() if size else ""

    def dialect(self, version: str) -> tuple[Json, dict[str, str]]:
        """Return a record as that firmware sends it, and its headers."""
        event = self.record({"rgb_image": self.portrait(2_000)})
        for step, change in _OLDER:
            if step == version:
                break
            change(event["data"])
        headers = {}
        if version in ("1.3.0", "1.2.1"):
            headers = {
                "sn": self.serial,
                "model": "SensePass",
                "timestamp": str(int(self.now())),
                "account": "admin",
            }
        return event, headers


def _without_dots(value: Json) -> Json:
    return {name: item for name, item in value.items() if item is not ...}


def _drop(value: Json, *names: str) -> None:
    for name in names:
        value.pop(name, None)


def _to_1_2_1(data: Json) -> None:
    _drop(data, "entry_mode", "abnormal_type")
    _drop(data["user"], "pin")


def _to_1_2_0(data: Json) -> None:
    _drop(data, "uuid")
    _drop(data["user"], "id_number", "groups")
    data["user"]["user_id"] = 5


def _to_1_0(data: Json) -> None:
    _drop(data["user"], "ic_number", "job_number", "remark", "guest_time_start", "guest_time_end")


def _to_before_1_0(data: Json) -> None:
    data["TrackID"] = data.pop("deviceSN")
    data["recognizeStatus"] = data.pop("recognizeScore")
    data["livenessScore"] = 0.97
    _drop(data, "recognitionType", "bodyTemperature")


_OLDER: tuple[tuple[str, Callable[[Json], None]], ...] = (
    ("1.3.0", _to_1_2_1),
    ("1.2.1", _to_1_2_0),
    ("1.2.0", _to_1_0),
    ("1.0", _to_before_1_0),
)

DIALECTS = ("1.3.0", "1.2.1", "1.2.0", "1.0", "before 1.0")

ABSENT_RECORD = (
    "deviceSN", "recognitionType", "entry_mode", "abnormal_type", "uuid", "recognizeScore", "mask", "mode", "rgb_image",
    "bodyTemperature", "pass", "timestamp", "user",
)  # fmt: skip
"""The page's table requires no field of a record."""

ABSENT_USER = (
    "name", "ic_number", "id_number", "job_number", "pin", "user_id", "remark", "guest_time_start", "guest_time_end",
    "type", "groups",
)  # fmt: skip

ABSENT_ALARM = ("description", "user_id", "alarm_photo")
"""非必填; also ``code``, where ``status`` is not 1."""

_EMPTY = dict.fromkeys(("user_id", "ic_number", "job_number", "id_number", "remark", "pin"), "")

VARIANTS: tuple[tuple[str, Json], ...] = (
    (
        "a stranger whose user has name and type null",
        {"recognitionType": 3, "user": {**_EMPTY, "name": None, "type": None}},
    ),
    ("recognitionType 0", {"recognitionType": 0}),
    ("groups beside user", {"groups": [{"id": "3", "name": "测试3"}]}),
    ("mode 10", {"mode": 10}),
    ("bodyTemperature as integer 0", {"bodyTemperature": 0}),
    ("the empty string for no image", {"rgb_image": ""}),
    (
        "a visitor's times in milliseconds",
        {
            "recognitionType": 2,
            "user": {
                "user_id": "9",
                "name": "李 O'Brien",
                "type": 2,
                "guest_time_start": 1685343600000,
                "guest_time_end": 1685430000000,
            },
        },
    ),
    (
        "an id_number that is itself base64",
        {"user": {"user_id": "5", "name": "王五", "type": 1, "id_number": "MTIzNDU2Nzg5MA=="}},
    ),
)
"""Forms of published examples that the tables do not have."""
