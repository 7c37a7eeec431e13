"""Images, a file a day."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import pytest

from gatepost.errors import StoreError
from gatepost.store import images
from gatepost.store.images import DayFiles, connect_day, day_name, sync_directory

DAY = 19_849


def test_a_day_is_called_by_its_date() -> None:
    assert day_name(0) == "1970-01-01"
    assert day_name(DAY) == "2024-05-06"


def test_images_come_back_from_the_day_they_were_put_into(tmp_path: Path) -> None:
    files = DayFiles(tmp_path / "images")
    for day in (DAY, DAY + 1, DAY):
        first = files.reserve(day, 200)
        files.add([(first + n, b"%d-%d" % (day, n)) for n in range(200)])
    assert files.days() == [DAY, DAY + 1]
    assert files.read(DAY, 1) == b"19849-0"
    assert files.read(DAY, 400) == b"19849-199"
    assert files.read(DAY + 1, 201) is None
    assert files.read(1, 1) is None
    files.close()


def test_ids_go_on_where_the_file_ends(tmp_path: Path) -> None:
    files = DayFiles(tmp_path / "images")
    files.add([(files.reserve(DAY, 1), b"x")])
    files.close()
    files = DayFiles(tmp_path / "images")
    assert files.reserve(DAY, 5) == 2
    assert files.reserve(DAY, 1) == 7
    files.close()


LEAVING: dict[str, list[list[int] | None]] = {
    "the newest": [[3]],
    "the newest twice": [[3], [3]],
    "one after the other": [[3], [2]],
    "all": [[1, 2, 3]],
    "the day": [None],
    "all and then the day": [[1, 2, 3], None],
}
"""The ids that are removed, step by step; ``None``: all of the day."""


@pytest.mark.parametrize("restarts", ["another start", "a closed file", "a copy of the folder"])
@pytest.mark.parametrize("steps", LEAVING.values(), ids=LEAVING)
def test_an_id_is_never_given_again_whatever_was_removed(
    tmp_path: Path, steps: list[list[int] | None], restarts: str
) -> None:
    files = DayFiles(tmp_path / "images")
    first = files.reserve(DAY, 3)
    assert first == 1
    files.add([(number, b"x") for number in (1, 2, 3)])
    for ids in steps:
        if ids is None:
            files.drop(DAY)
        else:
            files.remove(DAY, ids)
    files.close()
    if restarts == "a copy of the folder":
        shutil.copytree(tmp_path / "images", tmp_path / "copy" / "images")
        files = DayFiles(tmp_path / "copy" / "images")
    elif restarts == "another start":
        files = DayFiles(tmp_path / "images")
    assert files.reserve(DAY, 1) > 3
    assert files.reserve(DAY + 1, 1) >= 1
    assert files.reserve(DAY, 1) > 3
    files.close()


def test_an_image_that_is_put_in_a_days_place_after_it_was_dropped_has_an_id_of_its_own(
    tmp_path: Path,
) -> None:
    """Also when there are days behind it that went further, or less far."""
    files = DayFiles(tmp_path / "images")
    for day, count in ((DAY, 5), (DAY + 1, 9), (DAY + 2, 2)):
        first = files.reserve(day, count)
        files.add([(first + n, b"x") for n in range(count)])
    for day in (DAY, DAY + 1, DAY + 2):
        files.drop(day)
    for day, count in ((DAY, 5), (DAY + 1, 9), (DAY + 2, 2)):
        assert files.reserve(day, 1) > count
    files.close()


def of_an_earlier_version(folder: Path, ids: Iterable[int], day: int = DAY) -> None:
    """A day as earlier versions left it."""
    folder.mkdir(exist_ok=True)
    with closing(connect_day(folder / f"{day_name(day)}.db", "rwc")) as db:
        db.execute("PRAGMA page_size = 16384")
        db.execute("CREATE TABLE images (id INTEGER PRIMARY KEY, data BLOB NOT NULL)")
        db.executemany("INSERT INTO images (id, data) VALUES (?, x'00')", [(number,) for number in ids])


@pytest.mark.parametrize("lost", ["never there", "empty", "damaged"])
def test_what_an_earlier_version_removed_is_not_given_again_either(tmp_path: Path, lost: str) -> None:
    """It removed up to a hundred thousand of the newest images, and nothing in the folder says so."""
    folder = tmp_path / "images"
    of_an_earlier_version(folder, range(1, 8))
    of_an_earlier_version(folder, [], DAY + 1)
    if lost != "never there":
        (folder / "given").write_bytes(b"" if lost == "empty" else b"\xff\x00" * 40)
    files = DayFiles(folder)
    first = files.reserve(DAY, 1)
    assert first > 100_007
    files.add([(first, b"y")])
    assert (files.read(DAY, 7), files.read(DAY, first)) == (b"\x00", b"y")
    files.close()
    again = DayFiles(folder)
    assert again.reserve(DAY, 1) == first + 1  # once, and not at every start
    assert again.reserve(DAY + 1, 1) > 100_000
    again.close()


def test_a_day_that_cannot_be_read_is_dropped_and_its_ids_are_not_given_again(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    files = DayFiles(folder)
    files.add([(files.reserve(DAY, 1), b"x")])
    files.close()
    files.path(DAY).write_bytes(b"\xff" * 50_000)
    files.drop(DAY)
    assert files.days() == []
    assert files.reserve(DAY, 1) > 100_000
    files.close()


def test_what_leaves_needs_no_more_room_on_the_disk(tmp_path: Path) -> None:
    files = DayFiles(tmp_path / "images")
    files.add([(files.reserve(DAY, 1), b"x")])
    given = tmp_path / "images" / "given"
    before = given.stat()
    files.drop(DAY)
    after = given.stat()
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)
    files.close()


def test_a_file_syncs_before_it_answers_and_has_large_pages(tmp_path: Path) -> None:
    files = DayFiles(tmp_path / "images")
    files.reserve(DAY, 1)
    db = files._writer
    assert db is not None
    assert db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert db.execute("PRAGMA journal_mode").fetchone() != ("off",)
    assert db.execute("PRAGMA page_size").fetchone() == (16384,)
    files.close()


def test_a_day_is_read_in_order_from_any_place_on(tmp_path: Path) -> None:
    files = DayFiles(tmp_path / "images")
    files.reserve(DAY, 10)
    files.add([(n, bytes([n])) for n in range(1, 11)])
    assert [n for n, _ in files.scan(DAY, step=3)] == list(range(1, 11))
    assert list(files.scan(DAY, 8)) == [(9, b"\x09"), (10, b"\x0a")]
    assert list(files.scan(DAY + 1)) == []
    files.close()


def test_a_day_is_deleted_by_deleting_its_file_also_while_it_is_written(tmp_path: Path) -> None:
    files = DayFiles(tmp_path / "images")
    files.add([(files.reserve(DAY, 1), b"x")])
    files.drop(DAY)
    files.drop(DAY)
    assert list((tmp_path / "images").glob("*.db*")) == []
    anew = files.reserve(DAY, 1)
    files.add([(anew, b"y")])
    assert files.read(DAY, anew) == b"y"
    files.close()


def test_to_add_without_reserving_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="reserved"):
        DayFiles(tmp_path / "images").add([(1, b"x")])


def test_closing_twice_does_no_harm(tmp_path: Path) -> None:
    files = DayFiles(tmp_path / "images")
    files.close()
    files.close()


def test_a_reader_makes_no_folder(tmp_path: Path) -> None:
    files = DayFiles(tmp_path / "images", read_only=True)
    assert files.days() == []
    assert not (tmp_path / "images").exists()


def test_what_a_crash_left_half_written_is_rolled_back_at_the_next_start(tmp_path: Path) -> None:
    files = DayFiles(tmp_path / "images")
    files.add([(files.reserve(DAY, 1), b"x" * 100_000)])
    files.close()
    script = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA cache_size = 1")
db.execute("BEGIN IMMEDIATE")
db.execute("UPDATE images SET data = zeroblob(100000)")
db.executemany("INSERT INTO images (data) VALUES (?)", [(bytes(200000),)] * 50)
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", script, files.path(DAY)], check=False)
    journal = files.path(DAY).with_name(f"{day_name(DAY)}.db-journal")
    assert journal.stat().st_size
    again = DayFiles(tmp_path / "images")
    assert again.read(DAY, 1) == b"x" * 100_000
    assert [n for n, _ in again.scan(DAY)] == [1]


def test_an_image_that_is_deleted_is_overwritten_also_in_the_file_that_is_being_written(
    tmp_path: Path,
) -> None:
    files = DayFiles(tmp_path / "images")
    for day in (DAY, DAY + 1):
        files.reserve(day, 2)
        files.add([(1, b"a face" * 9999), (2, b"another" * 9999)])
    for day in (DAY, DAY + 1):
        assert files.remove(day, [1, 7]) == 1
        assert (files.read(day, 1), files.read(day, 2)) == (None, b"another" * 9999)
        assert b"a facea face" not in files.path(day).read_bytes()
    assert files.remove(DAY + 2, [1]) == 0
    files.reserve(DAY + 1, 1)
    files.add([(3, b"x")])
    assert files.read(DAY + 1, 3) == b"x"


def test_a_day_that_is_dropped_while_it_is_read_is_as_if_it_had_never_been(tmp_path: Path) -> None:
    files = DayFiles(tmp_path / "images")
    files.add([(files.reserve(DAY, 1), b"x")])
    files.drop(DAY)
    assert files.read(DAY, 1) is None
    assert files.days() == []


def test_a_day_that_is_dropped_while_it_is_looked_for_is_as_if_it_had_never_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = DayFiles(tmp_path / "images")

    def dropped_just_then(path: Path, mode: str) -> sqlite3.Connection:
        files.path(DAY).unlink()
        return connect_day(path, mode)

    reads: list[Callable[[], object]] = [
        lambda: files.read(DAY, 1),
        lambda: list(files.scan(DAY)),
        lambda: files.heads(DAY, 0, limit=1),
    ]
    for read in reads:
        files.add([(files.reserve(DAY, 1), b"x")])
        files.close()
        with monkeypatch.context() as patched:
            patched.setattr(images, "connect_day", dropped_just_then)
            assert not read()


def test_a_day_that_is_dropped_while_it_is_read_is_read_to_its_end(tmp_path: Path) -> None:
    files = DayFiles(tmp_path / "images")
    first = files.reserve(DAY, 10)
    files.add([(first + n, b"x") for n in range(10)])
    reading = files.scan(DAY, step=2)
    assert next(reading) == (1, b"x")
    files.drop(DAY)
    assert len(list(reading)) == 9


def test_a_file_can_be_opened_to_read_only(tmp_path: Path) -> None:
    files = DayFiles(tmp_path / "images")
    files.add([(files.reserve(DAY, 1), b"x")])
    files.close()
    with closing(connect_day(files.path(DAY), "ro")) as db, pytest.raises(sqlite3.OperationalError):
        db.execute("DELETE FROM images")


def test_syncing_what_is_no_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    sync_directory(tmp_path)
    with pytest.raises(NotADirectoryError):
        sync_directory(tmp_path / "file")


def test_a_power_cut_while_a_days_file_was_being_made_is_recovered_at_the_next_start(tmp_path: Path) -> None:
    """What is on disk in the middle of the first transaction of a day: a journal, and pages that it takes back."""
    made, left = tmp_path / "made", tmp_path / "left"
    made.mkdir()
    left.mkdir()
    with closing(connect_day(made / f"{day_name(DAY)}.db", "rwc")) as db:
        db.execute("PRAGMA cache_size = 1")
        db.execute("BEGIN")
        db.execute("CREATE TABLE images (id INTEGER PRIMARY KEY, data BLOB NOT NULL)")
        db.execute("INSERT INTO images (id, data) VALUES (1, zeroblob(200000))")
        for path in made.iterdir():
            (left / path.name).write_bytes(path.read_bytes())
    assert (left / f"{day_name(DAY)}.db-journal").stat().st_size > 0
    files = DayFiles(left)
    first = files.reserve(DAY, 1)
    files.add([(first, b"x")])
    assert list(files.scan(DAY)) == [(first, b"x")]
    files.close()
