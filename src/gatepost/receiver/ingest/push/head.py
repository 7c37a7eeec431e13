"""Read the head of a push: the type of its body, its token, its site, and the address of its sender."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import unquote_to_bytes
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

from gatepost.receiver.ingest.push.push import Headers, Refuse
from gatepost.receiver.terminals.networks import Networks, peer_address

__all__ = [
    "BodyType",
    "check_head",
    "header_text",
    "milliseconds",
    "one_token",
    "sender_address",
    "site_of",
]

MAX_SITE = 200
"""Characters of the name of a site."""

_JSON_TYPES = {b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8"}
"""As they mostly come; whatever else may mean JSON is looked at more closely."""


class BodyType(Struct, frozen=True):
    """The body's type, as the head of a push names it."""

    charset: str | None = None
    """The parameter of the content type, where it names another one than UTF-8."""
    is_json: bool = True
    """False: it is taken only if it turns out to be JSON."""


_JSON = BodyType()


def check_head(headers: Headers) -> BodyType:
    """Return what the head says of the body.

    Raises :class:`Refuse` for multipart, and for a body that would have to be inflated. JSON comes under every other
    content type from libraries that were not told better.
    """
    found = _JSON
    kind = headers.get(b"content-type")
    if kind is not None and kind not in _JSON_TYPES:
        essence = kind.partition(b";")[0].strip().lower()
        if essence.startswith(b"multipart/"):
            raise Refuse(415, "the content type of an event is application/json", reason="content type")
        charset = _CHARSET.search(kind)
        name = charset[1].decode("ascii").lower() if charset is not None else "utf-8"
        found = BodyType(None if name in ("utf-8", "utf8") else name, _is_json(essence))
    coding = headers.get(b"content-encoding")
    if coding is not None and coding.strip().lower() not in (b"", b"identity"):
        # Never inflated: a few kilobytes could become gigabytes.
        raise Refuse(415, "send the event without Content-Encoding", reason="content encoding")
    return found


_CHARSET = re.compile(rb";\s*+charset\s*+=\s*+[\"']?([A-Za-z0-9._:+-]{1,40}+)", re.IGNORECASE)


def _is_json(essence: bytes) -> bool:
    return essence in (b"application/json", b"text/json") or (
        essence.startswith(b"application/") and essence.endswith(b"+json")
    )


def one_token(in_path: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the token of a push, from its path or from ``X-Gatepost-Token``; empty where it has none.

    Refuses two that differ: one of them would be somebody else's, and which one is not to be guessed.
    """
    given = {value.strip().decode("latin-1") for name, value in headers if name == b"x-gatepost-token"}
    given = (given | {in_path}) - {""}
    if len(given) > 1:
        raise Refuse(
            403,
            "the token in the path and the one in X-Gatepost-Token differ; send one of them",
            reason="token wrong",
        )
    return next(iter(given), "")


def header_text(value: bytes | None) -> str | None:
    """Return a header as text; what is no UTF-8 in it is replaced."""
    return None if value is None else value.decode("utf-8", "replace")


@lru_cache(1024)
def site_of(name: bytes | None, timezone: bytes | None) -> tuple[str | None, str | None]:
    """Return the site of a push and its time zone, as the receiver says it that passes the push on.

    What cannot be one is left out: the event counts more than where it is listed.
    """
    site = _site(unquote_to_bytes(name or b"").decode("utf-8", "replace"))
    zone = (timezone or b"").decode("ascii", "replace")
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return site, None
    return site, zone


def _site(text: str) -> str | None:
    """Return the name of a site, or nothing for what can be none."""
    text = text.strip()
    return text if 0 < len(text) <= MAX_SITE and text.isprintable() else None


def milliseconds(value: bytes | None) -> int | None:
    """Return milliseconds of the ``timestamp`` header, which has seconds or milliseconds by its length."""
    if value is None or not value.isdigit() or len(value) > 13:
        return None
    return int(value) * (1000 if len(value) <= 11 else 1)


def sender_address(
    direct: str, headers: Headers, all_headers: Iterable[tuple[bytes, bytes]], trusted: Networks
) -> str:
    """Return the address that a push comes from; ``direct``: that of its connection."""
    if not trusted or b"x-forwarded-for" not in headers:
        return peer_address(direct, None, trusted)
    # A header that comes twice is one list (RFC 9110, section 5.3).
    chain = b",".join(value for name, value in all_headers if name == b"x-forwarded-for")
    return peer_address(direct, chain.decode("latin-1"), trusted)
