"""From events to bytes: the canonical push body, with names, types and order of the page's tables."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pybase64

from gatepost.errors import EncodeError
from gatepost.wire.decoding.times import EPOCH
from gatepost.wire.events import Alarm, Record, User

__all__ = ["encode", "encode_parts"]


def encode(event: Record | Alarm) -> bytes:
    """Encode an event as the page has it: ``{"type": …, "data": {…}}``, UTF-8.

    Fields that are ``None`` are omitted, except those that distinguish today's dialect from older ones. Raises
    :class:`~gatepost.errors.EncodeError` if a value is of the wrong type.
    """
    head, tail = encode_parts(event)
    return head + pybase64.b64encode(event.image or b"") + tail


def encode_parts(event: Record | Alarm) -> tuple[bytes, bytes]:
    """Encode as :func:`encode` does, but around the image: the body is ``head + base64(event.image) + tail``.

    An outbox keeps the JPEG as bytes, next to these two. Base64 exists only while the event is sent.
    """
    if isinstance(event, Record):
        value, mark = {"type": 0, "data": _record_out(event), **event.outer}, b'"rgb_image":"'
    else:
        value, mark = {"type": 1, "data": _alarm_out(event), **event.outer}, b'"alarm_photo":"'
    try:
        text = msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise EncodeError("", f"cannot be written as JSON: {error}") from None
    cut = text.index(mark) + len(mark)  # the first one is the right one: inside strings a quote is escaped
    return text[:cut], text[cut:]


def _record_out(record: Record) -> dict[str, Any]:
    """Return the fields in the order of the page's table. ``abnormal_type`` is always there: it marks today's codes."""
    user = record.user
    known = {
        "deviceSN": _typed("deviceSN", record.serial, str),
        "recognitionType": _typed("recognitionType", record.recognition_type, int),
        "uuid": _typed("uuid", record.uuid, str),
        "recognizeScore": _float("recognizeScore", record.score),
        "mask": _typed("mask", record.mask, int),
        "mode": _typed("mode", record.mode, int),
        "rgb_image": _image("rgb_image", record.image),
        "pass": _typed("pass", record.passed, bool),
        "timestamp": _seconds("timestamp", record.recorded_at),
        "bodyTemperature": _float("bodyTemperature", record.temperature),
        "entry_mode": _typed("entry_mode", record.entry_mode, int),
        "abnormal_type": _typed("abnormal_type", record.abnormal_type or 0, int),
        "user": None if user is None else _user_out(user),
    }
    return _present(known, record.extra)


def _user_out(user: User) -> dict[str, Any]:
    known = {
        "name": _typed("user.name", user.name, str),
        "user_id": _typed("user.user_id", user.user_id, str),
        "type": _typed("user.type", user.type, int),
        "ic_number": _typed("user.ic_number", user.ic_number, str),
        "job_number": _typed("user.job_number", user.job_number, str),
        "id_number": _typed("user.id_number", user.id_number, str),
        "guest_time_start": _milliseconds("user.guest_time_start", user.guest_from) or 0,
        "guest_time_end": _milliseconds("user.guest_time_end", user.guest_until) or 0,
        "remark": _typed("user.remark", user.remark, str),
        "pin": _typed("user.pin", user.pin, str),
        "groups": [
            {
                "id": _typed("user.groups.id", group.id, str),
                "name": _typed("user.groups.name", group.name, str),
                **group.extra,
            }
            for group in user.groups
        ],
    }
    return _present(known, user.extra)


def _alarm_out(alarm: Alarm) -> dict[str, Any]:
    if not alarm.trace_id or not isinstance(alarm.trace_id, str) or not alarm.trace_id.strip():
        raise EncodeError("data.trace_id", "must be a string that is not blank")
    if alarm.event_time is None:
        raise EncodeError("data.event_time", "is required")
    known = {
        "deviceSN": _typed("deviceSN", alarm.serial, str),
        "trace_id": alarm.trace_id,
        "description": _typed("description", alarm.description, str),
        "code": _typed("code", alarm.code, int),
        "user_id": _typed("user_id", alarm.user_id, str if isinstance(alarm.user_id, str) else int),
        "event_time": _milliseconds("event_time", alarm.event_time),
        "status": _typed("status", alarm.status, int),
        "alarm_photo": _image("alarm_photo", alarm.image),
    }
    return _present(known, alarm.extra)


def _present(known: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    present = {name: value for name, value in known.items() if value is not None}
    return {**present, **{name: value for name, value in extra.items() if name not in present}}


def _typed(name: str, value: Any, kind: type) -> Any:
    if value is None or type(value) is kind:
        return value
    if isinstance(value, kind) and not isinstance(value, bool):  # an enumeration's member, a str subclass
        return kind(value)
    raise EncodeError(f"data.{name}", f"must be {kind.__name__}, not {type(value).__name__}")


def _float(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf"):
        return float(value)
    raise EncodeError(f"data.{name}", "must be a finite number")


def _image(name: str, image: Any) -> str:
    if image is not None and not isinstance(image, bytes | bytearray | memoryview):
        raise EncodeError(f"data.{name}", "must be the bytes of a JPEG")
    return ""


def _milliseconds(name: str, moment: Any) -> int | None:
    if moment is None:
        return None
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise EncodeError(f"data.{name}", "must be a datetime with a time zone")
    milliseconds = (moment - EPOCH) // timedelta(milliseconds=1)
    if milliseconds < 0:
        raise EncodeError(f"data.{name}", "must not be before 1970")
    return milliseconds


def _seconds(name: str, moment: Any) -> int | None:
    milliseconds = _milliseconds(name, moment)
    return None if milliseconds is None else milliseconds // 1000
