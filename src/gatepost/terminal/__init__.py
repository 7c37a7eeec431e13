"""The terminal's side, for devices that record events and push them, and for their simulators.

``terminal``       :class:`Terminal`: one outbox, one pusher
``sync``           :class:`SyncTerminal`, for programs without an event loop
``outbox/``        events on disk, until they are delivered
``push/``          from the outbox to the receiver
``http_api/``      the terminal's own HTTP service
``local_socket/``  the Unix socket for firmware in other languages, and for commands
``program``        ``gatepost terminal run``
``commands``       the other commands; ``options`` are their options, ``cli_output`` is their output
``logs``           where the log goes
``rehearsal/``     a terminal with faults on request

>>> from gatepost.terminal import Terminal
>>> from gatepost.wire import Record
>>>
>>> async with Terminal("SN1", "/var/lib/door") as terminal:
...     await terminal.subscribe("http://192.0.2.1:8080/Record")
...     await terminal.record(Record(recognition_type=1, passed=True, image=jpeg))

When ``record()`` has returned, the event is on disk. It is pushed until the receiver has acknowledged it.
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
    # Loaded on first use (PEP 562): `gatepost terminal emit` imports this package and needs none of it.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
