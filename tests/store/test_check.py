"""Looking a store through."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.journal.kit import write_later_version
from tests.store.events import JPEG, RECEIVED_MS, alarm, arrival, record
from tests.terminals import ensured

from gatepost.errors import StoreError, StoreInUse
from gatepost.journal.folder import Folder
from gatepost.journal.writer import Writer
from gatepost.store.base import BaseStore
from gatepost.store.check import EXAMPLES, check
from gatepost.store.folder import JOURNAL
from gatepost.store.images import DayFiles
from gatepost.store.postgres import PostgresStore
from gatepost.store.sqlite import SqliteStore
from gatepost.store.store import RecordQuery

DAY = RECEIVED_MS // 86_400_000


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    if request.param == "sqlite":
        return {"folder": tmp_path / "data"}
    return {"folder": tmp_path, "database": request.getfixturevalue("postgres_url")}


def open_at(place: dict[str, Any]) -> BaseStore:
    return PostgresStore.open(place["database"]) if "database" in place else SqliteStore.open(place["folder"])


def alter(place: dict[str, Any], images: str) -> None:
    """Do to the images what no store would do."""
    if "database" in place:
        with psycopg.connect(place["database"], autocommit=True) as db:
            db.execute(images.replace("?", f"{DAY}, 999, 'x'").replace("(id, data)", "(day, id, data)"))
    else:
        with closing(sqlite3.connect(next((place["folder"] / "images").glob("*.db")))) as db:
            db.execute(images.replace("?", "999, x'00'").replace("'GIF89a'", "x'474946383961'"))
            db.commit()


def fill(place: dict[str, Any]) -> list[int]:
    store = open_at(place)
    ensured(store, "SN-1", now_ms=0)
    stored = store.write([arrival(record(n), image=JPEG) for n in range(9)] + [arrival(alarm(), image=JPEG)])
    store.close()
    return [s.id for s in stored]


def test_a_sound_store_is_found_sound_also_while_it_is_open(place: dict[str, Any]) -> None:
    fill(place)
    store = open_at(place)
    report = check(**place)
    store.close()
    assert report.ok
    assert (report.events, report.images) == (10, 10)


def test_records_whose_image_is_gone_are_named_and_listed_without_after_a_repair(
    place: dict[str, Any],
) -> None:
    ids = fill(place)
    alter(place, "DELETE FROM images")
    report = check(**place)
    (finding,) = report.findings
    assert finding.kind == "record without image"
    assert finding.count == 10
    assert finding.examples[0] == f"record {ids[0]}"
    assert len(finding.examples) == EXAMPLES
    assert "--repair" in finding.advice
    assert check(**place, repair=True).repaired == 10
    assert check(**place).ok
    store = open_at(place)
    assert not any(row.has_image for row in store.records(RecordQuery()).items)
    assert len(store.records(RecordQuery(has_image=False)).items) == 9
    store.close()


def test_images_without_a_record_are_named_and_deleted_by_a_repair(place: dict[str, Any]) -> None:
    fill(place)
    alter(place, "INSERT INTO images (id, data) VALUES (?)")
    kinds = {finding.kind: finding.count for finding in check(**place).findings}
    assert kinds == {"image without record": 1, "image that is no JPEG, PNG, WebP or BMP": 1}
    check(**place, repair=True)
    assert check(**place).ok


def test_the_places_of_images_that_a_repair_deletes_are_not_given_again(tmp_path: Path) -> None:
    place: dict[str, Any] = {"folder": tmp_path / "data"}
    fill(place)
    alter(place, "INSERT INTO images (id, data) VALUES (?)")
    check(**place, repair=True)
    files = DayFiles(tmp_path / "data" / "images")
    assert files.reserve(DAY, 1) > 999
    files.close()


def test_thousands_of_images_without_a_record_are_deleted_by_a_repair(tmp_path: Path) -> None:
    place: dict[str, Any] = {"folder": tmp_path / "data"}
    fill(place)
    files = DayFiles(tmp_path / "data" / "images")
    for day in (DAY, DAY + 1):
        first = files.reserve(day, 1100)
        files.add([(first + n, JPEG[:20]) for n in range(1100)])
    files.close()
    assert check(**place, repair=True).repaired == 2200
    assert check(**place).ok


def test_images_that_are_no_jpeg_are_named_and_kept(place: dict[str, Any]) -> None:
    ids = fill(place)
    alter(place, "UPDATE images SET data = 'GIF89a'")
    check(**place, repair=True)
    (finding,) = check(**place).findings
    assert (finding.kind, finding.count) == ("image that is no JPEG, PNG, WebP or BMP", 10)
    assert "backup" in finding.advice
    store = open_at(place)
    assert store.image(ids[0]) == b"GIF89a"
    store.close()


def test_a_repair_of_a_folder_that_is_in_use_is_refused(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "data")
    with pytest.raises(StoreInUse):
        check(tmp_path / "data", repair=True)
    store.close()


def test_a_damaged_database_and_a_damaged_day_are_named(tmp_path: Path) -> None:
    place: dict[str, Any] = {"folder": tmp_path / "data"}
    fill(place)
    day = next((tmp_path / "data" / "images").glob("*.db"))
    whole = day.read_bytes()
    day.write_bytes(whole[:16384] + b"\xff" * (len(whole) - 16384))
    kinds = {finding.kind for finding in check(**place).findings}
    assert "damaged file" in kinds
    day.write_bytes(whole)
    database = tmp_path / "data" / "gatepost.db"
    whole = database.read_bytes()
    database.write_bytes(whole[:-8192] + b"\xff" * 8192)
    (finding,) = check(**place).findings
    assert finding.kind == "damaged file"
    assert "restore" in finding.advice


def test_where_there_is_no_store_that_is_said(place: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match="there is no store"):
        check(**place)


def test_a_move_that_is_not_completed_is_named_and_completed_by_a_repair(place: dict[str, Any]) -> None:
    fill(place)
    store = open_at(place)
    site = store.create_site("Berlin", "Europe/Berlin", now_ms=0)
    store.update_terminal(1, site_id=site.id)
    store.close()
    (finding,) = check(**place).findings
    assert (finding.kind, finding.count) == ("record of a person at another site than its terminal", 9)
    assert check(**place, repair=True).repaired == 5  # people, who take their records along
    assert check(**place).ok


def test_what_is_wrong_with_the_journal_is_named(place: dict[str, Any]) -> None:
    fill(place)
    assert check(**place).ok
    journal = Folder.open(place["folder"] / JOURNAL)
    writers = [Writer(journal) for _ in range(3)]
    for writer in writers:
        writer.append([b"first"])
        writer.append([b"second"])
        writer.close()
    assert check(**place).ok
    damaged = journal.segment(writers[0].stream, 1)
    damaged.write_bytes(damaged.read_bytes().replace(b"first", b"fIrst"))
    write_later_version(journal.segment(writers[1].stream, 1))
    names = ["damaged-1-records-000001-0", "unlisted-0123"]
    for name in names:
        (journal.path / name).write_bytes(b"")
    before = {path.name: path.read_bytes() for path in journal.path.iterdir()}
    report = check(**place)
    assert [(one.kind, one.count) for one in report.findings] == [
        ("event that is not listed", 1),
        ("damaged place in the journal", 2),
        ("part of the journal that cannot be read now", 1),
    ]
    examples = [example for one in report.findings for example in one.examples]
    assert examples[:2] == [names[1], names[0]]
    assert examples[2].startswith(f"{writers[0].stream}, segment 1, byte ")
    assert "version 2" in examples[3]
    assert {path.name: path.read_bytes() for path in journal.path.iterdir()} == before


def test_without_a_data_folder_the_journal_of_the_folder_it_is_run_in_is_none_of_its_business(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill({"folder": tmp_path, "database": postgres_url})
    (tmp_path / JOURNAL).mkdir()
    (tmp_path / JOURNAL / "unlisted-0123").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    assert check(None, postgres_url).ok
