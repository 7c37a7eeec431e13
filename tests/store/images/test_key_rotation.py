import base64
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from sqlalchemy import select
from tests.packing import packing
from tests.postgres import Postgres
from tests.store.events import RECEIVED_MS, alarm, arrival, record, refused, sample, times
from tests.store.files import bytes_of
from tests.terminals import ensured

from gatepost import wire
from gatepost.errors import StoreError
from gatepost.journal.folder import Folder
from gatepost.journal.format import KEY_BYTES
from gatepost.journal.packs.packs import Packs
from gatepost.store.base import BaseStore
from gatepost.store.conversion.values import DAY_MS
from gatepost.store.images import images
from gatepost.store.images.encryption import ImageKeys
from gatepost.store.images.key_rotation import STEP, Resealing
from gatepost.store.interface import AlarmQuery, RecordQuery
from gatepost.store.maintenance.backup import backup
from gatepost.store.maintenance.check import check
from gatepost.store.maintenance.restore import restore
from gatepost.store.postgres.store import PostgresStore
from gatepost.store.privacy.erasure import Whom, erase
from gatepost.store.schema import tables as t
from gatepost.store.sqlite.store import SqliteStore

OLD, NEW = ImageKeys([b"o" * 32]), ImageKeys([b"n" * 32])
BOTH = ImageKeys([b"n" * 32, b"o" * 32])
NONE = ImageKeys()
FACE = b"\xff\xd8" + b"a face that nobody may see " * 50 + b"\xff\xd9"
TEXT = base64.b64encode(FACE)


class OpenWith(Protocol):
    def __call__(self, keys: ImageKeys) -> BaseStore: ...


@pytest.fixture(params=["sqlite", "postgresql"])
def open_with(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenWith]:
    """Opens the same store each time, with other keys."""
    opened: list[BaseStore] = []
    place: Callable[[ImageKeys], BaseStore]
    if request.param == "sqlite":
        shutil.copytree(request.getfixturevalue("empty_folder"), tmp_path / "data")
        place = lambda keys: SqliteStore.open(tmp_path / "data", keys=keys)  # noqa: E731 (two of them)
    else:
        server: Postgres = request.getfixturevalue("postgres_server")
        url = server.create_with_store()
        packs = Packs(Folder.open(tmp_path / "data" / "journal"))
        place = lambda keys: PostgresStore.open(url, keys=keys, packs=packs)  # noqa: E731

    def again(keys: ImageKeys) -> BaseStore:
        for store in opened:
            store.close()
        opened.append(packing(place(keys)))
        return opened[-1]

    yield again
    for store in opened:
        store.close()


def fill(store: BaseStore, start: int = 0, count: int = 3) -> None:
    if not store.terminals():
        ensured(store, "SN-1", now_ms=RECEIVED_MS)
    for day in (0, 1):
        at = RECEIVED_MS + day * DAY_MS
        store.write(
            [arrival(record(start + day * 1000 + n), image=FACE, received_at_ms=at) for n in range(count)]
        )
    store.write([arrival(alarm(f"a{start}"), image=FACE, received_at_ms=RECEIVED_MS + DAY_MS)])
    unknown = wire.Unknown({"type": 9, "data": {"number": start, "photo": TEXT.decode(), "user_id": "77"}})
    store.write([arrival(unknown)])


def run(store: BaseStore, keys: ImageKeys) -> int:
    resealing = Resealing(store, keys)
    sealed = 0
    while (count := resealing.once()) is not None:
        sealed += count
    assert resealing.finished
    assert store.scrub()
    return sealed


def is_whole(store: BaseStore, records: int, alarms: int) -> None:
    rows = store.records(RecordQuery(limit=1000)).items
    assert [store.image(row.id) for row in rows] == [FACE] * records
    steps = [step for one in store.alarms(AlarmQuery()).items for step in one.history]
    assert [store.image(step.id) for step in steps] == [FACE] * alarms
    assert all(TEXT in store.original(row.id, row.original) for row in store.quarantined().items)


