"""Every rule for receivers, in the order in which they are tried: the plain things first."""

from gatepost.conformance.receiver import dialects as dialects
from gatepost.conformance.receiver import field as field
from gatepost.conformance.receiver import listed as listed
from gatepost.conformance.receiver import replies as replies
from gatepost.conformance.receiver import transport as sending
from gatepost.conformance.receiver.probe import Probe
from gatepost.conformance.rule import Rule

__all__ = ["RULES"]

RULES: tuple[Rule[Probe], ...] = (
    replies.record,
    replies.alarm,
    replies.reply_object,
    replies.reply_code,
    replies.reply_message,
    replies.reply_data,
    replies.status_200,
    replies.content_type,
    replies.no_login,
    replies.absent_record,
    replies.absent_alarm,
    *dialects.dialects,
    dialects.variants,
    dialects.trailing_comma,
    dialects.names_utf8,
    replies.unknown_fields,
    replies.unknown_codes,
    replies.unknown_type,
    replies.bad_json,
    replies.duplicate_record,
    replies.duplicate_alarm,
    *field.field,
    listed.listed_ids,
    listed.listed_once,
    listed.listed_alarms,
    listed.listed_values,
    *sending.images,
    sending.with_length,
    sending.chunks,
    sending.expect_continue,
    sending.keep_alive,
    sending.many_at_once,
    sending.slow_sender,
    sending.cut_off,
    sending.encryption,
)
