"""The protocol between a terminal and a receiver, as values. Pure: no I/O, no clock, no randomness.

``events``           :class:`Record`, :class:`Alarm`, and what is neither
``codes``            the code tables of the protocol page, with texts
``encoder``          from events to canonical bytes
``decoding/``        from bytes to events, in every dialect
``idempotency_key``  what makes two pushes the same event
``real_id``          which ids tell events apart
``reply``            the receiver's reply, and what it means for the event
``subscription``     where a terminal pushes to
``history_query``    the query of a terminal's history, and the items of its reply
"""

from gatepost.wire.codes import (
    AbnormalType,
    AlarmCode,
    AlarmStatus,
    EntryMode,
    Mask,
    RecognitionType,
    UserType,
    VerificationMode,
    label,
)
from gatepost.wire.decoding.decoded import Decoded
from gatepost.wire.decoding.decoder import decode
from gatepost.wire.decoding.fast_decoder import forget_people
from gatepost.wire.decoding.fields import Problem
from gatepost.wire.decoding.images import media_type
from gatepost.wire.decoding.redact_pin import without_pins
from gatepost.wire.decoding.several import MAX_EVENTS, decode_many
from gatepost.wire.encoder import encode, encode_parts
from gatepost.wire.events import Alarm, Dialect, Event, Group, Record, Unknown, User
from gatepost.wire.idempotency_key import Key, digest, key, key_digest
from gatepost.wire.real_id import is_real_id
from gatepost.wire.reply import (
    MAX_REPLY,
    SUCCESS,
    Delivered,
    Outcome,
    Refused,
    Reply,
    Unreachable,
    classify,
    encode_reply,
)
from gatepost.wire.subscription import (
    MAX_EVENT_DEST,
    Envelope,
    Subscription,
    check_event_dest,
    decode_subscription,
    encode_envelope,
    make_subscription,
    receiver_of,
    without_credentials,
)

__all__ = [
    "Record", "Alarm", "Unknown", "Event", "User", "Group", "Dialect",
    "RecognitionType", "Mask", "VerificationMode", "EntryMode", "AbnormalType", "UserType", "AlarmCode",
    "AlarmStatus", "label",
    "Decoded", "Problem", "MAX_EVENTS", "decode", "decode_many", "without_pins", "forget_people", "encode",
    "encode_parts", "media_type", "Key", "key", "key_digest", "digest", "is_real_id",
    "Reply", "Delivered", "Unreachable", "Refused", "Outcome", "SUCCESS", "MAX_REPLY", "encode_reply", "classify",
    "Subscription", "Envelope", "MAX_EVENT_DEST", "decode_subscription", "make_subscription", "check_event_dest",
    "receiver_of", "without_credentials", "encode_envelope",
]  # fmt: skip
