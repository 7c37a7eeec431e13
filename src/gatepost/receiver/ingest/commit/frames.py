"""The bodies of frames in the receiver's journal: an arrival, as the reply left it.

Rules:

* A frame has what was received and what was decided at the reply. Nothing is decided again when it is read.
* It has no PIN, and no fields of the event that ``original`` alone keeps. Unknown fields of a group are part of who
  somebody is; they stand in the frame as JSON, which holds every number.
* It has no image, and no text that may be one. Those are in packs, and the frame has their places. With image keys
  the key of an image is encrypted; without its image key an event is listed all the same.
* Every arrival has a frame. A text that is no UTF-8 is mended as the store would mend it; what has no encoding at all
  becomes a frame for the quarantine.
* A field that a later version adds has a default, so a frame of an earlier one can be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from gatepost.errors import StoreError
from gatepost.journal.places import Place, join_places
from gatepost.receiver.ingest.event_keys import kept_raw
from gatepost.settings import ReceiverSettings
from gatepost.store.conversion.values import text
from gatepost.store.images.encryption import ImageKeys, read_keys
from gatepost.store.images.places import open_place, seal_place
from gatepost.store.types.arrivals import Arrival, NewTerminal
from gatepost.wire import Alarm, Dialect, Event, Group, Problem, Record, Unknown, User, without_pins

__all__ = ["Frames", "image_keys"]

log = structlog.get_logger(__name__)


class _Frame(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An :class:`~gatepost.store.interface.Arrival`; it has a record, an alarm, or neither."""

    terminal_id: int
    key: bytes
    received_at_ms: int
    original: bytes
    record: Record | None = None
    groups: bytes = b""
    """Groups of the person as JSON (id, name, unknown fields), where one has such fields; else the record has them."""
    alarm: Alarm | None = None
    problems: tuple[Problem, ...] = ()
    dialect: Dialect | None = None
    peer: str = ""
    bind_peer: bool = False
    tokenless: bool = False
    sent_at_ms: int | None = None
    model: str | None = None
    disagreements: tuple[tuple[str, str], ...] = ()
    new_terminal: NewTerminal | None = None
    alike: int = 0
    is_backfilled: bool = False
    has_texts: bool = False
    """The last of its images is the long texts of ``original``."""


_Joined = tuple[tuple[Place, ...], _Frame]
"""As :func:`~gatepost.journal.places.join_places` writes it."""


def image_keys(settings: ReceiverSettings) -> ImageKeys:
    """Read the keys of images that the settings name. Raises :class:`~gatepost.errors.SettingsError`."""
    return read_keys(settings.image_keys, file=settings.image_key_file or None)


class Frames:
    """Encodes and decodes the bodies of frames. Any thread may use it."""

    def __init__(self, secret: bytes, keys: ImageKeys) -> None:
        """``secret``: the store's, with which the keys of events are made. ``keys`` may be empty."""
        self._secret = secret
        self._keys = keys
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(_Joined)

    def encode(self, arrival: Arrival, *, has_texts: bool = False) -> bytes:
        """Return the body of a frame, for :meth:`join`. Raises nothing.

        ``has_texts``: of its images, which have no places yet, the last one is the long texts.
        """
        try:
            return self._encoder.encode(_framed(arrival, has_texts=has_texts))
        except Exception:
            return self._encode_unusual(arrival, has_texts=has_texts)

    def join(self, body: bytes, places: Sequence[Place]) -> bytes:
        """Return a body with the places of its images, whose keys are encrypted where there are image keys."""
        return join_places(body, [seal_place(place, self._keys) for place in places] if places else ())

    def decode(self, body: bytes) -> Arrival:
        """Return the arrival. Raises :class:`~gatepost.errors.StoreError` for another form."""
        try:
            sealed, frame = self._decoder.decode(body)
            places = tuple(map(self._open, sealed))
            record = _with_groups(frame)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise StoreError("a frame of the journal has another form than this version knows") from error
        event: Event = record or frame.alarm or Unknown({})
        return Arrival(
            event=event,
            image=places[0] if len(places) > frame.has_texts else None,
            texts=places[-1] if frame.has_texts and places else None,
            terminal_id=frame.terminal_id,
            key=frame.key,
            received_at_ms=frame.received_at_ms,
            original=frame.original,
            problems=frame.problems,
            dialect=frame.dialect,
            peer=frame.peer,
            bind_peer=frame.bind_peer,
            tokenless=frame.tokenless,
            sent_at_ms=frame.sent_at_ms,
            model=frame.model,
            disagreements=frame.disagreements,
            new_terminal=frame.new_terminal,
            alike=frame.alike,
            is_backfilled=frame.is_backfilled,
        )

    def _open(self, place: Place) -> Place:
        """Return a place with the key of its image as it is, if its image key is given."""
        try:
            return open_place(place, self._keys)
        except StoreError:
            return place

    def _encode_unusual(self, arrival: Arrival, *, has_texts: bool) -> bytes:
        try:
            return self._encoder.encode(_framed(_mended(arrival), has_texts=has_texts))
        except Exception as error:
            log.warning("frames.kept_raw", kind=type(error).__name__)
            raw = kept_raw(arrival, "has a value that cannot be stored", self._secret)
            return self._encoder.encode(_framed(_mended(raw), has_texts=has_texts))


_read_groups = msgspec.json.Decoder(list[tuple[str, str, dict[str, Any]]]).decode


def _framed(arrival: Arrival, *, has_texts: bool) -> _Frame:
    event = arrival.event
    groups = b""
    if isinstance(event, Record):
        user = event.user
        if user is not None and (user.pin or user.extra or user.groups):
            user, groups = _framed_user(user)
        if user is not event.user or event.extra or event.outer:
            event = replace(event, user=user, extra={}, outer={})
    elif isinstance(event, Alarm) and (event.extra or event.outer):
        event = replace(event, extra={}, outer={})
    return _Frame(
        record=event if isinstance(event, Record) else None,
        groups=groups,
        alarm=event if isinstance(event, Alarm) else None,
        terminal_id=arrival.terminal_id,
        key=arrival.key,
        received_at_ms=arrival.received_at_ms,
        original=arrival.original,
        problems=arrival.problems,
        dialect=arrival.dialect,
        peer=arrival.peer,
        bind_peer=arrival.bind_peer,
        tokenless=arrival.tokenless,
        sent_at_ms=arrival.sent_at_ms,
        model=arrival.model,
        disagreements=arrival.disagreements,
        new_terminal=arrival.new_terminal,
        alike=arrival.alike,
        is_backfilled=arrival.is_backfilled,
        has_texts=has_texts,
    )


def _framed_user(user: User) -> tuple[User, bytes]:
    """Return what the record has of a person, and the groups that do not fit into it."""
    groups = b""
    if any(group.extra for group in user.groups):
        written = [(group.id, group.name, group.extra) for group in user.groups]
        groups = without_pins(msgspec.json.encode(written))
    if user.pin or user.extra or groups:
        user = replace(user, pin="", extra={}, groups=() if groups else user.groups)
    return user, groups


def _with_groups(frame: _Frame) -> Record | None:
    record = frame.record
    if record is None or record.user is None or not frame.groups:
        return record
    groups = tuple(Group(*group) for group in _read_groups(frame.groups))
    return replace(record, user=replace(record.user, groups=groups))


def _mended(value: Any) -> Any:
    """Return the same in which every text is one that can be encoded."""
    if isinstance(value, Struct):
        return replace(value, **{name: _mended(getattr(value, name)) for name in value.__struct_fields__})
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict):
        return {_mended(name): _mended(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_mended(each) for each in value)
    return value
