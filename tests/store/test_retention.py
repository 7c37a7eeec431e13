import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import func, select
from tests.store.events import RECEIVED_MS, alarm, arrival, record, sample, unknown
from tests.store.files import bytes_of
from tests.terminals import ensured

from gatepost import wire
from gatepost.store import schema as t
from gatepost.store.accounts import Accounts
from gatepost.store.arrivals import DAY_MS
from gatepost.store.base import BaseStore
from gatepost.store.retention import IMAGE_STEP, PARTS, STEP, Limits, Retention, Step
from gatepost.store.sqlite import SqliteStore
from gatepost.store.store import AlarmQuery, RecordQuery

Opener = Callable[[], BaseStore]

EVER = Limits()
NOBODY = wire.User(user_id="", name="")


@pytest.fixture
def store(open_store: Opener) -> Iterator[BaseStore]:
    store = open_store()
    ensured(store, "SN-1", now_ms=RECEIVED_MS)
    yield store
    store.close()


def face(day: int, who: str = "known") -> bytes:
    return b"\xff\xd8" + f"face of somebody {who} on day {day}.".encode() * 800 + b"\xff\xd9"


def on_day(day: int, event: wire.Event | None = None, **fields: Any) -> Any:
    """What is received on a day, at noon."""
    return arrival(event or record(day), received_at_ms=RECEIVED_MS + day * DAY_MS, **fields)


def stranger(day: int, **fields: Any) -> Any:
    event = record(1000 + day, user=NOBODY, recognition_type=0, passed=False)
    return on_day(day, event, image=face(day, "strange"), **fields)


def run(retention: Retention, day: int) -> dict[str, int]:
    """Every step of a day; what was deleted."""
    deleted: dict[str, int] = {}
    for _ in range(1000):
        step = retention.once(RECEIVED_MS + day * DAY_MS)
        if step.deleted:
            deleted[step.part] = deleted.get(step.part, 0) + step.deleted
        if not step.more:
            return deleted
    raise AssertionError("it never comes to an end")


