"""Managing terminals on both databases."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.fleet.kit import House, house
from tests.store.conftest import (  # noqa: F401
    Opener,
    empty_folder,
    open_postgres,
    open_sqlite,
    open_store,
)


@pytest.fixture
async def desk(open_store: Opener, tmp_path: Path) -> AsyncIterator[House]:  # noqa: F811
    """A receiver on either database."""
    async with house(open_store, tmp_path) as made:
        yield made
