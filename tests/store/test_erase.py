from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import select
from tests.store.events import RECEIVED_MS, alarm, arrival, record, refused, sample, times, unknown
from tests.store.files import bytes_of
from tests.terminals import ensured

from gatepost import wire
from gatepost.store import schema as t
from gatepost.store.base import BaseStore
from gatepost.store.erase import Erased, Whom, erase, erasures, finish
from gatepost.store.people import People, PeopleQuery, Rules
from gatepost.store.store import AlarmQuery, RecordQuery
from gatepost.wire import Problem

Opener = Callable[[], BaseStore]

WANG = wire.User(
    user_id="5",
    name="王五",
    job_number="JOB-23385",
    ic_number="IC-778899",
    id_number="ID-110101",
    remark="left leg",
)
LI = wire.User(user_id="6", name="李四", job_number="JOB-11111")
FACE = b"\xff\xd8\xff\xe0" + b"the face of wang wu" * 2000 + b"\xff\xd9"
OTHER_FACE = b"\xff\xd8\xff\xe0" + b"the face of li si" * 2000 + b"\xff\xd9"
TRACES = ("王五", "JOB-23385", "IC-778899", "ID-110101", "left leg", "the face of wang wu")


@pytest.fixture
def store(open_store: Opener) -> Iterator[BaseStore]:
    store = open_store()
    for serial in ("SN-1", "SN-2", "SN-3"):
        ensured(store, serial, now_ms=RECEIVED_MS)
    store.create_site("North", "UTC", now_ms=RECEIVED_MS)
    store.update_terminal(3, site_id=2)
    yield store
    store.close()


def passage(
    number: int, user: wire.User | None, face: bytes | None = None, terminal: int = 1, **more: Any
) -> Any:
    event = record(number, user=user)
    return arrival(event, terminal, image=face, **{"original": wire.encode(event), **more})


def fill(store: BaseStore) -> None:
    """Wang Wu in every place where somebody can be, and Li Si beside."""
    store.write(
        [
            passage(n, WANG, FACE, problems=(Problem("data.user.remark", "left leg is none"),))
            for n in range(3)
        ]
    )
    store.write([passage(n, LI, OTHER_FACE) for n in range(10, 13)])
    store.write([passage(20, wire.User(user_id="5", name="王五五", job_number="JOB-23385"), FACE, 2)])
    steps = [
        alarm("his", 1, user_id=5, description="王五 forced it", image=FACE),
        alarm("other", 1, user_id=6),
    ]
    store.write([arrival(step, image=step.image) for step in steps])
    store.acknowledge_alarm(
        store.alarms(AlarmQuery()).items[-1].id, by="anna", note="spoke to 王五", now_ms=1
    )
    store.close_alarm(store.alarms(AlarmQuery()).items[-1].id, by="anna", note="王五 went home", now_ms=2)
    store.write(
        [
            arrival(wire.Unknown({"type": 7, "data": {"user_id": "5", "x": "the face of wang wu"}})),
            arrival(wire.Unknown({"type": 7, "data": {"note": "JOB-23385"}})),
            arrival(unknown(1)),
        ]
    )
    store.write([passage(30, None, FACE, original='{"data": {"user": ["王五"]}}'.encode())])


def everybody(store: BaseStore) -> list[str]:
    return [one.name for one in People(store, Rules()).page(PeopleQuery()).items]


def test_nothing_of_the_person_remains_in_the_files(store: BaseStore) -> None:
    fill(store)
    before = bytes_of(store)
    assert all(trace.encode() in before for trace in TRACES)
    erased = erase(store, Whom(user_id="5", site_id=1), now_ms=RECEIVED_MS)
    assert erased == Erased(identities=2, records=5, alarm_steps=1, quarantined=2, scrubbed=True)
    after = bytes_of(store)
    assert [trace for trace in TRACES if trace.encode() in after] == []
    assert b"the face of li si" in after
    assert "李四".encode() in after


