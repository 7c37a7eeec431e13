"""Sockets, certificates, and the server on them: how connections come in.

Rules:

* TLS 1.2 or later. A certificate is replaced without a restart: :meth:`Certificate.reload` (SIGHUP) serves the new
  one to the next connection, or keeps the old one and says why.
* A client certificate is asked for where ``client_ca_file`` is set, and never required by the handshake: on one port
  browsers have none. Whether one was shown goes with each request, and the ingest refuses a push without one.
* A handshake has the time that a head has, and its connection counts: see
  :mod:`gatepost.receiver.http.connections.tls_handshake`.
* Stop: no new connection, then the replies to what was accepted, for as long as :class:`Server` was told. What is not
  answered by then is answered 503, or cut where the answer has begun; a thread that still works on it is not waited
  for here. The process ends it, not uvicorn: see :mod:`gatepost.receiver.processes.stop`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from msgspec import Struct

from gatepost.errors import SettingsError
from gatepost.receiver.http.asgi import Application, Message, Receive, Scope, Send, respond
from gatepost.receiver.http.connections.connection import GuardedProtocol
from gatepost.receiver.http.connections.limits import Guard
from gatepost.receiver.http.connections.tls_handshake import Handshakes
from gatepost.wire import encode_reply

__all__ = ["Certificate", "Place", "Server", "address", "listen", "listen_locally"]

BACKLOG = 2048

LAST_WORDS_S = 0.5
"""For what is said to those who were not answered in time."""

_LOOK_S = 0.05
"""How often a server that stops looks whether all is said."""


def listen(address: str, *, setting: str = "listen", shared: bool = False) -> list[socket.socket]:
    """Bind ``HOST:PORT``. Raises :class:`~gatepost.errors.SettingsError`, which names ``setting``.

    ``shared``: others may be bound to it too, and the system spreads connections over all of them (``SO_REUSEPORT``).
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit() or int(port) > 65535:
        raise SettingsError(setting, f"must be HOST:PORT, such as 127.0.0.1:8080, not {address!r}")
    try:
        infos = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, name = infos[0]
        both = host == "::" and socket.has_dualstack_ipv6()  # "everywhere" means IPv4 as well
        bound = socket.create_server(
            name[:2], family=family, backlog=BACKLOG, reuse_port=shared, dualstack_ipv6=both
        )
    except OSError as error:
        why = error.strerror or str(error)
        raise SettingsError(setting, f"cannot be {address}: {why}; give another HOST:PORT") from None
    bound.setblocking(False)
    return [bound]


def address(bound: Sequence[socket.socket], certificate: Certificate | None) -> str:
    """Return where a socket is reached: ``http://127.0.0.1:8080``."""
    host, port = bound[0].getsockname()[:2]
    scheme = "http" if certificate is None else "https"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def listen_locally(path: Path) -> list[socket.socket]:
    """Bind a local socket, in place of one that an earlier process left. Raises ``OSError``."""
    with contextlib.suppress(FileExistsError):
        path.parent.mkdir(mode=0o700)  # something that clears old files may have taken it
    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(path))
    bound.listen(BACKLOG)
    bound.setblocking(False)
    return [bound]


