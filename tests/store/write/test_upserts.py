"""Rows in as few statements as can be, and no more of them than are meant to be kept."""

from collections.abc import Callable

import pytest
from sqlalchemy import insert
from tests.terminals import ensured

from gatepost.store.schema import tables as t
from gatepost.store.sqlite.store import SqliteStore
from gatepost.store.write.upserts import MAX_PEERS, MAX_ROWS, TRIMMED_PEERS, PeerLimit, in_steps


@pytest.mark.parametrize("rows", [0, 1, 2, MAX_ROWS, MAX_ROWS + 1, 3 * MAX_ROWS + 5])
def test_every_row_is_in_one_step_in_its_order(rows: int) -> None:
    values = list(range(rows * 3))
    steps = list(in_steps(values, 3))
    assert [value for _, part in steps for value in part] == values
    assert [len(part) for _, part in steps] == [count * 3 for count, _ in steps]
    assert len(steps) == -(-rows // MAX_ROWS)


def test_room_is_made_for_peers_with_work_that_does_not_grow_with_what_is_kept(
    open_sqlite: Callable[[], SqliteStore],
) -> None:
    """In thousands of instructions of SQLite's virtual machine: some 25 for each row that is forgotten."""
    store = open_sqlite()
    terminal = ensured(store, "SN-1", now_ms=0)
    rows = [
        {"address": f"10.{number}", "terminal_id": terminal.id, "at_ms": number}
        for number in range(MAX_PEERS + 2)
    ]
    with store.changing() as db:
        db.execute(insert(t.peers), rows)
    db, limit, spent, counts = store._db, PeerLimit(), [0], list[str]()

    def instructions() -> int:
        spent[0] += 1
        return 0

    db.set_progress_handler(instructions, 1000)
    db.set_trace_callback(lambda said: counts.append(said) if "count" in said else None)
    db.execute("BEGIN IMMEDIATE")
    limit.make_room(db, 1)
    assert spent[0] < 400
    left = db.execute("SELECT min(at_ms), count(*) FROM peers").fetchone()
    assert left == (TRIMMED_PEERS, MAX_PEERS + 2 - TRIMMED_PEERS)
    counts.clear()
    spent[0] = 0
    for _ in range(TRIMMED_PEERS - 3):
        limit.make_room(db, 1)
    assert (spent[0], counts) == (0, [])  # not counted, and nothing deleted
    limit.make_room(db, 1)
    assert len(counts) == 1  # as they may be too many
    db.execute("ROLLBACK")
