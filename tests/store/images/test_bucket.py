"""Packs in a bucket: whole, verified, read by ranges, and kept here while the bucket is away. A real server for S3."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import obstore
import pytest
from tests.bucket import BUCKET, SeaweedFS, seaweedfs
from tests.packing import packing
from tests.store.events import arrival, record
from tests.terminals import ensured

from gatepost.errors import JournalGone, JournalUnavailable, SettingsError
from gatepost.journal.folder import Folder
from gatepost.journal.packs.archive import FolderArchive, Succession
from gatepost.journal.packs.files import parse_name
from gatepost.journal.packs.packs import Packs
from gatepost.journal.places import Image, Place
from gatepost.journal.reader import Reader
from gatepost.journal.writer import Writer
from gatepost.receiver.jobs.archiving import Archiving
from gatepost.receiver.opening import open_store
from gatepost.settings import ReceiverSettings
from gatepost.store.images.bucket import MARKER, Bucket
from gatepost.store.interface import RecordQuery, Store
from gatepost.store.maintenance.backup import backup
from gatepost.store.maintenance.check import check
from gatepost.store.maintenance.restore import restore

FACE = b"\xff\xd8" + bytes(range(256)) * 120 + b"\xff\xd9"
DAY_S = 86_400

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[SeaweedFS]:
    with seaweedfs() as server:
        yield server


@pytest.fixture
def url(server: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/test-{next(_numbers)}"


@pytest.fixture
def journal(tmp_path: Path) -> Folder:
    return Folder.open(tmp_path / "journal")


def appended(writer: Writer, *images: bytes, kind: str = "people") -> list[Place]:
    found: list[Place] = []

    def encode(places: object) -> list[bytes]:
        found.extend(places)  # type: ignore[call-overload]
        return [b"\xc0"]

    writer.append_with_images([Image(kind, data) for data in images], encode)
    return found


def closed(journal: Folder, *images: bytes, kind: str = "people") -> list[Place]:
    with closing(Writer(journal)) as writer:
        return appended(writer, *images, kind=kind)


def names(url: str) -> list[str]:
    return [pack.name for pack in Bucket(url).all()]


def test_a_closed_pack_is_there_whole_and_gone_here(journal: Folder, url: str, tmp_path: Path) -> None:
    one, two = closed(journal, FACE, b"two" * 1000)
    packs = Packs(journal, Bucket(url))
    content = (journal.packs / one.pack).read_bytes()
    assert packs.read(one) == FACE  # open before it is moved
    assert packs.move() == 1
    assert list(journal.packs.iterdir()) == []
    assert Bucket(url).read(one.pack, 0, len(content)) == content
    elsewhere = Packs(Folder.open(tmp_path / "other"), Bucket(url))
    assert (packs.read(one), elsewhere.read(one), elsewhere.read(two)) == (FACE, FACE, b"two" * 1000)
    assert [pack.name for pack in elsewhere.all()] == [one.pack]
    assert elsewhere.disk_bytes() == len(content)
    assert (packs.move(), elsewhere.size(one.pack)) == (0, len(content))


def test_one_that_is_being_written_stays(journal: Folder, url: str) -> None:
    with closing(Writer(journal)) as writer:
        (place,) = appended(writer, FACE)
        packs = Packs(journal, Bucket(url))
        assert packs.move() == 0
        assert (packs.read(place), names(url)) == (FACE, [])


def test_a_move_that_was_cut_off_at_its_end_is_taken_for_done(journal: Folder, url: str) -> None:
    one, two = closed(journal, FACE, b"erased" * 10_000)
    path = journal.packs / one.pack
    content = path.read_bytes()
    assert Packs(journal, Bucket(url)).move() == 1
    path.write_bytes(content)  # as after a crash before it was deleted
    packs = Packs(journal, Bucket(url))
    assert packs.punch([two])  # and an erasure
    assert packs.move() == 1
    assert (packs.read(one), list(journal.packs.iterdir())) == (FACE, [])


@pytest.mark.parametrize("how", ["other bytes", "other size"])
def test_a_pack_that_is_another_one_there_stays_here(journal: Folder, url: str, how: str) -> None:
    (one,) = closed(journal, FACE)
    content = (journal.packs / one.pack).read_bytes()
    other = content[:-1] + bytes([content[-1] ^ 1]) if how == "other bytes" else content[:-1]
    (journal.path / "other").write_bytes(other)
    handle = os.open(journal.path / "other", os.O_RDONLY)
    Bucket(url).put(one.pack, handle)
    os.close(handle)
    packs = Packs(journal, Bucket(url))
    with pytest.raises(JournalUnavailable, match="has another pack"):
        packs.move()
    assert packs.read(one) == FACE
    assert Bucket(url).read(one.pack, 0, len(other)) == other


def test_packs_fall_due_by_kind_and_day_and_nothing_else_is_touched(journal: Folder, url: str) -> None:
    kinds = ("alarms", "people", "peoples", "strangers")
    places = {kind: closed(journal, FACE, kind=kind)[0] for kind in kinds}
    packs = Packs(journal, Bucket(url))
    assert packs.move() == 4
    day = packs.all()[0].day
    assert packs.remove_before("people", day).packs == ()
    assert packs.remove_before("people", date.max).packs == (places["people"].pack,)
    assert sorted(names(url)) == sorted(places[kind].pack for kind in kinds if kind != "people")
    with pytest.raises(JournalGone):
        packs.read(places["people"])


def test_what_was_read_is_kept_within_a_bound(journal: Folder, url: str) -> None:
    places = closed(journal, *(bytes([n]) * 1000 for n in range(8)))
    bucket = Bucket(url, cache_bytes=6000)
    packs = Packs(journal, bucket)
    packs.move()
    for _ in range(2):
        assert [packs.read(place)[0] for place in places] == list(range(8))
        assert bucket._cache._bytes <= 6000
    fetched = []
    true, bucket._fetch = bucket._fetch, lambda *what: fetched.append(what) or true(*what)  # type: ignore[func-returns-value, method-assign]
    for _ in range(3):
        packs.read(places[-1])
        packs.read(places[-2])
    assert fetched == []
    packs.read(places[0])
    assert len(fetched) == 1


def test_while_the_bucket_is_away_packs_stay_and_go_when_it_is_back(
    journal: Folder, server: SeaweedFS, url: str
) -> None:
    places = [closed(journal, bytes([n]) * 5000)[0] for n in range(3)]
    packs = Packs(journal, Bucket(url, mine="this database"))
    with server.away():
        with pytest.raises(JournalUnavailable, match="look at the bucket"):
            packs.move()
        assert [packs.read(place)[0] for place in places] == [0, 1, 2]
        with pytest.raises(JournalUnavailable):
            packs.all()
    assert packs.move() == 3
    assert [packs.read(place)[0] for place in places] == [0, 1, 2]
    with server.away(), pytest.raises(JournalUnavailable, match="cannot be read"):
        Packs(journal, Bucket(url)).read(places[0])
    assert Packs(journal, Bucket(url)).read(places[0])[0] == 0


def test_a_bucket_that_says_nothing_holds_a_small_pack_up_no_longer_than_a_read(
    journal: Folder, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place,) = closed(journal, FACE)
    monkeypatch.setattr("gatepost.store.images.bucket.READ_S", 0.2)  # and PUT_S is ten minutes
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        packs = Packs(journal, Bucket(url))
        with pytest.raises(JournalUnavailable, match="cannot be moved to its archive"):
            packs.bring([place.pack])
    assert packs.read(place) == FACE


def test_what_the_bucket_has_taken_survives_its_kill(journal: Folder, server: SeaweedFS, url: str) -> None:
    (place,) = closed(journal, FACE)
    Packs(journal, Bucket(url)).move()
    with server.killed():
        pass
    assert Packs(journal, Bucket(url)).read(place) == FACE


def test_a_bucket_that_is_none_and_keys_that_are_wrong_are_told_without_them(
    journal: Folder, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed(journal, FACE)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    with pytest.raises(JournalUnavailable) as refused:
        Packs(journal, Bucket(url)).move()
    assert "lacked the necessary privileges" in str(refused.value)
    assert "not-the-secret" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_packs_in_a_folder_are_taken_along_and_read_all_the_while(
    journal: Folder, url: str, tmp_path: Path
) -> None:
    (tmp_path / "shared").mkdir()
    folder = FolderArchive(tmp_path / "shared", journal)
    places = [closed(journal, bytes([n]) * 5000)[0] for n in range(3)]
    assert Packs(journal, folder).move() == 3
    both = Succession(Bucket(url), folder)
    packs = Packs(journal, both)
    assert both.take_along() == 1
    assert (len(folder.all()), len(names(url))) == (2, 1)
    assert [packs.read(place)[0] for place in places] == [0, 1, 2]
    assert sorted(pack.name for pack in packs.all()) == sorted(place.pack for place in places)
    assert packs.move() == 2
    assert (folder.all(), len(names(url))) == ([], 3)
    back = Succession(folder, Bucket(url))
    assert [back.take_along() for _ in range(4)] == [1, 1, 1, 0]
    assert [Packs(journal, folder).read(place)[0] for place in places] == [0, 1, 2]


def opened(url: str, data: Path) -> Store:
    return open_store(ReceiverSettings(packs=url), data)


def test_a_bucket_of_another_database_is_refused(url: str, tmp_path: Path) -> None:
    opened(url, tmp_path / "one").close()
    opened(url, tmp_path / "one").close()
    with pytest.raises(SettingsError, match="images of another database"):
        opened(url, tmp_path / "two")
    opened(f"{url}/elsewhere", tmp_path / "two").close()


def test_a_receiver_starts_while_its_bucket_is_away_and_claims_it_later(
    server: SeaweedFS, url: str, tmp_path: Path
) -> None:
    with server.away():
        store = opened(url, tmp_path / "data")
    with closing(store):
        ensured(store, "SN-1", now_ms=1)
        packing(store).write([arrival(record(1, image=FACE))])
        assert store.packs is not None
        assert store.packs.move() == 1
        assert store.image(store.records(RecordQuery()).items[0].id) == FACE
        with pytest.raises(SettingsError, match="another database"):
            opened(url, tmp_path / "other")


def test_checked_backed_up_and_restored(url: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with closing(opened(url, data)) as store:
        ensured(store, "SN-1", now_ms=1)
        packing(store).write([arrival(record(n, image=FACE + bytes([n]))) for n in range(1, 4)])
        assert store.packs is not None
        assert store.packs.move() == 1
        report = check(data)
        assert (report.findings, report.images) == ((), 3)
        assert backup(tmp_path / "b.tar", folder=data, now=1).images_missing == 0
        (pack,) = names(url)
        obstore.delete(Bucket(url)._reads, pack)
    (lost,) = check(data).findings
    assert (lost.kind, lost.count) == ("event whose image is lost", 3)
    restore(tmp_path / "b.tar", folder=tmp_path / "restored")
    with closing(open_store(ReceiverSettings(), tmp_path / "restored")) as store:
        newest = store.records(RecordQuery()).items[0]
        assert (store.image(newest.id) or b"")[: len(FACE)] == FACE


def test_a_pack_that_no_event_has_goes_a_day_later_and_not_while_events_wait(
    url: str, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    with closing(opened(url, data)) as store:
        packs = store.packs
        assert packs is not None
        ensured(store, "SN-1", now_ms=1)
        packing(store).write([arrival(record(1, image=FACE))])
        (used,) = (pack.name for pack in packs.all())
        writer = Writer(packs.folder)
        (orphan,) = appended(writer, FACE)
        writer.close()
        moment = [_noon(parse_name(orphan.pack)[1])]
        archiving = Archiving(store, packs, now=lambda: moment[0], monotonic=lambda: moment[0])
        archiving.once()
        assert sorted(names(url)) == sorted([used, orphan.pack])
        moment[0] += DAY_S
        archiving.once()
        assert len(names(url)) == 2, "it has its day, and the next one"
        moment[0] += DAY_S
        archiving.once()
        assert len(names(url)) == 2, "the event in the journal may have it"
        findings = check(data, now=lambda: moment[0]).findings
        assert [one.kind for one in findings] == ["pack in the archive that no event has"]
        _read_to_the_end(packs.folder)
        moment[0] += 3600
        archiving.once()
        assert names(url) == [used]
        assert store.image(store.records(RecordQuery()).items[0].id) == FACE


def _noon(day: date) -> float:
    return (day.toordinal() - date(1970, 1, 1).toordinal()) * DAY_S + DAY_S / 2


def _read_to_the_end(journal: Folder) -> None:
    """Take out of the journal what waits there, as if all of it had been listed as duplicates."""
    with closing(Reader(journal, {})) as reader:
        while (batch := reader.read(max_bodies=100, max_bytes=1 << 20)).positions:
            positions = batch.positions
    journal.remove(positions)


def test_the_marker_is_no_pack(url: str, journal: Folder) -> None:
    Bucket(url, mine="this database").claim()
    assert names(url) == []
    assert bytes(obstore.get(Bucket(url)._reads, MARKER).bytes()) == b"this database"
    with pytest.raises(PermissionError):
        Bucket(url, mine="another").claim()
