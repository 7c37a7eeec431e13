"""Host names: answered, refused, or not waited for."""

import asyncio
import socket
import threading

import pytest

from gatepost.terminal.push.dns import resolve


async def test_a_name_is_looked_up_by_the_system():
    assert ("127.0.0.1", 80) in [row[4] for row in await resolve("localhost", 80)]


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
async def test_an_address_is_its_own_answer_without_a_thread(host, family, monkeypatch):
    monkeypatch.setattr(threading, "Thread", None)
    ((found, kind, _, _, address),) = await resolve(host, 8080)
    assert (found, kind, address[:2]) == (family, socket.SOCK_STREAM, (host, 8080))


async def test_a_name_without_an_address_is_an_error(monkeypatch):
    def no_such_name(*_: object, flags: int = 0, **__: object):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    with pytest.raises(socket.gaierror):
        await resolve("receiver.example", 80)


async def test_what_can_be_no_name_is_an_error():
    with pytest.raises(UnicodeError):
        await resolve("a" * 64 + ".example", 80)


async def test_a_name_server_that_does_not_answer_can_be_given_up(monkeypatch):
    answer = threading.Event()
    real = socket.getaddrinfo

    def hangs(*arguments: object, flags: int = 0, **named: object):
        if not flags:
            answer.wait(20)
        return real(*arguments, flags=flags, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await resolve("localhost", 80)
    answer.set()
