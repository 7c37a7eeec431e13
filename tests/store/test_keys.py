"""Keys that a store keeps for itself, on both databases."""

import pytest
from tests.store.conftest import Opener

from gatepost.store.keys import kept
from gatepost.store.store import Store


@pytest.fixture
def store(open_store: Opener) -> Store:
    """Either database, empty."""
    return open_store()


def test_a_key_is_made_once_and_kept(store: Store) -> None:
    made = iter([b"first", b"second", b"third"])
    assert kept(store, "seal", lambda: next(made)) == b"first"
    assert kept(store, "seal", lambda: next(made)) == b"first"
    assert kept(store, "other", lambda: next(made)) == b"third"
