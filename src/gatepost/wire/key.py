"""The idempotency key: what makes two pushes the same event, within one terminal.

A terminal pushes an event again whenever it did not see the acknowledgement, a minute or a year later. The key
is the same each time, and different for different events:

* a record that bears a ``uuid``: that (记录事件唯一标识);
* an alarm: its ``trace_id`` and ``status``, for one alarm is reported once per step of its life;
* a record of firmware that sends no ``uuid``: a digest of everything that it says, its image included.
"""

from hashlib import blake2b

from gatepost.wire.encoder import encode_parts
from gatepost.wire.events import Alarm, Record

__all__ = ["key", "digest"]


def key(event: Record | Alarm) -> str:
    """Answer ``u:UUID``, ``a:TRACE_ID:STATUS`` or ``h:DIGEST`` (32 hexadecimal digits)."""
    if isinstance(event, Alarm):
        return f"a:{event.trace_id}:{'' if event.status is None else int(event.status)}"
    if event.uuid:
        return f"u:{event.uuid}"
    head, tail = encode_parts(event)
    content = blake2b(head, digest_size=16)
    content.update(event.image or b"")
    content.update(tail)
    return f"h:{content.hexdigest()}"


def digest(key: str) -> bytes:
    """Sixteen bytes that stand for a key in an index, however long the key is."""
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()
