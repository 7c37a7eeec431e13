"""Destinations on both databases."""

import pytest
from tests.forward.kit import Line
from tests.store.conftest import (  # noqa: F401
    Opener,
    empty_folder,
    open_postgres,
    open_sqlite,
    open_store,
)
from tests.store.events import RECEIVED_MS
from tests.terminals import ensured


@pytest.fixture
def line(open_store: Opener) -> Line:  # noqa: F811
    """A store with a terminal, and a destination that has nothing to be sent."""
    store = open_store()
    ensured(store, "SN-1", now_ms=RECEIVED_MS)
    return Line(store)