def days_with_images(store: BaseStore) -> list[int]:
    return [day - RECEIVED_MS // DAY_MS for day in store.image_days()]


def test_images_leave_after_their_days_and_their_records_stay(store: BaseStore) -> None:
    for day in range(5):
        store.write([on_day(day, image=face(day))])
    retention = Retention(store, Limits(images_days=2))
    assert run(retention, 2) == {}
    assert days_with_images(store) == [0, 1, 2, 3, 4]
    run(retention, 4)
    assert days_with_images(store) == [2, 3, 4]
    rows = store.records(RecordQuery(order="oldest")).items
    assert [row.has_image for row in rows] == [False, False, True, True, True]
    assert len(store.records(RecordQuery(has_image=True)).items) == 3
    assert store.image(rows[0].id) is None
    assert store.image(rows[2].id) == face(2)
    stored = bytes_of(store)
    assert [day for day in range(5) if face(day)[2:40] in stored] == [2, 3, 4]


def test_deleting_a_day_of_images_is_deleting_its_file(open_sqlite: Opener) -> None:
    store = open_sqlite()
    assert isinstance(store, SqliteStore)
    ensured(store, "SN-1", now_ms=RECEIVED_MS)
    store.write([on_day(0, image=face(0))])
    store.write([on_day(1, image=face(1))])
    run(Retention(store, Limits(images_days=1)), 2)
    assert [path.name for path in sorted((store.folder / "images").iterdir()) if path.suffix == ".db"] == [
        "2024-05-07.db"
    ]


def test_strangers_images_leave_earlier_and_are_overwritten(store: BaseStore) -> None:
    for day in range(3):
        store.write([on_day(day, image=face(day)), stranger(day)])
    run(Retention(store, Limits(images_days=10, stranger_images_days=1)), 3)
    stored = bytes_of(store)
    assert [day for day in range(3) if face(day, "strange")[2:40] in stored] == [2]
    assert [day for day in range(3) if face(day)[2:40] in stored] == [0, 1, 2]
    assert len(store.records(RecordQuery(has_image=True)).items) == 4
    assert len(store.records(RecordQuery()).items) == 6


def test_a_strangers_face_that_was_removed_is_not_seen_as_the_next_one_that_arrives(
    open_store: Opener, store: BaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The power goes between the image and the reference to it."""
    (strange,) = store.write([stranger(0)])

    def cut(*_: Any) -> None:
        raise ConnectionAbortedError

    limits = Limits(images_days=10, stranger_images_days=1)
    with monkeypatch.context() as patched:
        patched.setattr("gatepost.store.erase.take_images_from", cut)
        with pytest.raises(ConnectionAbortedError):
            run(Retention(store, limits), 3)
    store.close()
    store = open_store()
    (known,) = store.write([on_day(0, image=face(0))])
    assert (store.image(strange.id), store.image(known.id)) == (None, face(0))
    run(Retention(store, limits), 3)
    assert (store.image(strange.id), store.image(known.id)) == (None, face(0))
    assert len(store.records(RecordQuery(has_image=True)).items) == 1
    store.close()


def test_what_is_understood_late_has_a_place_of_its_own_in_a_day_that_was_dropped(store: BaseStore) -> None:
    """What is processed again while a day leaves has that day, and so has what is processed again after it."""
    store.write([on_day(0, image=face(0))])
    retention = Retention(store, Limits(images_days=1))
    while days_with_images(store):
        if len(store.records(RecordQuery()).items) == 1 and retention.once(RECEIVED_MS + 2 * DAY_MS):
            (late,) = store.write([on_day(0, record(7), image=face(7))])
        retention.once(RECEIVED_MS + 2 * DAY_MS)
    later = store.write([on_day(0, record(n), image=face(n)) for n in (8, 9)])
    assert [store.image(one.id) for one in (late, *later)] == [None, face(8), face(9)]
    run(retention, 3)
    assert [row.has_image for row in store.records(RecordQuery()).items] == [False] * 4


def test_records_leave_with_their_people_when_nothing_else_refers_to_them(store: BaseStore) -> None:
    wang, li = (wire.User(user_id=str(n), name=name) for n, name in enumerate(("王五", "李四"), 1))
    store.write(
        [on_day(0, record(1, user=wang)), on_day(0, record(2, user=li)), on_day(3, record(3, user=li))]
    )
    assert run(Retention(store, Limits(records_days=1)), 3) == {"records": 2}
    assert [row.uuid for row in store.records(RecordQuery()).items] == ["uuid-000003"]
    stored = bytes_of(store)
    assert "王五".encode() not in stored
    assert "李四".encode() in stored
    assert store.stats().records == 3
    store.write([on_day(3, record(4, user=wang))])
    assert store.records(RecordQuery(person="1")).items[0].uuid == "uuid-000004"


def test_alarms_leave_with_their_last_step(store: BaseStore) -> None:
    store.write([on_day(0, alarm("a", 1), image=face(0)), on_day(0, alarm("b", 1)), on_day(2, alarm("b", 3))])
    assert run(Retention(store, Limits(records_days=1)), 2)["alarms"] == 2
    (left,) = store.alarms(AlarmQuery()).items
    assert left.trace_id == "b"
    assert [step.status for step in left.history] == [3]
    assert face(0)[2:40] not in bytes_of(store)


def test_the_quarantine_and_the_audit_log_leave_too(store: BaseStore) -> None:
    accounts = Accounts(store)
    for day in range(3):
        store.write([on_day(day, unknown(day))])
        accounts.note(now_ms=RECEIVED_MS + day * DAY_MS, actor="anna", address="", action=f"on-{day}")
    assert run(Retention(store, Limits(quarantine_days=1, audit_days=2)), 3) == {"quarantine": 2, "audit": 1}
    assert [json.loads(row.original)["data"]["number"] for row in store.quarantined().items] == [2]
    assert [row.action for row in accounts.audit().items] == ["on-2", "on-1"]


def test_nothing_outlives_what_it_belongs_to(store: BaseStore) -> None:
    limits = Limits(images_days=30, stranger_images_days=90, records_days=20, quarantine_days=365)
    assert {part: limits.days(part) for part in PARTS} == {
        "images": 20,
        "stranger_images": 20,
        "records": 20,
        "alarms": 20,
        "quarantine": 20,
        "audit": 0,
    }
    assert {EVER.days(part) for part in PARTS} == {0}
    store.write([on_day(0, image=face(0)), stranger(0), on_day(0, unknown())])
    assert run(Retention(store, EVER), 10_000) == {}


def test_pictures_that_could_not_be_decoded_leave_the_originals_too(store: BaseStore) -> None:
    text = b64encode(face(0)).decode()
    original = json.dumps({"data": {"rgb_image": text + "!", "uuid": "kept"}}).encode()
    store.write([on_day(0, original=original), on_day(0, alarm(), original=original)])
    store.write([on_day(5, record(5), original=original)])
    run(Retention(store, Limits(images_days=1)), 5)
    old, new = store.records(RecordQuery(order="oldest")).items
    assert json.loads(old.original or b"") == {"data": {"rgb_image": "", "uuid": "kept"}}
    assert new.original == original
    assert json.loads(store.alarms(AlarmQuery()).items[0].history[0].original or b"") == json.loads(
        old.original or b""
    )


def test_what_was_quarantined_and_is_understood_now_leaves_by_its_day_of_receipt(store: BaseStore) -> None:
    store.write([on_day(day, image=face(day)) for day in (8, 9)])
    store.write([on_day(2, record(50), image=face(2))])
    run(Retention(store, Limits(images_days=4)), 9)
    assert [day for day in (2, 8, 9) if face(day)[2:40] in bytes_of(store)] == [8, 9]
    assert len(store.records(RecordQuery(has_image=True)).items) == 2


def test_a_step_is_small_and_the_next_one_goes_on_from_there(store: BaseStore) -> None:
    for start in range(0, STEP + 50, 50):
        store.write([on_day(0, record(n)) for n in range(start, start + 50)])
    retention = Retention(store, Limits(records_days=1))
    steps = [retention.once(RECEIVED_MS + 2 * DAY_MS).deleted for _ in range(6)]
    assert max(steps) == STEP
    assert sum(steps) == STEP + 50
    assert store.records(RecordQuery()).items == ()


def test_another_start_goes_on_where_the_last_one_ended(store: BaseStore) -> None:
    store.write([on_day(0, record(n), image=face(0)) for n in range(IMAGE_STEP * 2)])
    first = Retention(store, Limits(images_days=1))
    assert first.once(RECEIVED_MS + 2 * DAY_MS).deleted == IMAGE_STEP
    run(Retention(store, Limits(images_days=1)), 2)
    assert store.image_days() == []
    assert store.records(RecordQuery(has_image=True, limit=1000)).items == ()
    with store.reading() as db:
        highest = db.execute(select(func.max(t.records.c.id))).scalar_one()
        reached = db.execute(
            select(t.meta.c.value).where(t.meta.c.name == "retention:images:records")
        ).scalar_one()
    assert int(reached) == highest


def test_a_clock_that_was_wrong_holds_up_nobody(store: BaseStore) -> None:
    store.write([on_day(20_000, record(n)) for n in range(STEP + 1)])
    store.write([on_day(0, record(9999))])
    assert run(Retention(store, Limits(records_days=1)), 5) == {"records": 1}


def test_the_state_tells_what_is_kept_since_when_and_what_is_pending(store: BaseStore) -> None:
    store.write([on_day(0, image=face(0))])
    store.write([on_day(4, image=face(4))])
    retention = Retention(store, Limits(images_days=2, stranger_images_days=1))
    now = RECEIVED_MS + 4 * DAY_MS
    state = {kept.part: kept for kept in retention.state(now)}
    assert set(state) == set(PARTS)
    images, records = state["images"], state["records"]
    assert (images.days, images.pending) == (2, True)
    assert images.before is not None
    assert images.before.isoformat() == "2024-05-08T00:00:00+00:00"
    assert images.oldest is not None
    assert images.oldest.isoformat() == "2024-05-06T00:00:00+00:00"
    assert (records.days, records.before, records.pending) == (0, None, False)
    assert records.oldest is not None
    run(retention, 4)
    state = {kept.part: kept for kept in retention.state(now)}
    assert not any(kept.pending for kept in state.values())
    assert state["images"].oldest is not None
    assert state["images"].oldest.isoformat() == "2024-05-10T00:00:00+00:00"


def test_events_come_in_while_things_leave(store: BaseStore) -> None:
    store.write([on_day(0, record(n), image=face(0)) for n in range(100)])
    retention = Retention(store, Limits(images_days=1, records_days=1))
    more, number = True, 1000
    while more and number < 1100:
        more = retention.once(RECEIVED_MS + 2 * DAY_MS).more
        store.write([on_day(2, record(number), image=face(2))])
        number += 1
    assert not more
    rows = store.records(RecordQuery(limit=1000)).items
    assert len(rows) == number - 1000
    assert all(row.has_image and store.image(row.id) == face(2) for row in rows)


@pytest.mark.parametrize(
    ("limits", "days"), [(EVER, 7), (Limits(records_days=30), 7), (Limits(records_days=2), 2)]
)
def test_samples_of_refused_bodies_are_kept_for_a_week_at_most(
    store: BaseStore, limits: Limits, days: int
) -> None:
    retention = Retention(store, limits)
    taken = [("10.0.0.9", f"reason {number}") for number in range(2)]
    store.note_refused({}, {place: sample(at_ms=number) for number, place in enumerate(taken)})
    assert not retention.once(days * DAY_MS).more
    assert retention.once(days * DAY_MS + 1) == Step("refusal_samples", 1)
    assert store.drop_refusal_samples() == 1
