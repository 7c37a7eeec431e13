"""Places and keys of images: each event has its own, and without its row no image is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import event as sa_event
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from tests.packing import packed
from tests.store.events import JPEG, RECEIVED_MS, alarm, arrival, record
from tests.store.files import bytes_of
from tests.terminals import ensured

from gatepost import wire
from gatepost.errors import ImageUnavailable, StoreError
from gatepost.journal.folder import Folder
from gatepost.journal.format import HEADER_BYTES, KEY_BYTES
from gatepost.journal.packs.packs import Packs
from gatepost.journal.places import Place
from gatepost.store.base import BaseStore
from gatepost.store.conversion.values import DAY_MS
from gatepost.store.images import images
from gatepost.store.images.encryption import ImageKeys
from gatepost.store.images.images import IMAGE, TEXTS, open_place, seal_place
from gatepost.store.interface import AlarmQuery, Arrival, RecordQuery
from gatepost.store.schema import tables as t

NAME = "people-20240506-1714996800000-0123abcd-records-000001.pack"
PLACE = Place(NAME, 8192, 500, bytes(range(KEY_BYTES)))
LONG = b'{"snapshot": "' + b"x" * 5000 + b'"}'
SHORT = b'{"snapshot": ""}'
NEW, OLD = ImageKeys([b"n" * 32]), ImageKeys([b"o" * 32])
BOTH = ImageKeys([b"n" * 32, b"o" * 32])


@pytest.fixture
def store(open_store: Callable[[], BaseStore]) -> Iterator[BaseStore]:
    store = open_store()
    ensured(store, "SN-1", now_ms=RECEIVED_MS)
    yield store
    store.close()


def packs_of(store: BaseStore) -> Packs:
    assert store.packs is not None
    return store.packs


def place(store: BaseStore, event_id: int, part: int = IMAGE) -> Place:
    with store.reading() as db:
        found = images.place(db, event_id, part)
    assert found is not None
    return found


def count(store: BaseStore) -> int:
    with store.reading() as db:
        return db.execute(select(func.count()).select_from(t.images)).scalar_one()


def damage(store: BaseStore, at: Place, offset: int = 0) -> None:
    path = packs_of(store).folder.packs / at.pack
    with path.open("r+b") as file:
        file.seek(at.offset + offset)
        byte = file.read(1)
        file.seek(at.offset + offset)
        file.write(bytes([byte[0] ^ 1]))


# Keys of images


@pytest.mark.parametrize("keys", [NEW, BOTH], ids=["one key", "two keys"])
def test_a_key_that_was_encrypted_opens_again_with_its_place(keys: ImageKeys) -> None:
    sealed = seal_place(PLACE, keys)
    assert (sealed.pack, sealed.offset, sealed.length) == (PLACE.pack, PLACE.offset, PLACE.length)
    assert PLACE.key not in sealed.key
    assert len(sealed.key) > KEY_BYTES
    assert open_place(sealed, keys) == PLACE
    assert seal_place(sealed, keys) == sealed


def test_without_image_keys_a_place_stays_as_it_is() -> None:
    assert seal_place(PLACE, ImageKeys()) is PLACE
    assert open_place(PLACE, ImageKeys()) is PLACE
    assert open_place(PLACE, NEW) is PLACE


@pytest.mark.parametrize("head", [b"GPI\x01", NEW.seal(b"", b"")[:12]], ids=["mark", "mark and name"])
def test_a_key_that_begins_like_an_encrypted_one_is_a_key(head: bytes) -> None:
    """It is random, so one in four thousand million has the mark; the length tells them apart."""
    odd = replace(PLACE, key=head + bytes(KEY_BYTES - len(head)))
    assert open_place(odd, NEW) == odd
    assert open_place(odd, ImageKeys()) == odd
    sealed = seal_place(odd, NEW)
    assert sealed.key != odd.key
    assert open_place(sealed, NEW) == odd


@pytest.mark.parametrize("keys", [ImageKeys(), NEW], ids=["none", "another"])
def test_without_its_image_key_it_is_said_which_one_is_missing(keys: ImageKeys) -> None:
    sealed = seal_place(PLACE, OLD)
    with pytest.raises(StoreError, match=rf"the key {OLD.name}; give that key in image_key_file"):
        open_place(sealed, keys)
    assert seal_place(sealed, keys) == sealed


@pytest.mark.parametrize("moved", [{"offset": 8193}, {"pack": NAME.replace("000001", "000002")}])
def test_an_encrypted_key_opens_at_no_other_place(moved: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match="was changed"):
        open_place(replace(seal_place(PLACE, NEW), **moved), NEW)


def test_a_pack_is_known_by_kind_and_day() -> None:
    name, kind, day = images.pack_row(NAME)
    assert (name, kind) == (NAME, images.PEOPLE)
    assert date.fromordinal(date(1970, 1, 1).toordinal() + day) == date(2024, 5, 6)
    assert day == RECEIVED_MS // DAY_MS
    with pytest.raises(ValueError, match="no name of a pack"):
        images.pack_row("people.pack")


# Rows


def test_each_part_of_each_event_has_a_place_and_a_key_of_its_own(store: BaseStore) -> None:
    batch = [arrival(record(n), image=JPEG, original=LONG) for n in range(5)]
    batch += [arrival(alarm(f"t{n}"), image=JPEG, original=LONG) for n in range(5)]
    ids = [one.id for one in store.write(batch)]
    found = [place(store, number, part) for number in ids for part in (IMAGE, TEXTS)]
    assert count(store) == len(found) == 20
    assert len({(at.pack, at.offset) for at in found}) == len({at.key for at in found}) == 20
    assert {at.pack.split("-")[0] for at in found} == {images.PEOPLE, images.ALARMS}
    assert all(at.offset >= HEADER_BYTES for at in found)
    with store.reading() as db:
        ordered = [(row.name, row.byte_offset) for row in db.execute(images.by_pack())]
    assert ordered == sorted((at.pack, at.offset) for at in found)


def test_what_has_no_image_has_no_place(store: BaseStore) -> None:
    (plain,) = store.write([arrival(record(1))])
    with store.reading() as db:
        assert images.place(db, plain.id) is None
        assert images.place(db, 10**15) is None
    assert store.image(plain.id) is None
    assert store.original(plain.id, b"{}") == b"{}"


def test_one_event_has_no_part_twice(store: BaseStore) -> None:
    (one,) = store.write([arrival(record(1), image=JPEG)])
    with store.reading() as db:
        pack = db.execute(select(t.packs.c.id)).scalar_one()
    row = {"event_id": one.id, "part": IMAGE, "pack_id": pack, "byte_offset": 1, "length": 1, "key": b"k"}
    with pytest.raises(IntegrityError), store.changing() as db:
        db.execute(t.images.insert().values(row))
    assert store.image(one.id) == JPEG


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "two batches"])
@pytest.mark.parametrize("event", [record(1), alarm(), wire.Unknown({"type": 7, "photo": "x" * 3000})])
def test_an_event_that_comes_again_has_its_rows_once_and_the_first_place(
    store: BaseStore, event: wire.Event, together: bool
) -> None:
    image = None if isinstance(event, wire.Unknown) else JPEG
    original = {} if isinstance(event, wire.Unknown) else {"original": LONG}
    (first,) = packed(packs_of(store), [arrival(event, image=image, **original)])
    (again,) = packed(packs_of(store), [arrival(event, image=image, **original)])
    parts = [part for part, _ in images.parts_of(first)]
    if together:
        one, two = store.write([first, again])
    else:
        (one,), (two,) = store.write([first]), store.write([again])
    assert (one.new, two.new, one.id) == (True, False, two.id)
    assert count(store) == len(parts)
    assert [place(store, one.id, part) for part in parts] == [at for _, at in images.parts_of(first)]
    assert all(at.key not in bytes_of(store) for _, at in images.parts_of(again))


def test_places_that_no_event_has_are_told_from_those_that_one_has(store: BaseStore) -> None:
    """An event that was pushed twice has left the image of one push unused."""
    (first,) = packed(packs_of(store), [arrival(record(1), image=JPEG, original=LONG)])
    (again,) = packed(packs_of(store), [arrival(record(1), image=JPEG, original=LONG)])
    store.write([first, again])
    used, unused = ([at for _, at in images.parts_of(one)] for one in (first, again))
    assert store.unused([*used, *unused]) == unused
    assert store.unused([*unused, *used]) == unused
    assert store.unused(used) == store.unused([]) == []
    elsewhere = replace(used[0], pack=unused[0].pack, offset=used[1].offset + 1)
    assert store.unused([elsewhere]) == [elsewhere]
    with store.reading() as db:
        assert images.used(db, [*used, *unused]) == {(at.pack, at.offset) for at in used}
        many = [replace(used[0], offset=used[0].offset + n * 100_000) for n in range(1200)]
        assert images.used(db, many) == {(used[0].pack, used[0].offset)}


def test_deleted_places_are_told_and_no_others_are_deleted(store: BaseStore) -> None:
    ids = [one.id for one in store.write([arrival(record(n), image=JPEG, original=LONG) for n in range(4)])]
    before = {(number, part): place(store, number, part) for number in ids for part in (IMAGE, TEXTS)}
    with store.changing() as db:
        gone = images.delete_of(db, [*ids[:2], 10**15])
    expected = [before[number, part] for number in ids[:2] for part in (IMAGE, TEXTS)]
    assert sorted((at.pack, at.offset, at.length, at.key) for at in gone) == sorted(
        (at.pack, at.offset, at.length, b"") for at in expected
    )
    assert [store.image(number) for number in ids] == [None, None, JPEG, JPEG]
    assert [store.original(number, SHORT) for number in ids] == [SHORT, SHORT, LONG, LONG]
    with store.changing() as db:
        assert images.delete_of(db, ids[:2]) == images.delete_of(db, []) == []


def test_more_are_deleted_than_one_statement_names(store: BaseStore) -> None:
    ids = [one.id for one in store.write([arrival(record(n), image=JPEG[:600]) for n in range(1100)])]
    with store.changing() as db:
        assert len(images.delete_of(db, ids[:-1])) == 1099
    assert count(store) == 1
    assert store.image(ids[-1]) == JPEG[:600]


def test_what_is_forgotten_is_listed_without(store: BaseStore) -> None:
    one, two = store.write([arrival(record(n), image=JPEG) for n in (1, 2)])
    (step,) = store.write([arrival(alarm(), image=JPEG)])
    (other,) = store.write([arrival(alarm("another"), image=JPEG)])
    with store.changing() as db:
        gone = images.forget(db, [one.id, step.id])
    assert len(gone) == 2
    shown = {row.id: row.has_image for row in store.records(RecordQuery()).items}
    assert shown == {one.id: False, two.id: True}
    assert [row.id for row in store.records(RecordQuery(has_image=False)).items] == [one.id]
    steps = {s.id: s.has_image for row in store.alarms(AlarmQuery()).items for s in row.history}
    assert steps == {step.id: False, other.id: True}
    assert [store.image(one.id), store.image(step.id)] == [None, None]
    assert store.image(two.id) == store.image(other.id) == JPEG


def test_a_batch_that_fails_leaves_neither_packs_nor_places(store: BaseStore) -> None:
    batch = [arrival(record(1), image=JPEG), arrival(record(2), terminal_id=999)]
    with pytest.raises(LookupError):
        store.write(batch)
    assert count(store) == 0
    with store.reading() as db:
        assert db.execute(select(t.packs)).all() == []


def test_many_packs_in_one_batch(store: BaseStore) -> None:
    """A backlog of days is listed at once."""
    batch = [arrival(record(n), image=JPEG, received_at_ms=RECEIVED_MS + n * DAY_MS) for n in range(150)]
    ids = [one.id for one in store.write(batch)]
    assert {store.image(number) for number in ids} == {JPEG}
    with store.reading() as db:
        days = db.execute(select(t.packs.c.day).order_by(t.packs.c.day)).scalars().all()
    assert days == [RECEIVED_MS // DAY_MS + n for n in range(150)]


# Reading


def test_where_the_pack_is_gone_it_is_said_what_to_do(store: BaseStore) -> None:
    (one,) = store.write([arrival(record(1), image=JPEG, original=LONG)])
    assert store.image(one.id) == JPEG
    at = place(store, one.id)
    (packs_of(store).folder.packs / at.pack).unlink()
    for read in (lambda: store.image(one.id), lambda: store.original(one.id, SHORT)):
        with pytest.raises(ImageUnavailable, match=rf"the pack {at.pack} is not here.*it is gone.*backup"):
            read()


@pytest.mark.parametrize("offset", [0, -1])
def test_a_damaged_image_is_not_shown_and_the_next_one_is(store: BaseStore, offset: int) -> None:
    one, two = (one.id for one in store.write([arrival(record(n), image=JPEG) for n in (1, 2)]))
    at = place(store, one)
    damage(store, at, offset % at.length)
    with pytest.raises(ImageUnavailable, match=r"is damaged.*restore the pack from a backup"):
        store.image(one)
    assert store.image(two) == JPEG


def test_a_place_that_is_no_place_is_an_image_that_cannot_be_read(store: BaseStore) -> None:
    (one,) = store.write([arrival(record(1), image=JPEG)])
    with store.changing() as db:
        db.execute(t.images.update().values(length=10**9))
    with pytest.raises(ImageUnavailable, match="damaged"):
        store.image(one.id)
    with store.changing() as db:
        db.execute(t.packs.update().values(name="../gatepost.db"))
    with pytest.raises(ImageUnavailable, match="damaged"):
        store.image(one.id)


@pytest.mark.parametrize("how", ["pack", "hole"])
def test_an_image_that_leaves_while_it_is_read_is_as_if_it_had_never_been(
    store: BaseStore, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Between the look at its place and that at the pack the retention, or an erasure, has taken both."""
    (one,) = store.write([arrival(record(1), image=JPEG)])
    packs, read = packs_of(store), packs_of(store).read

    def leaves(at: Place) -> bytes:
        with store.changing() as db:
            places = images.forget(db, [one.id])
        if how == "pack":
            packs.remove([at.pack])
        else:
            packs.punch(places)
        return read(at)

    monkeypatch.setattr(packs, "read", leaves)
    assert store.image(one.id) is None


