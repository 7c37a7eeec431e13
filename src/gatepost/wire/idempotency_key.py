"""The idempotency key: what makes two pushes the same event, within one terminal.

A terminal pushes an event again when it missed the acknowledgement, a minute or a year later. The key is the same
each time, and different for different events (``docs/decisions/event-identity.md``):

* A record with a real id: the ``uuid`` (记录事件唯一标识), its own time and the person's number. Counters restart and
  clones share ids, so an id alone does not identify an event.
* An alarm with a real id: the ``trace_id`` (告警流水号), the step's ``status``, time and ``code``, and the person's
  number.
* Everything else: a digest of the whole event, image included. If something in it is broken, a digest of the written
  text, because the event lacks what could not be read.

The person's number is the first of ``user_id``, ``job_number``, ``ic_number`` and ``id_number``; without any, the
name. User type, groups, image, score, mode and remark are no part of a key with a real id: they may differ
when an event is read back from the terminal. No guess is part of a key: if a charset or
an escape was guessed, a number or a name counts by its written bytes, and an id does not count.

Which ids are real: :mod:`gatepost.wire.real_id`.
"""

from hashlib import blake2b

from msgspec import Struct

from gatepost.wire.decoding.decoded import NO_REAL_ID, Decoded
from gatepost.wire.decoding.fields import Problem
from gatepost.wire.decoding.json.charset import EXACT
from gatepost.wire.decoding.json.repair import AROUND, trimmed
from gatepost.wire.decoding.times import EPOCH
from gatepost.wire.encoder import encode_parts
from gatepost.wire.events import Alarm, Record, User
from gatepost.wire.real_id import is_real_id

__all__ = ["Key", "digest", "key", "key_digest"]

_NUMBERS = ("user_id", "job_number", "ic_number", "id_number")

_ASIDE = AROUND | EXACT
_ASIDE_PLACES = ("data.user.pin", "Content-Type header")


class Key(Struct, frozen=True):
    """The parts of an idempotency key."""

    identity: bytes
    """The id, if it is real; else empty."""
    rest: bytes
    """Everything else that tells two events apart."""


def key(event: Record | Alarm, decoded: Decoded | None = None) -> Key:
    """Return the key of an event.

    ``decoded``: the result of decoding the event. Without it, nothing in the event is broken.
    """
    if decoded is not None and not decoded.time and all(map(_is_aside, decoded.problems)):
        decoded = None
    if isinstance(event, Alarm):
        kind, where, name, rest = b"a:", "data.trace_id", event.trace_id, _alarm_rest(event, decoded)
    else:
        kind, where, name, rest = b"u:", "data.uuid", event.uuid or "", _record_rest(event, decoded)
    is_guessed = decoded is not None and decoded.as_written is not None and where in decoded.as_written
    if rest is not None and name and not is_guessed and "\ufffd" not in name and is_real_id(name):
        return Key(kind + _bytes(name), rest)
    if decoded is not None or (
        isinstance(event, Alarm) and (event.status is None or event.event_time is None)
    ):
        return Key(b"", _written(event, decoded))
    return Key(b"", _said(event))


def key_digest(key: Key, secret: bytes = b"") -> bytes:
    """Return sixteen bytes that represent a key in an index, however long the key is.

    If the id is real, the first eight bytes represent it alone, so that events of one terminal with the same id share
    them. ``secret``, at most 64 bytes, prevents tests of a guessed person against a stored digest.
    """
    if not key.identity:
        return blake2b(key.rest, digest_size=16, key=secret).digest()
    rest = blake2b(key.identity + b"\0" + key.rest, digest_size=8, key=secret).digest()
    return blake2b(key.identity, digest_size=8, key=secret).digest() + rest


def digest(text: str, secret: bytes = b"") -> bytes:
    """Return sixteen bytes that represent a text in an index, however long it is."""
    return blake2b(_bytes(text), digest_size=16, key=secret).digest()


