"""A receiver whose disk runs out of room while nothing can be listed."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.faults.disks import DISKS
from tests.faults.test_acknowledged_is_stored import held_up
from tests.receiver.kit import SUCCESS, Process, body, record

MB = 1024 * 1024
MODEL = (sys.executable, str(Path(__file__).with_name("small_disk.py")))


@contextlib.contextmanager
def small_disk(folder: Path, *, is_real: bool) -> Iterator[tuple[Path, Sequence[str]]]:
    """A folder on a disk of 8 MB, and what a receiver is started by there."""
    if is_real:
        with DISKS["file system"](folder) as disk:
            yield disk.folder, ()
    else:
        yield folder, MODEL


@pytest.mark.parametrize("is_real", [*([True] if "file system" in DISKS else []), False])
async def test_a_disk_keeps_the_room_that_it_takes_to_list_what_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_real: bool
) -> None:
    """Else the database, which needs room to list them, and the journal, which needs it to be read, wait for ever.

    The model of a disk is for machines on which no file system can be mounted; it runs everywhere, so that it is true.
    """
    monkeypatch.setenv("GATEPOST_MIN_FREE_BYTES", str(MB))
    monkeypatch.setenv("GATEPOST_JOURNAL_MAX_BYTES", str(100 * MB))
    with small_disk(tmp_path, is_real=is_real) as (folder, before):
        process = await Process.start(folder / "data", before=before)
        try:
            acknowledged = 0
            with held_up(folder / "data"):
                while True:
                    push = body(
                        record(
                            uuid=f"number-{acknowledged:06d}", **{f"field-{n}": "x" * 1000 for n in range(20)}
                        )
                    )
                    answer = await process.request("POST", "/Record", push)
                    if answer.status == 503:
                        break
                    assert answer.json == SUCCESS
                    acknowledged += 1
                assert answer.json["message"] == "the receiver's journal is full; send it again later"
                assert "min_free_bytes" in (await process.request("GET", "/readyz")).json["detail"]
            assert len(await process.everything()) == acknowledged > 10
            while (await process.request("GET", "/readyz")).json != {"status": "ok"}:
                pass
            assert (await process.request("POST", "/Record", push)).json == SUCCESS
        finally:
            assert await process.stop() == 0
