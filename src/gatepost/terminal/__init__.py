"""The terminal's side: for whoever makes or simulates a device that has events to deliver.

>>> from gatepost.terminal import Terminal
>>> from gatepost.wire import Record
>>>
>>> async with Terminal("SN1", "/var/lib/door") as terminal:
...     await terminal.subscribe("http://192.0.2.1:8080/Record")
...     await terminal.record(Record(recognition_type=1, passed=True, image=jpeg))

When ``record()`` returned, the event is on disk; it is pushed until the receiver has it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatepost.terminal.outbox.outbox import HistoryPage, HistoryQuery, OutboxStatus
    from gatepost.terminal.outbox.types import Stored
    from gatepost.terminal.terminal import SyncTerminal, Terminal

__all__ = ["Terminal", "SyncTerminal", "OutboxStatus", "HistoryQuery", "HistoryPage", "Stored"]

_HOMES = {
    "Terminal": "gatepost.terminal.terminal",
    "SyncTerminal": "gatepost.terminal.terminal",
    "OutboxStatus": "gatepost.terminal.outbox.outbox",
    "HistoryQuery": "gatepost.terminal.outbox.outbox",
    "HistoryPage": "gatepost.terminal.outbox.outbox",
    "Stored": "gatepost.terminal.outbox.types",
}


def __getattr__(name: str) -> Any:
    # Loaded when it is asked for (PEP 562): `gatepost terminal emit` goes through this package and needs none of it.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
