import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.event import listen
from tests.packing import packed
from tests.store.events import NOON, RECEIVED_MS, alarm, arrival, record, sample, unknown
from tests.store.files import bytes_of
from tests.terminals import ensured

from gatepost import wire
from gatepost.errors import ImageUnavailable
from gatepost.journal.places import Place
from gatepost.store.accounts.accounts import Accounts
from gatepost.store.base import BaseStore
from gatepost.store.conversion.values import DAY_MS
from gatepost.store.images import images
from gatepost.store.interface import AlarmQuery, RecordQuery
from gatepost.store.privacy.retention import PARTS, STEP, Limits, Retention, Step
from gatepost.store.schema import tables as t

Opener = Callable[[], BaseStore]

EVER = Limits()
NOW = RECEIVED_MS + 30 * DAY_MS
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


def days_of_packs(store: BaseStore, *kinds: str) -> list[int]:
    """The days of the files, counted as :func:`on_day` does, and of nothing else: the rows have to agree."""
    assert store.packs is not None
    files = store.packs.all()
    with store.reading() as db:
        assert {file.name for file in files} >= set(db.execute(select(t.packs.c.name)).scalars())
    return sorted({(file.day - NOON.date()).days for file in files if file.kind in (kinds or images.KINDS)})


def place_of(store: BaseStore, event_id: int, part: int = images.IMAGE) -> Place:
    with store.reading() as db:
        found = images.place(db, event_id, part)
    assert found is not None
    return found


def test_images_leave_after_their_days_and_their_records_stay(store: BaseStore) -> None:
    ids = [store.write([on_day(day, image=face(day))])[0].id for day in range(5)]
    keys = [place_of(store, number).key for number in ids]
    retention = Retention(store, Limits(images_days=2))
    assert run(retention, 2) == {}
    assert days_of_packs(store) == [0, 1, 2, 3, 4]
    assert run(retention, 4) == {"images": 2}
    assert days_of_packs(store) == [2, 3, 4]
    rows = store.records(RecordQuery(order="oldest")).items
    assert [row.has_image for row in rows] == [False, False, True, True, True]
    assert len(store.records(RecordQuery(has_image=True)).items) == 3
    assert [store.image(row.id) for row in rows] == [None, None, face(2), face(3), face(4)]
    stored = bytes_of(store)
    assert [day for day in range(5) if keys[day] in stored] == [2, 3, 4]


def test_the_packs_of_a_kind_and_a_day_leave_whole_and_no_others(store: BaseStore) -> None:
    for day in range(3):
        push = wire.Unknown({"type": 9, "number": day, "photo": "x" * 2000})
        store.write([on_day(day, record(day), image=face(day)), stranger(day)])
        store.write([on_day(day, alarm(f"t{day}"), image=face(day)), on_day(day, push)])
    assert [days_of_packs(store, kind) for kind in images.KINDS] == [[0, 1, 2]] * 4
    run(Retention(store, Limits(images_days=2, stranger_images_days=1)), 3)
    left = {kind: days_of_packs(store, kind) for kind in images.KINDS}
    assert left == {
        images.PEOPLE: [1, 2],
        images.ALARMS: [1, 2],
        images.STRANGERS: [2],
        images.QUARANTINE: [1, 2],
    }
    alarms = {one.trace_id: one.history[0] for one in store.alarms(AlarmQuery()).items}
    shown = {trace: (step.has_image, store.image(step.id)) for trace, step in alarms.items()}
    assert shown == {"t0": (False, None), "t1": (True, face(1)), "t2": (True, face(2))}
    for row in store.records(RecordQuery()).items:
        day = (row.received_at - NOON).days
        is_stranger = row.recognition_type == 0
        expected = face(day, "strange" if is_stranger else "known") if day > is_stranger else None
        assert (row.has_image, store.image(row.id)) == (expected is not None, expected)
    assert [(row.received_at - NOON).days for row in store.quarantined().items] == [2, 1]


def test_what_of_a_pack_is_not_due_does_not_exist(store: BaseStore) -> None:
    """All packs of a day are due together, however many there are, and however many images each has."""
    for number in range(3):
        batch = [on_day(0, record(n), image=face(n)) for n in range(number * 3, number * 3 + 3)]
        store.write(batch)
    assert store.packs is not None
    assert len(store.packs.all()) == 3
    assert run(Retention(store, Limits(images_days=1)), 2) == {"images": 9}
    assert store.packs.all() == []
    with store.reading() as db:
        assert db.execute(select(func.count()).select_from(t.packs)).scalar_one() == 0


