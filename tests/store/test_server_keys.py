"""Keys that a store keeps for itself, on both databases."""

from pathlib import Path

import pytest
from sqlalchemy import select
from tests.store.conftest import Opener
from tests.store.events import arrival, record
from tests.terminals import ensured

from gatepost.store.interface import Store
from gatepost.store.postgres.store import PostgresStore
from gatepost.store.schema import tables as t
from gatepost.store.server_keys import kept
from gatepost.store.sqlite.store import SqliteStore


@pytest.fixture
def store(open_store: Opener) -> Store:
    """Either database, empty."""
    return open_store()


def test_a_key_is_made_once_and_kept(store: Store) -> None:
    made = iter([b"first", b"second", b"third"])
    assert kept(store, "seal", lambda: next(made)) == b"first"
    assert kept(store, "seal", lambda: next(made)) == b"first"
    assert kept(store, "other", lambda: next(made)) == b"third"


def test_a_store_has_one_secret_for_everybody_who_opens_it(open_store: Opener) -> None:
    first = open_store()
    secret = first.secret
    first.close()
    assert len(secret) == 32
    assert open_store().secret == secret


def test_one_person_has_another_digest_in_another_store(tmp_path: Path, postgres_url: str) -> None:
    stores = [
        SqliteStore.open(tmp_path / "one"), SqliteStore.open(tmp_path / "two"), PostgresStore.open(postgres_url)
    ]  # fmt: skip
    found = set()
    for store in stores:
        ensured(store, "SN-1", now_ms=0)
        store.write([arrival(record(1))])
        with store.reading() as db:
            found.add(bytes(db.execute(select(t.identities.c.digest)).scalar_one()))
        store.close()
    assert len(found) == 3
