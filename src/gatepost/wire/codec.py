"""Between bytes and events: the push bodies of the protocol page, in every dialect that the fleet speaks.

Rules:

* Decoding loses nothing. Fields that the page does not know land in ``extra`` (or ``outer``) and codes stay
  plain integers, so both come out again as they went in.
* Decoding normalises. Whatever firmware sent it, an event has today's codes, identifiers as strings, and
  aware UTC times. :class:`~gatepost.wire.events.Dialect` says what it was.
* Encoding is canonical: names, types and order as in the page's tables.
* One error, :class:`~gatepost.errors.DecodeError`, says where and why. ``lenient`` is for a receiver, for whom
  a passage with a broken detail is still a passage: there a field that cannot be understood becomes ``None``
  and a :class:`Problem`.

Flow: bytes → :func:`decode` → JSON value → ``_record`` or ``_alarm`` (a :class:`_Reader` a JSON object) → event.
Source: the protocol page, 事件推送协议; the dialects are those of the maker's public change log.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pybase64
from msgspec import Struct

from gatepost.errors import DecodeError, EncodeError
from gatepost.wire.events import Alarm, Dialect, Event, Group, Record, Unknown, User

__all__ = ["Problem", "Decoded", "decode", "encode", "encode_parts"]

MAX_DEPTH = 64
"""Nesting that no terminal reaches; deeper is refused before anything recurses into it."""

_FIRST_MILLISECOND = 100_000_000_000
"""A ``timestamp`` from here on is in milliseconds: as seconds it would be the year 5138."""

_LAST_MILLISECOND = 253_402_300_799_999
"""The end of the year 9999, where ``datetime`` ends."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_TRAILING_COMMA = re.compile(rb'("(?:[^"\\]|\\.)*+")|,(?=\s*[}\]])', re.DOTALL)
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_PIN = re.compile(rb'("pin"\s*:\s*)("(?:[^"\\]|\\.)*+"|[-+.0-9eE]++)')
_NO_JPEG = "is no JPEG"


class Problem(Struct, frozen=True):
    """What a lenient decoding had to pass over."""

    where: str
    """The path to the field, in wire names."""
    why: str


class Decoded(Struct, frozen=True):
    """A push body, understood."""

    event: Event
    dialect: Dialect
    problems: tuple[Problem, ...]
    original: bytes
    """The JSON text as it was received. What stands decoded in ``event.image`` is emptied, and so is every
    ``pin``; an image that could not be decoded stays."""


def decode(body: bytes, *, lenient: bool = False, max_depth: int = MAX_DEPTH) -> Decoded:
    """Decode the body of one push.

    A JSON object that is no event of the page decodes as :class:`~gatepost.wire.events.Unknown`. So does, with
    ``lenient``, an event that lacks what makes it one: a ``data`` that is no object, an alarm without
    ``trace_id``. The trailing comma of the page's own example is understood.

    Raises :class:`~gatepost.errors.DecodeError` if the body is no JSON object, or nests deeper than
    ``max_depth``; without ``lenient`` also if any known field is of the wrong type, an image is no base64, or
    something required is missing.
    """
    text, value = _parse(body, max_depth)
    kind = value.get("type")
    reader = _Reader(value, "", [] if lenient else None)
    try:
        if _is(kind, 0):
            event: Event
            event, dialect = _record(reader)
        elif _is(kind, 1):
            event, dialect = _alarm(reader)
        else:
            event, dialect = Unknown(value), Dialect.V1_3_0
    except _NoEvent as error:
        if not lenient:
            raise DecodeError(error.where, error.why) from None
        assert reader.problems is not None
        reader.problems.append(Problem(error.where, error.why))
        event, dialect = Unknown(value), Dialect.V1_3_0
    return Decoded(event, dialect, tuple(reader.problems or ()), _original(text, value, event))


def encode(event: Record | Alarm) -> bytes:
    """Write an event as the page has it: ``{"type": …, "data": {…}}``, UTF-8.

    Fields that are ``None`` are left out, but for those that tell today's dialect from older ones. Raises
    :class:`~gatepost.errors.EncodeError` if a value is of the wrong type.
    """
    head, tail = encode_parts(event)
    return head + pybase64.b64encode(event.image or b"") + tail


