"""``gatepost people``."""

import io
import json
import sys
from pathlib import Path

import pytest
from tests.client.conftest import Run
from tests.receiver.kit import Running, record


async def test_people_are_listed_and_erased(
    receiver: Running, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    await receiver.push(record())
    assert await run("people", "list", "-q", "王") == 0
    number, user_id, name, *_ = capsys.readouterr().out.split()
    assert (user_id, name) == ("5", "王五")
    assert await run("people", "erase", "--id", number, "--yes", "--json") == 0
    assert json.loads(capsys.readouterr().out)["records"] == 1
    assert await run("people", "list") == 0
    assert capsys.readouterr().out == ""
    assert receiver.records()[0].person is None or receiver.records()[0].person.name != "王五"


async def test_erasing_asks_first(
    receiver: Running, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await receiver.push(record())
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    assert await run("people", "erase", "5") == 1
    assert "Erase 5 for good" in capsys.readouterr().err
    assert receiver.records()[0].person is not None
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert await run("people", "erase", "5") == 0
    assert "erased: 1 records" in capsys.readouterr().out


@pytest.mark.parametrize("argv", [(), ("5", "--id", "x")])
async def test_whom_to_erase_is_said_once(run: Run, argv: tuple[str, ...]) -> None:
    assert await run("people", "erase", *argv) == 2


async def test_attendance_is_saved_as_a_file(receiver: Running, run: Run, tmp_path: Path) -> None:
    await receiver.push(record())
    file = tmp_path / "may.csv"
    wanted = ("--month", "2023-05", "--columns", "day,name,passages", "-q", "王")
    assert await run("people", "attendance", str(file), *wanted) == 0
    assert file.read_text("utf-8-sig") == "Day,Name,Passages\n2023-05-29,王五,1\n"
    await receiver.push(record(uuid="u-2", user={"name": "访客", "user_id": "9", "type": 2}))
    wanted = ("--month", "2023-05", "--columns", "name,person_type")
    assert await run("people", "attendance", str(file), *wanted, "--kind", "visitors") == 0
    assert file.read_text("utf-8-sig") == "Name,Kind of person\n访客,visitor\n"


async def test_names_are_imported_from_a_file(
    receiver: Running, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await receiver.push(record())
    file = tmp_path / "staff.csv"
    file.write_bytes("编号,姓名,部门\n5,王小五,销售\n".encode("gb18030"))
    assert await run("people", "import", str(file), "--check") == 0
    assert capsys.readouterr().out == "1 rows: 1 new, 0 changed, 0 as before\n"
    assert await run("people", "import", str(file), "--json") == 0
    assert json.loads(capsys.readouterr().out)["stored"] is True
    assert await run("people", "list") == 0
    assert "王小五" in capsys.readouterr().out
    file.write_text("number,name\n,Anna\n")
    assert await run("people", "import", str(file)) == 1
    assert "line 2 has no number" in capsys.readouterr().err
