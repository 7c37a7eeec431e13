"""Parse one HTTP/1.1 response from bytes. Pure, incremental, and bounded for any input.

The peer may be broken, hostile, or no HTTP server at all. Rules:

- **Bounded.** A head of at most 16 KB, a body of at most 64 KB *after* decompression, a chunk-size line of at
  most 256 bytes. A decompressor is never asked for more than what is left of the 64 KB, so a compression bomb
  costs 64 KB.
- **Complete or nothing.** A body counts only when its framing shows its end: `Content-Length` bytes, the
  last chunk, or, for a reply without either, the end of the connection (RFC 9112, section 6.3).
- **Lenient with line ends.** A line may end with LF alone (RFC 9112, section 2.2), and a `Content-Length` may be
  repeated if both are equal (section 6.3).
- **Strict where a mistake would mix up two replies.** Two different `Content-Length` values, a transfer
  coding other than `chunked`, or bytes after the end of a reply make the connection unusable for another
  request.

Flow: `feed(bytes)` and `end_of_stream()` return True once the reply is complete. Then `reply()` returns it, and
`reusable` tells whether the connection may have another request. Bytes that are not HTTP raise `BadReply`. A body
that is too long, or in a coding that was not accepted, is no error: the status counts, and the body is ``None``.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping

from msgspec import Struct

__all__ = ["MAX_BODY", "MAX_HEAD", "BadReply", "HttpResponse", "ResponseParser"]

MAX_HEAD = 16 * 1024
MAX_BODY = 64 * 1024
MAX_SIZE_LINE = 256
_MAX_INTERIM = 8
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class BadReply(Exception):
    """The response is not HTTP/1.x. `reason` is a few words for logs and for the status."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class HttpResponse(Struct, frozen=True):
    """A complete response.

    Header names are in lower case. `body` is decompressed; None: it was longer than 64 KB, or not readable.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes | None


class ResponseParser:
    """Parses one response. Every request needs a new one."""

    __slots__ = (
        "_body",
        "_buffer",
        "_chunked",
        "_complete",
        "_headers",
        "_in_trailer",
        "_inflate",
        "_interim",
        "_left",
        "_raw",
        "_size",
        "_status",
        "_too_much",
        "reusable",
        "started",
    )

    def __init__(self) -> None:
        self.started = False  # a byte of the reply has arrived
        self.reusable = False  # known once the reply is complete
        self._buffer = b""
        self._status = 0
        self._headers: dict[str, str] = {}
        self._interim = 0
        self._chunked = False
        self._in_trailer = False
        self._left: int | None = (
            None  # bytes missing from this body or chunk; None: until the end of the connection
        )
        self._body: list[bytes] = []
        self._size = 0  # of the body so far, decompressed
        self._raw = 0  # bytes after the head, framing included
        self._inflate: zlib._Decompress | None = None
        self._too_much = False
        self._complete = False

    def feed(self, data: bytes) -> bool:
        """Parse the next bytes. True: the reply is complete. Raise `BadReply` if this is not HTTP."""
        self.started = True
        if self.complete():
            self.reusable = False
            return True
        buffer = self._buffer + data if self._buffer else data
        if not self._status:
            rest = self._head(buffer)
            if rest is None:
                return False
            buffer = rest
        if not self.complete():
            buffer = self._chunks(buffer) if self._chunked else self._plain(buffer)
        self._buffer = buffer
        if self.complete() and buffer:
            self.reusable = False  # bytes after the response belong to no request
        return self.complete()

    def complete(self) -> bool:
        """Return whether the response is complete."""
        return self._complete

    def end_of_stream(self) -> bool:
        """Note that the peer closed.

        True: that was the end of the response. Raise `BadReply` if it was incomplete.
        """
        self.reusable = False
        if self._complete:
            return True
        if not self.started:
            raise BadReply("closed without a reply")
        if not self._status or self._chunked or self._left is not None:
            raise BadReply("the reply was cut off")
        self._finish()
        return True

    def reply(self) -> HttpResponse:
        """Return the complete response."""
        assert self._complete, "ask only after feed() or end_of_stream() returned True"  # noqa: S101 - a programming error
        body = None if self._too_much else b"".join(self._body)
        return HttpResponse(self._status, self._headers, body)

    # -- head

    def _head(self, buffer: bytes) -> bytes | None:
        while True:
            if not b"HTTP/1.".startswith(buffer[:7]):
                raise BadReply("the reply is not HTTP")
            end = _END_OF_HEAD.search(buffer, 0, MAX_HEAD + 4)
            if end is None:
                if len(buffer) > MAX_HEAD:
                    raise BadReply(f"the head of the reply is longer than {MAX_HEAD} bytes")
                self._buffer = buffer
                return None
            status, headers, minor = _parse_head(buffer[: end.start()])
            buffer = buffer[end.end() :]
            if status >= 200:
                break
            self._interim += 1  # 100 Continue, 103 Early Hints: the reply itself follows
            if status == 101 or self._interim > _MAX_INTERIM:
                raise BadReply("the reply never came, only interim ones")
            if not buffer:
                self._buffer = b""
                return None
        self._status, self._headers = status, headers
        self._framing(minor)
        return buffer

    def _framing(self, minor: int) -> None:
        headers = self._headers
        connection = {token.strip().lower() for token in headers.get("connection", "").split(",")}
        self.reusable = "close" not in connection and (minor >= 1 or "keep-alive" in connection)
        coding = headers.get("content-encoding", "identity").strip().lower()
        if coding in ("gzip", "x-gzip", "deflate"):
            self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
        elif coding not in ("identity", ""):
            self._too_much = True  # identity was asked for. This cannot be read, so only the status counts.
            self.reusable = False
        length = headers.get("content-length")
        if "transfer-encoding" in headers:
            if headers["transfer-encoding"].strip().lower() != "chunked":
                raise BadReply("the reply has an unknown transfer coding")
            self._chunked = True
            self._left = 0
            if length is not None:
                self.reusable = False  # RFC 9112, 6.3: chunked wins, and the connection is not used again
        elif length is not None:
            self._left = _content_length(length)
            if self._left > MAX_BODY:
                self._give_up()
        else:
            self.reusable = False
        if self._status in (204, 304):
            self._chunked, self._left = False, 0
            self.reusable = self.reusable or ("close" not in connection and minor >= 1)
        if self._left == 0 and not self._chunked and not self._complete:
            self._finish()

    # -- body

    def _plain(self, data: bytes) -> bytes:
        if self._left is None:
            self._take(data)
            return b""
        taken = data[: self._left]
        self._left -= len(taken)
        self._take(taken)
        if self._left == 0 and not self._complete:
            self._finish()
        return data[len(taken) :]

    def _chunks(self, data: bytes) -> bytes:
        while not self.complete():
            if self._left and self._left > 0:
                taken = data[: self._left]
                self._left -= len(taken)
                data = data[len(taken) :]
                self._take(taken)
                if self._left:
                    return b""
                if self.complete():
                    return data
                self._left = -1  # the line end after the chunk
            if self._left == -1:
                if data in (b"", b"\r"):
                    return data
                line_end = b"\n" if data[:1] == b"\n" else b"\r\n"
                if not data.startswith(line_end):
                    raise BadReply("the chunks of the reply are broken")
                data, self._left = data[len(line_end) :], 0
            line, found, rest = data.partition(b"\n")
            if not found:
                if len(data) > MAX_SIZE_LINE:
                    raise BadReply("the chunks of the reply are broken")
                return data
            self._chunk_line(line.removesuffix(b"\r"))
            data = rest
        return data

    def _chunk_line(self, line: bytes) -> None:
        self._raw += len(line) + 2  # extensions and trailers count too
        if self._raw > 2 * MAX_BODY or len(line) > MAX_SIZE_LINE:
            raise BadReply("the chunks of the reply are broken")
        if self._in_trailer:
            if not line:
                self._finish()
            return
        size = line.partition(b";")[0].strip()
        if not size or size.strip(b"0123456789abcdefABCDEF") or len(size) > 16:
            raise BadReply("the chunks of the reply are broken")
        self._left = int(size, 16)
        self._in_trailer = self._left == 0
        if self._left > MAX_BODY:
            self._give_up()

    def _take(self, data: bytes) -> None:
        self._raw += len(data)
        if self._raw > MAX_BODY and self._inflate is None and not self._chunked:
            self._give_up()
            return
        if self._too_much:
            return
        if self._inflate is not None:
            room = MAX_BODY - self._size
            try:
                data = self._inflate.decompress(data, room + 1)
            except zlib.error:
                self._give_up()
                return
        self._size += len(data)
        if self._size > MAX_BODY:
            self._give_up()
        elif data:
            self._body.append(data)

    def _give_up(self) -> None:
        """Stop reading. The status is known, and neither the body nor the rest of the connection is needed."""
        self._too_much = True
        self._body.clear()
        self._complete = True
        self.reusable = False

    def _finish(self) -> None:
        self._complete = True
        if self._inflate is not None and not self._inflate.eof and self._raw:
            self._too_much = True  # the framing ended before the compressed stream did


def _parse_head(head: bytes) -> tuple[int, dict[str, str], int]:
    lines = [line.removesuffix(b"\r") for line in head.split(b"\n")]
    parts = lines[0].split(b" ", 2)
    if len(parts) < 2 or len(parts[0]) != 8 or not parts[0][7:].isdigit():
        raise BadReply("the reply is not HTTP")
    if len(parts[1]) != 3 or not parts[1].isdigit() or parts[1] < b"100":
        raise BadReply("the reply has no status")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise BadReply("the head of the reply is broken")
        key, text = name.decode("latin-1").lower(), value.strip().decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return int(parts[1]), headers, parts[0][7] - 48


def _content_length(text: str) -> int:
    values = {value.strip() for value in text.split(",")}
    value = values.pop()
    if values or not value.isascii() or not value.isdigit() or len(value) > 18:
        raise BadReply("the reply has a broken Content-Length")
    return int(value)