def test_what_remains_counts_and_tells_nobody(store: BaseStore) -> None:
    fill(store)
    erase(store, Whom(user_id="5", site_id=1), now_ms=RECEIVED_MS)
    rows = store.records(RecordQuery()).items
    assert len(rows) == 8
    bare = [row for row in rows if row.person is None]
    assert len(bare) == 5
    assert all(
        (row.original, row.temperature, row.has_image, row.problems) == (None, None, False, ())
        for row in bare
    )
    assert all(row.passed and row.recognition_type == 1 and row.uuid for row in bare)
    assert len(store.records(RecordQuery(has_image=True)).items) == 3
    assert store.stats().records == 8
    assert everybody(store) == ["李四"]
    assert store.records(RecordQuery(person="5")).items == ()


def test_the_alarm_stays_an_alarm(store: BaseStore) -> None:
    fill(store)
    erase(store, Whom(user_id="5", site_id=1), now_ms=RECEIVED_MS)
    his = next(a for a in store.alarms(AlarmQuery()).items if a.trace_id == "his")
    assert (his.state, his.code, his.acknowledged_by, his.note) == ("cleared", 10001, "anna", None)
    assert (his.closed_by, his.closed_note) == ("anna", None)
    (step,) = his.history
    assert (step.user_id, step.description, step.original, step.has_image) == (None, None, None, False)
    other = next(a for a in store.alarms(AlarmQuery()).items if a.trace_id == "other")
    assert other.history[0].user_id == "6"


def test_all_erased_people_of_a_site_are_one_and_the_same_nobody(store: BaseStore) -> None:
    fill(store)
    erase(store, Whom(user_id="5", site_id=1), now_ms=RECEIVED_MS)
    erase(store, Whom(user_id="6", site_id=1), now_ms=RECEIVED_MS)
    with store.reading() as db:
        people = db.execute(select(t.identities)).all()
        whose = db.execute(
            select(t.records.c.identity_id).where(t.records.c.identity_id.is_not(None)).distinct()
        )
        assert len(whose.all()) == len(people) == 1
    assert "李四".encode() not in bytes_of(store)


def test_the_same_number_at_another_site_is_somebody_else(store: BaseStore) -> None:
    store.write([passage(1, WANG), passage(2, LI, terminal=3), passage(3, WANG, terminal=3)])
    erased = erase(store, Whom(user_id="5", site_id=2), now_ms=RECEIVED_MS)
    assert (erased.identities, erased.records) == (1, 1)
    assert len(store.records(RecordQuery(person="5")).items) == 1
    erase(store, Whom(user_id="5"), now_ms=RECEIVED_MS)
    assert "王五".encode() not in bytes_of(store)
    assert everybody(store) == ["李四"]


def test_within_one_terminal_the_others_keep_theirs(store: BaseStore) -> None:
    store.write([passage(1, WANG, FACE), passage(2, WANG, FACE, terminal=2)])
    assert erase(store, Whom(user_id="5", terminal_id=1), now_ms=RECEIVED_MS).records == 1
    (left,) = store.records(RecordQuery(person="5")).items
    assert left.terminal_id == 2
    assert left.has_image
    erase(store, Whom(user_id="5", terminal_id=2), now_ms=RECEIVED_MS)
    assert not any(trace.encode() in bytes_of(store) for trace in TRACES)


def test_somebody_without_user_id_is_erased_by_their_identity(store: BaseStore) -> None:
    guest = wire.User(user_id="", name="Anna Berg")
    store.write([passage(1, guest, FACE), passage(2, LI)])
    (anna,) = (p for p in People(store, Rules()).page(PeopleQuery()).items if p.name == "Anna Berg")
    assert erase(store, Whom(identities=anna.identities), now_ms=RECEIVED_MS).records == 1
    assert b"Anna Berg" not in bytes_of(store)
    assert everybody(store) == ["李四"]


