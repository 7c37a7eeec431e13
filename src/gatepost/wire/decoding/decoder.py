"""From bytes to events: the push bodies of the protocol page, in every dialect of the fleet.

Rules:

* Decoding loses nothing. Fields that the page does not know are kept in ``extra`` (or ``outer``), and codes stay plain
  integers, so that both are encoded again as they were.
* Decoding normalises. An event has today's codes, identifiers as strings, and aware UTC times, whatever the firmware.
  :class:`~gatepost.wire.events.Dialect` tells which it was.
* The one error, :class:`~gatepost.errors.DecodeError`, tells where and why. ``lenient`` is for receivers, which store a
  passage also with a broken detail: a field that cannot be read becomes ``None`` and a
  :class:`~gatepost.wire.decoding.fields.Problem`.
* A body that is nearly JSON, or not UTF-8, is such a detail, too: ``lenient`` repairs it (``parse``) and reports it.

Flow: bytes → ``decode_usual`` reads it at once, or leaves it to ``parse`` → JSON value → ``_record`` or ``_alarm`` →
event, and the text that it was made from.
Source: the protocol page, 事件推送协议; the dialects are those of the maker's public change log.
"""

import re
from datetime import UTC
from typing import Any

import msgspec
import pybase64

from gatepost.errors import DecodeError
from gatepost.wire.decoding.decoded import NO_REAL_ID, Decoded
from gatepost.wire.decoding.fast_decoder import DEPTH, decode_usual
from gatepost.wire.decoding.fields import Fields, Problem
from gatepost.wire.decoding.json.parser import MAX_DEPTH, parse
from gatepost.wire.decoding.json.places import find_place, only_place, spelling, value_at
from gatepost.wire.decoding.json.repair import CONTROL, mended, trimmed
from gatepost.wire.decoding.redact_pin import without_pins
from gatepost.wire.decoding.times import FIRST_KNOWN, Moment
from gatepost.wire.events import Alarm, Dialect, Event, Group, Record, Unknown, User
from gatepost.wire.real_id import is_real_id

__all__ = ["Decoded", "decode", "with_image"]

_TODAY = Dialect.V1_3_0
"""Looking it up in its class each time would take a fifth of the decoding time."""

_OUTER = ("type", "data", "deviceSN")
_DATA_OF_RECORD = (
    "deviceSN", "TrackID", "recognitionType", "uuid", "recognizeScore", "recognizeStatus", "livenessScore", "mask",
    "mode", "rgb_image", "pass", "timestamp", "bodyTemperature", "entry_mode", "abnormal_type", "user", "groups",
)  # fmt: skip
_DATA_OF_ALARM = (
    "deviceSN", "trace_id", "description", "code", "user_id", "event_time", "status", "alarm_photo",
)  # fmt: skip
_USER = (
    "name", "user_id", "type", "ic_number", "job_number", "id_number", "guest_time_start", "guest_time_end", "remark",
    "pin", "groups",
)  # fmt: skip

_OF_RECORD = (
    ("data", "uuid"), ("data", "user", "user_id"), ("data", "user", "job_number"), ("data", "user", "ic_number"),
    ("data", "user", "id_number"), ("data", "user", "name"),
)  # fmt: skip
_OF_ALARM = (("data", "trace_id"), ("data", "user_id"))
"""Paths of the texts that are part of a key."""

_NUMBER = re.compile(r"[0-9A-Za-z.+-]*")
"""A number as it was written, which is read as a text."""


def decode(
    body: bytes, *, lenient: bool = False, max_depth: int = MAX_DEPTH, charset: str | None = None
) -> Decoded:
    """Decode the body of one push.

    A JSON object that is no event of the page decodes as :class:`~gatepost.wire.events.Unknown`. With ``lenient``, so
    does an event that lacks its essentials: ``data`` is no object or has no known field, or an alarm has no
    ``trace_id``. The trailing comma of the page's own example is accepted.

    ``charset`` is the one that the sender declares. It counts with ``lenient`` if the body is not UTF-8.

    Raises :class:`~gatepost.errors.DecodeError` if the body is no JSON object, or nests deeper than
    ``max_depth``; without ``lenient`` also if any known field is of the wrong type, an image is no base64, or
    something required is missing.
    """
    usual = decode_usual(body) if max_depth >= DEPTH else None
    if usual is not None:
        return Decoded(usual[0], _TODAY, (), usual[1])
    return decode_any(body, lenient=lenient, max_depth=max_depth, charset=charset)


