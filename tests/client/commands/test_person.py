"""``gatepost people mark | unmark | marked | join | part | numbers | inside``."""

import json
import time
from pathlib import Path

import pytest
from tests.client.conftest import Run
from tests.receiver.kit import Running, record


async def somebody(receiver: Running, run: Run, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Have two people, 5 and 6, pass a moment ago; return their ids in that order."""
    for number in ("5", "6"):
        user = {"name": f"Person {number}", "user_id": number, "type": 1}
        await receiver.push(record(uuid=f"u-{number}", user=user, timestamp=int(time.time()) - 1))
    assert await run("people", "list", "--json") == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [one["id"] for one in sorted(found, key=lambda one: str(one["user_id"]))]


async def test_a_person_is_marked_listed_and_unmarked(
    receiver: Running, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    five, _ = await somebody(receiver, run, capsys)
    assert await run("people", "mark", five, "ask at the desk", "--until", "2099-01-01T00:00:00+00:00") == 0
    assert capsys.readouterr().out == "marked: ask at the desk\n"
    assert await run("people", "marked") == 0
    line = capsys.readouterr().out
    assert "Person 5" in line
    assert "ask at the desk" in line
    assert "2099-01-01" in line
    assert await run("people", "mark", five, "late", "--until", "2001-01-01T00:00:00+00:00") == 1
    assert "until" in capsys.readouterr().err
    assert await run("people", "unmark", five) == 0
    assert await run("people", "marked", "--json") == 0
    assert capsys.readouterr().out == ""
    assert await run("people", "unmark", five) == 1
    assert "not marked" in capsys.readouterr().err


async def test_two_people_are_joined_and_parted(
    receiver: Running, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    five, six = await somebody(receiver, run, capsys)
    assert await run("people", "join", five, six, "--json") == 0
    one = json.loads(capsys.readouterr().out)["id"]
    assert await run("people", "numbers", one, "--json") == 0
    numbers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted(number["user_id"] for number in numbers) == ["5", "6"]
    assert await run("people", "join", five, six) == 1
    assert "one person already" in capsys.readouterr().err
    assert await run("people", "part", one, str(numbers[0]["number_id"])) == 0
    assert await run("people", "numbers", five, "--json") == 0
    assert capsys.readouterr().out == ""


async def test_who_is_inside_is_listed_and_saved(
    receiver: Running, run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    await somebody(receiver, run, capsys)
    assert await run("people", "inside") == 0
    said = capsys.readouterr().out
    assert "default: 2 inside, 0 strangers let in" in said
    assert "Person 6" in said
    file = tmp_path / "inside.csv"
    assert await run("people", "inside", "--file", str(file)) == 0
    assert "Person 5" in file.read_text("utf-8-sig")
    assert await run("terminals", "direction", "SN-1", "out") == 0
    assert await run("people", "inside") == 0
    assert "default: 0 inside" in capsys.readouterr().out
    assert await run("terminals", "direction", "SN-1", "up") == 1
    assert "direction" in capsys.readouterr().err
