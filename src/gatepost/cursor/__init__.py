"""Which numbers of a sequence are settled, which are tried next, and which are given up. Pure: no I/O, no clock.

``cursor``  the state of one consumer: what waits, is in flight, dead, settled
``spans``   a set of numbers as spans
``tried``   what is known of a number that was tried
``queue``   which number goes next: lanes, moments, and numbers that keep their order
"""

from gatepost.cursor.cursor import Cursor
from gatepost.cursor.spans import Spans
from gatepost.cursor.tried import Tried

__all__ = ["Cursor", "Spans", "Tried"]
