import random
from collections.abc import Callable
from datetime import timedelta
from itertools import combinations
from typing import Any

import msgspec
import pytest
from sqlalchemy import event
from tests.store.events import JPEG, NOON, arrival, record

from gatepost.store.base import BaseStore
from gatepost.store.interface import Counted, RecordQuery, RecordRow
from gatepost.store.people import moving
from gatepost.store.privacy.erasure import Whom, erase
from gatepost.store.query import counting, record_search, records
from gatepost.store.write import code_combinations
from gatepost.wire import AbnormalType, EntryMode, User

GUEST = User(
    user_id="g",
    name="Guest",
    type=2,
    guest_from=NOON + timedelta(seconds=100),
    guest_until=NOON + timedelta(seconds=200),
)


@pytest.fixture
def store(open_store: Callable[[], BaseStore]) -> BaseStore:
    store = open_store()
    for serial in ("SN-1", "SN-2"):
        store.create_terminal(now_ms=0, serial=serial)
    return store


def write(store: BaseStore, *events: Any) -> list[int]:
    return [
        stored.id for stored in store.write([arrival(event, 1 + n % 2) for n, event in enumerate(events)])
    ]


def found(store: BaseStore, **query: Any) -> list[int]:
    return [row.id for row in store.records(RecordQuery(**query)).items]


def every_page(store: BaseStore, **query: Any) -> list[RecordRow]:
    rows: list[RecordRow] = []
    cursor = None
    for _ in range(1000):
        page = store.records(RecordQuery(cursor=cursor, **query))
        rows += page.items
        cursor = page.next_cursor
        if cursor is None or not page.items:
            break
    return rows


def noted(store: BaseStore) -> list[str]:
    """Return a list that each statement is added to from now on."""
    asked: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    event.listen(store._engine, "before_cursor_execute", note)
    return asked


def test_strangers_are_faces_without_a_person(store: BaseStore) -> None:
    nobody: dict[str, Any] = {"user": None, "passed": False}
    ids = write(
        store,
        record(1, recognition_type=3, **nobody),
        record(2, recognition_type=0, **nobody),
        record(3, recognition_type=None, **nobody),
        record(4, recognition_type=4, **nobody),
        record(5, recognition_type=3, user=User(user_id="5", name="王五")),  # it knew after all
        record(6, recognition_type=1, **nobody),
        record(7, recognition_type=None, entry_mode=int(EntryMode.BUTTON), **nobody),
        record(8),
    )
    for order in ("oldest", "received"):
        assert found(store, strangers=True, order=order) == ids[:4]
    assert found(store, strangers=True, recognition_type=4) == [ids[3]]
    assert found(store, strangers=True, terminal="SN-1") == [ids[2], ids[0]]
    assert found(store, strangers=True, q="王") == []


def test_visitors_are_found_before_and_after_their_time_and_when_refused_for_it(store: BaseStore) -> None:
    ids = write(
        store,
        record(99, user=GUEST),
        record(100, user=GUEST),
        record(200, user=GUEST),
        record(201, user=GUEST),
        record(150, user=GUEST, abnormal_type=int(AbnormalType.VISITOR_EXPIRED), passed=False),
        record(300),
        record(301, user=User(user_id="h", name="Half", guest_until=NOON)),
        record(302, user=None, abnormal_type=int(AbnormalType.VISITOR_EXPIRED)),
    )
    outside = [ids[0], ids[4], ids[3], ids[6], ids[7]]
    assert found(store, outside_time=True, order="oldest") == outside
    assert found(store, outside_time=True) == outside[::-1]
    assert found(store, outside_time=True, order="received") == sorted(outside)
    assert [row.id for row in every_page(store, outside_time=True, limit=2)] == outside[::-1]
    assert found(store, outside_time=True, name="Guest", order="oldest") == outside[:3]
    assert found(store, outside_time=True, name="Guest", order="received") == sorted(outside[:3])
    assert found(store, outside_time=True, passed=False) == [ids[4]]
    assert found(store, outside_time=True, since=NOON + timedelta(seconds=201)) == outside[:1:-1]
    assert found(store, outside_time=True, terminal="SN-2", order="oldest") == [ids[3], ids[7]]


