"""Tell whether a reply acknowledges an event, by the protocol page alone: HTTP 200, and ``code`` 200 in JSON."""

import json
from collections.abc import Sequence
from typing import Any

from gatepost.conformance.raw_http import Answer, Header, NoResponse
from gatepost.conformance.rule import Finding, Words, failed, passed

__all__ = ["JSON", "acknowledged", "all_taken", "reply_of", "unconnected", "wants_address", "why_not"]

JSON: Header = ("Content-Type", "application/json")


def unconnected(error: OSError) -> NoResponse:
    """Return a failure to connect as the absence of a reply."""
    what = str(error) or type(error).__name__
    return NoResponse(
        "no connection: timed out" if isinstance(error, TimeoutError) else f"no connection: {what}"
    )


def reply_of(answer: Answer) -> dict[str, Any] | None:
    """Return the JSON object of the reply; ``None`` without one."""
    if isinstance(answer, NoResponse):
        return None
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def acknowledged(answer: Answer) -> bool:
    """Tell whether a terminal may forget the event: HTTP 200 and ``code`` the integer 200 (响应结构)."""
    reply = reply_of(answer)
    return (
        reply is not None
        and not isinstance(answer, NoResponse)
        and answer.status == 200
        and type(reply.get("code")) is int
        and reply["code"] == 200
    )


def wants_address(answer: Answer) -> str | None:
    """Return the message of a reply that refuses the sender: the token is missing, or the terminal is unknown.

    A receiver may give each terminal an address of its own, with a token in it: it chooses ``event_dest``.
    """
    reply = reply_of(answer)
    if reply is None or isinstance(answer, NoResponse) or answer.status != 403:
        return None
    message = str(reply.get("message", ""))
    known = type(reply.get("code")) is int and any(word in message.lower() for word in _SENDER)
    return message[:120] if known else None


_SENDER = ("token", "terminal", "令牌", "终端")


def why_not(answer: Answer) -> Words:
    """Return in a few words why the reply is no acknowledgement."""
    if isinstance(answer, NoResponse):
        return Words(answer.why, f"无应答（{answer.why}）")
    reply = reply_of(answer)
    if answer.status in (401, 403):
        return Words(
            f"HTTP {answer.status}: terminals cannot log in", f"HTTP {answer.status}：终端无法提供认证"
        )
    if reply is None:
        return Words(
            f"HTTP {answer.status}, and the reply is no JSON object",
            f"HTTP {answer.status}，应答不是 JSON 对象",
        )
    code = reply.get("code", "(none)")
    message = str(reply.get("message", ""))[:120]
    return Words(
        f"HTTP {answer.status}, code {code!r} {message}".strip(),
        f"HTTP {answer.status}，code 为 {code!r} {message}".strip(),
    )


def all_taken(cases: Sequence[tuple[str, Answer]], *, what: Words) -> Finding:
    """Pass if every case was acknowledged; else name those that were not, and why. ``what`` names the cases."""
    broken = [(name, why_not(answer)) for name, answer in cases if not acknowledged(answer)]
    if not broken:
        count = len(cases)
        return passed(f"{count} of {count} {what.en} acknowledged", f"{what.zh} {count} 项，全部应答成功")
    few = broken[:3]
    en = "; ".join(f"{name}: {why.en}" for name, why in few)
    zh = "；".join(f"{name}：{why.zh}" for name, why in few)
    more = len(broken) - len(few)
    return failed(
        f"{len(broken)} of {len(cases)} {what.en} not acknowledged: {en}"
        + (f"; and {more} more" if more else ""),
        f"{what.zh} {len(cases)} 项中 {len(broken)} 项未被确认：{zh}" + (f"；另有 {more} 项" if more else ""),
    )
