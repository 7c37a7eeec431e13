"""A terminal goes with everything that it sent, and nothing of another one does."""

from collections.abc import Callable, Iterator

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import IntegrityError
from tests.store.events import RECEIVED_MS, alarm, arrival, record, unknown
from tests.terminals import ensured

from gatepost import wire
from gatepost.errors import StoreUnavailable
from gatepost.store.base import BaseStore
from gatepost.store.interface import NewTerminal, QuarantineQuery, RecordQuery
from gatepost.store.privacy import terminal_removal
from gatepost.store.privacy.terminal_removal import STEP, Removed, remove_terminal
from gatepost.store.schema import tables as t
from gatepost.store.terminals.registry import Conflict

FACE = b"\xff\xd8" + b"a face." * 2000 + b"\xff\xd9"
HERS = wire.User(user_id="77", name="李四")


@pytest.fixture
def store(open_store: Callable[[], BaseStore]) -> Iterator[BaseStore]:
    """Two terminals that sent one of each; one person was at both."""
    store = open_store()
    ensured(store, "SN-1", now_ms=RECEIVED_MS)
    ensured(store, "SN-2", now_ms=RECEIVED_MS)
    for terminal in (1, 2):
        store.write(
            [
                replace(one, terminal_id=terminal)
                for one in (
                    arrival(record(1), image=FACE),
                    arrival(record(2, user=HERS)) if terminal == 2 else arrival(record(3)),
                    arrival(alarm(f"trace-{terminal}"), image=FACE),
                    arrival(unknown()),
                )
            ]
        )
    yield store
    store.close()


def counts(store: BaseStore) -> dict[str, int]:
    with store.reading() as db:
        return {
            table.name: db.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (t.terminals, t.records, t.alarm_events, t.alarms, t.quarantine, t.images, t.tallies)
        }


def names(store: BaseStore) -> set[str]:
    with store.reading() as db:
        return set(db.execute(select(t.identities.c.name)).scalars())


def test_a_retired_terminal_goes_with_what_it_sent_and_the_other_one_stays(store: BaseStore) -> None:
    store.update_terminal(2, state="retired")
    before = counts(store)
    assert remove_terminal(store, 2) == Removed(serial="SN-2", records=2, alarm_steps=1, quarantined=1)
    after = counts(store)
    assert {name: before[name] - after[name] for name in before} == {
        "terminals": 1, "records": 2, "alarm_events": 1, "alarms": 1, "quarantine": 1, "images": 2, "tallies": 1
    }  # fmt: skip
    assert [row.serial for row in store.terminals()] == ["SN-1"]
    assert {row.terminal_id for row in store.records(RecordQuery()).items} == {1}
    assert len(store.quarantined(QuarantineQuery()).items) == 1
    feed = store.read_feed(0)
    assert (len(feed.items), feed.deleted) == (3, {"record": 2, "alarm": 1})
    assert "李四" not in names(store)
    assert len(names(store)) == 2
    assert remove_terminal(store, 2) is None


@pytest.mark.parametrize("state", ["new", "approved", "held"])
def test_only_a_retired_one_goes(store: BaseStore, state: str) -> None:
    store.update_terminal(2, state=state)
    before = counts(store)
    with pytest.raises(Conflict, match="retire it"):
        remove_terminal(store, 2)
    assert counts(store) == before


def test_its_id_is_given_to_no_other_one(store: BaseStore) -> None:
    store.update_terminal(2, state="retired")
    remove_terminal(store, 2)
    (row,) = store.ensure_terminals([NewTerminal("SN-2", RECEIVED_MS)])
    assert row.id > 2
    assert row.records == 0


def test_an_interrupted_removal_is_completed_by_the_next_one(
    store: BaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [replace(arrival(record(number)), terminal_id=2) for number in range(10, 10 + 2 * STEP)]
    store.write(many)
    store.update_terminal(2, state="retired")
    step, done = terminal_removal._step, 0

    def fail(*args: object) -> int:
        nonlocal done
        done += 1
        if done > 2:
            raise StoreUnavailable("away")
        return step(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(terminal_removal, "_step", fail)
    with pytest.raises(StoreUnavailable):
        remove_terminal(store, 2)
    assert store.terminal(2) is not None
    monkeypatch.undo()
    removed = remove_terminal(store, 2)
    assert removed is not None
    assert removed.records == 2
    assert counts(store)["records"] == 2


def test_where_its_row_is_still_needed_it_is_tried_again(
    store: BaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when an event of it is listed between the last step and the end, on PostgreSQL."""
    store.update_terminal(2, state="retired")
    forget, fails = terminal_removal.moving.forget, [True]

    def fail_once(db: Connection, terminal_id: int) -> None:
        forget(db, terminal_id)
        if fails:
            fails.pop()
            raise IntegrityError("still referred to", None, Exception())

    monkeypatch.setattr(terminal_removal.moving, "forget", fail_once)
    assert remove_terminal(store, 2) == Removed(serial="SN-2", records=2, alarm_steps=1, quarantined=1)
