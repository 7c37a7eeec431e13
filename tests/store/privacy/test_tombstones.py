"""Somebody who was erased is in no event that was received before and is listed afterwards, on either database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.store.events import JPEG, RECEIVED_MS, alarm, arrival, record
from tests.terminals import ensured

from gatepost import wire
from gatepost.journal.places import Place
from gatepost.store.base import BaseStore
from gatepost.store.interface import AlarmQuery, Arrival, RecordQuery
from gatepost.store.postgres.inserter import Inserter
from gatepost.store.postgres.store import PostgresStore
from gatepost.store.privacy.erasure import Whom, erase
from gatepost.store.privacy.retention import Limits, Retention

PACK = "quarantine-20240506-1714996800000-0123abcd-records-000001.pack"
LATER_MS = RECEIVED_MS + 60_000
WANG = wire.User(user_id="42", name="王小明", type=1, job_number="J-20042", ic_number="7")


@pytest.fixture
def store(open_store: Callable[[], BaseStore]) -> BaseStore:
    store = open_store()
    for serial in ("SN-1", "SN-2"):
        ensured(store, serial, now_ms=RECEIVED_MS)
    store.write([arrival(record(1, user=WANG, image=JPEG))])
    return store


def names(store: BaseStore) -> list[str]:
    return [row.person.name for row in store.records(RecordQuery()).items if row.person is not None]


def pushed(data: dict[str, Any], **fields: Any) -> Arrival:
    return arrival(wire.Unknown({"type": 9, "data": data}), **fields)


def test_what_waited_is_listed_without_them_and_what_they_do_from_then_on_is_recorded(
    store: BaseStore,
) -> None:
    erase(store, Whom(user_id="42"), now_ms=LATER_MS)
    waited = [
        arrival(record(2, user=WANG, image=JPEG)),
        arrival(record(3, user=wire.User(user_id="42", name="another form"))),
        arrival(record(4)),
        arrival(record(5, user=WANG), received_at_ms=LATER_MS),
    ]
    assert all(stored.new for stored in store.write(waited))
    rows = store.records(RecordQuery()).items
    assert len(rows) == 5
    assert sorted(names(store)) == sorted(["王4", "王小明"])
    first, second = (row for row in rows if row.uuid in ("uuid-000002", "uuid-000003"))
    for row in (first, second):
        assert (row.person, row.has_image, row.original, row.temperature) == (None, False, b"{}", None)
        assert row.recognition_type == 1
    assert not any(stored.new for stored in store.write(waited))  # the same events still


@pytest.mark.parametrize(
    ("data", "is_about_them"),
    [
        ({"user_id": "42"}, True),
        ({"person": {"userId": 42}}, True),
        ({"who": "王小明"}, True),
        ({"number": "J-20042"}, True),
        ({"icNumber": "7"}, True),
        ({"level": "7"}, False),
        ({"user_id": "43", "name": "王小明"}, False),
        ({"text": "nothing of theirs"}, False),
    ],
)
def test_a_push_for_the_quarantine_keeps_nothing_of_them(
    store: BaseStore, data: dict[str, Any], is_about_them: bool
) -> None:
    erase(store, Whom(user_id="42"), now_ms=LATER_MS)
    store.write([pushed(data)])
    (row,) = store.quarantined().items
    assert (row.original == b"{}") is is_about_them
    assert any("erased" in problem.why for problem in row.problems) is is_about_them


@pytest.mark.parametrize(
    "fields",
    [
        {"original": '{"type":9,"data":{"who":"李四"}}'.encode("gbk")},
        {"original": b'{"type":9,"data":{"who":null}}', "texts": Place(PACK, 0, 10, b"")},
    ],
    ids=["bytes that are no JSON", "a long text"],
)
@pytest.mark.parametrize(("received_at_ms", "stays"), [(RECEIVED_MS, False), (LATER_MS, True)])
def test_a_push_in_which_they_cannot_be_looked_for_loses_its_text_in_doubt(
    store: BaseStore, fields: dict[str, Any], received_at_ms: int, stays: bool
) -> None:
    erase(store, Whom(user_id="42"), now_ms=LATER_MS)
    store.write([pushed({}, received_at_ms=received_at_ms, **fields)])
    (row,) = store.quarantined().items
    assert (row.original != b"{}") is stays
    assert any("may be about somebody" in problem.why for problem in row.problems) is not stays


def test_a_step_of_an_alarm_says_that_it_happened_and_not_who(store: BaseStore) -> None:
    erase(store, Whom(user_id="42"), now_ms=LATER_MS)
    store.write(
        [
            arrival(alarm("t-1", user_id=42, description="王小明", image=JPEG)),
            arrival(alarm("t-2", user_id=43)),
        ]
    )
    steps = {row.trace_id: row.history[0] for row in store.alarms(AlarmQuery()).items}
    step = steps["t-1"]
    assert (step.user_id, step.description, step.has_image, step.original) == (None, None, False, b"{}")
    assert steps["t-2"].user_id == "43"


@pytest.mark.parametrize("whom", [Whom(user_id="42", site_id=1), Whom(user_id="42", terminal_id=1)])
def test_where_they_were_not_erased_they_stay(store: BaseStore, whom: Whom) -> None:
    depot = store.create_site("depot", "UTC", now_ms=1)
    store.update_terminal(2, site_id=depot.id)
    erase(store, whom, now_ms=LATER_MS)
    store.write([arrival(record(2, user=WANG)), arrival(record(3, user=WANG), terminal_id=2)])
    left = [row.terminal_id for row in store.records(RecordQuery()).items if row.person is not None]
    assert left == [2]


def test_who_has_no_number_is_known_by_the_form_of_their_data(store: BaseStore) -> None:
    nameless = wire.User(name="李四", job_number="J-90001")
    store.write([arrival(record(2, user=nameless))])
    with store.reading() as db:
        (number,) = db.exec_driver_sql("SELECT id FROM identities WHERE name = '李四'").scalars()
    erase(store, Whom(identities=(number,)), now_ms=LATER_MS)
    store.write([arrival(record(3, user=nameless)), arrival(record(4, user=wire.User(name="李四")))])
    assert sorted(names(store)) == ["李四", "王小明"]  # another form of the same name is another person


def test_no_stone_tells_whom_it_is_of(store: BaseStore) -> None:
    erase(store, Whom(user_id="42"), now_ms=LATER_MS)
    with store.reading() as db:
        rows = db.exec_driver_sql("SELECT digest FROM tombstones").scalars().all()
    assert len(rows) > 3
    assert all(len(bytes(row)) == 16 for row in rows)
    assert not any(b"J-20042" in bytes(row) for row in rows)


def test_they_leave_when_what_was_received_before_them_is_to_be_gone(store: BaseStore) -> None:
    erase(store, Whom(user_id="42"), now_ms=LATER_MS)

    def left(days: int) -> int:
        retention = Retention(store, Limits(records_days=10))
        while retention.once(LATER_MS + days * 86_400_000).more:
            pass
        with store.reading() as db:
            return int(db.exec_driver_sql("SELECT count(*) FROM tombstones").scalar_one())

    assert left(10) > 0
    assert left(12) == 0


def test_on_a_server_an_erasure_waits_for_a_batch_that_is_being_listed(
    open_postgres: Callable[[], PostgresStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = open_postgres(), open_postgres()
    ensured(store, "SN-1", now_ms=RECEIVED_MS)
    store.write([arrival(record(1, user=WANG))])
    reached, go = threading.Event(), threading.Event()
    insert = Inserter._insert_rows

    def held(self: Inserter, *what: Any) -> Any:
        reached.set()
        assert go.wait(20)
        return insert(self, *what)

    monkeypatch.setattr(Inserter, "_insert_rows", held)
    writing = threading.Thread(target=lambda: other.write([arrival(record(2, user=WANG))]))
    writing.start()
    assert reached.wait(20)
    done: list[object] = []
    erasing = threading.Thread(target=lambda: done.append(erase(store, Whom(user_id="42"), now_ms=LATER_MS)))
    erasing.start()
    waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    while True:
        with store.reading() as db:
            if db.exec_driver_sql(waits).scalar_one():
                break
    assert done == []
    go.set()
    writing.join(20)
    erasing.join(20)
    assert len(done) == 1
    assert names(store) == []
    assert len(store.records(RecordQuery()).items) == 2
