"""A receiver to ask, and somebody who asks it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

import pytest
import uvloop
from tests.receiver.kit import Running, receiving

from gatepost import cli
from gatepost.client import Client

T = TypeVar("T")
Ask = Callable[[Callable[[Client], T]], Awaitable[T]]
Run = Callable[..., Awaitable[int]]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], uvloop.Loop]]:
    """The loop that the receiver runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Running]:
    async with receiving(tmp_path / "data", real_time=True) as running:
        yield running


@pytest.fixture
def ask(receiver: Running) -> Ask[T]:
    """Calls something with a client, in a thread: a client blocks."""

    async def ask(what: Callable[[Client], T]) -> T:
        def do() -> T:
            with Client(f"http://127.0.0.1:{receiver.port}", receiver.token, timeout_s=20) as client:
                return what(client)

        receiver.settle()
        return await asyncio.wait_for(asyncio.to_thread(do), 60)

    return ask


@pytest.fixture
def run(receiver: Running, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command against the receiver; answers its exit code."""
    monkeypatch.setenv("GATEPOST_URL", f"http://127.0.0.1:{receiver.port}")
    monkeypatch.setenv("GATEPOST_TOKEN", receiver.token)
    monkeypatch.setenv("GATEPOST_LANG", "en")
    monkeypatch.setenv("TZ", "UTC")

    async def run(*argv: str) -> int:
        receiver.settle()
        return await asyncio.wait_for(asyncio.to_thread(cli.run, list(argv)), 60)

    return run