def pack_bytes(store: BaseStore) -> dict[str, bytes]:
    assert store.packs is not None
    return {path.name: path.read_bytes() for path in store.packs.folder.packs.iterdir()}


def keys_of(store: BaseStore) -> list[bytes]:
    """Return the keys of all images, as they are stored."""
    with store.reading() as db:
        return [bytes(key) for key in db.execute(select(t.images.c.key)).scalars()]


def test_with_a_key_no_image_can_be_read_from_the_files_and_all_is_read_as_before(
    open_with: OpenWith,
) -> None:
    store = open_with(NEW)
    fill(store)
    is_whole(store, 6, 1)
    assert all(NEW.is_current(key) and len(key) > KEY_BYTES for key in keys_of(store))
    stored = bytes_of(store)
    assert b"a face that nobody" not in stored
    assert TEXT[:40] not in stored


def test_a_first_key_encrypts_the_keys_that_were_there_before_and_no_image(open_with: OpenWith) -> None:
    store = open_with(NONE)
    fill(store)
    plain = keys_of(store)
    assert {len(key) for key in plain} == {KEY_BYTES}
    store = open_with(NEW)
    is_whole(store, 6, 1)
    before = pack_bytes(store)
    assert all(key in bytes_of(store) for key in plain)
    assert run(store, NEW) == 8
    is_whole(store, 6, 1)
    assert pack_bytes(store) == before
    stored = bytes_of(store)
    assert [key for key in plain if key in stored] == []
    assert all(NEW.is_current(key) for key in keys_of(store))


def test_after_another_key_came_the_old_one_can_be_taken_away(open_with: OpenWith) -> None:
    fill(open_with(OLD), count=STEP + 5)
    store = open_with(BOTH)
    fill(store, 500)
    before, old = pack_bytes(store), [key for key in keys_of(store) if OLD.is_current(key)]
    assert run(store, BOTH) == len(old) == 2 * (STEP + 5) + 2
    is_whole(open_with(NEW), 2 * (STEP + 5) + 6, 2)
    assert pack_bytes(store) == before
    stored = bytes_of(open_with(NEW))
    assert [key for key in old if key in stored] == []


def test_an_interrupted_round_goes_on_where_it_was(open_with: OpenWith) -> None:
    fill(open_with(OLD), count=STEP + 5)
    store = open_with(BOTH)
    first, sealed = Resealing(store, BOTH), 0
    while not sealed:
        sealed += first.once() or 0
    assert sealed == STEP
    assert not first.finished
    assert sum(BOTH.is_current(key) for key in keys_of(store)) == STEP
    store = open_with(BOTH)
    is_whole(store, 2 * (STEP + 5), 1)
    assert sealed + run(store, BOTH) == 2 * (STEP + 5) + 2
    assert run(store, BOTH) == 0


