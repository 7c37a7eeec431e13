"""Listening to announcements, while a person looks."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.fleet.finding.test_announcements import ALLOWS, ANNOUNCED

from gatepost.fleet.finding.announcements import DiscoveryUnavailable
from gatepost.fleet.finding.discovery import LISTEN_S, Discovery, Take, multicast


class Network:
    """A network on which recorded packets are heard: multicast does not come through loopback."""

    def __init__(self) -> None:
        self.take: Take | None = None
        self.begun = 0
        self.error: OSError | None = None

    @asynccontextmanager
    async def packets(self, take: Take) -> AsyncIterator[None]:
        if self.error is not None:
            raise self.error
        self.begun += 1
        self.take = take
        yield
        self.take = None

    def send(self, packet: bytes) -> None:
        assert self.take is not None
        self.take(packet, "192.168.1.50")


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[tuple[float, asyncio.Event]] = []

    async def sleep(self, seconds: float) -> None:
        event = asyncio.Event()
        self.waits.append((self.now + seconds, event))
        await event.wait()

    async def pass_(self, seconds: float) -> None:
        self.now += seconds
        due = [event for at, event in self.waits if at <= self.now]
        self.waits = [(at, event) for at, event in self.waits if at > self.now]
        for event in due:
            event.set()
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def discovery(network: Network, clock: Clock) -> AsyncIterator[Discovery]:
    made = Discovery(allows=ALLOWS, packets=network.packets, monotonic=lambda: clock.now, sleep=clock.sleep)
    yield made
    await made.close()
    assert network.take is None


async def test_what_was_announced_since_it_was_asked_for_is_returned(
    discovery: Discovery, network: Network
) -> None:
    assert not discovery.is_listening
    assert (await discovery.look()).found() == []
    network.send(ANNOUNCED)
    assert [one.serial for one in (await discovery.look()).found()] == ["AB"]
    assert network.begun == 1


async def test_it_ends_by_itself_when_it_is_not_asked_again(
    discovery: Discovery, network: Network, clock: Clock
) -> None:
    await discovery.look()
    network.send(ANNOUNCED)
    await clock.pass_(LISTEN_S - 1)
    await discovery.look()
    await clock.pass_(2)
    assert discovery.is_listening
    await clock.pass_(LISTEN_S)
    assert not discovery.is_listening
    # What is asked for later is what is announced then.
    assert (await discovery.look()).found() == []
    assert network.begun == 2


async def test_a_port_that_cannot_be_had_is_told(discovery: Discovery, network: Network) -> None:
    network.error = OSError(98, "Address already in use")
    with pytest.raises(DiscoveryUnavailable, match=r"UDP port 5353.*scan a network instead"):
        await discovery.look()
    network.error = None
    await discovery.look()
    assert discovery.is_listening


async def test_packets_come_from_a_socket_and_too_long_ones_do_not() -> None:
    heard: list[tuple[bytes, str]] = []
    arrived = asyncio.Event()

    def take(packet: bytes, peer: str) -> None:
        heard.append((packet, peer))
        arrived.set()

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with multicast(take, port=port, interfaces=["127.0.0.1", "203.0.113.9"]):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as terminal:
            terminal.sendto(b"x" * 9001, ("127.0.0.1", port))
            terminal.sendto(ANNOUNCED, ("127.0.0.1", port))
        async with asyncio.timeout(10):
            await arrived.wait()
    assert heard == [(ANNOUNCED, "127.0.0.1")]


async def test_it_listens_on_the_interfaces_that_there_are() -> None:
    async with multicast(lambda packet, peer: None, port=0):
        pass
