"""Which numbers of a sequence are settled, which are tried next, and which are given up. Pure: no I/O, no clock."""

from gatepost.cursor.cursor import Cursor, Spans, Tried

__all__ = ["Cursor", "Spans", "Tried"]
