import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import select
from tests.packing import packed
from tests.store.events import RECEIVED_MS, alarm, arrival, record, refused, sample, times, unknown
from tests.store.files import bytes_of
from tests.terminals import ensured

from gatepost import wire
from gatepost.errors import JournalCorrupt
from gatepost.journal.places import Place
from gatepost.store.base import BaseStore
from gatepost.store.images import images
from gatepost.store.interface import AlarmQuery, RecordQuery
from gatepost.store.people.people import People
from gatepost.store.people.person import PeopleQuery, Rules
from gatepost.store.privacy.erasure import Erased, Whom, erase, erasures, finish
from gatepost.store.schema import tables as t
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
TRACES = ("王五", "JOB-23385", "IC-778899", "ID-110101", "left leg")


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
    store.write([arrival(step) for step in steps])
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


def places(store: BaseStore) -> dict[tuple[int, int], Place]:
    """Return the place of each part of each event."""
    c = t.images.c
    with store.reading() as db:
        rows = db.execute(select(c.event_id, c.part)).all()
        found = {(row.event_id, row.part): images.place(db, row.event_id, row.part) for row in rows}
    return {which: place for which, place in found.items() if place is not None}


def bytes_at(store: BaseStore, place: Place) -> bytes:
    assert store.packs is not None
    return (store.packs.folder.packs / place.pack).read_bytes()[place.offset : place.offset + place.length]


def everybody(store: BaseStore) -> list[str]:
    return [one.name for one in People(store, Rules()).page(PeopleQuery()).items]


def test_nothing_of_the_person_remains_in_the_files(store: BaseStore) -> None:
    fill(store)
    before, had = bytes_of(store), places(store)
    assert all(trace.encode() in before for trace in TRACES)
    assert all(place.key in before for place in had.values())
    erased = erase(store, Whom(user_id="5", site_id=1), now_ms=RECEIVED_MS)
    assert erased == Erased(identities=2, records=5, alarm_steps=1, quarantined=2, scrubbed=True)
    after, has = bytes_of(store), places(store)
    assert [trace for trace in TRACES if trace.encode() in after] == []
    assert "李四".encode() in after
    gone = [place for which, place in had.items() if which not in has]
    assert len(gone) == 6
    assert [place for place in gone if place.key in after] == []
    assert has == {which: place for which, place in had.items() if place not in gone}
    assert [store.image(row.id) for row in store.records(RecordQuery(has_image=True)).items] == [
        OTHER_FACE
    ] * 3


def test_there_are_holes_where_the_images_were_and_the_others_of_the_pack_are_readable(
    store: BaseStore,
) -> None:
    """Those of a person stand between those of another one, all in one pack."""
    batch = [passage(n, WANG if n % 2 else LI, FACE if n % 2 else OTHER_FACE) for n in range(6)]
    ids = [one.id for one in store.write(batch)]
    had = places(store)
    assert len({place.pack for place in had.values()}) == 1
    assert store.packs is not None
    (pack,) = store.packs.all()
    erase(store, Whom(user_id="5"), now_ms=RECEIVED_MS)
    for number, event_id in enumerate(ids):
        place = had[event_id, images.IMAGE]
        is_erased = number % 2 == 1
        assert (bytes_at(store, place) == bytes(place.length)) == is_erased
        assert store.image(event_id) == (None if is_erased else OTHER_FACE)
        if is_erased:  # also for who has kept the key
            with pytest.raises(JournalCorrupt):
                store.packs.read(place)
    (left,) = store.packs.all()
    assert left.disk_bytes < pack.disk_bytes


def test_long_texts_of_a_person_go_as_their_images_do(store: BaseStore) -> None:
    whole = wire.encode(record(1, user=WANG))[:-1] + b', "snapshot": "' + b"x" * 2000 + b'"}'
    bare = whole.replace(b"x" * 2000, b"")
    (his, hers) = store.write([passage(1, WANG, original=whole), passage(2, LI, original=whole)])
    assert store.original(his.id, bare) == whole
    place = places(store)[his.id, images.TEXTS]
    erase(store, Whom(user_id="5"), now_ms=RECEIVED_MS)
    assert places(store).keys() == {(hers.id, images.TEXTS)}
    assert place.key not in bytes_of(store)
    assert bytes_at(store, place) == bytes(place.length)
    assert store.original(hers.id, bare) == whole


def test_no_key_remains_in_a_file_among_many(store: BaseStore) -> None:
    """The rows of a table move from page to page as it grows: a copy must not stay where one was."""
    people = (WANG, LI, wire.User(user_id="7", name="七"))
    digest = lambda n: hashlib.sha256(b"%d" % n).digest()  # noqa: E731 - a key for each
    assert store.packs is not None
    for start in range(0, 1200, 300):
        at = packed(store.packs, [passage(9_000_000 + start, LI, FACE)])[0].image
        assert at is not None
        batch = [
            replace(passage(n, people[n * n % 7 % 3]), image=replace(at, offset=at.offset + n, key=digest(n)))
            for n in range(start, start + 300)
        ]
        store.write(batch)
    keys = {which: place.key for which, place in places(store).items()}
    assert len(keys) == 1200
    counts = [1200]
    for who in "576":
        erase(store, Whom(user_id=who), now_ms=RECEIVED_MS)
        left, after = places(store), bytes_of(store)
        counts.append(len(left))
        assert [key for which, key in keys.items() if (key in after) != (which in left)] == []
    assert counts == sorted(set(counts), reverse=True)
    assert counts[-1] == 0


def test_while_a_backup_pins_the_journal_the_keys_go_and_the_bytes_wait(store: BaseStore) -> None:
    (his,) = store.write([passage(1, WANG, FACE)])
    place = places(store)[his.id, images.IMAGE]
    assert store.packs is not None
    with store.packs.folder.pinned():
        erase(store, Whom(user_id="5"), now_ms=RECEIVED_MS)
        assert bytes_at(store, place) != bytes(place.length)
    assert places(store) == {}
    assert place.key not in bytes_of(store)
    assert store.image(his.id) is None


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
        patched.setattr("gatepost.store.privacy.erasure.finish", lambda _: 0)
        erase(store, Whom(user_id="5"), now_ms=RECEIVED_MS)
    assert everybody(store) == []
    assert [finish(store), finish(store), finish(store)] == [64, 6, 0]
    assert store.scrub()
    assert not any(trace.encode() in bytes_of(store) for trace in TRACES)


class PowerCut(Exception):
    pass


def test_an_erasure_that_was_cut_off_before_the_holes_has_deleted_the_keys(
    open_store: Opener, store: BaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    (hers,) = store.write([passage(1, LI, OTHER_FACE)])
    (his,) = store.write([passage(2, WANG, FACE)])
    place = places(store)[his.id, images.IMAGE]

    def cut(*_: Any) -> None:
        raise PowerCut

    with monkeypatch.context() as patched:
        patched.setattr("gatepost.store.privacy.erasure._punch", cut)
        with pytest.raises(PowerCut):
            erase(store, Whom(user_id="5"), now_ms=RECEIVED_MS)
    store.close()
    store = open_store()
    assert finish(store) == 0
    assert store.scrub()
    assert (store.image(his.id), store.image(hers.id)) == (None, OTHER_FACE)
    assert place.key not in bytes_of(store)
    assert not any(trace.encode() in bytes_of(store) for trace in TRACES)
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
