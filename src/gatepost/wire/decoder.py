"""From bytes to events: the push bodies of the protocol page, in every dialect that the fleet speaks.

Rules:

* Decoding loses nothing. Fields that the page does not know land in ``extra`` (or ``outer``) and codes stay
  plain integers, so both come out again as they went in.
* Decoding normalises. Whatever firmware sent it, an event has today's codes, identifiers as strings, and
  aware UTC times. :class:`~gatepost.wire.events.Dialect` says what it was.
* One error, :class:`~gatepost.errors.DecodeError`, says where and why. ``lenient`` is for a receiver, for whom
  a passage with a broken detail is still a passage: there a field that cannot be understood becomes ``None``
  and a :class:`~gatepost.wire.fields.Problem`.

Flow: bytes → ``usual`` reads it at once, or leaves it to ``_parse`` → JSON value → ``_record`` or ``_alarm`` → event,
and the text that it came from.
Source: the protocol page, 事件推送协议; the dialects are those of the maker's public change log.
"""

import re
from typing import Any

import msgspec
import pybase64
from msgspec import Struct

from gatepost.errors import DecodeError
from gatepost.wire.events import Alarm, Dialect, Event, Group, Record, Unknown, User
from gatepost.wire.fields import Fields, Problem
from gatepost.wire.mend import mended
from gatepost.wire.pins import without_pins
from gatepost.wire.usual import DEPTH, decode_usual

__all__ = ["MAX_DEPTH", "Decoded", "decode", "with_image"]

MAX_DEPTH = 64
"""Nesting that no terminal reaches; what is deeper is refused before anything of ours recurses into it."""

_TODAY = Dialect.V1_3_0
"""To look it up in its class each time would cost as much as a fifth of all the decoding."""

_TRAILING_COMMA = re.compile(rb'("(?:[^"\\]|\\.)*+"?)|,(?=\s*+[}\]])', re.DOTALL)
"""A string that does not end is one to the end: were it none, each quote in it would be looked at as a beginning."""

_STEP = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"(?P<colon>\s*+:\s*+)?|[\[\]{}]', re.DOTALL)
"""A string, a member's name with the colon behind it, or where something begins or ends."""


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
    usual = decode_usual(body) if max_depth >= DEPTH else None
    if usual is not None:
        return Decoded(usual[0], _TODAY, (), usual[1])
    return decode_any(body, lenient=lenient, max_depth=max_depth)


def decode_any(body: bytes, *, lenient: bool, max_depth: int = MAX_DEPTH) -> Decoded:
    """Do what :func:`decode` does, field by field, whether the push is a usual one or not."""
    problems: list[Problem] | None = [] if lenient else None
    text, value = _parse(body, max_depth, problems)
    kind = value.get("type")
    reader = Fields(value, "", problems)
    try:
        if _is(kind, 0):
            event: Event
            event, dialect = _record(reader)
        elif _is(kind, 1):
            event, dialect = _alarm(reader)
        else:
            event, dialect = Unknown(value), Dialect.V1_3_0
    except _NoEvent as error:
        if problems is None:
            raise DecodeError(error.where, error.why) from None
        problems.append(Problem(error.where, error.why))
        event, dialect = Unknown(value), Dialect.V1_3_0
    return Decoded(event, dialect, tuple(problems or ()), _original(text, value, event))