@pytest.mark.parametrize("crash_at", ["every step", "before the files"])
def test_a_retention_that_is_killed_between_its_steps_goes_on(
    store: BaseStore, monkeypatch: pytest.MonkeyPatch, crash_at: str
) -> None:
    limits = Limits(images_days=2, stranger_images_days=1)
    strange, known = (one.id for one in store.write([stranger(0), on_day(0, image=face(0))]))
    store.write([on_day(3, record(9), image=face(3))])
    now_ms = RECEIVED_MS + 3 * DAY_MS
    if crash_at == "every step":
        while Retention(store, limits).once(now_ms).more:
            pass
    else:

        def cut(*_: Any) -> None:
            raise ConnectionAbortedError

        assert store.packs is not None
        with monkeypatch.context() as patched:
            patched.setattr(store.packs, "remove_before", cut)
            with pytest.raises(ConnectionAbortedError):
                run(Retention(store, limits), 3)
        assert 0 in days_of_packs(store)
        assert store.image(known) is None
        run(Retention(store, limits), 3)
    assert days_of_packs(store) == [3]
    assert (store.image(strange), store.image(known)) == (None, None)
    (left,) = store.records(RecordQuery(has_image=True)).items
    assert store.image(left.id) == face(3)


def test_what_is_listed_after_its_pack_fell_due_leaves_at_once(store: BaseStore) -> None:
    """Of a backlog, or of a push that is processed again: on the same day, and with its file."""
    store.write([on_day(0, image=face(0))])
    retention = Retention(store, Limits(images_days=1))
    run(retention, 2)
    (late,) = store.write([on_day(0, record(7), image=face(7))])
    assert days_of_packs(store) == [0]
    state = {kept.part: kept for kept in retention.state(RECEIVED_MS + 2 * DAY_MS)}
    assert state["images"].pending
    assert run(retention, 2) == {"images": 1}
    assert days_of_packs(store) == []
    assert store.image(late.id) is None
    assert [row.has_image for row in store.records(RecordQuery()).items] == [False, False]
    state = {kept.part: kept for kept in retention.state(RECEIVED_MS + 2 * DAY_MS)}
    assert (state["images"].pending, state["images"].oldest) == (False, None)


def test_an_event_that_is_listed_when_its_pack_is_gone_has_no_image_soon(store: BaseStore) -> None:
    """Its frame waited in the journal while the pack left."""
    assert store.packs is not None
    late = packed(store.packs, [on_day(0, image=face(0))])
    retention = Retention(store, Limits(images_days=1))
    run(retention, 2)
    assert store.packs.all() == []
    (stored,) = store.write(late)
    with pytest.raises(ImageUnavailable, match="is gone"):
        store.image(stored.id)
    assert run(retention, 2) == {"images": 1}
    assert store.image(stored.id) is None
    assert [row.has_image for row in store.records(RecordQuery()).items] == [False]


def test_while_a_backup_pins_the_journal_the_keys_leave_and_the_files_wait(store: BaseStore) -> None:
    assert store.packs is not None
    store.write([on_day(0, image=face(0)), stranger(0)])
    (old,) = store.records(RecordQuery(recognition_type=1)).items
    key = place_of(store, old.id).key
    retention = Retention(store, Limits(images_days=1, records_days=1))
    with store.packs.folder.pinned():
        assert run(retention, 2) == {"images": 1, "stranger_images": 1, "records": 2}
        assert days_of_packs(store) == [0]
        assert key not in bytes_of(store)
        state = {kept.part: kept for kept in retention.state(RECEIVED_MS + 2 * DAY_MS)}
        assert [state[part].pending for part in ("images", "stranger_images", "records")] == [
            True,
            True,
            False,
        ]
    assert run(retention, 2) == {}
    assert days_of_packs(store) == []
    assert not any(kept.pending for kept in retention.state(RECEIVED_MS + 2 * DAY_MS))


