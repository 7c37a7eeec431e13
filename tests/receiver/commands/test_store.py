import json
from pathlib import Path

import pytest
from tests.receiver.kit import JPEG, SUCCESS, alarm, base64, receiving, record

from gatepost.cli import run
from gatepost.errors import StoreCorrupt, StoreUnavailable
from gatepost.journal.folder import Folder
from gatepost.journal.streams import Position
from gatepost.journal.writer import Writer
from gatepost.receiver.jobs.projector.projector import Projector
from gatepost.receiver.opening import open_store
from gatepost.settings import ReceiverSettings
from gatepost.store.interface import Progress, RecordQuery
from gatepost.store.sqlite.store import SqliteStore


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


async def test_an_encrypted_backup_is_made_with_a_key_that_the_commands_make(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await filled(tmp_path / "data")
    capsys.readouterr()
    key, file = tmp_path / "backup.key", tmp_path / "backup.tar.age"
    assert run(["backup-key", str(key)]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("age1")
    assert "without it they cannot be restored" in told.err
    to = ["--encrypt-to", told.out.strip()]
    assert run(["backup", str(file), "--data", str(tmp_path / "data"), *to]) == 0
    other = ["restore", str(file), "--data", str(tmp_path / "other")]
    assert run(other) != 0
    assert "--identity FILE names its key" in capsys.readouterr().err
    assert run([*other, "--identity", str(key)]) == 0
    assert "20 records" in capsys.readouterr().out


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
    for pack in (tmp_path / "data" / "journal" / "packs").iterdir():
        pack.unlink()
    capsys.readouterr()
    assert run(["check-store", "--data", str(tmp_path / "data"), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["events"] == 20
    assert sum(finding["count"] for finding in report["findings"]) == 20
    assert all(finding["advice"] for finding in report["findings"])
    assert run(["check-store", "--data", str(tmp_path / "data")]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith("gatepost.db: 0 of 20 images are here and whole")
    assert said[1].startswith("20 × event whose image is lost: put the pack back from a backup")
    assert run(["check-store", "--data", str(tmp_path / "data"), "--repair"]) == 0
    assert run(["check-store", "--data", str(tmp_path / "data")]) == 0


async def test_what_waits_in_the_journal_is_listed_with_its_images_after_a_restore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(projector: Projector) -> bool:
        raise StoreUnavailable("the store is away")

    unknown = {"type": 7, "data": {"photo": base64(JPEG)}}
    with monkeypatch.context() as patched:
        patched.setattr(Projector, "step", away)
        async with receiving(tmp_path / "data") as receiver:
            for push in (record(rgb_image=base64(JPEG)), alarm(image=base64(JPEG)), unknown):
                assert (await receiver.push(push)).json == SUCCESS
    backup = str(tmp_path / "b.tar")
    assert run(["check-store", "--data", str(tmp_path / "data")]) == 0, "their images are not lost"
    assert run(["backup", backup, "--data", str(tmp_path / "data")]) == 0
    assert run(["restore", backup, "--data", str(tmp_path / "other")]) == 0
    async with receiving(tmp_path / "other") as receiver:
        (row,) = receiver.records()
        assert row.has_image
        assert receiver.store.image(row.id) == JPEG
        (pushed,) = receiver.store.quarantined().items
        assert json.loads(receiver.store.pushed(pushed)) == unknown
        assert len(receiver.alarms()) == 1
    assert run(["check-store", "--data", str(tmp_path / "other")]) == 0


async def test_a_receiver_that_runs_is_called_sound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with receiving(tmp_path / "data") as receiver:
        for number in (1, 2, 1, 2, 3):
            await receiver.push(record(uuid=f"u-{number}", rgb_image=base64(JPEG)))
            assert run(["check-store", "--data", str(tmp_path / "data")]) == 0
        receiver.settle()
        assert run(["check-store", "--data", str(tmp_path / "data")]) == 0
    assert run(["check-store", "--data", str(tmp_path / "data")]) == 0
    assert capsys.readouterr().out.splitlines()[-2].endswith("3 of 3 images are here and whole")


async def test_on_postgresql_images_are_moved_with_a_data_folder_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], postgres_url: str
) -> None:
    await filled(tmp_path / "data")
    backup, database = str(tmp_path / "b.tar"), ["--database", postgres_url]
    assert run(["backup", backup, "--data", str(tmp_path / "data")]) == 0
    capsys.readouterr()
    assert run(["restore", backup, *database]) == 1
    said = capsys.readouterr().err
    assert said.startswith(
        "gatepost: the backup holds images, or events that are not listed yet; give an empty"
    )
    assert run(["restore", backup, *database, "--data", str(tmp_path / "other")]) == 0
    assert run(["check-store", *database, "--data", str(tmp_path / "other")]) == 0
    capsys.readouterr()
    assert run(["check-store", *database]) == 1
    assert "× pack that is not here" in capsys.readouterr().out
    assert run(["backup", str(tmp_path / "c.tar"), *database]) == 0
    assert (
        capsys.readouterr()
        .out.splitlines()[1]
        .startswith("not in it: 20 images that are not here; keep the data")
    )


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
