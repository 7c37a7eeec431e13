"""Every rule for receivers, in the order in which they are tried, simple ones first."""

from gatepost.conformance.receiver import dialects, field, listed, replies, transport, variations
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
    variations.absent_record,
    variations.absent_alarm,
    *dialects.dialects,
    dialects.variants,
    dialects.trailing_comma,
    dialects.names_utf8,
    variations.unknown_fields,
    variations.unknown_codes,
    variations.unknown_type,
    variations.bad_json,
    variations.duplicate_record,
    variations.duplicate_alarm,
    *field.field,
    listed.listed_ids,
    listed.listed_once,
    listed.listed_alarms,
    listed.listed_values,
    *transport.images,
    transport.with_length,
    transport.chunks,
    transport.expect_continue,
    transport.keep_alive,
    transport.many_at_once,
    transport.slow_sender,
    transport.cut_off,
    transport.encryption,
)
