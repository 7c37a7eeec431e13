"""A receiver with its console, asked without a browser."""

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop
from tests.console.kit import Desk
from tests.receiver.kit import receiving

from gatepost.console.routes import routes


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], uvloop.Loop]]:
    """The loop that the receiver runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A console with an account of each role, and nothing stored."""
    async with receiving(tmp_path / "data", pages=routes) as running:
        yield await Desk.made(running)
