"""Find terminals by what they announce, while a person looks.

Rules:

* Nothing is sent: terminals announce themselves unasked.
* It is listened to for some seconds after each time that it was asked for, and not otherwise.

Flow: :meth:`Discovery.look` → :func:`multicast` → packets →
:class:`~gatepost.fleet.finding.announcements.Announcements`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress

from gatepost.fleet.finding.announcements import Announcements, DiscoveryUnavailable

__all__ = ["LISTEN_S", "Discovery", "multicast"]

GROUP, MDNS_PORT = "224.0.0.251", 5353
"""Of multicast DNS: RFC 6762, section 3."""

MAX_PACKET = 9_000
"""Bytes of a packet at most: RFC 6762, section 17."""

LISTEN_S = 30.0
"""For how long it is listened to after it was asked for: ten announcements of each terminal."""

Take = Callable[[bytes, str], None]
Packets = Callable[[Take], AbstractAsyncContextManager[None]]
"""Listens, and calls what it is given with each packet and the address that it came from."""


class Discovery:
    """Listens for as long as it is asked again, and some seconds longer. For one event loop.

    ``allows`` tells whether requests may go to an address; ``packets`` listens; ``sleep`` waits so many seconds.
    """

    def __init__(
        self,
        *,
        allows: Callable[[str], bool],
        packets: Packets | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._allows = allows
        self._packets = packets or multicast
        self._monotonic = monotonic
        self._sleep = sleep
        self._announcements: Announcements | None = None
        self._until = 0.0
        self._turn = asyncio.Lock()
        self._listening: AsyncExitStack | None = None
        self._ending: asyncio.Task[None] | None = None

    @property
    def is_listening(self) -> bool:
        return self._listening is not None

    async def look(self) -> Announcements:
        """Listen for some seconds from now on; return what was announced so far.

        Raises :class:`DiscoveryUnavailable`.
        """
        async with self._turn:
            self._until = self._monotonic() + LISTEN_S
            if self._announcements is None or self._listening is None:
                self._announcements = await self._begin()
            return self._announcements

    async def close(self) -> None:
        """End listening. Idempotent."""
        ending, self._ending = self._ending, None
        if ending is not None:
            ending.cancel()
            with suppress(asyncio.CancelledError):
                await ending
        await self._end()

    async def _begin(self) -> Announcements:
        announcements = Announcements(allows=self._allows)
        stack = AsyncExitStack()
        try:
            await stack.enter_async_context(self._packets(announcements.take))
        except OSError as error:
            raise DiscoveryUnavailable(
                f"announcements cannot be listened to on UDP port {MDNS_PORT}"
                f" ({error.strerror or error}); scan a network instead"
            ) from None
        self._listening = stack
        self._ending = asyncio.create_task(self._end_in_time(), name="discovery")
        return announcements

    async def _end_in_time(self) -> None:
        while (wait_s := self._until - self._monotonic()) > 0:
            await self._sleep(wait_s)
        await self._end()

    async def _end(self) -> None:
        stack, self._listening = self._listening, None
        if stack is not None:
            await stack.aclose()


@asynccontextmanager
async def multicast(
    take: Take, *, port: int = MDNS_PORT, interfaces: Iterable[str] | None = None
) -> AsyncIterator[None]:
    """Listen to the group of multicast DNS. ``interfaces``: their addresses; ``None``: every one.

    Raises OSError.
    """
    receiver = _socket(port, _interfaces() if interfaces is None else interfaces)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Listener(take), sock=receiver
    )
    try:
        yield
    finally:
        transport.close()


class _Listener(asyncio.DatagramProtocol):
    def __init__(self, take: Take) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if len(data) <= MAX_PACKET:
            self._take(data, addr[0])


def _socket(port: int, interfaces: Iterable[str]) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        # Other programs of this machine listen there, too.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(("", port))
        for address in interfaces:
            which = struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton(address))
            with suppress(OSError):  # one without multicast; the others are listened to
                made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, which)
        made.setblocking(False)
    except BaseException:
        made.close()
        raise
    return made


def _interfaces() -> list[str]:
    """Return the IPv4 addresses of this machine's interfaces, without loopback."""
    import ifaddr

    found = [each.ip for adapter in ifaddr.get_adapters() for each in adapter.ips if each.is_IPv4]
    return [str(each) for each in found if not ipaddress.ip_address(str(each)).is_loopback]