class Certificate:
    """A certificate and its key, as they stand in two files now."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None = None) -> None:
        """Raise :class:`~gatepost.errors.SettingsError` for what is no such pair.

        ``client_ca``: who signs the certificates of clients; without, none is asked for.
        """
        self.file = certificate
        self._key = key
        self._client_ca = client_ca
        self.context = self._load()

    def reload(self) -> None:
        """Take over what stands in the files now. Raises ``SettingsError``, and goes on with what it had."""
        # A new context: an authority cannot be taken out of one that has it.
        self.context = self._load()

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self.file, self._key, password=_refuse_password)
        except ssl.SSLError as error:
            raise SettingsError(
                "certificate_file", f"and key_file are no certificate with its key: {error.reason or error}"
            ) from None
        except OSError as error:
            raise SettingsError(
                "certificate_file", f"or key_file cannot be read: {error.strerror or error}"
            ) from None
        if self._client_ca is not None:
            context.verify_mode = ssl.CERT_OPTIONAL
            try:
                context.load_verify_locations(self._client_ca)
            except ssl.SSLError as error:
                raise SettingsError(
                    "client_ca_file", f"has no certificates in PEM: {error.reason or error}"
                ) from None
            except OSError as error:
                raise SettingsError("client_ca_file", f"cannot be read: {error.strerror or error}") from None
        return context


def _refuse_password() -> str:
    raise SettingsError("key_file", "is protected by a password; give a key that is not")


class Place(Struct, frozen=True):
    """Where a server listens, and by whose rules."""

    sockets: Sequence[socket.socket]
    guard: Guard
    certificate: Certificate | None = None


class Server(uvicorn.Server):
    """uvicorn with our connections, and without its own handling of signals."""

    def __init__(
        self,
        app: Application,
        place: Place,
        *,
        stop_timeout_s: float,
        listening: Callable[[], None] = lambda: None,
        stopping: Callable[[], None] = lambda: None,
    ) -> None:
        """Make a server. ``stopping`` is called before it waits for replies: what would never end is to end then.

        ``stop_timeout_s``: how long it waits for them.
        """
        config = uvicorn.Config(
            self._answered(app),
            ws="none",
            interface="asgi3",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # whom to believe is ours to say: terminals/identify.py
        )
        super().__init__(config)
        self.cut_off = 0
        """Requests that were not answered in time when it stopped."""
        self.stop_timeout_s = stop_timeout_s
        self._cutting_off = False
        self.place = place
        self._listening = listening
        self._stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.servers = [await self._accepting(each) for each in self.place.sockets]
        self.started = True
        self._listening()

    async def _accepting(self, listening: socket.socket) -> Any:
        place = self.place
        certificate = place.certificate
        if certificate is not None:
            return Handshakes(listening, lambda: certificate.context, place.guard, self._connection)
        loop = asyncio.get_running_loop()
        local = listening.family == socket.AF_UNIX
        serve = loop.create_unix_server if local else loop.create_server
        return await serve(self._connection, sock=listening, backlog=BACKLOG)

    def _connection(self) -> GuardedProtocol:
        return GuardedProtocol(self.config, self.server_state, {}, guard=self.place.guard)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping()
        for server in self.servers:
            server.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        if not await self._is_over(self.stop_timeout_s):
            await self._cut_off()
        for server in self.servers:
            await server.wait_closed()

    async def _is_over(self, timeout_s: float) -> bool:
        """Wait until every request has its response; False if that takes too long."""
        state = self.server_state
        try:
            async with asyncio.timeout(timeout_s):
                while state.connections or state.tasks:  # noqa: ASYNC110 - uvicorn tells nobody
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            return False
        return True

    async def _cut_off(self) -> None:
        state = self.server_state
        self._cutting_off = True
        for connection in list(state.connections):
            transport = connection.transport
            if not transport.is_closing() or transport.get_write_buffer_size():
                self.cut_off += 1
            cycle = connection.cycle if isinstance(connection, GuardedProtocol) else None
            if cycle is not None and cycle.response_started:
                transport.abort()
        for task in list(state.tasks):
            task.cancel()
        if not await self._is_over(LAST_WORDS_S):
            for connection in list(state.connections):
                connection.transport.abort()

    def _answered(self, app: Application) -> Application:
        """Return the application, whose requests get a response also where they are cut off."""

        async def answered(scope: Scope, receive: Receive, send: Send) -> None:
            started = False

            async def sending(message: Message) -> None:
                nonlocal started
                started = True
                await send(message)

            try:
                await app(scope, receive, sending)
            except asyncio.CancelledError:
                if not self._cutting_off:
                    raise
                if started:
                    # The connection is cut: an answer that ends too early must not look whole.
                    while (await receive())["type"] != "http.disconnect":
                        pass
                else:
                    await _not_now(send)

        return answered

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _not_now(send: Send) -> None:
    body = encode_reply(503, "the receiver was stopped before this was answered; ask again")
    await respond(send, 503, body, headers=[(b"retry-after", b"5"), (b"cache-control", b"no-store")])
