"""Read which serial the events of a push name."""

from __future__ import annotations

from collections.abc import Sequence

from gatepost.wire import Decoded, Event, Record, Unknown
from gatepost.wire.decoding.fields import Fields

__all__ = ["first_serial", "serial_of"]


def first_serial(events: Sequence[Decoded]) -> str | None:
    """Return the serial of the first event that has one."""
    return next((serial for one in events if (serial := serial_of(one.event))), None)


def serial_of(event: Event) -> str | None:
    """Return the serial of the terminal that an event names, if it names one."""
    return event.serial if type(event) is Record else _serial_beside(event)


def _serial_beside(event: Event) -> str | None:
    """Return the ``deviceSN`` that came with something that is no record, if there is one, read as that of a record."""
    if isinstance(event, Unknown):
        data = event.raw.get("data")
        places = [data if isinstance(data, dict) else {}]
    else:
        places = [{"deviceSN": event.serial}, event.extra, event.outer]
    return next(filter(None, (Fields(place, "", []).identifier("deviceSN") for place in places)), None)
