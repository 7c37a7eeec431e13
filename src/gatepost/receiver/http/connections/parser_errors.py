"""Say what is wrong with bytes that are no HTTP, and what to do about it."""

from __future__ import annotations

__all__ = ["why_refused"]

_BAD_NAME = "a header has a name that cannot be one; a blank before the colon is not allowed either"

_NO_HTTP = {
    "Missing expected CR after header value": "a line of the head ends in a bare line feed; end it with CR and LF",
    "Expected CRLF after version": "the request line does not end in CR and LF",
    "Missing expected CR after chunk size": "the line of a chunk size ends in a bare line feed; end it with CR and LF",
    "Expected LF after chunk data": "a chunk is longer than its size says",
    "Invalid character in chunk size": "the size of a chunk is no hexadecimal number",
    "Duplicate Content-Length": "Content-Length is there twice; send it once",
    "Invalid character in Content-Length": "Content-Length is no number",
    "Content-Length overflow": "Content-Length is too large a number",
    "Transfer-Encoding can't be present with Content-Length": (
        "Content-Length and Transfer-Encoding are both there; send one of them"
    ),
    "Invalid header token": _BAD_NAME,
    "Invalid header field char": _BAD_NAME,
    "Unexpected whitespace after header value": "a header goes on in another line; write it in one line",
    "Invalid header value char": "a header has a control character in its value",
    "Invalid method encountered": "it does not begin with a method such as POST",
}
"""Messages of the parser, each with what to do about it."""

_TLS_RECORD = b"\x16\x03"
"""The first bytes of a TLS handshake (RFC 8446, section 5.1)."""


def why_refused(data: bytes, said: str) -> str:
    """Say what the parser found, and what to do about it."""
    if data.startswith(_TLS_RECORD):
        return "it begins with a TLS handshake, and this port speaks no TLS; use an address with http://"
    return _NO_HTTP.get(said, said)