def decode_any(
    body: bytes, *, lenient: bool, max_depth: int = MAX_DEPTH, charset: str | None = None
) -> Decoded:
    """Decode as :func:`decode` does, but always field by field."""
    problems: list[Problem] | None = [] if lenient else None
    text, plan, written = parse(body, max_depth, problems, charset)
    is_mended = bool(problems)
    value = written if problems is None else _in_known_case(written, problems)
    reader = Fields(value, "", problems)
    moment: Moment | None = None
    try:
        event: Event
        if _is(value.get("type"), 0):
            event, dialect, moment = _record(reader)
        elif _is(value.get("type"), 1):
            event, dialect, moment = _alarm(reader)
        else:
            event, dialect = Unknown(value), Dialect.V1_3_0
    except _NoEvent as error:
        if problems is None:
            raise DecodeError(error.where, error.why) from None
        problems.append(Problem(error.where, error.why))
        event, dialect = Unknown(value), Dialect.V1_3_0
    return Decoded(
        event,
        dialect,
        tuple(problems or ()),
        _original(text, plan, written, event),
        time="" if moment is None or moment.plain else moment.exact,
        local_time=None if moment is None else moment.local,
        as_written=_as_written(text, plan, written, event) if is_mended else None,
    )


class _NoEvent(Exception):
    """Something essential is missing, so this is no event."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(where, why)
        self.where = where
        self.why = why


def _is(kind: object, number: int) -> bool:
    return not isinstance(kind, bool) and (kind == number or kind == str(number))


def _in_known_case(value: dict[str, Any], problems: list[Problem]) -> dict[str, Any]:
    """Return the value with the page's names in place of those in another case."""
    value = _recased(value, "", _OUTER, problems)
    data = value.get("data")
    if not isinstance(data, dict):
        return value
    recased = _recased(
        data, "data.", _DATA_OF_ALARM if _is(value.get("type"), 1) else _DATA_OF_RECORD, problems
    )
    user = recased.get("user")
    if isinstance(user, dict) and (known := _recased(user, "data.user.", _USER, problems)) is not user:
        recased = {**recased, "user": known}
    return value if recased is data else {**value, "data": recased}


def _recased(
    value: dict[str, Any], path: str, known: tuple[str, ...], problems: list[Problem]
) -> dict[str, Any]:
    folded = {name.casefold(): name for name in known if name not in value}
    renamed = {
        name: folded[name.casefold()] for name in value if name not in known and name.casefold() in folded
    }
    if not renamed:
        return value
    problems.extend(Problem(f"{path}{new}", f"is written {old}") for old, new in renamed.items())
    return {renamed.get(name, name): inner for name, inner in value.items()}


def with_image(text: bytes, event: Record | Alarm) -> bytes:
    """Put the image of an event back into its ``original``, as plain base64.

    Decoded again, it is the same event with the same ``original``. Raises
    :class:`~gatepost.errors.DecodeError` if the text has no place for an image.
    """
    name = _image_name(event)
    text, plan, value = parse(text, MAX_DEPTH, [], None)
    path = spelling(value, ("data", name))
    place = None if path is None else find_place(plan, path)
    if place is None:
        raise DecodeError(f"data.{name}", "is missing")
    start, end = place
    return text[:start] + pybase64.b64encode(event.image or b"") + text[end:]


def _original(text: bytes, plan: bytes, written: dict[str, Any], event: Event) -> bytes:
    """Return the text without the image that was decoded from it and without any ``pin``; otherwise untouched."""
    if not isinstance(event, Unknown) and event.image is not None:
        text = _without_image(text, plan, written, _image_name(event))
    return without_pins(text)


def _image_name(event: Record | Alarm) -> str:
    return "rgb_image" if isinstance(event, Record) else "alarm_photo"


def _without_image(text: bytes, plan: bytes, written: dict[str, Any], name: str) -> bytes:
    path = spelling(written, ("data", name))
    if path is None:  # impossible: it was decoded from somewhere
        raise DecodeError(f"data.{name}", "is missing")
    place = only_place(text, path[-1]) or find_place(plan, path)
    if place is None:  # without a cut text there must still be no image
        written[path[0]][path[1]] = ""
        return msgspec.json.encode(written)
    start, end = place
    return text[:start] + text[end:]


def _as_written(text: bytes, plan: bytes, written: dict[str, Any], event: Event) -> dict[str, bytes] | None:
    """Return the written bytes of the texts of a key in which a charset or an escape was guessed."""
    found = {}
    for names in () if isinstance(event, Unknown) else _OF_RECORD if isinstance(event, Record) else _OF_ALARM:
        path = spelling(written, names)
        if path is None or not isinstance(value := value_at(written, path), str):
            continue
        place = find_place(plan, path)
        if place is not None:
            literal = text[place[0] : place[1]]
        elif _NUMBER.fullmatch(value):
            continue
        else:
            literal = trimmed(text)[0]  # it is somewhere in the text
        if _is_guessed(literal):
            found[".".join(names)] = literal
    return found or None


def _is_guessed(literal: bytes) -> bool:
    """Return whether the text between two quotes can be read in more than one way."""
    try:
        literal.decode()
    except UnicodeDecodeError:
        return True
    return not {CONTROL}.issuperset(mended(b'"%b"' % literal)[1])


