"""Records in their partitions: by terminal, and no list reads a whole one."""

import random
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text
from tests.postgres import Postgres

from benchmarks import varied
from gatepost.store.interface import RecordQuery
from gatepost.store.postgres.store import PostgresStore
from gatepost.store.schema.tables import PARTITIONS

QUERIES: dict[str, dict[str, Any]] = {
    "newest": {},
    "oldest": {"order": "oldest"},
    "received": {"order": "received"},
    "terminal": {"terminal": "GATE0001"},
    "site": {"site_id": 1},
    "person": {"person": varied.RARE_PERSON},
    "name": {"name": varied.RARE_NAME},
    "text": {"q": varied.RARE_NAME},
    "kind": {"recognition_type": 5},
    "image": {"has_image": True},
}


@pytest.fixture(scope="module")
def store(postgres_server: Postgres) -> Iterator[PostgresStore]:
    url = postgres_server.create_with_store()
    with closing(PostgresStore.open(url)) as made:
        varied.stock(made, 2_000, now=1_750_000_000, rand=random.Random(5))
        yield made
    postgres_server.drop(url)


def plans(store: PostgresStore, ask: Any) -> str:
    """Return the plans of all that is asked, where a whole table is read only if nothing else is possible."""
    asked: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, values: Any, *___: Any) -> None:
        if statement.lstrip("(").startswith(("SELECT", "WITH")) and "records" in statement:
            asked.append((statement, values))

    event.listen(store._engine, "before_cursor_execute", note)
    ask()
    event.remove(store._engine, "before_cursor_execute", note)
    assert asked
    with store.reading() as db:
        db.execute(text("SET LOCAL enable_seqscan = off"))
        db.execute(text("SET LOCAL enable_bitmapscan = off"))
        return "\n".join(
            row[0]
            for statement, values in asked
            for row in db.exec_driver_sql(f"EXPLAIN {statement}", values)
        )


def test_records_are_spread_by_terminal(store: PostgresStore) -> None:
    with store.reading() as db:
        found = db.execute(
            text("SELECT tableoid::regclass::text, terminal_id, count(*) FROM records GROUP BY 1, 2")
        ).all()
    assert {name for name, *_ in found} == {f"records_{number}" for number in range(PARTITIONS)}
    assert len({terminal for _, terminal, _ in found}) == len(found)


@pytest.mark.parametrize("name", QUERIES)
def test_no_list_reads_a_whole_partition(store: PostgresStore, name: str) -> None:
    assert "Seq Scan on records" not in plans(store, lambda: store.records(RecordQuery(**QUERIES[name])))


def test_a_terminal_is_looked_for_in_one_partition(store: PostgresStore) -> None:
    number = next(row.id for row in store.terminals() if row.serial == "GATE0001")
    with store.reading() as db:
        found = "\n".join(
            row[0]
            for row in db.execute(
                text("EXPLAIN SELECT id FROM records WHERE terminal_id = :terminal"), {"terminal": number}
            )
        )
    assert len(set(re.findall(r" on (records_\d) ", found))) == 1


def test_one_record_and_the_feed_are_found_by_their_ids(store: PostgresStore) -> None:
    (newest,) = store.records(RecordQuery(limit=1)).items
    assert "Seq Scan on records" not in plans(store, lambda: store.record(newest.id))
    assert "Seq Scan on records" not in plans(store, lambda: store.read_feed(newest.id - 4096))
    until = newest.at - timedelta(days=300)
    assert "Seq Scan on records" not in plans(store, lambda: store.records(RecordQuery(until=until)))


def test_the_whole_is_counted_once_a_day(store: PostgresStore) -> None:
    counted = text("SELECT count(*) FROM pg_stats WHERE tablename = 'records' AND inherited")
    with store.reading() as db:
        assert db.execute(counted).scalar_one() == 0
    store.analyze()
    with store.reading() as db:
        assert db.execute(counted).scalar_one() > 10
    statements: list[str] = []
    event.listen(
        store._engine, "before_cursor_execute", lambda _, __, statement, *___: statements.append(statement)
    )
    store.analyze()
    assert not [statement for statement in statements if statement.startswith("ANALYZE")]
