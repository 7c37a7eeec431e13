"""The subscription of a terminal, and the envelope of its own HTTP service's replies.

Source: the protocol page, 提交配置 and 获取配置.
"""

import codecs
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from gatepost.errors import DecodeError

__all__ = [
    "HIDDEN",
    "MAX_EVENT_DEST",
    "Subscription",
    "Envelope",
    "decode_subscription",
    "make_subscription",
    "check_event_dest",
    "receiver_of",
    "without_credentials",
    "encode_envelope",
]

MAX_EVENT_DEST = 1024
"""Characters that ``event_dest`` may have (不超过1024个字符)."""

HIDDEN = "***"
"""In a shown address, in place of what is hidden."""


class Subscription(Struct, frozen=True):
    """The address to push to, and whether to push."""

    event_dest: str
    """An http or https URL, as the receiver chose it; may be empty while ``enabled`` is false."""
    enabled: bool


class Envelope(Struct, frozen=True):
    """``{"code": …, "msg": …, "data": …}``; note ``msg``, where a receiver's reply has ``message``."""

    code: int
    msg: str
    data: Any = None


def decode_subscription(body: bytes) -> Subscription:
    """Decode the body of ``/v1/event/subscribe``.

    Raises :class:`~gatepost.errors.DecodeError`, whose ``where`` names the field. Fields that the page does
    not know are ignored, and so is a byte order mark before the JSON.
    """
    try:
        value = msgspec.json.decode(body.removeprefix(codecs.BOM_UTF8))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise DecodeError("", "is no JSON") from None
    if not isinstance(value, dict):
        raise DecodeError("", "is no JSON object")
    for name, kind, words in (("event_dest", str, "a string"), ("enabled", bool, "true or false")):
        if name not in value:
            raise DecodeError(name, "is missing")
        if not isinstance(value[name], kind):
            raise DecodeError(name, f"must be {words}")
    return make_subscription(value["event_dest"], enabled=value["enabled"])


def make_subscription(event_dest: str, *, enabled: bool) -> Subscription:
    """Make a subscription. Raise ``DecodeError`` at ``event_dest`` if it cannot be pushed to.

    It may be empty if pushing is disabled.
    """
    if not enabled and not event_dest.strip(" \ufeff"):
        return Subscription("", enabled)
    return Subscription(check_event_dest(event_dest), enabled)


def check_event_dest(url: str) -> str:
    """Return the address without a byte order mark. Raise ``DecodeError`` if it cannot be pushed to."""
    url = url.removeprefix("\ufeff")
    if len(url) > MAX_EVENT_DEST:
        raise DecodeError("event_dest", f"is longer than {MAX_EVENT_DEST} characters")
    if any(letter.isspace() or not letter.isprintable() for letter in url):
        raise DecodeError("event_dest", "must not contain blanks or control characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise DecodeError("event_dest", "is no URL such as http://host:port/Record") from None
    if parts.scheme not in ("http", "https"):
        raise DecodeError("event_dest", "must begin with http:// or https://")
    if not parts.hostname:
        raise DecodeError("event_dest", "names no host")
    if port == 0:
        raise DecodeError("event_dest", "has no usable port")
    return url


def receiver_of(event_dest: str) -> tuple[str, int, str]:
    """Return host, port, and path with query, which identify a receiver.

    All spellings of one address give the same. ``event_dest`` is one that :func:`check_event_dest` accepts.
    """
    parts = urlsplit(event_dest)
    query = f"?{parts.query}" if parts.query else ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return (parts.hostname or "").rstrip("."), port, (parts.path or "/") + query


def without_credentials(event_dest: str) -> str:
    """Return the address for display, with :data:`HIDDEN` in place of possible secrets.

    These are the name and the password in it, the path after its first segment, where a receiver's token is, the values
    of the query, and the fragment.
    """
    start, sign, rest = event_dest.partition("://")
    rest, number_sign, fragment = rest.partition("#")
    rest, question, query = rest.partition("?")
    host, slash, path = rest.partition("/")
    _, at, host = host.rpartition("@")
    first, more, others = path.partition("/")
    pairs = (pair.partition("=") for pair in query.split("&"))
    shown = [f"{name}={HIDDEN}" if equals else name and HIDDEN for name, equals, _ in pairs]
    return "".join(
        (
            f"{start}{sign}{HIDDEN if at else ''}{at}{host}{slash}{first}{more}{HIDDEN if others else ''}",
            f"{question}{'&'.join(shown)}{number_sign}{HIDDEN if fragment else ''}",
        )
    )


def encode_envelope(code: int, msg: str, data: object = None) -> bytes:
    """Encode a reply of the terminal's own HTTP service."""
    return msgspec.json.encode(Envelope(code, msg, data))
