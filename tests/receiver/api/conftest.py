"""Receivers on either database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.receiver.kit import Running, receiving, serving

from gatepost.settings import ReceiverSettings
from gatepost.store.postgres.store import PostgresStore


@pytest.fixture(params=["sqlite", "postgresql"])
async def either(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Running]:
    """A receiver with the default settings, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        async with receiving(tmp_path / "data") as running:
            yield running
        return
    server = request.getfixturevalue("postgres_server")
    url = server.create_with_store()
    store = PostgresStore.open(url)
    try:
        async with serving(store, ReceiverSettings(database=url)) as running:
            yield running
    finally:
        store.close()
        server.drop(url)
