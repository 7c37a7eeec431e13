"""Connections before their TLS handshake is done: they count, and they take no longer than a head may.

Rules:

* A connection is counted from when it is accepted, not from when it can speak: whoever connects and says nothing holds
  a file and some memory just the same. It gives way, and runs out of time, like every other: see
  :mod:`gatepost.receiver.http.connections.limits`.
* Nothing is said to one that is turned away, for without a handshake there is no way to say it.
* When the handshake is done, its connection takes its place.

Flow: socket → :meth:`Handshakes.once` → a task a connection →
:class:`gatepost.receiver.http.connections.connection.GuardedProtocol`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from math import inf

from gatepost.receiver.http.connections.connection import TOO_MANY, GuardedProtocol
from gatepost.receiver.http.connections.limits import Guard, Refusal

__all__ = ["Handshake", "Handshakes"]

PAUSE_S = 0.1
"""After the system had no file left for a connection: one that ends makes room."""


class Handshake:
    """One connection that is not there yet."""

    busy = False
    served_at = -inf
    arriving_bytes = 0

    def __init__(self, accepted: socket.socket, address: str, *, deadline: float) -> None:
        self.accepted = accepted
        self.address = address
        self.deadline = deadline
        self.task: asyncio.Task[None] | None = None

    def refuse(self, status: int, message: str) -> None:
        self.abort()

    def expire(self) -> None:
        self.abort()

    def abort(self) -> None:
        """Cut the connection."""
        self.deadline = inf
        if self.task is not None:
            self.task.cancel()


class Handshakes:
    """Accepts on one listening socket; what :meth:`asyncio.loop.create_server` does, but counted."""

    def __init__(
        self,
        listening: socket.socket,
        context: Callable[[], ssl.SSLContext],
        guard: Guard,
        connection: Callable[[], GuardedProtocol],
    ) -> None:
        """``context`` is asked for at each handshake: it may have been replaced."""
        self._listening = listening
        self._context = context
        self._guard = guard
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._open: set[Handshake] = set()
        self._task = self._loop.create_task(self._run())

    async def once(self) -> None:
        """Accept one connection. Raises ``OSError`` if the system cannot."""
        accepted, peer = await self._loop.sock_accept(self._listening)
        handshake = Handshake(accepted, peer[0], deadline=self._guard.now() + self._guard.limits.head_s)
        if not self._guard.admit(handshake):
            self._guard.counts["refused.503"] += 1
            self._guard.on_refused(Refusal(503, TOO_MANY, peer[0], None))
            accepted.close()
            return
        self._open.add(handshake)
        handshake.task = self._loop.create_task(self._shake(handshake))

    async def _run(self) -> None:
        while True:
            try:
                await self.once()
            except OSError:
                await asyncio.sleep(PAUSE_S)

    async def _shake(self, handshake: Handshake) -> None:
        def connection() -> GuardedProtocol:
            made = self._connection()
            made.before = handshake
            return made

        try:
            # Whoever speaks no TLS, or leaves, is no matter of ours.
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._loop.connect_accepted_socket(
                    connection,
                    handshake.accepted,
                    ssl=self._context(),
                    ssl_handshake_timeout=self._guard.limits.head_s,
                )
                return
            with contextlib.suppress(OSError):
                handshake.accepted.shutdown(socket.SHUT_RDWR)  # now, whatever else still has a hand on it
            handshake.accepted.close()
        finally:
            self._guard.leave(handshake)
            self._open.discard(handshake)

    def close(self) -> None:
        """Accept no more, and cut what is not there yet. Idempotent."""
        self._task.cancel()
        for handshake in list(self._open):
            handshake.abort()
        self._listening.close()

    async def wait_closed(self) -> None:
        tasks = [handshake.task for handshake in self._open if handshake.task is not None]
        await asyncio.gather(self._task, *tasks, return_exceptions=True)