def _record(push: Fields) -> tuple[Record, Dialect, Moment | None]:
    data = _data(push, _DATA_OF_RECORD)
    names = data.rest.keys()
    user = data.object("user")
    dialect = _dialect(names, user)
    if "deviceSN" not in names and "TrackID" in names:
        _rename_before_1_0(data.rest)
    groups = data.rest.pop("groups", None)
    mode = data.integer("mode")
    if mode in (2, 3) and dialect is not Dialect.V1_3_0:
        mode = 5 - mode
    moment = _own_time(data, "timestamp")
    return (
        Record(
            serial=_serial(data, push),
            recognition_type=data.integer("recognitionType"),
            uuid=(_id(data, "uuid") or "").strip() or None,
            score=data.number("recognizeScore"),
            mask=data.integer("mask"),
            mode=mode,
            image=data.image("rgb_image"),
            passed=data.truth("pass"),
            recorded_at=None if moment is None else moment.at,
            temperature=data.number("bodyTemperature"),
            entry_mode=data.integer("entry_mode"),
            abnormal_type=data.integer("abnormal_type"),
            user=_user(user, groups, dialect, data),
            extra=data.rest,
            outer=push.rest,
        ),
        dialect,
        moment,
    )


def _data(push: Fields, known: tuple[str, ...]) -> Fields:
    del push.rest["type"]
    data = push.rest.get("data")
    if not isinstance(data, dict):
        raise _NoEvent("data", "must be an object")
    if push.problems is not None and data.keys().isdisjoint(known):
        raise _NoEvent("data", "has no field that the page knows")
    del push.rest["data"]
    return Fields(data, "data.", push.problems)


def _serial(data: Fields, push: Fields) -> str | None:
    """Read the serial in the data; if it is missing or only padding, the one next to ``data``."""
    name = "deviceSN"
    serial = data.identifier(name)
    return serial or push.identifier(name) or serial


def _id(data: Fields, name: str) -> str | None:
    """Read the id of an event; note it if it does not tell events apart."""
    text = data.identifier(name)
    if text and not text.strip():
        text = None
    if text and not is_real_id(text) and data.problems is not None:
        data.wrong(name, NO_REAL_ID)
    return text


def _own_time(data: Fields, name: str) -> Moment | None:
    """Read the event's own time; ``None`` from a clock that was never set."""
    moment = data.moment(name)
    known = None if moment is None else moment.at or (moment.local and moment.local.replace(tzinfo=UTC))
    if known is not None and known < FIRST_KNOWN and data.problems is not None:
        data.wrong(name, "is before the year 2000: the clock was never set")
        return None
    return moment


def _dialect(names: Any, user: Fields | None) -> Dialect:
    """Tell the sender's version by the fields that each version introduced. ``names``: those of ``data``."""
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


def _user(user: Fields | None, outer: object, dialect: Dialect, data: Fields) -> User | None:
    """Read the person. ``outer``: groups that were next to ``user`` instead of in it."""
    if user is None:
        if outer is None:
            return None
        user = Fields({}, "data.user.", data.problems)
    inside = user.rest.pop("groups", None)
    kind = user.integer("type")
    if kind == 3 and dialect is not Dialect.V1_3_0:
        kind = 5  # the blacklist, until API 1.3.0
    return User(
        name=user.text("name") or "",
        user_id=user.identifier("user_id") or "",
        type=kind,
        ic_number=user.identifier("ic_number") or "",
        job_number=user.identifier("job_number") or "",
        id_number=user.identifier("id_number") or "",
        guest_from=user.time("guest_time_start", unset=0),
        guest_until=user.time("guest_time_end", unset=0),
        remark=user.text("remark") or "",
        pin=user.text("pin") or "",
        groups=_groups(inside, user) if inside is not None else _groups(outer, data),
        extra=user.rest,
    )


def _groups(value: object, holder: Fields) -> tuple[Group, ...]:
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
        group = Fields(item, f"{holder.path}groups[{index}].", holder.problems)
        groups.append(Group(group.identifier("id") or "", group.text("name") or "", group.rest))
    return tuple(groups)


def _alarm(push: Fields) -> tuple[Alarm, Dialect, Moment | None]:
    data = _data(push, _DATA_OF_ALARM)
    trace_id = _id(data, "trace_id")
    if not trace_id:
        raise _NoEvent("data.trace_id", "is missing")
    for name in ("status", "event_time"):
        if data.rest.get(name) is None:
            data.wrong(name, "is missing")
    moment = _own_time(data, "event_time")
    return (
        Alarm(
            serial=_serial(data, push),
            trace_id=trace_id,
            description=data.text("description"),
            code=data.integer("code"),
            user_id=_person_of_alarm(data),
            event_time=None if moment is None else moment.at,
            status=data.integer("status"),
            image=data.image("alarm_photo"),
            extra=data.rest,
            outer=push.rest,
        ),
        Dialect.V1_3_0,
        moment,
    )


def _person_of_alarm(data: Fields) -> int | str | None:
    """Read the person of an alarm: a number, as on the page, or a text, which stays one."""
    if isinstance(data.rest.get("user_id"), str):
        return data.identifier("user_id") or None
    return data.integer("user_id")