def test_where_the_packs_are_not_at_hand_their_keys_leave_all_the_same(
    store: BaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    (old,) = store.write([on_day(0, image=face(0))])
    key = place_of(store, old.id).key
    monkeypatch.setattr(store, "packs", None)
    retention = Retention(store, Limits(images_days=1))
    assert run(retention, 2) == {"images": 1}
    assert key not in bytes_of(store)
    assert not any(kept.pending for kept in retention.state(RECEIVED_MS + 2 * DAY_MS))


def test_a_folder_of_packs_that_cannot_be_read_is_looked_at_again(
    store: BaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.packs is not None
    store.write([on_day(0, image=face(0))])
    retention = Retention(store, Limits(images_days=1))
    folder = store.packs.folder.packs
    away = folder.with_name("elsewhere")
    folder.rename(away)
    folder.write_bytes(b"no folder")
    run(retention, 2)
    assert "look at the disk" in retention.trouble
    assert any(kept.pending for kept in retention.state(RECEIVED_MS + 2 * DAY_MS))
    folder.unlink()
    away.rename(folder)
    run(retention, 2)
    assert (store.packs.all(), retention.trouble) == ([], "")


def test_a_pack_of_which_an_image_is_listed_just_then_leaves_the_next_time(open_postgres: Opener) -> None:
    store, other = open_postgres(), open_postgres()
    ensured(store, "SN-1", now_ms=RECEIVED_MS)
    store.write([on_day(0, image=face(0)), on_day(0, record(2))])
    (last,) = (row.id for row in store.records(RecordQuery(has_image=False)).items)
    retention = Retention(store, Limits(images_days=1))
    now_ms = RECEIVED_MS + 2 * DAY_MS
    assert retention.once(now_ms) == Step("images", 1)
    waits = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with ThreadPoolExecutor(1) as pool:
        with other.changing() as db:
            pack = db.execute(select(t.packs.c.id)).scalar_one()
            db.execute(
                t.images.insert().values(
                    event_id=last, part=0, pack_id=pack, byte_offset=1024, length=99, key=b"k" * 32
                )
            )
            step = pool.submit(retention.once, now_ms)
            while not step.done():
                with other.reading() as looking:
                    if looking.execute(waits).scalar_one():
                        break
        assert step.result(60) == Step("images", 0)
    assert run(retention, 2) == {"images": 1}
    assert days_of_packs(store) == []


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
    first, *_ = store.write(
        [on_day(0, alarm("a", 1), image=face(0)), on_day(0, alarm("b", 1)), on_day(2, alarm("b", 3))]
    )
    key = place_of(store, first.id).key
    assert run(Retention(store, Limits(records_days=1)), 2)["alarms"] == 2
    (left,) = store.alarms(AlarmQuery()).items
    assert left.trace_id == "b"
    assert [step.status for step in left.history] == [3]
    assert key not in bytes_of(store)
    assert days_of_packs(store) == []


def test_the_quarantine_and_the_audit_log_leave_too(store: BaseStore) -> None:
    accounts = Accounts(store)
    for day in range(3):
        store.write([on_day(day, unknown(day))])
        accounts.note(now_ms=RECEIVED_MS + day * DAY_MS, actor="anna", address="", action=f"on-{day}")
    assert run(Retention(store, Limits(quarantine_days=1, audit_days=2)), 3) == {"quarantine": 2, "audit": 1}
    assert [json.loads(row.original)["data"]["number"] for row in store.quarantined().items] == [2]
    assert [row.action for row in accounts.audit().items] == ["audit.shortened", "on-2", "on-1"]


def test_nothing_outlives_what_it_belongs_to(store: BaseStore) -> None:
    limits = Limits(images_days=30, stranger_images_days=90, records_days=20, quarantine_days=365)
    assert {part: limits.days(part) for part in PARTS} == {
        "images": 20,
        "stranger_images": 20,
        "records": 20,
        "alarms": 20,
        "quarantine": 20,
        "audit": 0,
        "refusal_samples": 7,
        "tombstones": 21,
    }
    assert {part: EVER.days(part) for part in PARTS if EVER.days(part)} == {"refusal_samples": 7}
    store.write([on_day(0, image=face(0)), stranger(0), on_day(0, unknown())])
    assert run(Retention(store, EVER), 10_000) == {}


@pytest.mark.parametrize("name", ["rgb_image", "other_photo", "snapshot"])
def test_what_may_be_an_image_in_an_original_leaves_with_the_images(store: BaseStore, name: str) -> None:
    """One that could not be decoded, or in a field that nobody knows."""
    whole = json.dumps({"data": {name: b64encode(face(0)).decode() + "!", "uuid": "kept"}}).encode()
    bare = json.dumps({"data": {name: "", "uuid": "kept"}}).encode()
    old, step, new = store.write(
        [on_day(0, original=whole), on_day(0, alarm(), original=whole), on_day(5, record(5), original=whole)]
    )
    key = place_of(store, old.id, images.TEXTS).key
    assert [store.original(one.id, bare) for one in (old, step, new)] == [whole] * 3
    assert run(Retention(store, Limits(images_days=1)), 5) == {"images": 2}
    assert [store.original(one.id, bare) for one in (old, step, new)] == [bare, bare, whole]
    assert {row.original for row in store.records(RecordQuery()).items} == {bare}
    assert store.alarms(AlarmQuery()).items[0].history[0].original == bare
    assert key not in bytes_of(store)
    assert days_of_packs(store) == [5]


def test_an_event_leaves_with_its_image_and_its_long_texts_in_one_step(store: BaseStore) -> None:
    whole = json.dumps({"other_photo": "x" * 2000}).encode()
    (old,) = store.write([on_day(0, image=face(0), original=whole)])
    assert (store.image(old.id), store.original(old.id, b'{"other_photo": ""}')) == (face(0), whole)
    assert Retention(store, Limits(images_days=1)).once(RECEIVED_MS + 2 * DAY_MS) == Step("images", 2)
    assert (store.image(old.id), store.original(old.id, b"{}")) == (None, b"{}")


def test_what_was_quarantined_and_is_understood_now_leaves_by_its_day_of_receipt(store: BaseStore) -> None:
    store.write([on_day(day, image=face(day)) for day in (8, 9)])
    store.write([on_day(2, record(50), image=face(2))])
    run(Retention(store, Limits(images_days=4)), 9)
    assert days_of_packs(store) == [8, 9]
    assert len(store.records(RecordQuery(has_image=True)).items) == 2


def test_the_texts_of_a_quarantined_push_leave_with_it(store: BaseStore) -> None:
    pushes = [wire.Unknown({"type": 9, "number": day, "photo": "x" * 2000}) for day in (0, 3)]
    old, new = (on_day(push.raw["number"], push) for push in pushes)
    (gone, kept) = store.write([old, new])
    key = place_of(store, gone.id, images.TEXTS).key
    assert run(Retention(store, Limits(quarantine_days=1)), 3) == {"quarantine": 2}  # the text, and the push
    (left,) = store.quarantined().items
    assert (left.id, store.original(left.id, left.original)) == (kept.id, new.original)
    assert key not in bytes_of(store)


def test_a_step_is_small_and_the_next_one_goes_on_from_there(store: BaseStore) -> None:
    for start in range(0, STEP + 50, 50):
        store.write([on_day(0, record(n)) for n in range(start, start + 50)])
    retention = Retention(store, Limits(records_days=1))
    steps = [retention.once(RECEIVED_MS + 2 * DAY_MS).deleted for _ in range(6)]
    assert max(steps) == STEP
    assert sum(steps) == STEP + 50
    assert store.records(RecordQuery()).items == ()


def test_a_step_of_images_is_small_and_another_start_goes_on_from_there(store: BaseStore) -> None:
    store.write([on_day(0, record(n), image=face(0)) for n in range(STEP + 50)])
    first = Retention(store, Limits(images_days=1))
    assert first.once(RECEIVED_MS + 2 * DAY_MS) == Step("images", STEP)
    assert days_of_packs(store) == [0]
    assert len(store.records(RecordQuery(has_image=True, limit=1000)).items) == 50
    assert run(Retention(store, Limits(images_days=1)), 2) == {"images": 50}
    assert days_of_packs(store) == []
    assert store.records(RecordQuery(has_image=True, limit=1000)).items == ()


def test_a_clock_that_was_wrong_holds_up_nobody(store: BaseStore) -> None:
    store.write([on_day(20_000, record(n)) for n in range(STEP + 1)])
    store.write([on_day(0, record(9999))])
    assert run(Retention(store, Limits(records_days=1)), 5) == {"records": 1}


def test_what_is_due_leaves_wherever_it_stands(store: BaseStore) -> None:
    store.write([on_day(30, record(number)) for number in range(STEP + 1)])
    store.write([on_day(0, record(500)), on_day(0, alarm()), on_day(0, unknown())])
    (there,) = (
        kept for kept in Retention(store, Limits(records_days=7)).state(NOW) if kept.part == "records"
    )
    assert there.oldest == NOON
    deleted = run(Retention(store, Limits(records_days=7)), 30)
    assert deleted == {"records": 1, "alarms": 1, "quarantine": 1}


def test_what_is_due_is_found_without_reading_everything(open_sqlite: Opener) -> None:
    store, asked = open_sqlite(), list[tuple[str, Any]]()

    def note(connection: Any, cursor: Any, statement: str, values: Any, context: Any, many: bool) -> None:
        if statement.startswith("SELECT") and "received_at_ms" in statement:
            asked.append((statement, values))

    listen(store._engine, "before_cursor_execute", note)
    limits = Retention(store, Limits(records_days=7))
    limits.state(NOW)
    limits.once(NOW)
    assert len(asked) == 5  # the quarantine is read where it is deleted, by the writer
    with store.reading() as db:
        for statement, values in list(asked):
            for row in db.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values):
                assert "received_at_ms<" in row[3], (statement, row[3])


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
    store.note_refused({}, {place: sample(at_ms=number * DAY_MS) for number, place in enumerate(taken)})
    assert not retention.once((days + 1) * DAY_MS - 1).more
    assert retention.once((days + 1) * DAY_MS) == Step("refusal_samples", 1)
    assert store.drop_refusal_samples() == 1