class _NoEvent(Exception):
    """Something is missing without which this is no event at all."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(where, why)
        self.where = where
        self.why = why


def _parse(body: bytes, max_depth: int, problems: list[Problem] | None) -> tuple[bytes, dict[str, Any]]:
    text = body.removeprefix(b"\xef\xbb\xbf")
    try:
        try:
            value = msgspec.json.decode(text)
        except msgspec.DecodeError:
            value = _read_again(text, problems)
    except UnicodeDecodeError:
        raise DecodeError("", "is no UTF-8") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise DecodeError("", f"is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise DecodeError("", "is no JSON object")
    _check_depth(value, max_depth)
    return text, value


def _read_again(text: bytes, problems: list[Problem] | None) -> Any:
    """What is nearly JSON, and, with ``problems``, what is JSON beyond all bounds."""
    plain = _TRAILING_COMMA.sub(rb"\1", text) if b"," in text else text
    try:
        return msgspec.json.decode(plain)
    except msgspec.DecodeError:
        if problems is None:
            raise
        plain, found = mended(plain)
        if not found:
            raise
        value = msgspec.json.decode(plain)
        problems += found
        return value


def _check_depth(value: dict[str, Any], max_depth: int) -> None:
    level: list[Any] = [value]
    for _ in range(max_depth):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise DecodeError("", f"nests deeper than {max_depth} levels")


def _is(kind: object, number: int) -> bool:
    return not isinstance(kind, bool) and (kind == number or kind == str(number))


def with_image(text: bytes, event: Record | Alarm) -> bytes:
    """The ``original`` of an event with its image put back, as plain base64, where it was taken out.

    Decoded again, it is the same event with the same ``original``. Raises
    :class:`~gatepost.errors.DecodeError` if the text has no place for an image.
    """
    name = _image_name(event)
    place = _place(text, name)
    if place is None:
        raise DecodeError(f"data.{name.decode()}", "is missing")
    start, end = place
    return text[:start] + pybase64.b64encode(event.image or b"") + text[end:]


def _original(text: bytes, value: dict[str, Any], event: Event) -> bytes:
    """The text without the image that was decoded from it and without any ``pin``; otherwise untouched."""
    if not isinstance(event, Unknown) and event.image is not None:
        text = _without_image(text, value, _image_name(event))
    return without_pins(text)


def _image_name(event: Record | Alarm) -> bytes:
    return b"rgb_image" if isinstance(event, Record) else b"alarm_photo"


def _without_image(text: bytes, value: dict[str, Any], name: bytes) -> bytes:
    place = _only_place(text, name) or _place(text, name)
    if place is None:  # where no text is cut, there must be no image all the same
        value["data"][name.decode()] = ""
        return msgspec.json.encode(value)
    start, end = place
    return text[:start] + text[end:]


def _only_place(text: bytes, name: bytes) -> tuple[int, int] | None:
    """What :func:`_place` answers, at a tenth of its cost; ``None`` where the name may stand in the text twice."""
    found = re.search(rb'"%b"\s*+:\s*+"' % name, text)
    if found is None:
        return None
    start = found.end()
    end = text.find(b'"', start)
    before, after = text[: found.start()], text[end:]
    # An ASCII letter has one escape, \u00 and two digits.
    if text[end - 1 : end] == b"\\" or b'"%b"' % name in after or b"\\u00" in before or b"\\u00" in after:
        return None
    return start, end


def _place(text: bytes, name: bytes) -> tuple[int, int] | None:
    """From where to where, between its quotes, the text of a member of ``data`` goes, however the two are written.

    Of members with one name the last one counts, as it does to whoever decodes the text.
    """
    place, wanted, depth, in_data = None, -1, 0, False
    for step in _STEP.finditer(text):
        at = step.start()
        first = text[at : at + 1]
        if first in (b"{", b"["):
            depth += 1
        elif first != b'"':
            depth -= 1
        elif step["colon"] is None:
            if at == wanted:
                place = at + 1, step.end() - 1
        elif depth == 1:
            in_data = _reads(text, step, b"data")
            place = None if in_data else place
        elif depth == 2 and in_data and _reads(text, step, name):
            place, wanted = None, step.end()
    return place


def _reads(text: bytes, step: re.Match[bytes], name: bytes) -> bool:
    """Whether this is the name of a member, escaped or not."""
    literal = text[step.start() : step.start("colon")]
    if b"\\" not in literal:
        return literal[1:-1] == name
    try:
        return msgspec.json.decode(literal, type=str) == name.decode()
    except msgspec.DecodeError:  # half a character
        return False


def _record(push: Fields) -> tuple[Record, Dialect]:
    data = _data(push)
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


def _data(push: Fields) -> Fields:
    del push.rest["type"]
    if not isinstance(push.rest.get("data"), dict):
        raise _NoEvent("data", "must be an object")
    return Fields(push.rest.pop("data"), "data.", push.problems)


def _dialect(names: Any, user: Fields | None) -> Dialect:
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


def _user(user: Fields | None, beside: object, dialect: Dialect, data: Fields) -> User | None:
    """``beside``: groups that stood beside ``user`` instead of inside it."""
    if user is None:
        if beside is None:
            return None
        user = Fields({}, "data.user.", data.problems)
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
        groups.append(Group(group.identifier("id") or "", group.identifier("name") or "", group.rest))
    return tuple(groups)


def _alarm(push: Fields) -> tuple[Alarm, Dialect]:
    data = _data(push)
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
