"""What was synced stays; of what was not, anything may be there or not."""

import random
from pathlib import Path

import pytest

from gatepost.torture.power_loss.disk_model import (
    CrashState,
    Create,
    Delete,
    DiskModel,
    Mark,
    Op,
    Sync,
    Truncate,
    Write,
)


def left(*ops: Op, tries: int = 300) -> set[bytes | None]:
    """Everything that may be left of the file ``f`` after these."""
    disk = DiskModel()
    disk.ops.extend(ops)
    return {next(iter(disk.cuts([len(ops)], random.Random(seed)))).files.get("f") for seed in range(tries)}


A, B = b"a" * 512, b"b" * 512


def test_what_was_synced_stays() -> None:
    assert left(Create("f"), Write("f", 0, A), Write("f", 512, B), Sync("f")) == {A + B}


def test_what_was_not_synced_may_be_there_or_not_and_so_may_the_file() -> None:
    assert left(Create("f"), Write("f", 0, A)) >= {None, A}


def test_a_later_write_may_be_there_without_an_earlier_one() -> None:
    seen = left(Create("f"), Sync("f"), Write("f", 0, A), Write("f", 512, B))
    assert seen >= {b"", A, A + B, bytes(512) + B}


def test_a_write_may_be_there_in_part_by_whole_sectors() -> None:
    seen = left(Create("f"), Write("f", 0, bytes(1024)), Sync("f"), Write("f", 0, A + B), tries=2000)
    assert seen >= {bytes(1024), A + B, A + bytes(512), bytes(512) + B}


def test_a_size_may_be_the_old_one_or_the_new_one() -> None:
    assert left(Create("f"), Write("f", 0, A + B), Sync("f"), Truncate("f", 512)) == {A, A + B}
    assert left(Create("f"), Write("f", 0, A), Sync("f"), Truncate("f", 1024), Sync("f")) == {A + bytes(512)}


def test_a_deletion_that_was_not_synced_may_be_undone() -> None:
    synced = (Create("f"), Write("f", 0, A), Sync("f"))
    assert left(*synced, Delete("f", False)) == {A, None}
    assert left(*synced, Delete("f", True)) == {None}


def test_a_file_made_anew_may_be_the_old_one_until_its_name_is_synced() -> None:
    again = (Create("f"), Write("f", 0, A), Sync("f"), Delete("f", False), Create("f"), Write("f", 0, B))
    assert left(*again) >= {A, None, B}
    assert left(*again, Sync("f")) == {B}


def test_the_first_sync_of_a_new_file_syncs_the_folder_and_what_was_deleted_in_it() -> None:
    ops = (
        Create("f"),
        Write("f", 0, A),
        Sync("f"),
        Delete("f", False),
        Create("g"),
        Write("g", 0, B),
        Sync("g"),
    )
    assert left(*ops) == {None}
    elsewhere = (*ops[:4], Create("sub/g"), Write("sub/g", 0, B), Sync("sub/g"))
    assert left(*elsewhere) == {A, None}


def test_only_what_was_marked_before_the_cut_must_survive() -> None:
    disk = DiskModel()
    disk.ops.extend([Mark("a"), Create("f"), Mark("b")])
    assert [sorted(rest.safe) for rest in disk.cuts([0, 1, 2, 3], random.Random(1))] == [
        [],
        ["a"],
        ["a"],
        ["a", "b"],
    ]


def test_the_same_seed_makes_the_same_cuts() -> None:
    disk = DiskModel()
    disk.ops.extend(Write("f", number * 512, A) for number in range(50))
    first, again = (list(disk.cuts(range(0, 50, 5), random.Random(3))) for _ in range(2))
    assert first == again


def test_what_is_left_can_be_written_to_a_folder(tmp_path: Path) -> None:
    CrashState(1, {"f": A, "sub/g": B}, frozenset()).write(tmp_path)
    assert (tmp_path / "f").read_bytes() == A
    assert (tmp_path / "sub" / "g").read_bytes() == B


@pytest.mark.parametrize("offset", [0, 100])
def test_a_write_beyond_the_end_leaves_a_hole_of_zeros(offset: int) -> None:
    assert left(Create("f"), Write("f", offset, A), Sync("f")) == {bytes(offset) + A}
