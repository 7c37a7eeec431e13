"""The events of a terminal, as values.

The names are gatepost's (``serial``, ``image``, ``recorded_at``). Only ``decoder`` and ``encoder`` know those of the
wire. Everything is frozen. ``extra`` keeps fields that the protocol page does not know, by their wire names, so that
they are encoded again as they were.

The defaults are those of a terminal without further information. A *decoded* event has ``None`` for a missing field.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct, field

__all__ = ["Group", "User", "Record", "Alarm", "Unknown", "Event", "Dialect"]


class Group(Struct, frozen=True):
    """A group that the person belongs to."""

    id: str = ""
    name: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


class User(Struct, frozen=True, kw_only=True):
    """The person whom the terminal recognised; mostly empty for a stranger."""

    user_id: str = ""
    name: str = ""
    type: int | None = None
    """A :class:`~gatepost.wire.codes.UserType`, or a code that no table knows."""
    job_number: str = ""
    ic_number: str = ""
    id_number: str = ""
    guest_from: datetime | None = None
    """Begin of the visiting time; aware, to the millisecond."""
    guest_until: datetime | None = None
    remark: str = ""
    pin: str = ""
    """Sent because the page has it. A receiver never stores it."""
    groups: tuple[Group, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)


class Record(Struct, frozen=True, kw_only=True):
    """A passage, or an attempt at one (``type`` 0, 识别通行事件)."""

    serial: str | None = None
    """Serial of the terminal. A :class:`~gatepost.terminal.Terminal` fills it in."""
    uuid: str | None = None
    """Unique to the event, and the same each time it is pushed. Firmware before API 1.2.1 has none."""
    recorded_at: datetime | None = None
    """Time by the terminal's clock; aware UTC. Whole seconds on the wire."""
    recognition_type: int | None = None
    passed: bool | None = None
    entry_mode: int | None = None
    abnormal_type: int | None = 0
    score: float | None = 0.0
    """Certainty of the recognition, 0 to 1."""
    temperature: float | None = 0.0
    """Body temperature in °C; 0: not measured."""
    mask: int | None = 0
    mode: int | None = 0
    image: bytes | None = None
    """The portrait, a JPEG. Base64 only on the wire."""
    user: User | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    outer: dict[str, Any] = field(default_factory=dict)
    """Unknown fields next to ``type`` and ``data``."""


class Alarm(Struct, frozen=True, kw_only=True):
    """One step of a device alarm (``type`` 1, 设备告警事件). On the page it has no serial."""

    serial: str | None = None
    """Serial of the terminal, from firmware or a gateway that adds it. A terminal of gatepost does not."""
    trace_id: str
    """The same in every step of one alarm's life."""
    status: int | None
    """An :class:`~gatepost.wire.codes.AlarmStatus`, or a code that no table knows."""
    event_time: datetime | None
    """When this step happened; aware UTC, to the millisecond."""
    code: int | None = None
    """An :class:`~gatepost.wire.codes.AlarmCode`; required when ``status`` is 1."""
    description: str | None = None
    user_id: int | str | None = None
    """The person concerned. The page has a number; a text stays a text."""
    image: bytes | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    outer: dict[str, Any] = field(default_factory=dict)


class Unknown(Struct, frozen=True):
    """A JSON object that is no event of the protocol page. It is kept, not refused."""

    raw: dict[str, Any]


Event = Record | Alarm | Unknown


class Dialect(StrEnum):
    """The version of the maker's API that the sender uses, as far as the message shows."""

    BEFORE_1_0 = "before 1.0"
    V1_0 = "1.0"
    V1_2_0 = "1.2.0"
    V1_2_1 = "1.2.1"
    V1_3_0 = "1.3.0"