def test_a_step_that_fails_is_done_again(open_with: OpenWith, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step is one transaction."""
    fill(open_with(OLD))
    store = open_with(BOTH)
    before = keys_of(store)

    seal, done = Resealing._seal, []

    def cut(resealing: Resealing, *what: Any) -> None:
        if len(done) == 3:
            raise KeyboardInterrupt
        seal(resealing, *what)
        done.append(what)

    with monkeypatch.context() as patched:
        patched.setattr(Resealing, "_seal", cut)
        with pytest.raises(KeyboardInterrupt):
            Resealing(store, BOTH).once()
    assert keys_of(store) == before
    assert run(store, BOTH) == 8
    is_whole(store, 6, 1)


def test_the_image_and_the_long_texts_of_one_event_are_both_encrypted_anew(open_with: OpenWith) -> None:
    """Also where a step ends between the two."""
    store = open_with(OLD)
    ensured(store, "SN-1", now_ms=RECEIVED_MS)
    whole = b'{"snapshot": "' + TEXT + b'"}'
    store.write([arrival(alarm(), image=FACE)])  # one part, so that a step ends with the first of two
    ids = [
        one.id for one in store.write([arrival(record(n), image=FACE, original=whole) for n in range(STEP)])
    ]
    store = open_with(BOTH)
    assert run(store, BOTH) == 2 * STEP + 1
    store = open_with(NEW)
    assert {store.image(number) for number in ids} == {FACE}
    assert {store.original(number, b'{"snapshot": ""}') for number in ids} == {whole}


def test_what_leaves_meanwhile_is_passed_over(open_with: OpenWith) -> None:
    fill(open_with(OLD), count=STEP + 5)
    store = open_with(BOTH)
    resealing = Resealing(store, BOTH)
    assert resealing.once() == STEP
    with store.changing() as db:
        reached = (
            db.execute(select(t.images.c.event_id).order_by(t.images.c.event_id)).scalars().all()[STEP - 1]
        )
        images.forget(db, [reached])
    assert run(store, BOTH) == STEP + 12
    assert all(BOTH.is_current(key) for key in keys_of(store))


def test_too_early_without_the_old_key_it_is_said_which_one_is_missing(open_with: OpenWith) -> None:
    fill(open_with(OLD))
    store = open_with(NEW)
    row = store.records(RecordQuery()).items[0]
    with pytest.raises(StoreError, match=OLD.name):
        store.image(row.id)
    (kept,) = store.quarantined().items  # to list it takes no key
    with pytest.raises(StoreError, match=OLD.name):
        store.pushed(kept)
    before = keys_of(store)
    with pytest.raises(
        StoreError, match=rf"encrypted with the key {OLD.name}; give that key in image_key_file"
    ):
        Resealing(store, NEW).once()
    assert keys_of(store) == before
    store = open_with(BOTH)
    assert run(store, BOTH) == 8


def test_without_keys_there_is_nothing_to_do(open_with: OpenWith) -> None:
    store = open_with(NONE)
    assert Resealing(store, NONE).once() is None


def test_who_is_erased_is_found_in_a_sealed_quarantine_too(open_with: OpenWith) -> None:
    store = open_with(NEW)
    fill(store)
    assert erase(store, Whom(user_id="77"), now_ms=RECEIVED_MS).quarantined == 1


def test_a_backup_is_as_sealed_as_the_store_and_the_check_knows_it(tmp_path: Path) -> None:
    with_store = packing(SqliteStore.open(tmp_path / "data", keys=NEW))
    fill(with_store)
    with_store.close()
    assert check(tmp_path / "data").ok
    backup(tmp_path / "backup", folder=tmp_path / "data", now=0.0)
    stored = (tmp_path / "backup").read_bytes()
    assert b"a face that nobody" not in stored
    assert TEXT[:40] not in stored
    restore(tmp_path / "backup", folder=tmp_path / "again")
    again = SqliteStore.open(tmp_path / "again", keys=NEW)
    is_whole(again, 6, 1)
    again.close()


def test_a_sample_of_a_refused_body_is_sealed_and_a_new_key_deletes_it(open_with: OpenWith) -> None:
    store = open_with(OLD)
    store.note_refused({refused(): times()}, {("10.0.0.9", "no JSON"): sample(b"somebody")})
    with store.reading() as db:
        (kept,) = db.execute(select(t.refusal_samples.c.id, t.refusal_samples.c.sample))
    assert b"somebody" not in bytes(kept.sample)
    found = store.refusal_sample(kept.id)
    assert found is not None
    assert found.content == b"somebody"
    store = open_with(BOTH)
    store.note_refused({}, {("10.0.0.8", "no JSON"): sample(b"another")})
    resealing = Resealing(store, BOTH)
    while resealing.once() is not None:
        pass
    assert store.refusal_sample(kept.id) is None
    assert store.drop_refusal_samples() == 1