def test_a_visitor_outside_their_time_stays_so_whatever_happens_to_their_data(store: BaseStore) -> None:
    depot = store.create_site("Depot", "UTC", now_ms=0).id
    early, _ = write(store, record(99, user=GUEST), record(100, user=GUEST))
    (late,) = (one.id for one in store.write([arrival(record(201, user=GUEST), 1, image=JPEG)]))
    longer = msgspec.structs.replace(GUEST, guest_from=None, guest_until=NOON + timedelta(seconds=900))
    (again, after) = write(store, record(202, user=longer), record(901, user=longer))
    assert found(store, outside_time=True) == [after, late, early]
    with store.changing() as db:
        code_combinations.take_images_from(db, [late])
    assert found(store, outside_time=True, has_image=False) == [after, late, early]
    store.update_terminal(1, site_id=depot)
    moving.finish(store)
    assert found(store, outside_time=True, site_id=depot) == [late, early]
    erase(store, Whom(user_id="g"), now_ms=0)
    assert found(store, outside_time=True) == [after, late, early]
    assert found(store, person="g") == []
    assert store.record(again) is not None


def test_a_search_in_the_order_of_arrival_finds_the_same(store: BaseStore) -> None:
    ids = write(store, *(record(number) for number in range(10)))
    for q in ("王3", "J3"):
        assert found(store, q=q, order="received") == [ids[3], ids[8]]
        assert found(store, q=q, order="newest") == [ids[8], ids[3]]


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_pages_of_more_people_than_fit_on_one_have_every_record_once(store: BaseStore, order: Any) -> None:
    rand = random.Random(7)
    events = [
        record(
            number,
            recorded_at=NOON + timedelta(seconds=rand.randrange(40)),  # many at the same moment
            passed=rand.random() < 0.7,
            user=User(user_id=str(rand.randrange(60)), name=rand.choice(("Anna", "Bert", "Zoe"))),
        )
        for number in range(300)
    ]
    write(store, *events)
    everything = every_page(store, order=order, limit=1000)
    for query in (
        {"q": "n"},
        {"name": "Bert"},
        {"q": "1", "passed": True},
        {"name": "Zoe", "terminal": "SN-2"},
    ):
        expected = [row.id for row in everything if _fits(row, **query)]
        assert expected
        for limit in (1, 3, 20):
            assert [row.id for row in every_page(store, order=order, limit=limit, **query)] == expected


@pytest.mark.parametrize("windows", [record_search._WINDOWS, ()])
def test_people_are_searched_for_once(
    store: BaseStore, monkeypatch: pytest.MonkeyPatch, windows: tuple[tuple[int | None, int], ...]
) -> None:
    monkeypatch.setattr(record_search, "_FEW", 1)
    monkeypatch.setattr(record_search, "_WINDOWS", windows)
    ids = write(store, *(record(n, user=User(user_id=str(n % 40), name="Anna")) for n in range(200)))
    asked = noted(store)
    for query in ({"name": "Anna"}, {"name": "Anna", "passed": True}):
        asked.clear()
        assert found(store, order="oldest", limit=60, **query) == ids[:60]
        assert len([one for one in asked if "LIKE" in one]) == 1, (query, asked)


@pytest.mark.parametrize(("share", "looks"), [(4, 1), (16, 2)])
def test_few_records_of_known_people_are_not_looked_for_among_many(
    store: BaseStore, monkeypatch: pytest.MonkeyPatch, share: int, looks: int
) -> None:
    monkeypatch.setattr(record_search, "_FEW", 1)
    monkeypatch.setattr(record_search, "_WINDOWS", ((2, 1_000), (100, 1_000)))
    monkeypatch.setattr(record_search, "_SHARE_OF_KNOWN", share)
    users = [User(user_id=str(n % 40), name="Bert" if n % 20 else "Anna") for n in range(400)]
    ids = write(store, *(record(n, user=user) for n, user in enumerate(users)))
    asked = noted(store)
    assert found(store, name="Anna", passed=True, order="oldest", limit=20) == ids[::20]
    assert len([one for one in asked if "count(*)" in one]) == looks, asked


def _fits(row: RecordRow, **query: Any) -> bool:
    person = row.person
    assert person is not None
    return (
        query.get("name", person.name) in person.name
        and any(query.get("q", "") in text for text in (person.name, person.user_id))
        and query.get("passed", row.passed) == row.passed
        and query.get("terminal", row.serial) == row.serial
    )


# What could be few or many of, small: so that three hundred records go every way that millions would.
SIZES: list[dict[str, Any]] = [
    {},
    {"_MANY": 2, "_MANY_PEOPLE": 2, "_FEW": 1, "_WINDOWS": ((None, 4),)},
    {"_MANY": 2, "_MANY_PEOPLE": 2, "_FEW": 1, "_WINDOWS": ((None, 10), (2, 30), (8, 60))},
    {"_FEW": 1, "_WINDOWS": ((None, 10), (2, 30), (8, 60))},
]


