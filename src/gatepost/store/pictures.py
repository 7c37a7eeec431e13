"""Pictures in texts: what a terminal sent as JSON may have a face in it where nothing of ours looks for one.

The image of an event is taken out of its ``original`` when it is decoded. What could not be decoded stays there,
and so does a picture in a field that the page does not know; a quarantined push is kept whole. Where pictures are
not to be kept, or no longer, every long text goes: nothing else that terminals send is as long as a picture.
"""

import re

__all__ = ["LONG", "without_pictures"]

LONG = 1024
"""Bytes. The smallest portrait that shows a face is longer, the longest name and remark are shorter."""

_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)


def without_pictures(original: bytes) -> bytes:
    """The same JSON with every text of :data:`LONG` bytes or more emptied."""
    if len(original) < LONG:
        return original
    return _TEXT.sub(lambda found: found[0] if len(found[0]) < LONG + 2 else b'""', original)
