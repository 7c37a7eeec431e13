"""Facets, and taking images away."""

from tests.store.conftest import Opener
from tests.store.events import JPEG, NOON, RECEIVED_MS, alarm, arrival, record
from tests.terminals import ensured

from gatepost.store.base import BaseStore
from gatepost.store.conversion.coded_fields import FACET_COLUMNS
from gatepost.store.interface import AlarmQuery, RecordQuery
from gatepost.store.write.code_combinations import ensure, take_images_from

DAY_MS = 86_400_000


def fill(open_store: Opener) -> BaseStore:
    store = open_store()
    ensured(store, "SN-1", now_ms=0)
    for day in range(3):
        at = RECEIVED_MS + day * DAY_MS
        store.write([arrival(record(day * 10 + n), image=JPEG, received_at_ms=at) for n in range(4)])
        store.write([arrival(alarm(f"t{day}"), image=JPEG, received_at_ms=at)])
    return store


def test_a_facet_is_made_once(open_store: Opener) -> None:
    store = open_store()
    facet = dict(zip(FACET_COLUMNS, (1, 1, 0, 1, 0, 0), strict=True))
    with store.changing() as db:
        assert ensure(db, facet) == ensure(db, facet) != ensure(db, facet | {"has_image": 1})


def test_records_whose_images_are_taken_away_are_found_among_those_without(open_store: Opener) -> None:
    store = fill(open_store)
    rows = store.records(RecordQuery()).items
    first = [row.id for row in rows if row.received_at.day == NOON.day]
    with store.changing() as db:
        assert take_images_from(db, first) == 4
        assert take_images_from(db, first) == 0
    with_image = store.records(RecordQuery(has_image=True)).items
    without = store.records(RecordQuery(has_image=False)).items
    assert [row.uuid for row in without] == [f"uuid-{n:06d}" for n in (3, 2, 1, 0)]
    assert len(with_image) == 8
    assert store.image(with_image[0].id) == JPEG
    assert all(step.has_image for one in store.alarms(AlarmQuery()).items for step in one.history)


def test_what_arrives_afterwards_is_found_too(open_store: Opener) -> None:
    store = fill(open_store)
    with store.changing() as db:
        take_images_from(db, [row.id for row in store.records(RecordQuery()).items])
    store.write([arrival(record(100)), arrival(record(101), image=JPEG)])
    assert [row.uuid for row in store.records(RecordQuery(has_image=True)).items] == ["uuid-000101"]
    assert len(store.records(RecordQuery(has_image=False)).items) == 13


def test_images_are_taken_from_single_records_by_id(open_store: Opener) -> None:
    store = fill(open_store)
    ids = [row.id for row in store.records(RecordQuery()).items]
    with store.changing() as db:
        assert take_images_from(db, ids[:2]) == 2
        assert take_images_from(db, ids[1:3]) == 1
    assert [row.id for row in store.records(RecordQuery(has_image=False)).items] == ids[:3]
    assert [row.id for row in store.records(RecordQuery(has_image=True)).items] == ids[3:]
