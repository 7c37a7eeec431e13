"""The store in PostgreSQL."""

import pytest
from tests.store.conftest import Opener
from tests.store.store_suite import StoreSuite, store

__all__ = ["store"]


@pytest.fixture
def open_store(open_postgres: Opener) -> Opener:
    return open_postgres


class TestSuite(StoreSuite):
    pass