@pytest.mark.parametrize(
    ("sizes", "order"),
    [
        pytest.param(sizes, order, marks=[pytest.mark.soak] if number and (number + at) % 3 else [])
        for number, sizes in enumerate(SIZES)
        for at, order in enumerate(("newest", "oldest", "received"))
    ],
)
def test_two_filters_find_what_a_look_at_each_record_finds(
    store: BaseStore, monkeypatch: pytest.MonkeyPatch, sizes: dict[str, Any], order: Any
) -> None:
    _write_all_kinds(store)
    everything = every_page(store, order=order, limit=1000)
    for name, value in sizes.items():
        monkeypatch.setattr(record_search, name, value)
    monkeypatch.setattr(records, "_AHEAD", 50)
    for (one, fits_one), (two, fits_two) in combinations(WAYS.values(), 2):
        if one.keys().isdisjoint(two):
            expected = [row.id for row in everything if fits_one(row) and fits_two(row)]
            found = every_page(store, order=order, limit=60, **one, **two)
            assert [row.id for row in found] == expected, (one, two)
            counted = store.count_records(RecordQuery(**one, **two))
            assert counted == Counted(len(expected)), (one, two)


def test_what_is_counted_is_bounded_and_says_so(store: BaseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    write(store, *(record(number, passed=number % 2 == 0) for number in range(20)))
    monkeypatch.setattr(counting, "COUNT_MOST", 5)
    assert store.count_records(RecordQuery(passed=True)) == Counted(5, more=True)
    assert store.count_records(RecordQuery(until=NOON - timedelta(days=1))) == Counted(0)
    monkeypatch.setattr(counting, "COUNT_MOST", 100)
    monkeypatch.setattr(counting, "LOOK", 8)
    found = store.count_records(RecordQuery(name="王", passed=True))
    assert found.n <= 8
    assert found.more


def _write_all_kinds(store: BaseStore) -> None:
    depot = store.create_site("Depot", "UTC", now_ms=0).id
    for serial in ("SN-3", "SN-4", "SN-5"):
        store.create_terminal(now_ms=0, serial=serial, site_id=depot)
    store.update_terminal(5, state="held")
    rand = random.Random(11)
    events = []
    for number in range(300):
        until = NOON + timedelta(seconds=rand.randrange(100)) if rand.random() < 0.3 else None
        who = User(
            user_id=str(rand.randrange(40)), name=rand.choice(("Anna", "Bert", "Zoe")), guest_until=until
        )
        codes = {
            "passed": rand.random() < 0.8,
            "entry_mode": 7 if number < 9 else rand.choice((1, 1, 1, 2)),
            "abnormal_type": rand.choice((0, 0, 0, 20001, 20002, 77)),
            "user": None if rand.random() < 0.1 else who,
        }
        at = NOON + timedelta(seconds=rand.randrange(100))
        events.append(arrival(record(number, recorded_at=at, **codes), 1 + rand.randrange(5)))
    store.write(events)


def _is_outside(row: RecordRow) -> bool:
    until = None if row.person is None else row.person.guest_until
    return row.abnormal_type == 20001 or (until is not None and row.at > until)


WAYS: dict[str, tuple[dict[str, Any], Callable[[RecordRow], bool]]] = {
    "passed": ({"passed": False}, lambda row: row.passed is False),
    "common": ({"entry_mode": 1}, lambda row: row.entry_mode == 1),
    "rare": ({"entry_mode": 7}, lambda row: row.entry_mode == 7),
    "unknown": ({"abnormal_type": 77}, lambda row: row.abnormal_type == 77),
    "since": ({"since": NOON + timedelta(seconds=30)}, lambda row: row.at >= NOON + timedelta(seconds=30)),
    "until": ({"until": NOON + timedelta(seconds=30)}, lambda row: row.at < NOON + timedelta(seconds=30)),
    "terminal": ({"terminal": "SN-2"}, lambda row: row.serial == "SN-2"),
    "site": ({"site_id": 2}, lambda row: row.serial in ("SN-3", "SN-4")),
    "name": ({"name": "n"}, lambda row: row.person is not None and "n" in row.person.name),
    "person": ({"person": "7"}, lambda row: row.person is not None and row.person.user_id == "7"),
    "q": ({"q": "1"}, lambda row: row.person is not None and "1" in row.person.user_id),
    "outside": ({"outside_time": True}, _is_outside),
}
