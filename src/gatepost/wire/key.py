"""The idempotency key: what makes two pushes the same event, within one terminal.

A terminal pushes an event again whenever it did not see the acknowledgement, a minute or a year later. The key
is the same each time, and different for different events:

* a record that bears a ``uuid``: that (记录事件唯一标识), whatever else it says;
* an alarm: its ``trace_id`` and ``status``, for one alarm is reported once per step of its life;
* a record of firmware that sends no ``uuid``: a digest of everything that it says, its image included, in today's
  words; so it does not matter in which order it says it. The milliseconds of its time are part of that if there are
  any: of whole seconds the digest is of the canonical encoding alone;
* where that is not to be had because it came broken (a record without ``uuid`` in which any field could not be
  understood, an alarm whose ``status`` could not, half a character in a ``uuid`` or ``trace_id``): a digest of the
  text as it came, and of the image that was taken out of it. What could not be understood is in no event, so events
  that differ in nothing else would be the same. The text is that which is kept, without any ``pin``: what went through
  the quarantine has the key that it had before.

When it was sent (the ``timestamp`` header) is no part of it: that is another each time.
"""

from collections.abc import Iterable
from hashlib import blake2b

from gatepost.wire.decoder import Decoded
from gatepost.wire.encoder import encode_parts
from gatepost.wire.events import Alarm, Record
from gatepost.wire.fields import Problem

__all__ = ["key", "digest"]


def key(event: Record | Alarm, decoded: Decoded | None = None) -> str:
    """Answer ``u:UUID``, ``a:TRACE_ID:STATUS``, ``h:DIGEST`` of what it says or ``t:DIGEST`` of how that was written
    (32 hexadecimal digits).

    ``decoded`` is what the event was decoded as. Without it, it is one that has nothing broken.
    """
    if decoded is not None and decoded.problems and _broken(event, decoded.problems):
        content = blake2b(decoded.original, digest_size=16)
        content.update(event.image or b"")  # text is UTF-8, so nobody can move the border between the two
        return f"t:{content.hexdigest()}"
    if isinstance(event, Alarm):
        return f"a:{event.trace_id}:{'' if event.status is None else int(event.status)}"
    if event.uuid:
        return f"u:{event.uuid}"
    head, tail = encode_parts(event)
    content = blake2b(head, digest_size=16)
    content.update(event.image or b"")
    content.update(tail)
    milliseconds = 0 if event.recorded_at is None else event.recorded_at.microsecond // 1000
    if milliseconds:  # cut off in the encoding
        content.update(b".%03d" % milliseconds)
    return f"h:{content.hexdigest()}"


def digest(key: str) -> bytes:
    """Sixteen bytes that stand for a key in an index, however long the key is."""
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _broken(event: Record | Alarm, problems: Iterable[Problem]) -> bool:
    """Whether the key cannot be told from the event alone."""
    name = event.trace_id if isinstance(event, Alarm) else event.uuid
    if name and "\ufffd" in name:  # what stood there instead is not known any more
        return True
    if isinstance(event, Alarm):
        return any(problem.where == "data.status" for problem in problems)
    # A pin is kept nowhere, so there is no problem with it when it is decoded again.
    return not name and any(problem.where != "data.user.pin" for problem in problems)
