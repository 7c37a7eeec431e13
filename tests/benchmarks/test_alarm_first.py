"""What the benchmark says that waits does wait, and the receiver lists all of it."""

from contextlib import closing
from pathlib import Path

from benchmarks.alarm_first import fill
from tests.receiver.kit import Process

from gatepost.journal.folder import Folder
from gatepost.store.sqlite.data_folder import JOURNAL
from gatepost.store.sqlite.store import SqliteStore


async def test_the_records_wait_in_the_journal_and_a_receiver_lists_each_of_them(tmp_path: Path) -> None:
    data = tmp_path / "data"
    fill(data, 2500)
    journal = Folder.find(data / JOURNAL)
    assert journal is not None
    assert journal.backlog({}).events == 2500
    with closing(SqliteStore.open(data)) as store:
        assert sum(row.records for row in store.terminals()) == 0
    process = await Process.start(data)
    try:
        listed = await process.everything()
        assert len({item["uuid"] for item in listed}) == len(listed) == 2500
        assert await process.stop() == 0
    finally:
        await process.kill()
