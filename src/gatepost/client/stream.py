"""Server-sent events, as the receiver's live stream has them (HTML Living Standard, section 9.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec
from msgspec import Struct

from gatepost.errors import ClientError
from gatepost.items import AlarmItem, RecordItem

__all__ = ["Happened", "happened"]

_RECORD = msgspec.json.Decoder(RecordItem)
_ALARM = msgspec.json.Decoder(AlarmItem)


class Happened(Struct, frozen=True):
    """One event of the stream."""

    id: int
    """Its place: what comes later has a higher one."""
    kind: Literal["record", "alarm"] | None
    """``None``: nothing happened, but the place is a later one."""
    record: RecordItem | None = None
    alarm: AlarmItem | None = None
    """As it is after this step."""


def happened(lines: Iterable[bytes]) -> Iterator[Happened]:
    """Read events out of lines; kinds that this version does not know are passed over.

    Raises :class:`~gatepost.errors.ClientError` for one that is not as it should be.
    """
    fields: dict[bytes, bytes] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(b":")
            fields[name] = value.removeprefix(b" ")
            continue
        if fields.get(b"id", b"").isdigit():
            yield _event(int(fields[b"id"]), fields.get(b"event"), fields.get(b"data"))
        fields = {}


def _event(place: int, kind: bytes | None, data: bytes | None) -> Happened:
    try:
        if data is not None and kind == b"record":
            return Happened(place, "record", record=_RECORD.decode(data))
        if data is not None and kind == b"alarm":
            return Happened(place, "alarm", alarm=_ALARM.decode(data))
    except msgspec.MsgspecError as error:
        raise ClientError(
            f"event {place} is not understood ({error}); is the receiver of a later version?"
        ) from None
    return Happened(place, None)
