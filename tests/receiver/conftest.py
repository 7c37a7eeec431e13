from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop
from tests.receiver.kit import Running, receiving


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], uvloop.Loop]]:
    """The loop that the receiver runs on: its transports are what the guard has to do with."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Running]:
    """A receiver with the default settings, on SQLite."""
    async with receiving(tmp_path / "data") as running:
        yield running
