import json
from pathlib import Path

import pytest
from tests.receiver.kit import JPEG, SUCCESS, alarm, base64, receiving, record

from gatepost.cli import run
from gatepost.errors import StoreCorrupt
from gatepost.journal.folder import Folder, Position
from gatepost.journal.writer import Writer
from gatepost.receiver.opening import open_store
from gatepost.settings import ReceiverSettings
from gatepost.store.sqlite import SqliteStore
from gatepost.store.store import Progress, RecordQuery


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEPOST_LANG", "en")


async def filled(folder: Path) -> None:
    async with receiving(folder) as receiver:
        for number in range(20):
            push = record(uuid=f"u-{number}", rgb_image=base64(JPEG))
            assert (await receiver.push(push)).json == SUCCESS
        await receiver.push(alarm())


async def test_a_backup_that_is_taken_while_the_receiver_runs_restores_to_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backup = tmp_path / "backup.tar"
    async with receiving(tmp_path / "data") as receiver:
        for number in range(20):
            await receiver.push(record(uuid=f"u-{number}", rgb_image=base64(JPEG)))
        receiver.settle()
        assert run(["backup", str(backup), "--data", str(tmp_path / "data")]) == 0
        before = receiver.records()
    assert run(["restore", str(backup), "--data", str(tmp_path / "other")]) == 0
    assert "20 records" in capsys.readouterr().out
    store = SqliteStore.open(tmp_path / "other")
    after = list(store.records(RecordQuery(limit=1000)).items)
    assert after == before
    assert [store.image(row.id) for row in after] == [JPEG] * 20
    store.close()


def test_a_backup_tells_what_waits_in_the_journal_and_what_it_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = SqliteStore.open(tmp_path / "data")
    store.write([], Progress(b"o" * 16, {"1-a-records": Position(2, 0, 9)}))
    store.close()
    journal = Folder.open(tmp_path / "data" / "journal")
    writer = Writer(journal)
    writer.append([b"first", b"second", b"third"])
    writer.finish()
    damaged = journal.segment(writer.stream, 1)
    damaged.write_bytes(damaged.read_bytes().replace(b"second", b"xxxxxx"))
    assert run(["backup", str(tmp_path / "b.tar"), "--data", str(tmp_path / "data")]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "2 journal_events" in said[0]
    assert said[1:] == [
        "not in it: 1 stretches of the journal that cannot be read",
        f"not in it: what waits in other journals ({'6f' * 16}); keep the data folders of their receivers",
    ]
    assert run(["restore", str(tmp_path / "b.tar"), "--data", str(tmp_path / "other")]) == 0
    assert "2 journal_events" in capsys.readouterr().out
    writer.close()


def test_a_receiver_does_not_start_where_a_restore_was_cut_off(tmp_path: Path) -> None:
    (tmp_path / "restoring").mkdir()
    for database in ("", "postgresql://127.0.0.1:1/x"):
        with pytest.raises(StoreCorrupt, match="was cut off"):
            open_store(ReceiverSettings(database=database), tmp_path)


async def test_a_sound_store_is_called_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await filled(tmp_path / "data")
    assert run(["check-store", "--data", str(tmp_path / "data")]) == 0
    assert "nothing is wrong" in capsys.readouterr().out


async def test_what_is_wrong_is_said_with_what_to_do_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await filled(tmp_path / "data")
    (day,) = (tmp_path / "data" / "images").glob("*.db")
    day.unlink()
    capsys.readouterr()
    assert run(["check-store", "--data", str(tmp_path / "data"), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["events"] == 20
    assert sum(finding["count"] for finding in report["findings"]) == 20
    assert all(finding["advice"] for finding in report["findings"])
    assert run(["check-store", "--data", str(tmp_path / "data"), "--repair"]) == 0
    assert run(["check-store", "--data", str(tmp_path / "data")]) == 0


@pytest.mark.parametrize("command", [["backup", "x.tar"], ["restore", "x.tar"], ["check-store"]])
def test_without_a_place_the_setting_is_named(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GATEPOST_DATABASE", raising=False)
    assert run(command) == 1
    assert capsys.readouterr().err == (
        "gatepost: setting 'data' is missing; give the receiver's --data, or its --database\n"
    )


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    SqliteStore.open(tmp_path / "data").close()
    (tmp_path / "there").write_text("mine")
    assert run(["backup", str(tmp_path / "there"), "--data", str(tmp_path / "data")]) == 1
    assert (tmp_path / "there").read_text() == "mine"
    assert "is there already" in capsys.readouterr().err
