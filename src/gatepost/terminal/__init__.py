"""The terminal's side: for makers and simulators of devices that have events to deliver.

``terminal``       :class:`Terminal`: one outbox, one pusher
``sync``           :class:`SyncTerminal`, for programs without an event loop
``outbox/``        events on disk, until they are delivered
``push/``          from the outbox to the receiver
``http_api/``      the terminal's own HTTP service
``local_socket/``  the way in for firmware in other languages, and for commands
``program``        ``gatepost terminal run``
``commands``       the other commands; ``cli_output`` is what they print
``logs``           where the log goes
``rehearsal/``     a terminal that misbehaves as it is told

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
    from gatepost.terminal.sync import SyncTerminal
    from gatepost.terminal.terminal import Terminal

__all__ = ["Terminal", "SyncTerminal", "OutboxStatus", "HistoryQuery", "HistoryPage", "Stored"]

_HOMES = {
    "Terminal": "gatepost.terminal.terminal",
    "SyncTerminal": "gatepost.terminal.sync",
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
