"""HTTP/1.1 by hand: send what no HTTP library would send, and read what a library would hide.

Rules:

- Exactly the given bytes are sent: slowly, in chunks, cut off, or several requests on one connection.
- The result is always a value: a :class:`Response`, or :class:`NoResponse` with the reason. Nothing that the peer does
  raises an exception, and every wait has a limit.
- Certificates are not checked here. A rule of its own does that, with :func:`handshake`.

Flow: ``Target.parse`` → ``Connection.open`` → ``send`` → ``read`` → ``close`` or ``reset``.
"""

import asyncio
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from msgspec import Struct

from gatepost.errors import GatepostError
from gatepost.wire.subscription import check_event_dest

__all__ = [
    "Connection",
    "Header",
    "NoResponse",
    "Response",
    "Target",
    "chunked",
    "handshake",
    "request",
    "show",
]

Header = tuple[str, str]

MAX_HEAD = 64 * 1024
MAX_BODY = 1024 * 1024
"""Bytes of a response that are read at most. Documented responses have some hundred."""


class BadTarget(GatepostError):
    """The text is no http or https URL."""


class Target(Struct, frozen=True):
    """The server and path of requests."""

    scheme: str
    host: str
    port: int
    path: str
    authority: str

    @classmethod
    def parse(cls, url: str) -> "Target":
        """Take a URL apart. Raises BadTarget."""
        try:
            parts = urlsplit(check_event_dest(url))
        except GatepostError as error:
            raise BadTarget(
                f"{url} is no address to check: {str(error).replace('event_dest', 'it')}"
            ) from None
        path = parts.path or "/"
        return cls(
            parts.scheme,
            parts.hostname or "",
            parts.port or (443 if parts.scheme == "https" else 80),
            f"{path}?{parts.query}" if parts.query else path,
            parts.netloc.rpartition("@")[2],
        )

    @property
    def tls(self) -> bool:
        return self.scheme == "https"

    def at(self, path: str) -> "Target":
        """Return the same server with another path."""
        return Target(self.scheme, self.host, self.port, path, self.authority)


class Response(Struct, frozen=True):
    """A response."""

    status: int
    version: str
    headers: tuple[Header, ...]
    body: bytes
    seconds: float
    """Time from the last byte sent to the last byte read."""

    def header(self, name: str) -> str:
        """Return the value of a header, "" without one. ``name``: in lower case."""
        return next((value for key, value in self.headers if key == name), "")

    @property
    def keeps(self) -> bool:
        """Tell whether the peer keeps the connection open (RFC 9112, section 9.3)."""
        said = self.header("connection").lower()
        return "close" not in said and (self.version != "HTTP/1.0" or "keep-alive" in said)


class NoResponse(Struct, frozen=True):
    """There was no response, and why."""

    why: str


Answer = Response | NoResponse


def request(
    target: Target, body: bytes, headers: Iterable[Header] = (), *, method: str = "POST", length: bool = True
) -> tuple[bytes, bytes]:
    """Return head and body of a request. ``length``: write Content-Length."""
    lines = [f"{method} {target.path} HTTP/1.1", f"Host: {target.authority}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8"), body


def chunked(body: bytes, size: int) -> bytes:
    """Write ``body`` in chunks of ``size`` bytes (RFC 9112, section 7.1)."""
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


