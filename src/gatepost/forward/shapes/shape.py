"""Write an event in the shape of its destination. Pure.

An event has the same id in every shape, on every attempt and in a replay: ``record-17``, ``alarm-18``.

* ``cloudevents``: CloudEvents 1.0 in JSON. ``data`` is the record as the API lists it, or the step of the alarm.
* ``flat``: one level, the same names with underscores, no lists.
* ``push``: as the terminal sent it, with its image where the destination receives images. Notices have no such shape.

Their JSON Schemas: :mod:`gatepost.forward.shapes.schemas`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec
import pybase64
from msgspec import Struct
from msgspec.structs import replace

from gatepost.forward.options.templates import place_of
from gatepost.forward.shapes.data import Data, data_of, event_id
from gatepost.forward.shapes.flat import flat
from gatepost.store.interface import AlarmStepRow, Forwarded, Notice, RecordRow
from gatepost.wire import Unknown, decode
from gatepost.wire.decoding.decoder import with_image

__all__ = ["CONTENT_TYPES", "CloudEvent", "Shaper"]

CONTENT_TYPES: Mapping[str, str] = {
    "cloudevents": "application/cloudevents+json",
    "flat": "application/json",
    "push": "application/json",
}

_JSON = msgspec.json.Encoder()


EventType = Literal["gatepost.record", "gatepost.alarm", "gatepost.notice", "gatepost.test"]


class CloudEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """CloudEvents 1.0, JSON event format, section 3."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: EventType
    subject: str
    """The serial of the terminal, or ``terminal-`` and its id; of a notice about none, what it is about."""
    time: datetime
    """When it happened."""
    datacontenttype: Literal["application/json"]
    data: Data
    replay: bool = False
    """It was sent before, or could have been: a person asked for the events of a span."""


_TYPES: Mapping[type, EventType] = {
    RecordRow: "gatepost.record",
    AlarmStepRow: "gatepost.alarm",
    Notice: "gatepost.notice",
}


class Shaper:
    """Writes events in the shape of one destination."""

    def __init__(self, shape: Literal["cloudevents", "flat", "push"], source: str) -> None:
        """``source``: which receiver it is, as a URI: the same for every process on its database."""
        self._shape = shape
        self._source = source
        self.content_type = CONTENT_TYPES[shape]

    def body(
        self,
        row: Forwarded,
        *,
        person_id: str = "",
        image: bytes | None = None,
        link: str | None = None,
        original: bytes | None = None,
        is_replay: bool = False,
    ) -> bytes:
        """Return an event as bytes. ``original``: the whole of it, for the shape ``push``.

        ``image``, ``link``: only where the destination is sent images, or links to them.
        """
        if self._shape == "push":
            return _pushed(original or b"", image)
        data = data_of(row, person_id, link if image is None else _base64(image))
        if self._shape == "flat":
            return _JSON.encode(flat(row, data, is_replay=is_replay))
        return _JSON.encode(self._cloud_event(row, data, is_replay=is_replay))

    def _cloud_event(self, row: Forwarded, data: Data, *, is_replay: bool) -> CloudEvent:
        return CloudEvent(
            specversion="1.0",
            id=event_id(row),
            source=self._source,
            type=_TYPES[type(row)],
            subject=place_of(row),
            time=data.listed_at,
            datacontenttype="application/json",
            data=data,
            replay=is_replay,
        )


def _pushed(original: bytes, image: bytes | None) -> bytes:
    if image is None:
        return original
    event = decode(original, lenient=True).event
    return original if isinstance(event, Unknown) else with_image(original, replace(event, image=image))


def _base64(image: bytes) -> str:
    return pybase64.b64encode(image).decode()