def _is_aside(problem: Problem) -> bool:
    """Return whether a problem does not affect the content of the event.

    A ``pin`` is never kept, an unreal id is still there, and bytes around an event are no part of it.
    """
    return problem in _ASIDE or problem.where in _ASIDE_PLACES or problem.why == NO_REAL_ID


def _record_rest(record: Record, decoded: Decoded | None) -> bytes | None:
    """Return time and person of a record; ``None`` if either is unknown."""
    time, person = _time(record, decoded), _person(record.user, decoded)
    return None if time is None or person is None else time + b"\n" + person


def _alarm_rest(alarm: Alarm, decoded: Decoded | None) -> bytes | None:
    """Return step, time, code and person of an alarm; ``None`` if one of them is broken."""
    time = _time(alarm, decoded)
    if time is None or alarm.status is None:
        return None
    if _is_broken(decoded, "data.code", alarm.code) or _is_broken(decoded, "data.user_id", alarm.user_id):
        return None
    said = f"{int(alarm.status)}\n{'' if alarm.code is None else int(alarm.code)}\n"
    person = "" if alarm.user_id is None else str(alarm.user_id)
    return time + b"\n" + said.encode() + _came("data.user_id", person, decoded)


def _time(event: Record | Alarm, decoded: Decoded | None) -> bytes | None:
    """Return the event's own time to the nanosecond; ``None`` if it is unknown."""
    if decoded is not None and decoded.time:
        return decoded.time.encode()
    at = event.recorded_at if isinstance(event, Record) else event.event_time
    if at is None:
        return None
    since = at - EPOCH
    return b"%d" % (((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000)


def _person(user: User | None, decoded: Decoded | None) -> bytes | None:
    """Return the person of a record; ``None`` if that is broken."""
    if user is None:
        return None if _is_broken(decoded, "data.user", None) else b""
    for field in _NUMBERS:
        number: str = getattr(user, field)
        where = f"data.user.{field}"
        if _is_broken(decoded, where, number or None):
            return None
        if number:
            return _told(field, _came(where, number, decoded))
    if _is_broken(decoded, "data.user.name", user.name or None):
        return None
    return _told("name", _came("data.user.name", user.name, decoded)) if user.name else b""


def _told(field: str, person: bytes) -> bytes | None:
    """Return the number or name of a person; ``None`` if it contains U+FFFD, which may be any character."""
    return None if _REPLACED in person else f"{field}=".encode() + person


_REPLACED = "\ufffd".encode()


def _came(where: str, text: str, decoded: Decoded | None) -> bytes:
    """Return a text, or its written bytes if something in it was guessed.

    The two differ in the first byte: no UTF-8 begins with 0xFF.
    """
    texts = None if decoded is None else decoded.as_written
    written = None if texts is None else texts.get(where)
    return _bytes(text) if written is None else b"\xff" + written


def _is_broken(decoded: Decoded | None, where: str, value: object) -> bool:
    """Return whether a field could not be read."""
    return value is None and decoded is not None and any(found.where == where for found in decoded.problems)


def _said(event: Record | Alarm) -> bytes:
    """Return a digest of the content of an event, independent of its order and the form of its image."""
    head, tail = encode_parts(event)
    content = blake2b(head, digest_size=16)
    content.update(event.image or b"")
    content.update(tail)
    if isinstance(event, Record) and event.recorded_at is not None and event.recorded_at.microsecond:
        content.update(b".%06d" % event.recorded_at.microsecond)  # cut off in the encoding
    return b"h:" + content.digest()


def _written(event: Record | Alarm, decoded: Decoded | None) -> bytes:
    """Return a digest of an event's text, without any ``pin`` and bytes around it, and of its image."""
    if decoded is None:
        return b"t:" + repr(event).encode("utf-8", "surrogatepass")
    content = blake2b(trimmed(decoded.original)[0], digest_size=16)
    content.update(event.image or b"")  # text is UTF-8, so the border between the two cannot be moved
    return b"t:" + content.digest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
