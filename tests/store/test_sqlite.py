"""The store in a data folder."""

import pytest
from tests.store.conftest import Opener
from tests.store.store_suite import StoreSuite, store

__all__ = ["store"]


@pytest.fixture
def open_store(open_sqlite: Opener) -> Opener:
    return open_sqlite


class TestSuite(StoreSuite):
    pass
