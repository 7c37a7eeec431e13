"""The receiver's API from Python: typed, blocking, on the standard library; no extra is needed.

::

    from gatepost.client import Client

    with Client("https://gatepost.example.com", token) as receiver:
        for event in receiver.live():
            print(event.id, event.record or event.alarm)

The values are those of :mod:`gatepost.items`, which the receiver sends.

``client``        the class; records, alarms, views, exports, the live stream
``terminals``     its calls about terminals
``fleet``         its calls about adopted terminals
``people``        its calls about people
``destinations``  its calls about forwarding
``calls``         what they share
``connection``    requests over HTTP; ``stream`` reads server-sent events
``commands/``     the command line, which is built on it
"""

from gatepost.client.client import Client, Filter, Format
from gatepost.client.stream import Happened

__all__ = ["Client", "Filter", "Format", "Happened"]
