"""gatepost: the event line of face-recognition access terminals, both ends of it.

``gatepost.terminal``
    for makers of devices: what was recorded is on disk, and is pushed until the receiver has it.
``gatepost.receiver``
    for integrators: what was acknowledged is stored exactly once, and can be seen and searched.
``gatepost.wire``
    the protocol between the two, as values.
"""

__version__ = "0.1.0"
