"""The terminal's side: for whoever makes or simulates a device that has events to deliver.

>>> from gatepost.terminal import Terminal
>>> from gatepost.wire import Record
>>>
>>> async with Terminal("SN1", "/var/lib/door") as terminal:
...     await terminal.subscribe("http://192.0.2.1:8080/Record")
...     await terminal.record(Record(recognition_type=1, passed=True, image=jpeg))

When ``record()`` returned, the event is on disk; it is pushed until the receiver has it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatepost.terminal.agent import SyncTerminal, Terminal
    from gatepost.terminal.outbox import HistoryPage, HistoryQuery, OutboxStatus

__all__ = ["Terminal", "SyncTerminal", "OutboxStatus", "HistoryQuery", "HistoryPage"]


def __getattr__(name: str) -> object:
    """Import what is asked for, and only then: commands that ask one question start in a script, often."""
    if name in ("Terminal", "SyncTerminal"):
        from gatepost.terminal import agent

        return getattr(agent, name)
    if name in __all__:
        from gatepost.terminal import outbox

        return getattr(outbox, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
