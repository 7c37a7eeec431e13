"""Decode the usual push in one step: a record of API 1.3 in which every field is as on the page.

Nearly every push is such a record. Reading it field by field costs more than storing it. Here msgspec reads it into one
typed value, four times as fast.

Rules:

* It never decides anything itself. Every deviation (a field that the page does not know, an integer in place of a
  string, an escape, a ``pin``, another dialect) is left to ``decoder``. A result of this module is what ``decoder``
  returns, too, strict or lenient.
* The 40,000 letters of the image are cut out before the rest is read, and read only by the base64 decoder.
* The cache is bounded in people and in letters: a person with more than :data:`LONG` bytes is read each time.

Flow: bytes → image cut out → typed value → :class:`~gatepost.wire.events.Record`.
Source: the protocol page, 识别事件数据.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated

import msgspec
import pybase64
from msgspec import UNSET, Meta, Struct, UnsetType, field
from msgspec.structs import replace

from gatepost.wire.decoding.fields import PADDING
from gatepost.wire.events import Group, Record, User
from gatepost.wire.real_id import is_real_id

__all__ = ["DEPTH", "LONG", "decode_usual", "forget_people"]

USERS = 4096
"""People in the cache. Most pushes are of a person who passed before, with the same fields."""

LONG = 1024
"""Bytes of a person. All fields at their maximum length, with some groups, are fewer."""

DEPTH = 5
"""How deep a usual record nests: push, data, user, groups, group."""

_Int = Annotated[int, Meta(ge=-(1 << 62), le=1 << 62)]
_Float = Annotated[float, Meta(gt=-(1 << 53), lt=1 << 53)]
_Seconds = Annotated[int, Meta(ge=946_684_800, lt=100_000_000_000)]
"""From the year 2000 on. An earlier clock was never set."""

_IMAGE = re.compile(rb'"rgb_image"\s*+:\s*+"')
_JPEG = b"\xff\xd8"


class _Group(Struct, forbid_unknown_fields=True, gc=False):
    id: str = ""
    name: str = ""


class _User(Struct, forbid_unknown_fields=True):
    name: str | None = ""
    user_id: str = ""
    type: _Int | None = None
    ic_number: str = ""
    job_number: str = ""
    id_number: str = ""
    guest_time_start: _Int | None = None
    guest_time_end: _Int | None = None
    remark: str = ""
    pin: str = ""
    groups: list[_Group] = []


class _Data(Struct, forbid_unknown_fields=True):
    entry_mode: _Int  # only today's dialect has it
    timestamp: _Seconds
    user: msgspec.Raw
    rgb_image: str = ""
    serial: str | None = field(name="deviceSN", default=None)
    recognition_type: _Int | None = field(name="recognitionType", default=None)
    abnormal_type: _Int | None = None
    uuid: str = ""
    score: _Float | None = field(name="recognizeScore", default=None)
    mask: _Int | None = None
    mode: _Int | None = None
    temperature: _Float | None = field(name="bodyTemperature", default=None)
    passed: bool | None = field(name="pass", default=None)
    groups: list[_Group] | UnsetType = UNSET
    """Their place in an item of a history, next to the user."""


class _Push(Struct, forbid_unknown_fields=True):
    type: _Int
    data: _Data


_read = msgspec.json.Decoder(_Push).decode
_read_user = msgspec.json.Decoder(_User).decode


def decode_usual(body: bytes) -> tuple[Record, bytes] | None:
    """Decode a usual record: the event, and its text without the image. ``None`` for all else."""
    cut = _cut_image(body)
    if cut is None:
        return None
    text, image = cut
    # Of two users the first would not be read.
    if b"\\" in text or text.find(b'"user"') != text.rfind(b'"user"'):
        return None
    try:
        push = _read(text)
        data = push.data
        said = bytes(data.user)
        user = _known_user(said) if len(said) <= LONG else _user(said)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if user is None or push.type or data.rgb_image not in ("", " "):
        return None
    if data.groups is not UNSET:
        if b'"groups"' in said or any(_is_padded(group.id) for group in data.groups):
            return None
        if data.groups:
            user = replace(user, groups=_groups(data.groups))
    uuid, serial = data.uuid, data.serial
    if (uuid and not is_real_id(uuid)) or _is_padded(uuid) or (serial and _is_padded(serial)):
        return None
    return Record(
        serial=serial,
        uuid=uuid or None,
        recorded_at=datetime.fromtimestamp(data.timestamp, UTC),
        recognition_type=data.recognition_type,
        passed=data.passed,
        entry_mode=data.entry_mode,
        abnormal_type=data.abnormal_type,
        score=data.score,
        temperature=data.temperature,
        mask=data.mask,
        mode=data.mode,
        image=image,
        user=user,
    ), text


def _user(text: bytes) -> User | None:
    """Return the person.

    ``None`` for a visitor, whose times ``decoder`` reads; if there may be a ``pin``, which has no other place in a
    usual record; and if an identifier is padded.
    """
    user = _read_user(text)
    if user.guest_time_start or user.guest_time_end or _shows_pin(text):
        return None
    if any(map(_is_padded, (user.user_id, user.job_number, user.ic_number, user.id_number))):
        return None
    if any(_is_padded(group.id) for group in user.groups):
        return None
    return User(
        user_id=user.user_id,
        name=user.name or "",
        type=user.type,
        job_number=user.job_number,
        ic_number=user.ic_number,
        id_number=user.id_number,
        remark=user.remark,
        groups=_groups(user.groups),
    )


def _groups(groups: list[_Group]) -> tuple[Group, ...]:
    return tuple([Group(group.id, group.name) for group in groups])


_known_user = lru_cache(maxsize=USERS)(_user)
"""The same; for the same text the same object."""


def forget_people() -> None:
    """Clear the cache of people, after an erasure. Any thread may call it."""
    _known_user.cache_clear()


def _cut_image(body: bytes) -> tuple[bytes, bytes | None] | None:
    """Return the body with an empty image, and the image.

    ``None`` if it is no plain base64 of a JPEG, or if there is a second image, which would count instead.

    The cut part contains neither a quote nor an escape, so the rest is valid JSON exactly if the body was.
    """
    found = _IMAGE.search(body)
    if found is None:
        return body, None
    start = found.end()
    end = body.find(b'"', start)
    if body.find(b'"rgb_image"', end) >= 0:
        return None
    if end - start < 2:
        return body, None
    try:
        image = pybase64.b64decode(memoryview(body)[start:end], validate=True)
    except ValueError:
        return None
    if image[:2] != _JPEG:
        return None
    return body[:start] + body[end:], image


def _is_padded(identifier: str) -> bool:
    """Return whether ``decoder`` would strip an identifier."""
    return identifier.strip(PADDING) != identifier


def _shows_pin(text: bytes) -> bool:
    """Return whether there is a non-empty ``pin``. The text has no escapes that could hide its name."""
    at = text.find(b'"pin"')
    while at >= 0:
        if not text.startswith((b':""', b': ""'), at + 5):
            return True
        at = text.find(b'"pin"', at + 5)
    return False
