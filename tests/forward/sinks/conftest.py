"""Kinds of destination on one database: which one it is makes no difference to what is sent."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.forward.kit import Line
from tests.store.conftest import Opener, empty_folder, open_sqlite  # noqa: F401
from tests.store.events import RECEIVED_MS
from tests.terminals import ensured


@pytest.fixture
def make_line(open_sqlite: Opener) -> Callable[..., Line]:  # noqa: F811
    """Makes a store with two terminals and a destination, of which it is told the configuration."""

    def make(**told: Any) -> Line:
        store = open_sqlite()
        for serial in ("SN-1", "SN-2"):
            ensured(store, serial, now_ms=RECEIVED_MS)
        return Line(store, **told)

    return make