def test_an_erasure_that_was_cut_off_is_completed_without_asking_who_it_was(
    store: BaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write([passage(n, WANG, FACE) for n in range(70)])
    with monkeypatch.context() as patched:
        patched.setattr("gatepost.store.erase.finish", lambda _: 0)
        erase(store, Whom(user_id="5"), now_ms=RECEIVED_MS)
    assert everybody(store) == []
    assert [finish(store), finish(store), finish(store)] == [64, 6, 0]
    assert store.scrub()
    assert not any(trace.encode() in bytes_of(store) for trace in TRACES)


class PowerCut(Exception):
    pass


@pytest.mark.parametrize("restart", [True, False], ids=["another start", "after a batch that failed"])
def test_whose_face_was_removed_is_never_seen_with_the_next_face_that_arrives(
    open_store: Opener, store: BaseStore, monkeypatch: pytest.MonkeyPatch, restart: bool
) -> None:
    """The power goes between the image and the reference to it, and the erasure is completed later."""
    store.write([passage(1, LI, OTHER_FACE)])
    (his,) = store.write([passage(2, WANG, FACE)])

    def cut(*_: Any) -> None:
        raise PowerCut

    with monkeypatch.context() as patched:
        patched.setattr("gatepost.store.erase.take_images_from", cut)
        with pytest.raises(PowerCut):
            erase(store, Whom(user_id="5"), now_ms=RECEIVED_MS)
    if restart:
        store.close()
        store = open_store()
    else:
        with pytest.raises(LookupError):
            store.write([passage(9, LI, OTHER_FACE, terminal=999)])
    (hers,) = store.write([passage(3, LI, OTHER_FACE)])
    assert (store.image(his.id), store.image(hers.id)) == (None, OTHER_FACE)
    assert finish(store) == 1
    assert (store.image(his.id), store.image(hers.id)) == (None, OTHER_FACE)
    assert not any(trace.encode() in bytes_of(store) for trace in TRACES if store.scrub())
    store.close()


def test_who_comes_again_is_somebody_new(store: BaseStore) -> None:
    store.write([passage(1, WANG)])
    erase(store, Whom(user_id="5"), now_ms=RECEIVED_MS)
    store.write([passage(1, WANG), passage(2, WANG)])
    assert [row.uuid for row in store.records(RecordQuery(person="5")).items] == ["uuid-000002"]
    assert everybody(store) == ["王五"]
    assert len(store.records(RecordQuery()).items) == 2


def test_a_number_that_no_database_can_hold_is_found_as_it_was_stored(store: BaseStore) -> None:
    store.write([passage(1, wire.User(user_id="5\0", name="王五"), original=b"{}")])
    assert erase(store, Whom(user_id="5\0"), now_ms=RECEIVED_MS).records == 1
    assert "王五".encode() not in bytes_of(store)


def test_each_erasure_is_counted_for_those_who_have_to_forget_too(store: BaseStore) -> None:
    assert erasures(store) == 0
    fill(store)
    for count in (1, 2):
        erase(store, Whom(user_id="5"), now_ms=RECEIVED_MS)
        assert erasures(store) == count


def test_to_forget_people_changes_nothing_of_what_is_stored(store: BaseStore) -> None:
    fill(store)
    before = store.records(RecordQuery()), People(store, Rules()).page(PeopleQuery())
    store.forget_people()
    assert (store.records(RecordQuery()), People(store, Rules()).page(PeopleQuery())) == before
    store.write([passage(50, WANG), passage(51, LI), passage(0, WANG)])
    assert len(everybody(store)) == len(before[1].items)
    assert len(store.records(RecordQuery()).items) == len(before[0].items) + 2


def test_to_erase_nobody_or_somebody_twice_does_no_harm(store: BaseStore) -> None:
    fill(store)
    assert not erase(store, Whom(user_id="99"), now_ms=RECEIVED_MS).anything
    erase(store, Whom(user_id="5"), now_ms=RECEIVED_MS)
    assert not erase(store, Whom(user_id="5"), now_ms=RECEIVED_MS).anything
    assert len(store.records(RecordQuery(person="6")).items) == 3


def test_samples_of_refused_bodies_are_deleted_whoever_is_erased(store: BaseStore) -> None:
    fill(store)
    store.note_refused({refused(): times()}, {("10.0.0.9", "no JSON"): sample("王五".encode())})
    erase(store, Whom(user_id="nobody-has-this"), now_ms=RECEIVED_MS)
    (row,) = store.refused()
    assert row.sample_id is None
    with store.reading() as db:
        assert db.execute(select(t.refusal_samples)).all() == []
