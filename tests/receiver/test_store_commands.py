import json
from pathlib import Path

import pytest
from tests.receiver.kit import JPEG, SUCCESS, alarm, base64, receiving, record

from gatepost.cli import run
from gatepost.store.sqlite import SqliteStore
from gatepost.store.store import RecordQuery


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
        assert run(["backup", str(backup), "--data", str(tmp_path / "data")]) == 0
        before = receiver.records()
    assert run(["restore", str(backup), "--data", str(tmp_path / "other")]) == 0
    assert "20 records" in capsys.readouterr().out
    store = SqliteStore.open(tmp_path / "other")
    after = list(store.records(RecordQuery(limit=1000)).items)
    assert after == before
    assert [store.image(row.id) for row in after] == [JPEG] * 20
    store.close()


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
