"""The receiver's API from Python: typed, blocking, on the standard library; no extra is needed.

::

    from gatepost.client import Client

    with Client("https://gatepost.example.com", token) as receiver:
        for event in receiver.live():
            print(event.id, event.record or event.alarm)

The values are those of :mod:`gatepost.items`, with which the receiver answers. The command line is built on it.
"""

from gatepost.client.client import Client, Filter, Format
from gatepost.client.stream import Happened

__all__ = ["Client", "Filter", "Format", "Happened"]
