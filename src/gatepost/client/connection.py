"""HTTP to a receiver, on the standard library: requests, their failures as errors, answers in pieces.

Rules:

* What fails is one of two things: :class:`~gatepost.errors.ReceiverAway` (try again) or
  :class:`~gatepost.errors.RequestRefused` (do not).
* An answer that breaks off is an error, never a shorter answer.
* A connection is kept for the next request. Where the receiver has closed it meanwhile, a request that changes
  nothing is sent again, once; one that changes something is not.
* The token goes into the ``Authorization`` header, and to the receiver that was named; redirections are not followed.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Struct

from gatepost import __version__
from gatepost.errors import ReceiverAway, RequestRefused, SettingsError

__all__ = ["Connection", "Parameter"]

T = TypeVar("T")

Parameter = str | int | float | bool | None

_PIECE = 64 * 1024


class _Field(Struct):
    where: str = ""
    why: str = ""


class _Problem(Struct):
    """RFC 9457, as much of it as is looked at."""

    detail: str = ""
    title: str = ""
    errors: list[_Field] = []


class Connection:
    """One connection to a receiver, for one thread. Opened when it is needed."""

    def __init__(self, url: str, token: str, *, timeout_s: float = 30.0, ca_file: Path | None = None) -> None:
        """Read the address. ``url``: as a browser has it, such as ``https://gatepost.example.com``.

        It may have a path below which a proxy serves the receiver. ``timeout_s`` is for each step: to connect, to send,
        to receive a piece. Raises :class:`~gatepost.errors.SettingsError`.
        """
        parts = urlsplit(url if "://" in url else f"http://{url}")
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
            raise SettingsError("url", f"must be like https://gatepost.example.com, not {url!r}")
        if parts.username or parts.query or parts.fragment:
            raise SettingsError("url", "is only where the receiver is; give the token as a token")
        if not token.isascii() or not token.strip() or any(letter.isspace() for letter in token.strip()):
            raise SettingsError("token", "is none; make one with 'gatepost tokens create'")
        self._where = f"{parts.scheme}://{parts.netloc}"
        self._prefix = parts.path.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token.strip()}", "User-Agent": f"gatepost/{__version__}"}
        self._timeout_s = timeout_s
        self._new = self._maker(parts.scheme, parts.hostname, port, ca_file)
        self._kept: http.client.HTTPConnection | None = None

    def _maker(self, scheme: str, host: str, port: int | None, ca_file: Path | None) -> Any:
        if scheme == "http":
            return lambda: http.client.HTTPConnection(host, port, timeout=self._timeout_s)
        try:
            context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
        except OSError as error:
            raise SettingsError("ca_file", f"cannot be used: {ca_file}: {error.strerror or error}") from None
        return lambda: http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=context)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Idempotent; the next request opens a connection again."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def get(self, path: str, kind: type[T], parameters: Mapping[str, Parameter] | None = None) -> T:
        """Ask for a value."""
        return self.decoded(self.body("GET", path, parameters), kind)

    def send(
        self,
        method: str,
        path: str,
        kind: type[T],
        content: object,
        parameters: Mapping[str, Parameter] | None = None,
    ) -> T:
        """Send ``content`` as JSON, and read a value."""
        return self.decoded(self.body(method, path, parameters, msgspec.json.encode(content)), kind)

    def decoded(self, body: bytes, kind: type[T]) -> T:
        """Read a value. Raises :class:`~gatepost.errors.ReceiverAway` if it is none."""
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.MsgspecError as error:
            raise ReceiverAway(
                f"{self._where} answered what this version does not understand ({error});"
                " is it a gatepost receiver, and not of a later version?"
            ) from None

    def body(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, Parameter] | None = None,
        content: bytes | None = None,
    ) -> bytes:
        """Return the whole body of a response."""
        with self._failures():
            response = self._request(method, path, parameters, content)
            return response.read()

    def pieces(self, path: str, parameters: Mapping[str, Parameter]) -> Iterator[bytes]:
        """Yield the body of a response as it comes, on a connection of its own."""
        with self._failures(), self._opened(path, parameters, {}) as response:
            while piece := response.read1(_PIECE):
                yield piece
            if response.length:  # of a Content-Length; what is chunked sees to it itself
                raise http.client.IncompleteRead(b"")

    def lines(
        self, path: str, parameters: Mapping[str, Parameter], headers: Mapping[str, str]
    ) -> Iterator[bytes]:
        """Yield the body of a response line by line, without their ends, on a connection of its own."""
        with self._failures(), self._opened(path, parameters, headers) as response:
            while line := response.readline():
                yield line.rstrip(b"\r\n")

    @contextmanager
    def _opened(
        self, path: str, parameters: Mapping[str, Parameter], headers: Mapping[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        connection = self._new()
        try:
            connection.request("GET", self._target(path, parameters), headers={**self._headers, **headers})
            response = connection.getresponse()
            self._check(response)
            yield response
        finally:
            connection.close()

    def _request(
        self, method: str, path: str, parameters: Mapping[str, Parameter] | None, content: bytes | None
    ) -> http.client.HTTPResponse:
        headers = dict(self._headers)
        if content is not None:
            headers["Content-Type"] = "application/json"
        target = self._target(path, parameters or {})
        if self._kept is not None and method != "GET":
            # The receiver may have closed it in the meantime, and whether it has read a request could not be told.
            self.close()
        for again in (True, False):
            kept, self._kept = self._kept, None
            connection = kept or self._new()
            try:
                connection.request(method, target, content, headers)
                response: http.client.HTTPResponse = connection.getresponse()
            except (ConnectionError, http.client.BadStatusLine):
                connection.close()
                if kept is None or not again:
                    raise
                continue
            except BaseException:
                connection.close()
                raise
            self._kept = connection
            self._check(response)
            return response
        raise AssertionError("unreachable")

    def _target(self, path: str, parameters: Mapping[str, Parameter]) -> str:
        given = {name: _written(value) for name, value in parameters.items() if value is not None}
        query = f"?{urlencode(given, quote_via=quote)}" if given else ""
        return f"{self._prefix}/api/v1/{quote(path)}{query}"

    def _check(self, response: http.client.HTTPResponse) -> None:
        if 200 <= response.status < 300:
            return
        if response.status in (301, 302, 303, 307, 308):
            raise RequestRefused(
                response.status, f"it is elsewhere: give {response.headers.get('Location')} as the url"
            )
        body = response.read()
        try:
            problem = msgspec.json.decode(body, type=_Problem)
        except msgspec.MsgspecError:
            problem = _Problem(
                detail=f"{self._where} is no gatepost receiver, or a proxy in front of it answers"
            )
        detail = problem.detail or problem.title or response.reason
        if response.status in (429, 502, 503, 504):
            wait = response.headers.get("Retry-After", "")
            raise ReceiverAway(
                f"the receiver says not now ({response.status}): {detail}",
                retry_after_s=float(wait) if wait.isdigit() else None,
            )
        raise RequestRefused(response.status, detail, {one.where: one.why for one in problem.errors})

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            self.close()
            raise ReceiverAway(f"{self._where} said nothing for {self._timeout_s:g} seconds") from None
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise ReceiverAway(
                f"the certificate of {self._where} cannot be trusted ({error.verify_message});"
                " give its authority as ca_file"
            ) from None
        except http.client.IncompleteRead:
            self.close()
            raise ReceiverAway(f"{self._where} broke off; what came is not whole") from None
        except (OSError, http.client.HTTPException) as error:
            self.close()
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise ReceiverAway(f"{self._where} cannot be reached: {why}") from None


def _written(value: Parameter) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