def encode_parts(event: Record | Alarm) -> tuple[bytes, bytes]:
    """Like :func:`encode`, around the image: the body is ``head + base64(event.image) + tail``.

    An outbox keeps the JPEG as bytes and these two beside it; base64 exists only while it is being sent.
    """
    if isinstance(event, Record):
        value, mark = {"type": 0, "data": _record_out(event), **event.outer}, b'"rgb_image":"'
    else:
        value, mark = {"type": 1, "data": _alarm_out(event), **event.outer}, b'"alarm_photo":"'
    try:
        text = msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise EncodeError("", f"cannot be written as JSON: {error}") from None
    cut = text.index(mark) + len(mark)  # the first one is ours: inside strings a quote is escaped
    return text[:cut], text[cut:]


# --- JSON ---------------------------------------------------------------------------------------------------


def _parse(body: bytes, max_depth: int) -> tuple[bytes, dict[str, Any]]:
    text = body.removeprefix(b"\xef\xbb\xbf")
    if text.count(b"{") + text.count(b"[") > max_depth and _depth(text) > max_depth:
        raise DecodeError("", f"nests deeper than {max_depth} levels")
    try:
        try:
            value = msgspec.json.decode(text)
        except msgspec.DecodeError:
            if b"," not in text:
                raise
            value = msgspec.json.decode(_TRAILING_COMMA.sub(rb"\1", text))
    except UnicodeDecodeError:
        raise DecodeError("", "is no UTF-8") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise DecodeError("", f"is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise DecodeError("", "is no JSON object")
    return text, value


def _depth(text: bytes) -> int:
    depth = deepest = 0
    for byte in _STRINGS.sub(b"", text):
        if byte in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"}]":
            depth -= 1
    return deepest


def _is(kind: object, number: int) -> bool:
    return not isinstance(kind, bool) and (kind == number or kind == str(number))


def _original(text: bytes, value: dict[str, Any], event: Event) -> bytes:
    """The text without the image that was decoded from it and without any ``pin``; otherwise untouched."""
    image: str | None = None
    if not isinstance(event, Unknown) and event.image is not None:
        name = "rgb_image" if isinstance(event, Record) else "alarm_photo"
        image = value["data"][name]
    if image is None and b"pin" not in text and b"\\u" not in text:
        return text
    if image is not None:
        raw = image.encode()
        if raw not in text:  # the sender escaped the slashes of the base64
            raw = raw.replace(b"/", b"\\/")
        shorter = text.replace(raw, b"", 1)
        if len(shorter) == len(text):
            value["data"][name] = ""
            shorter = msgspec.json.encode(value)
        text = shorter
    text = _PIN.sub(rb'\1""', text)
    if b"\\u" in text and _hide_pins(value):  # a key that was written with escapes
        text = msgspec.json.encode(value)
    return text


def _hide_pins(value: object) -> bool:
    """Empty every ``pin`` in a JSON value; True if there was one that the text may still show."""
    found = False
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "pin" and inner:
                value[name] = ""
                found = True
            else:
                found |= _hide_pins(inner)
    elif isinstance(value, list):
        for inner in value:
            found |= _hide_pins(inner)
    return found


# --- reading ------------------------------------------------------------------------------------------------


class _NoEvent(Exception):
    """Something is missing without which this is no event at all."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(where, why)
        self.where = where
        self.why = why


class _Reader:
    """Takes the known fields out of one JSON object; what is left over is unknown to the page.

    Every ``take`` answers ``None`` for a field that is absent or null. A field of the wrong type raises
    ``DecodeError``, or becomes a problem where a list for problems is given.
    """

    __slots__ = ("path", "problems", "rest")

    def __init__(self, value: dict[str, Any], path: str, problems: list[Problem] | None) -> None:
        self.rest = dict(value)
        self.path = path
        self.problems = problems

    def wrong(self, name: str, why: str) -> None:
        where = f"{self.path}{name}"
        if self.problems is None:
            raise DecodeError(where, why)
        self.problems.append(Problem(where, why))

    def object(self, name: str) -> "_Reader | None":
        value = self.rest.pop(name, None)
        if isinstance(value, dict):
            return _Reader(value, f"{self.path}{name}.", self.problems)
        if value is not None:
            self.wrong(name, "must be an object")
        return None

    def identifier(self, name: str) -> str | None:
        """A string; integers are identifiers too, in older firmware."""
        value = self.rest.pop(name, None)
        if isinstance(value, str) or value is None:
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        self.wrong(name, "must be a string")
        return None

    def integer(self, name: str) -> int | None:
        value = self.rest.pop(name, None)
        if type(value) is int:
            if -(1 << 63) <= value < 1 << 63:
                return value
            self.wrong(name, "does not fit into 64 bits")
            return None
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
            return int(value)
        self.wrong(name, "must be an integer")
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
            return int(value)
        return None

    def number(self, name: str) -> float | None:
        value = self.rest.pop(name, None)
        if type(value) is float or value is None:
            return value
        if type(value) is int and abs(value) < 1 << 53:
            return float(value)
        self.wrong(name, "must be a number")
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,17})?", value):
            return float(value)
        return None

    def truth(self, name: str) -> bool | None:
        value = self.rest.pop(name, None)
        if type(value) is bool or value is None:
            return value
        self.wrong(name, "must be true or false")
        return {0: False, 1: True, "0": False, "1": True, "false": False, "true": True}.get(
            value if isinstance(value, int | str) else ""
        )

    def time(self, name: str, *, unset: int | None = None) -> datetime | None:
        """Unix time, in seconds or milliseconds by its size; ``unset`` is a value that means "none"."""
        value = self.integer(name)
        if value is None or value == unset:
            return None
        milliseconds = value if abs(value) >= _FIRST_MILLISECOND else value * 1000
        if 0 <= milliseconds <= _LAST_MILLISECOND:
            return _EPOCH + timedelta(milliseconds=milliseconds)
        self.wrong(name, "is no time between 1970 and 9999")
        return None

    def image(self, name: str) -> bytes | None:
        """Base64 of a JPEG; the empty string and blanks mean that there is none."""
        value = self.rest.pop(name, None)
        if value is None:
            return None
        if not isinstance(value, str):
            self.wrong(name, "must be a string of base64")
            return None
        try:
            image = pybase64.b64decode(value, validate=True)
        except ValueError:
            text = "".join(value.rpartition("base64,")[2].split()).rstrip("=")
            try:
                image = pybase64.b64decode(text + "=" * (-len(text) % 4), validate=True)
            except ValueError:
                self.wrong(name, "is no base64")
                return None
        if not image:
            return None
        if self.problems is not None and image[:2] != b"\xff\xd8":
            self.wrong(name, _NO_JPEG)
            return None
        return image


def _record(push: _Reader) -> tuple[Record, Dialect]:
    push.rest.pop("type")
    data = push.object("data")
    if data is None:
        raise _NoEvent("data", "must be an object")
    names = data.rest.keys()
    user = data.object("user")
    dialect = _dialect(names, user)
    if dialect is Dialect.BEFORE_1_0:
        _rename_before_1_0(data.rest)
    groups = data.rest.pop("groups", None)
    mode = data.integer("mode")
    if mode in (2, 3) and dialect is not Dialect.V1_3_0:
        mode = 5 - mode
    return Record(
        serial=data.identifier("deviceSN"),
        recognition_type=data.integer("recognitionType"),
        uuid=(data.identifier("uuid") or "").strip() or None,
        score=data.number("recognizeScore"),
        mask=data.integer("mask"),
        mode=mode,
        image=data.image("rgb_image"),
        passed=data.truth("pass"),
        recorded_at=data.time("timestamp"),
        temperature=data.number("bodyTemperature"),
        entry_mode=data.integer("entry_mode"),
        abnormal_type=data.integer("abnormal_type"),
        user=_user(user, groups, dialect, data),
        extra=data.rest,
        outer=push.rest,
    ), dialect


def _dialect(names: Any, user: _Reader | None) -> Dialect:
    """Tell the sender's version by the fields that each one brought. ``names`` are those of ``data``."""
    inner = user.rest if user is not None else {}
    if "entry_mode" in names or "abnormal_type" in names or "pin" in inner:
        return Dialect.V1_3_0
    if "uuid" in names or "groups" in names or "groups" in inner or "id_number" in inner:
        return Dialect.V1_2_1
    if isinstance(inner.get("user_id"), str) and inner["user_id"]:
        return Dialect.V1_2_1
    if not inner.keys().isdisjoint(("ic_number", "job_number", "remark", "guest_time_start")):
        return Dialect.V1_2_0
    if "deviceSN" not in names and "TrackID" in names:
        return Dialect.BEFORE_1_0
    return Dialect.V1_0


def _rename_before_1_0(data: dict[str, Any]) -> None:
    data["deviceSN"] = data.pop("TrackID")
    for name in ("recognizeStatus", "livenessScore"):
        if "recognizeScore" not in data and isinstance(data.get(name), int | float):
            data["recognizeScore"] = data.pop(name)


def _user(user: _Reader | None, beside: object, dialect: Dialect, data: _Reader) -> User | None:
    """``beside``: groups that stood beside ``user`` instead of inside it."""
    if user is None:
        if beside is None:
            return None
        user = _Reader({}, "data.user.", data.problems)
    inside = user.rest.pop("groups", None)
    kind = user.integer("type")
    if kind == 3 and dialect is not Dialect.V1_3_0:
        kind = 5  # the blacklist, until API 1.3.0
    return User(
        name=user.identifier("name") or "",
        user_id=user.identifier("user_id") or "",
        type=kind,
        ic_number=user.identifier("ic_number") or "",
        job_number=user.identifier("job_number") or "",
        id_number=user.identifier("id_number") or "",
        guest_from=user.time("guest_time_start", unset=0),
        guest_until=user.time("guest_time_end", unset=0),
        remark=user.identifier("remark") or "",
        pin=user.identifier("pin") or "",
        groups=_groups(inside, user) if inside is not None else _groups(beside, data),
        extra=user.rest,
    )


def _groups(value: object, holder: _Reader) -> tuple[Group, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        holder.wrong("groups", "must be a list of objects")
        return ()
    groups = []
    for index, item in enumerate(value):
        if not isinstance(item, dict):
            holder.wrong(f"groups[{index}]", "must be an object")
            continue
        group = _Reader(item, f"{holder.path}groups[{index}].", holder.problems)
        groups.append(Group(group.identifier("id") or "", group.identifier("name") or "", group.rest))
    return tuple(groups)


def _alarm(push: _Reader) -> tuple[Alarm, Dialect]:
    push.rest.pop("type")
    data = push.object("data")
    if data is None:
        raise _NoEvent("data", "must be an object")
    trace_id = data.identifier("trace_id")
    if not trace_id or not trace_id.strip():
        raise _NoEvent("data.trace_id", "is missing")
    for name in ("status", "event_time"):
        if data.rest.get(name) is None:
            data.wrong(name, "is missing")
    return Alarm(
        trace_id=trace_id,
        description=data.identifier("description"),
        code=data.integer("code"),
        user_id=data.integer("user_id"),
        event_time=data.time("event_time"),
        status=data.integer("status"),
        image=data.image("alarm_photo"),
        extra=data.rest,
        outer=push.rest,
    ), Dialect.V1_3_0


# --- writing ------------------------------------------------------------------------------------------------


def _record_out(record: Record) -> dict[str, Any]:
    """In the order of the page's table. ``abnormal_type`` is always there: it tells today's codes from older ones."""
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
    if alarm.status is None or alarm.event_time is None:
        raise EncodeError("data.status" if alarm.status is None else "data.event_time", "is required")
    known = {
        "trace_id": alarm.trace_id,
        "description": _typed("description", alarm.description, str),
        "code": _typed("code", alarm.code, int),
        "user_id": _typed("user_id", alarm.user_id, int),
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
    milliseconds = (moment - _EPOCH) // timedelta(milliseconds=1)
    if milliseconds < 0:
        raise EncodeError(f"data.{name}", "must not be before 1970")
    return milliseconds


def _seconds(name: str, moment: Any) -> int | None:
    milliseconds = _milliseconds(name, moment)
    return None if milliseconds is None else milliseconds // 1000
