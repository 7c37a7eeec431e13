"""Merging stretches of an index."""

import random
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, select
from tests.store.conftest import Opener
from tests.store.events import NOON, arrival, record
from tests.terminals import ensured

from gatepost.store.base import BaseStore
from gatepost.store.conversion.values import ms
from gatepost.store.interface import RecordQuery
from gatepost.store.query.index_merge import Stretch, merge, times
from gatepost.store.schema import tables as t

SECOND = timedelta(seconds=1)


@pytest.fixture
def store(open_store: Opener) -> BaseStore:
    """Four hundred records at three terminals, of which the first has nearly all; many of them at the same moment."""
    store = open_store()
    rand = random.Random(3)
    for serial in ("SN-1", "SN-2", "SN-3"):
        ensured(store, serial, now_ms=0)
    batch = []
    for number in range(400):
        at = NOON + rand.randrange(120) * SECOND
        terminal_id = 1 if rand.random() < 0.9 else rand.choice((2, 3))
        passage = record(number, recorded_at=at, entry_mode=1 + number % 5, passed=number % 7 > 0)
        batch.append(arrival(passage, terminal_id))
    store.write(batch)
    return store


def by_facet(*terminals: int) -> list[Stretch]:
    c, every = t.records.c, t.facets.c.id > 0
    found = [Stretch(t.facets, every, c.facet_id)]
    return (
        [*found, Stretch(t.terminals, t.terminals.c.id.in_(terminals), c.terminal_id)] if terminals else found
    )


def first_of(store: BaseStore, query: RecordQuery, *conditions: Any) -> list[tuple[int, int]]:
    """What the database itself sorts."""
    c = t.records.c
    order = (c.at_ms.desc(), c.id.desc()) if query.order == "newest" else (c.at_ms, c.id)
    with store.reading() as db:
        rows = db.execute(select(c.at_ms, c.id).where(*conditions, *times(query)).order_by(*order))
        return [(row.at_ms, row.id) for row in rows.fetchmany(query.limit + 1)]


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("limit", [1, 7, 60, 1000])
def test_the_first_of_all_stretches_are_what_sorting_everything_gives(
    store: BaseStore, order: Any, limit: int
) -> None:
    for since, until in ((None, None), (30, None), (None, 90), (30, 90)):
        query = RecordQuery(
            order=order,
            limit=limit,
            since=None if since is None else NOON + since * SECOND,
            until=None if until is None else NOON + until * SECOND,
        )
        with store.reading() as db:
            for about in (1, 10, 1_000):  # however well their number was guessed
                assert merge(db, by_facet(), [], query, about=about) == first_of(store, query)
                some = merge(db, by_facet(1, 3), [], query, about=about)
                assert some == first_of(store, query, t.records.c.terminal_id.in_((1, 3)))


def test_where_stretches_begin_can_be_told_instead_of_asked(store: BaseStore) -> None:
    query = RecordQuery(limit=20)
    stretch = Stretch(t.terminals, t.terminals.c.id > 0, t.records.c.terminal_id)
    with store.reading() as db:
        found = merge(db, [stretch], [], query, places=[(2,), (3,)])
    assert found == first_of(store, query, t.records.c.terminal_id.in_((2, 3)))


def test_a_page_of_many_stretches_takes_few_questions(store: BaseStore) -> None:
    read = 0

    def count(*arguments: Any) -> None:
        nonlocal read
        read += 1

    with store.reading() as db:
        event.listen(store._engine, "before_cursor_execute", count)
        assert len(merge(db, by_facet(1, 2, 3), [], RecordQuery(limit=30))) == 31
    event.remove(store._engine, "before_cursor_execute", count)
    assert read <= 3


def test_times_are_at_most_one_condition_a_side() -> None:
    at, edge = NOON, ms(NOON + 5 * SECOND)

    def said(order: Any, **stretch: Any) -> list[str]:
        conditions = times(RecordQuery(order=order, **stretch), edge=edge)
        return [str(one.compile(compile_kwargs={"literal_binds": True})) for one in conditions]

    assert said("newest", since=at) == [f"records.at_ms >= {edge}"]
    assert said("newest", since=at + 9 * SECOND) == [f"records.at_ms >= {edge + 4000}"]
    assert said("oldest", until=at + 9 * SECOND) == [f"records.at_ms < {edge + 1}"]
    assert said("oldest", since=at, until=at + 3 * SECOND) == [
        f"records.at_ms >= {edge - 5000}",
        f"records.at_ms < {edge - 2000}",
    ]
