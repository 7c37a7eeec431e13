"""Quarantined pushes are processed again through the journal: listed once, as if they had been understood at first."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.packing import packing
from tests.receiver.kit import Clock
from tests.store.conftest import (  # noqa: F401 - fixtures
    empty_folder,
    open_postgres,
    open_sqlite,
    open_store,
)
from tests.store.events import JPEG, NOON, RECEIVED_MS, alarm, arrival, record, unknown
from tests.store.files import bytes_of
from tests.terminals import ensured

from gatepost import wire
from gatepost.errors import JournalUnavailable, StoreUnavailable
from gatepost.receiver.ingest.commit.frames import Frames
from gatepost.receiver.jobs.desk_writer import DeskWriter
from gatepost.receiver.jobs.projector.projector import Projector
from gatepost.receiver.jobs.reprocessing import ProcessedAgain, Reprocessing
from gatepost.store.base import BaseStore
from gatepost.store.conversion.values import DAY_MS
from gatepost.store.images.encryption import ImageKeys
from gatepost.store.interface import AlarmQuery, Arrival, Progress, RecordQuery, Stored
from gatepost.store.sqlite.store import SqliteStore

NO_JPEG = b"\x89PNG a face that nobody may see" * 80


class Desk:
    """A store, its journal, and what lists the one into the other."""

    def __init__(self, store: BaseStore, keys: ImageKeys) -> None:
        assert store.packs is not None
        ensured(store, "SN-1", now_ms=RECEIVED_MS)
        self.store, self.packs = store, store.packs
        frames = Frames(store.secret, keys)
        folder = store.packs.folder
        self.projector = Projector(
            folder, store, frames, now=lambda: RECEIVED_MS / 1000, monotonic=Clock(0.0)
        )
        self.reprocessing = Reprocessing(store, DeskWriter(folder, frames), self.catch_up)

    def catch_up(self) -> None:
        while self.projector.step():
            pass

    def quarantine(self, *pushes: wire.Event | bytes, **fields: Any) -> list[int]:
        """Put what a terminal pushed into the quarantine, as it came; return the ids."""
        batch = []
        for number, push in enumerate(pushes):
            whole = push if isinstance(push, bytes) else wire.encode(push)  # type: ignore[arg-type]  # no Unknown
            one = arrival(unknown(number), **fields)
            key = wire.digest(f"{number} {whole!r}")
            batch.append(replace(one, original=whole, key=key))
        return [one.id for one in self.store.write(batch)]

    def process(self, ids: Sequence[int]) -> tuple[int, int, int]:
        """Return how many are stored, duplicates, and still unknown."""
        done = self.reprocessing.process(self.store, ids)
        assert isinstance(done, ProcessedAgain)
        return done.stored, done.duplicates, done.still_unknown


@pytest.fixture
def desk(open_store: Callable[[], BaseStore]) -> Iterator[Desk]:  # noqa: F811
    desk = Desk(open_store(), ImageKeys())
    yield desk
    desk.projector.close(timeout_s=0)


@pytest.fixture
def sealed(empty_folder: Path, tmp_path: Path) -> Iterator[Desk]:  # noqa: F811
    keys = ImageKeys([b"k" * 32])
    store = packing(SqliteStore.open(tmp_path / "sealed", keys=keys))
    desk = Desk(store, keys)
    yield desk
    desk.projector.close(timeout_s=0)
    store.close()


def test_what_is_understood_is_listed_and_leaves_the_quarantine(desk: Desk) -> None:
    event = record(1, image=JPEG, user=wire.User(user_id="1", name="n", pin="1234"))
    ids = desk.quarantine(event, event, b'{"type":7}')
    assert desk.process(ids) == (1, 1, 1)
    (row,) = desk.store.records(RecordQuery()).items
    assert (row.has_image, desk.store.image(row.id)) == (True, JPEG)
    assert b"1234" not in (row.original or b"")
    assert row.person is not None
    assert row.person.name == "n"
    (left,) = desk.store.quarantined().items
    assert (left.id, left.tries) == (ids[2], 1)


def test_an_alarm_is_listed_with_its_image(desk: Desk) -> None:
    ids = desk.quarantine(alarm("T", 1, image=JPEG), alarm("T", 3))
    assert desk.process(ids) == (2, 0, 0)
    (row,) = desk.store.alarms(AlarmQuery()).items
    assert [desk.store.image(step.id) for step in row.history] == [JPEG, None]
    assert row.state == "cleared"


def test_its_images_are_in_packs_of_the_kind_of_event_and_of_the_day_of_receipt(desk: Desk) -> None:
    stranger = record(2, image=JPEG, user=None, recognition_type=0)
    ids = desk.quarantine(record(1, image=JPEG), stranger, alarm("T", image=JPEG))
    ids += desk.quarantine(record(3, image=JPEG), received_at_ms=RECEIVED_MS - 5 * DAY_MS)
    before = {pack.name for pack in desk.packs.all()}
    assert desk.process(ids) == (4, 0, 0)
    made = [pack for pack in desk.packs.all() if pack.name not in before]
    assert [(pack.kind, (pack.day - NOON.date()).days) for pack in made] == [
        ("alarms", 0),
        ("people", -5),
        ("people", 0),
        ("strangers", 0),
    ]
    assert all(desk.store.image(row.id) == JPEG for row in desk.store.records(RecordQuery()).items)


@pytest.mark.parametrize("crash_at", ["discard_quarantined", "tried_quarantined"])
def test_what_is_processed_again_after_a_crash_between_its_steps_is_a_duplicate(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, crash_at: str
) -> None:
    def crash(ids: object) -> int:
        raise KeyboardInterrupt

    (kept,) = desk.quarantine(record(1, image=JPEG))
    with monkeypatch.context() as patch:
        patch.setattr(desk.store, crash_at, crash)
        with pytest.raises(KeyboardInterrupt):
            desk.process([kept])
    assert len(desk.store.records(RecordQuery()).items) == 1
    is_left = crash_at == "discard_quarantined"
    assert len(desk.store.quarantined().items) == is_left
    assert desk.process([kept]) == ((0, 1, 0) if is_left else (0, 0, 0))
    assert desk.store.quarantined().items == ()
    (row,) = desk.store.records(RecordQuery()).items
    assert desk.store.image(row.id) == JPEG


def test_what_the_terminal_pushed_again_meanwhile_is_a_duplicate(desk: Desk) -> None:
    (kept,) = desk.quarantine(alarm())
    desk.store.write([arrival(alarm(), key=wire.key_digest(wire.key(alarm()), desk.store.secret))])
    assert desk.process([kept]) == (0, 1, 0)
    assert len(desk.store.alarms(AlarmQuery()).items[0].history) == 1
    assert desk.store.quarantined().items == ()


def test_of_what_is_not_there_nothing_is_processed_and_nothing_twice(desk: Desk) -> None:
    assert desk.process([]) == desk.process([10**15]) == (0, 0, 0)
    (kept,) = desk.quarantine(record(1))
    assert desk.process([kept, kept]) == (1, 0, 0)
    assert desk.process([kept]) == (0, 0, 0)


def test_the_image_of_a_record_is_not_deleted_by_its_id(desk: Desk) -> None:
    """Ids of records and of the quarantine are of one sequence, and a client may give any."""
    (listed,) = desk.store.write([arrival(record(1), image=JPEG)])
    assert desk.process([listed.id]) == (0, 0, 0)
    assert desk.store.discard_quarantined([listed.id]) == 0
    assert desk.store.image(listed.id) == JPEG


def test_every_try_without_success_is_counted(desk: Desk) -> None:
    (kept,) = desk.quarantine(b'{"type":7}')
    for tries in (1, 2, 3):
        assert desk.process([kept]) == (0, 0, 1)
        assert [row.tries for row in desk.store.quarantined().items] == [tries]


def test_what_arrived_first_is_listed_as_having_arrived_then(desk: Desk) -> None:
    ids = desk.quarantine(record(1), received_at_ms=RECEIVED_MS - 5000, peer="10.9.9.9")
    assert desk.process(ids) == (1, 0, 0)
    (row,) = desk.store.records(RecordQuery()).items
    assert (row.received_at - NOON).total_seconds() == -5
    assert row.peer == "10.9.9.9"
    assert desk.store.peers() == {}


def test_a_long_text_that_no_field_knows_stays_with_the_event(desk: Desk) -> None:
    whole = wire.encode(record(1, image=JPEG))[:-1] + b',"snapshot":"' + b"x" * 5000 + b'"}'
    assert desk.process(desk.quarantine(whole)) == (1, 0, 0)
    (row,) = desk.store.records(RecordQuery()).items
    assert b"xxx" not in (row.original or b"")
    assert b'"snapshot":"' + b"x" * 5000 + b'"' in desk.store.original(row.id, row.original or b"")
    assert desk.store.image(row.id) == JPEG


def test_with_image_keys_a_quarantined_push_is_shown_and_processed_as_it_came(sealed: Desk) -> None:
    original = wire.encode(record(1, image=JPEG))
    ids = sealed.quarantine(original)
    (row,) = sealed.store.quarantined().items
    assert sealed.store.pushed(row) == original
    assert len(original) - len(row.original) < row.size
    assert sealed.process(ids) == (1, 0, 0)
    (listed,) = sealed.store.records(RecordQuery()).items
    assert sealed.store.image(listed.id) == JPEG
    assert JPEG not in bytes_of(sealed.store)


def test_an_image_that_cannot_be_decoded_is_encrypted_or_nowhere(sealed: Desk) -> None:
    desk = sealed
    assert desk.process(desk.quarantine(record(1, image=NO_JPEG))) == (1, 0, 0)
    assert base64.b64encode(NO_JPEG)[:200] not in bytes_of(desk.store)
    (row,) = desk.store.records(RecordQuery()).items
    assert [problem.where for problem in row.problems] == ["data.rgb_image"]
    assert base64.b64encode(NO_JPEG) in desk.store.original(row.id, row.original or b"")


def test_an_event_that_the_store_refuses_holds_up_no_other_and_stays(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = desk.quarantine(record(0), record(1, image=JPEG), record(2))
    write = desk.store.write

    def choke(batch: Sequence[Arrival], progress: Progress | None = None) -> list[Stored]:
        if any(isinstance(one.event, wire.Record) and one.event.uuid == "uuid-000001" for one in batch):
            raise ValueError("a defect")
        return write(batch, progress)

    with monkeypatch.context() as patch:
        patch.setattr(desk.store, "write", choke)
        for _ in range(2):
            desk.process(kept)
            assert [row.uuid for row in desk.store.records(RecordQuery()).items] == [
                "uuid-000002",
                "uuid-000000",
            ]
            left = desk.store.quarantined().items
            assert kept[1] in [row.id for row in left]
        # Whatever it is kept as, to process that again loses nothing either.
        for _ in range(2):
            desk.process([row.id for row in left])
            assert desk.store.quarantined().items
    desk.process([row.id for row in desk.store.quarantined().items])
    (row,) = (row for row in desk.store.records(RecordQuery()).items if row.uuid == "uuid-000001")
    assert desk.store.image(row.id) == JPEG
    assert desk.store.quarantined().items == ()


def test_one_push_that_cannot_be_decoded_for_a_defect_of_ours_holds_up_no_other(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = desk.quarantine(record(0), record(1))
    pushed = desk.store.pushed

    def choke(row: Any) -> bytes:
        if row.id == kept[0]:
            raise ZeroDivisionError
        return pushed(row)

    monkeypatch.setattr(desk.store, "pushed", choke)
    assert desk.process(kept) == (1, 0, 1)
    assert [(row.id, row.tries) for row in desk.store.quarantined().items] == [(kept[0], 1)]


def test_where_the_journal_takes_nothing_everything_stays_and_it_is_said(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise JournalUnavailable("no room")

    kept = desk.quarantine(record(1))
    with monkeypatch.context() as patch:
        patch.setattr("gatepost.receiver.jobs.desk_writer.Writer.append_with_images", full)
        with pytest.raises(StoreUnavailable, match="try again"):
            desk.process(kept)
    assert [row.id for row in desk.store.quarantined().items] == kept
    assert desk.process(kept) == (1, 0, 0)


def test_what_is_not_listed_in_time_stays_and_is_a_duplicate_later(desk: Desk) -> None:
    def late() -> None:
        raise StoreUnavailable("not listed yet")

    kept = desk.quarantine(record(1, image=JPEG))
    writer = DeskWriter(desk.packs.folder, Frames(desk.store.secret, ImageKeys()))
    slow = Reprocessing(desk.store, writer, late)
    with pytest.raises(StoreUnavailable):
        slow.process(desk.store, kept)
    assert [row.id for row in desk.store.quarantined().items] == kept
    desk.catch_up()
    assert desk.process(kept) == (0, 1, 0)
    assert len(desk.store.records(RecordQuery()).items) == 1


def test_images_that_came_with_a_duplicate_give_their_room_back(desk: Desk) -> None:
    event = record(1, image=JPEG)
    (first, second) = desk.quarantine(event, event)
    assert desk.process([first]) == (1, 0, 0)
    before = {pack.name: pack for pack in desk.packs.all()}
    assert desk.process([second]) == (0, 1, 0)
    (made,) = (pack for pack in desk.packs.all() if pack.name not in before)
    data = (desk.packs.folder.packs / made.name).read_bytes()
    assert data[-len(JPEG) :].count(0) == len(JPEG)
    (row,) = desk.store.records(RecordQuery()).items
    assert desk.store.image(row.id) == JPEG