class Connection:
    """A connection to the target. Use it as ``async with Connection.open(target, …)``."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, timeout_s: float
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._timeout_s = timeout_s
        self.continued = False
        """An interim ``100 Continue`` was received."""

    @classmethod
    @asynccontextmanager
    async def open(cls, target: Target, *, timeout_s: float = 10.0) -> AsyncIterator["Connection"]:
        """Connect. ``timeout_s``: for connecting, and for each response. Raises OSError (TimeoutError, SSLError)."""
        context = _unchecked() if target.tls else None
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(
                target.host,
                target.port,
                ssl=context,
                server_hostname=target.host if context else None,
                limit=MAX_HEAD,
            )
        connection = cls(reader, writer, timeout_s=timeout_s)
        try:
            yield connection
        finally:
            writer.transport.abort()

    async def send(self, *parts: bytes) -> None:
        """Send bytes. An error of the connection is reported by :meth:`read`."""
        with suppress(OSError):
            for part in parts:
                if self._writer.is_closing():
                    return
                self._writer.write(part)
                async with asyncio.timeout(self._timeout_s):
                    await self._writer.drain()

    async def trickle(
        self, data: bytes, *, pieces: int, pause_s: float, sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        """Send ``data`` in ``pieces`` pieces with a pause before each."""
        size = -(-len(data) // pieces)
        for start in range(0, len(data), size):
            await sleep(pause_s)
            await self.send(data[start : start + size])

    async def read(self, *, timeout_s: float | None = None, interim: bool = False) -> Answer:
        """Read the next response. ``interim``: return a 100 Continue as well, without a body."""
        started = time.monotonic()
        limit = self._timeout_s if timeout_s is None else timeout_s
        try:
            async with asyncio.timeout(limit):
                while True:
                    status, version, headers = await self._head()
                    if status >= 200 or status == 101:
                        body = await self._body(status, version, headers)
                        break
                    self.continued = self.continued or status == 100
                    if interim:
                        body = b""
                        break
        except TimeoutError:
            return NoResponse(f"no complete response within {limit:g} s")
        except asyncio.IncompleteReadError as error:
            began = bool(error.partial)
            return NoResponse(
                "the connection was closed in the middle of a response"
                if began
                else "the connection was closed without a response"
            )
        except (ConnectionError, ssl.SSLError) as error:
            return NoResponse(f"the connection broke: {_name(error)}")
        except (ValueError, asyncio.LimitOverrunError) as error:
            return NoResponse(f"what came back is no HTTP: {error}")
        return Response(status, version, headers, body, time.monotonic() - started)

    async def gone(self, *, timeout_s: float) -> bool:
        """Tell whether the peer closes the connection within ``timeout_s``."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._reader.read(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True

    def finish(self) -> None:
        """Close the sending half, and go on reading. With TLS, close the connection."""
        if self._writer.can_write_eof():
            self._writer.write_eof()
        else:
            self._writer.close()

    def reset(self) -> None:
        """End the connection with RST instead of FIN."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def _head(self) -> tuple[int, str, tuple[Header, ...]]:
        raw = await self._reader.readuntil(b"\r\n\r\n")
        first, *rest = raw.decode("latin-1").split("\r\n")
        version, _, after = first.partition(" ")
        code = after[:3]
        if not version.startswith("HTTP/1.") or not code.isdigit():
            raise ValueError(repr(first[:60]))
        pairs = (line.partition(":") for line in rest if line)
        return int(code), version, tuple((name.strip().lower(), value.strip()) for name, _, value in pairs)

    async def _body(self, status: int, version: str, headers: tuple[Header, ...]) -> bytes:
        named = dict(headers)
        if status in (204, 304):
            return b""
        if "chunked" in named.get("transfer-encoding", "").lower():
            return await self._chunks()
        length = named.get("content-length")
        if length is not None:
            if not length.isdigit() or int(length) > MAX_BODY:
                raise ValueError(f"Content-Length {length[:20]}")
            return await self._reader.readexactly(int(length))
        body = bytearray()
        while piece := await self._reader.read(65536):  # the body ends with the connection
            body += piece
            if len(body) > MAX_BODY:
                raise ValueError("a body without an end")
        return bytes(body)

    async def _chunks(self) -> bytes:
        body = bytearray()
        while True:
            size = int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16)
            if len(body) + size > MAX_BODY:
                raise ValueError("a body without an end")
            piece = await self._reader.readexactly(size)
            if size == 0:
                while await self._reader.readuntil(b"\r\n") != b"\r\n":
                    pass
                return bytes(body)
            body += piece
            await self._reader.readexactly(2)


async def handshake(
    target: Target, *, ca_file: str | None = None, timeout_s: float = 10.0
) -> ssl.SSLCertVerificationError | OSError | str:
    """Connect as a client that checks the certificate.

    Return the TLS version (``"TLSv1.3"``), or the reason of the failure.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise BadTarget(f"--ca-file {ca_file} cannot be used: {error}") from None
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(target.host, target.port, ssl=context)
    except OSError as error:
        return error
    version = str(writer.get_extra_info("ssl_object").version())
    writer.transport.abort()
    return version


def show(data: bytes, *, limit: int = 1500) -> str:
    """Return bytes as text for a report, with long runs of base64 and long bodies cut."""
    text = data[: limit * 4].decode("utf-8", "backslashreplace")
    pieces = text.split('"')
    text = '"'.join(
        f"{piece[:24]}… ({len(piece)} characters)" if len(piece) > 300 and " " not in piece else piece
        for piece in pieces
    )
    if len(text) > limit or len(data) > limit * 4:
        text = f"{text[:limit]}… ({len(data)} bytes in all)"
    return text.replace("\r\n", "\n")


def shown(answer: Answer) -> str:
    """Return a response as text for a report."""
    if isinstance(answer, NoResponse):
        return f"({answer.why})"
    lines = [f"{answer.version} {answer.status}"] + [f"{name}: {value}" for name, value in answer.headers]
    return "\n".join(lines) + "\n\n" + show(answer.body)


def _unchecked() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _name(error: OSError) -> str:
    return type(error).__name__ if not isinstance(error, ssl.SSLError) else str(error.reason or "TLS error")
