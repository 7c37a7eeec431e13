"""Slow down the guessing of passwords.

Rules:

- The first ``free`` wrong attempts of a peer are not delayed, because people mistype. Each later attempt waits before
  it is checked: 1 s, 2 s, 4 s … at most ``longest_s``. The wait comes before the check, so a client that disconnects
  early learns nothing.
- A peer that has to wait has one attempt at a time and a short queue. A further attempt is refused (429), so that many
  connections give no advantage.
- A right password, or ``forget_s`` without an attempt, resets the peer.
- A peer is an IPv4 address or an IPv6 /64. At most ``peers`` peers are kept.

Flow: ``async with throttle.turn(peer) as turn: …; turn.failed()`` or ``turn.succeeded()``.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gatepost.errors import GatepostError
from gatepost.network_of import network_of
from gatepost.retry import doubled


class TooManyAttempts(GatepostError):
    """Too many wrong passwords came from this address. ``retry_after_s``: seconds to wait."""

    def __init__(self, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"too many wrong attempts from this address; try again in {retry_after_s} s")


@dataclass(slots=True)
class _Peer:
    failures: int = 0
    last_at: float = 0.0
    waiting: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class Turn:
    """An attempt that may be checked now. Its result has to be noted."""

    _peer: _Peer
    _now: Callable[[], float]

    def failed(self) -> None:
        """Note that the password or the account was wrong. The next attempt waits longer."""
        self._peer.failures += 1
        self._peer.last_at = self._now()

    def succeeded(self) -> None:
        """Note that the password was right: the peer is reset."""
        self._peer.failures = 0


class LoginThrottle:
    """The wrong attempts of each peer, and how long its next one waits.

    ``now`` is a monotonic clock in seconds, ``sleep`` waits that many seconds.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        free: int = 3,
        longest_s: float = 8.0,
        queue: int = 4,
        forget_s: float = 900.0,
        peers: int = 1024,
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._free = free
        self._longest_s = longest_s
        self._queue = queue
        self._forget_s = forget_s
        self._limit = peers
        self._peers: OrderedDict[str, _Peer] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Return how many seconds the next attempt of ``address`` waits."""
        peer = self._peers.get(network_of(address))
        return 0.0 if peer is None else self._wait_s(peer)

    @asynccontextmanager
    async def turn(self, address: str) -> AsyncIterator[Turn]:
        """Wait until an attempt from ``address`` may be checked. Raises TooManyAttempts if too many wait."""
        peer = self._peer(network_of(address))
        wait_s = self._wait_s(peer)
        if not wait_s:
            yield Turn(peer, self._now)
            return
        if peer.waiting >= self._queue:
            raise TooManyAttempts(max(1, round(wait_s * (peer.waiting + 1))))
        peer.waiting += 1
        try:
            async with peer.lock:
                await self._sleep(self._wait_s(peer))
                yield Turn(peer, self._now)
        finally:
            peer.waiting -= 1

    def _peer(self, network: str) -> _Peer:
        peer = self._peers.pop(network, None) or _Peer()
        if peer.failures and not peer.waiting and self._now() - peer.last_at > self._forget_s:
            peer.failures = 0
        self._peers[network] = peer
        while len(self._peers) > self._limit:
            self._peers.popitem(last=False)
        return peer

    def _wait_s(self, peer: _Peer) -> float:
        over = peer.failures - self._free
        return 0.0 if over < 0 else doubled(over, first_s=1.0, longest_s=self._longest_s)