def test_where_the_packs_are_not_at_hand_it_is_said(store: BaseStore) -> None:
    plain, one = (one.id for one in store.write([arrival(record(1)), arrival(record(2), image=JPEG)]))
    store.packs = None
    assert store.image(plain) is None
    with pytest.raises(ImageUnavailable, match="give the data folder with its packs"):
        store.image(one)
    assert store.sizes()["images"] == 0


def test_a_disk_that_cannot_be_read_now_costs_the_image_and_says_what_to_do(store: BaseStore) -> None:
    (one,) = store.write([arrival(record(1), image=JPEG)])
    folder = packs_of(store).folder.packs
    store.packs = Packs(Folder.open(folder.parent))
    away = folder.with_name("elsewhere")
    folder.rename(away)
    folder.write_bytes(b"no folder")
    with pytest.raises(ImageUnavailable, match="look at the disk"):
        store.image(one.id)
    folder.unlink()
    away.rename(folder)
    assert store.image(one.id) == JPEG


def test_to_read_an_image_takes_one_query(store: BaseStore) -> None:
    (one,) = store.write([arrival(record(1), image=JPEG)])
    asked: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("SELECT"):
            asked.append(statement)

    sa_event.listen(store._engine, "before_cursor_execute", note)
    assert store.image(one.id) == JPEG
    assert len(asked) == 1
    sa_event.remove(store._engine, "before_cursor_execute", note)


def test_an_arrival_says_which_parts_it_has() -> None:
    bare: Arrival = arrival(record(1))
    other = replace(PLACE, offset=9000, pack=NAME.replace("people", "alarms"))
    assert list(images.parts_of(bare)) == []
    assert list(images.parts_of(replace(bare, image=PLACE))) == [(IMAGE, PLACE)]
    both = replace(bare, image=PLACE, texts=other)
    assert list(images.parts_of(both)) == [(IMAGE, PLACE), (TEXTS, other)]
    assert images.pack_names([both, bare, both]) == [other.pack, PLACE.pack]
    rows = list(images.rows_of(7, both, {PLACE.pack: 1, other.pack: 2}, ImageKeys()))
    assert rows == [(7, IMAGE, 1, 8192, 500, PLACE.key), (7, TEXTS, 2, 9000, 500, other.key)]
    ((*_, sealed),) = images.rows_of(7, replace(bare, image=PLACE), {PLACE.pack: 1}, NEW)
    assert open_place(replace(PLACE, key=sealed), NEW) == PLACE
